// Command fuzz runs every fuzz target of the repository for a given time: make fuzz-long DURATION=8h.
//
// One more target compares the decoder with tshark, if that is installed.
//
// The targets take turns. What they find interesting is kept in out/fuzz, and the smallest of it in testdata/corpora, from where the
// next run starts, on whatever machine. A failing input is written into the package's testdata/fuzz, as go test does. The sums of
// executions and of CPU time are kept in testdata/corpora/executions.tsv.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"time"
)

type options struct {
	total    time.Duration
	slot     time.Duration
	only     string
	parallel int
	out      string
	corpora  string
}

func main() {
	var o options
	flag.DurationVar(&o.total, "for", time.Hour, "how long to run in all")
	flag.DurationVar(&o.slot, "slot", 0, "how long a target runs before the next one (default: so that each has three turns, from 10s to 10m)")
	flag.StringVar(&o.only, "only", "", "run only targets whose package and name match this regular expression")
	flag.IntVar(&o.parallel, "parallel", 1, "workers of a target")
	flag.StringVar(&o.out, "out", "out/fuzz", "directory of test binaries and found inputs")
	flag.StringVar(&o.corpora, "corpora", "testdata/corpora", "directory of the corpora that are kept")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, &o); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// run lets the targets take turns until the time is over.
func run(ctx context.Context, o *options) error {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	if o.out, err = filepath.Abs(o.out); err != nil {
		return err
	}
	targets, err := listTargets(ctx, only)
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		return errors.New("no target matches")
	}
	sums, err := readSums(o.corpora)
	if err != nil {
		return err
	}
	if o.slot == 0 {
		o.slot = min(max(o.total/time.Duration(3*len(targets)), 10*time.Second), 10*time.Minute)
	}
	for _, t := range targets {
		if err := unpack(o, t); err != nil {
			return err
		}
	}
	fmt.Printf("%d targets, %v each in turn\n", len(targets), o.slot)
	failed := 0
	end := time.Now().Add(o.total)
	for i := 0; time.Now().Before(end) && ctx.Err() == nil; i++ {
		t := targets[i%len(targets)]
		if t.failed {
			continue
		}
		if err := t.run(ctx, o, min(o.slot, time.Until(end)), sums); err != nil {
			fmt.Printf("%s FAILED: %v\n", t, err)
			t.failed = true
			if failed++; failed == len(targets) {
				break
			}
		}
		if err := errors.Join(pack(o, t), sums.write(o.corpora)); err != nil {
			return err
		}
	}
	fmt.Println(sums.total())
	if failed > 0 {
		return fmt.Errorf("%d targets failed", failed)
	}
	return nil
}
