// Command soak runs the agent under load for a long time, and fails if the agent does not stay well.
//
// As root, it makes a network namespace with a pair of interfaces, captures on one and sends generated traffic into
// the other, in phases: ordinary traffic, floods, overload, the interface going up and down, hangups, and one
// restart. Meanwhile readers poll the HTTP API. It fails on
//   - counters that differ from the packets sent less those that the agent reports as lost;
//   - an answer that is an error, or is not valid JSON, or has a median latency that is too long;
//   - buckets that are not aligned, do not follow each other, or change after they were sealed;
//   - memory, goroutines or file handles that grow;
//   - a stop that takes longer than a second.
//
// Without root, the agent replays a file instead, and the checks that need interfaces are left out.
//
// The namespace has no name and ends with the last process in it. The agent ends when this command ends, for whatever
// reason.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"pktvisor/internal/testkit/veth"
)

// options are the command line options.
type options struct {
	agent    string
	duration time.Duration
	phase    time.Duration
	rate     float64
	readers  int
	shards   int
	median   time.Duration
	stop     time.Duration
	only     string
	replay   bool
	keep     bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "soak:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.StringVar(&o.agent, "agent", "bin/pktvisord", "the agent to run")
	flags.DurationVar(&o.duration, "for", 30*time.Minute, "how long to run")
	flags.DurationVar(&o.phase, "phase", 20*time.Second, "how long each phase of the traffic lasts")
	flags.Float64Var(&o.rate, "rate", 80_000, "packets a second to send, except in overload")
	flags.IntVar(&o.readers, "readers", 20, "how many readers poll, each once a second")
	flags.IntVar(&o.shards, "shards", 2, "shards of the agent")
	flags.DurationVar(&o.median, "median", 50*time.Millisecond, "fail if an answer's median latency is longer")
	flags.DurationVar(&o.stop, "stop", time.Second, "fail if the agent takes longer to stop")
	flags.StringVar(&o.only, "only", "", "run only the phases with these names (comma separated)")
	flags.BoolVar(&o.replay, "replay", false, "let the agent replay a file, as without root")
	flags.BoolVar(&o.keep, "keep", false, "keep the agent's log and state")
	if err := flags.Parse(args); err != nil {
		return err
	}
	agent, err := filepath.Abs(o.agent)
	if err != nil {
		return err
	}
	if _, err := os.Stat(agent); err != nil {
		return fmt.Errorf("%w: run make build first", err)
	}
	o.agent = agent
	chosen, err := choose(o.only)
	if err != nil {
		return err
	}
	if !o.replay {
		switch err := veth.OwnNamespace(); {
		case errors.Is(err, os.ErrPermission):
			fmt.Fprintln(out, "no permission to make a network namespace: the agent replays a file instead; no ledger, flaps or overload")
			o.replay = true
		case err != nil:
			return err
		}
	}
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	if o.keep {
		fmt.Fprintln(out, "log and state are in", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	return newSoak(&o, chosen, dir, out).run(ctx)
}

// soak is one run.
type soak struct {
	o      *options
	chosen []phase
	dir    string
	out    io.Writer
	began  time.Time
	agent  *agent
	link   *veth.Link // nil in replay
	polls  *polls
	watch  *watch
	seed   uint64        // of the last generated traffic
	sent   atomic.Uint64 // frames since the start
	life   life
	total  ledger // of all phases
	stops  []time.Duration

	mu       sync.Mutex
	failures []string
	samples  []sample
}

func newSoak(o *options, chosen []phase, dir string, out io.Writer) *soak {
	return &soak{o: o, chosen: chosen, dir: dir, out: out, began: time.Now(), polls: newPolls(), watch: newWatch()}
}

// maxFailures is how many failures are printed one by one.
const maxFailures = 50

// fail records a failure. The run continues, because further failures are worth knowing.
func (s *soak) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if len(s.failures) < maxFailures {
		fmt.Fprintf(s.out, "%s FAIL %s\n", s.clock(), text)
	}
	s.failures = append(s.failures, text)
}

func (s *soak) logf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%s %s\n", s.clock(), fmt.Sprintf(format, args...))
}

// clock returns the time since the start.
func (s *soak) clock() string {
	d := time.Since(s.began).Round(time.Second)
	return fmt.Sprintf("%3d:%02d", d/time.Minute, d%time.Minute/time.Second)
}

func (s *soak) run(ctx context.Context) error {
	target := ""
	if s.o.replay {
		target = filepath.Join(s.dir, "replay.pcap")
		if err := writeReplay(target, s.o.rate, s.o.phase); err != nil {
			return err
		}
	} else {
		var err error
		if s.link, err = veth.Open(); err != nil {
			return err
		}
		defer s.link.Close()
		target = veth.Receiver
	}
	var err error
	if s.agent, err = newAgent(s.o, s.dir, target); err != nil {
		return err
	}
	if err := s.startAgent(ctx); err != nil {
		return err
	}
	defer s.agent.kill()
	s.logf("agent: %v", s.agent.args)

	background, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	for i := range s.o.readers {
		running.Go(func() { s.read(background, i) })
	}
	running.Go(func() { s.watchBuckets(background) })
	running.Go(func() { s.sampleAgent(background) })
	s.rotate(ctx)
	stop()
	running.Wait()

	s.stopAgent("the end")
	s.checkLog()
	s.checkLatencies()
	s.checkGrowth()
	s.summary()
	switch {
	case len(s.failures) > 0:
		return fmt.Errorf("%d failures", len(s.failures))
	case ctx.Err() != nil:
		return errors.New("interrupted")
	}
	return nil
}
