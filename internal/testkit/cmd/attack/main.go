// Command attack floods an agent at the highest rate that this machine can make, and fails if the agent does not stay honest.
//
// As root, it makes a network namespace with a pair of interfaces and captures on one. Into the other it sends queries of a quiet
// background, and then a flood: queries for random names of one zone, each from another forged address. Meanwhile a reader polls
// the HTTP API. It fails unless
//   - every frame that was sent is in a counter of the agent: counted, or lost in the kernel;
//   - the attacked zone is on top of the table of names, and what its row stands for has bounds that hold the truth;
//   - the API answers within 100 ms, except for one answer in a hundred;
//   - the agent takes no more CPU than its budget, or has lowered the deep sample as far as it may;
//   - the deep sample is whole again after the flood.
//
// The namespace has no name and ends with the last process in it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"pktvisor/internal/testkit/veth"
)

// options are the command line options.
type options struct {
	agent        string
	quiet, flood time.Duration
	senders      int
	shards       int
	maxCPU       int
	least        int
	ring         int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "attack:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("attack", flag.ContinueOnError)
	flags.StringVar(&o.agent, "agent", "bin/pktvisord", "the agent to attack")
	flags.DurationVar(&o.quiet, "quiet", 8*time.Second, "how long there is only the background, before the flood")
	flags.DurationVar(&o.flood, "flood", 30*time.Second, "how long the flood lasts")
	flags.IntVar(&o.senders, "senders", runtime.GOMAXPROCS(0), "how many threads send the flood")
	flags.IntVar(&o.shards, "shards", 1, "shards of the agent")
	flags.IntVar(&o.maxCPU, "max-cpu", 25, "the agent's budget of CPU in percent of one core; 0: none")
	flags.IntVar(&o.least, "min-deep-sample", 1, "the least deep sample in percent")
	flags.IntVar(&o.ring, "ring-size", 32, "the agent's ring in MiB")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if _, err := os.Stat(o.agent); err != nil {
		return fmt.Errorf("%w: run make build first", err)
	}
	if err := veth.OwnNamespace(); errors.Is(err, os.ErrPermission) {
		return errors.New("no permission to make a network namespace: run it as root")
	} else if err != nil {
		return err
	}
	link, err := veth.Open()
	if err != nil {
		return err
	}
	defer link.Close()
	a, err := startAgent(ctx, &o)
	if err != nil {
		return err
	}
	defer a.end()
	return (&attack{o: &o, link: link, agent: a, out: out}).run(ctx)
}

// attack is one run.
type attack struct {
	o     *options
	link  *veth.Link
	agent *agent
	out   io.Writer

	background, forged atomic.Uint64 // frames that were sent
	answers            answers
	failed             bool
}

// verdict prints one check.
func (t *attack) verdict(ok bool, format string, args ...any) {
	word := "ok  "
	if !ok {
		word, t.failed = "FAIL", true
	}
	fmt.Fprintf(t.out, "%s  %s\n", word, fmt.Sprintf(format, args...))
}

func (t *attack) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var background, flood sync.WaitGroup
	background.Go(func() { t.sendBackground(ctx) })
	reading, ended := context.WithCancel(ctx)
	defer ended()
	background.Go(func() { t.read(reading) })
	if !sleep(ctx, t.o.quiet) {
		return errors.New("interrupted")
	}

	end := time.Now().Add(t.o.flood)
	began := time.Now()
	for i := range t.o.senders {
		flood.Go(func() { t.sendForged(ctx, uint64(i), end) })
	}
	settle := min(10*time.Second, t.o.flood/3)
	sleep(ctx, settle)
	from, fromCPU := time.Now(), t.agent.cpu()
	flood.Wait()
	cpu := 100 * float64(t.agent.cpu()-fromCPU) / float64(time.Since(from))
	rate := float64(t.forged.Load()) / time.Since(began).Seconds()
	fmt.Fprintf(t.out, "flood: %d frames in %v, %.0f a second; background: %d\n", t.forged.Load(), t.o.flood, rate, t.background.Load())
	flooded, err := t.agent.app(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "deep sample at the end of the flood: %.3g%%, lowered %d times, raised %d times, reason %q\n",
		flooded.Sample.Percent, flooded.Sample.Lowered, flooded.Sample.Raised, flooded.Sample.Reason)

	whole := t.agent.wait(ctx, 90*time.Second, func() bool {
		a, err := t.agent.app(ctx)
		return err == nil && a.Sample.Percent == a.Sample.Max
	})
	ended()
	stop()
	background.Wait()
	ctx = context.Background()
	t.checkLedger(ctx)
	t.checkZone(ctx)
	t.checkAnswers()
	if t.o.maxCPU > 0 {
		atLeast := flooded.Sample.Percent <= flooded.Sample.Min
		t.verdict(cpu <= 1.1*float64(t.o.maxCPU) || atLeast, "the agent took %.0f%% of a core in the flood, of %d%%; deep sample %.3g%%, at least %g%%",
			cpu, t.o.maxCPU, flooded.Sample.Percent, flooded.Sample.Min)
	}
	t.verdict(whole, "the deep sample is whole again after the flood")
	if t.failed {
		return errors.New("the agent failed")
	}
	return nil
}

// sleep waits. It returns false if ctx is done before.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
