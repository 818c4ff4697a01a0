// Chaos kills, cuts and fills what a hub stands on while a fleet delivers its minutes, and then compares every counter of
// every minute with the exact sums. Nothing may be lost, and nothing may count twice.
//
// The agents are those of `pktvisor-hub simulate`: some minutes come late or twice, some agents are restarted within a
// minute, and some have clocks that are wrong by up to an hour.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "node" {
		if err := serveNode(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "chaos:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	x := chaos{spread: 20, most: 200}
	short := flag.Bool("short", false, "a few seconds of each scenario")
	only := flag.String("only", "", "only these scenarios, separated by commas")
	flag.StringVar(&x.hub, "hub", "bin/pktvisor-hub", "the program")
	flag.IntVar(&x.hosts, "hosts", 40, "hosts of the fleet")
	flag.IntVar(&x.minutes, "minutes", 60, "minutes that each host delivers in a round")
	flag.DurationVar(&x.time, "time", 30*time.Minute, "how long all scenarios take together, at least one round each")
	flag.Uint64Var(&x.seed, "seed", uint64(time.Now().UnixNano()), "of what happens when")
	flag.BoolVar(&x.keep, "keep", false, "keep the directory with all logs")
	flag.Parse()
	if *short {
		x.hosts, x.minutes, x.time, x.spread, x.most = 12, 12, 0, 8, 2
	}
	dir, err := os.MkdirTemp("", "pktvisor-chaos-")
	if err != nil {
		return err
	}
	x.rng = rand.New(rand.NewPCG(x.seed, 0))
	fmt.Printf("seed %d, directory %s\n", x.seed, dir)
	began := time.Now()
	for round := 0; round == 0 || time.Since(began) < x.time; round++ {
		for _, s := range scenarios {
			if *only != "" && !strings.Contains(","+*only+",", ","+s.name+",") {
				continue
			}
			if err := x.play(ctx, s, filepath.Join(dir, fmt.Sprintf("%d-%s", round, s.name))); err != nil {
				return fmt.Errorf("%s: %w\n(seed %d, logs in %s)", s.name, err, x.seed, dir)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	if !x.keep {
		os.RemoveAll(dir)
	}
	fmt.Println("0 lost, 0 doubled")
	return nil
}

// chaos is what all scenarios have in common.
type chaos struct {
	hub            string
	hosts, minutes int
	time           time.Duration
	spread         int // seconds in which the fleet delivers, if nothing goes wrong
	most           int // kills or cuts of a scenario
	seed           uint64
	keep           bool
	rng            *rand.Rand
}

// play plays a scenario in a directory of its own.
func (x *chaos) play(ctx context.Context, s scenario, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	began := time.Now()
	p := &play{chaos: x, dir: dir}
	defer p.stop()
	if s.needs != nil {
		if missing := s.needs(); missing != "" {
			fmt.Printf("%-10s skipped: %s\n", s.name, missing)
			return nil
		}
	}
	if err := s.play(ctx, p); err != nil {
		return err
	}
	fmt.Printf("%-10s %d counters of %d hosts agree, after %d kills or cuts, in %.0f s\n", s.name, p.compared, x.hosts, p.hits, time.Since(began).Seconds())
	return nil
}
