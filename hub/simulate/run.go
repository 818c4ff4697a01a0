// Package simulate is a fleet of synthetic agents, for load tests and tests of a hub. The agents answer over HTTP, or push
// over NATS, as real ones do, and the fleet knows the exact sums at which a hub must arrive.
//
// Few templates of a minute's traffic are made when the fleet is made. A snapshot is one of them with the name, the time
// and a loss of its own, so that ten thousand hosts are cheap.
package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/pflag"

	"pktvisor/minute"
	"pktvisor/subject"
)

// Options are the flags of a simulation.
type Options struct {
	Config
	Minutes int
	Speed   float64
	Listen  string
	Push    PushOptions
	// Out gets the exact sums, one JSON object a line for each minute. Log gets what happens.
	Out io.Writer
	Log *slog.Logger
}

// Flags adds the flags of a simulation to a set, and returns the options that they fill.
func Flags(f *pflag.FlagSet) *Options {
	o := &Options{Config: Config{Policy: "default"}}
	f.IntVar(&o.Hosts, "hosts", 1000, "number of `hosts`")
	f.IntVar(&o.Pops, "pops", 20, "number of POPs")
	f.IntVar(&o.Countries, "countries", 5, "number of countries")
	f.IntVar(&o.Minutes, "minutes", 60, "minutes of data")
	f.Float64Var(&o.Speed, "speed", 1, "this many times as fast as real time, which ends now. 1: real\ntime, from now on. 0: all at once")
	f.StringVar(&o.Listen, "listen", "", "serve the agents over HTTP on this `address`: agent 17 is at\nhttp://ADDRESS/a/00017. This prints their addresses for --agents-file")
	f.StringVar(&o.Push.URL, "push", "", "push to the NATS servers at this `URL`, as pktvisord --push does")
	f.StringVar(&o.Push.Creds, "push-creds", "", "credentials `FILE` for NATS")
	f.StringVar(&o.Push.TokenFile, "push-token-file", "", "`FILE` with a token for NATS")
	f.StringVar(&o.Push.Prefix, "push-prefix", "pv", "the first part of the NATS subjects")
	f.StringVar(&o.Policy, "policy", o.Policy, "`name` of the policy")
	f.Uint64Var(&o.Seed, "seed", 1, "another `number` makes another fleet")
	f.Float64Var(&o.Chaos.Duplicate, "duplicate", 0, "`share` of host-minutes that are delivered twice")
	f.Float64Var(&o.Chaos.Late, "late", 0, "`share` of host-minutes that are delivered up to ten minutes late")
	f.Float64Var(&o.Chaos.Restart, "restart", 0, "`share` of host-minutes in which the agent is restarted")
	f.DurationVar(&o.Chaos.Skew, "skew", 0, "a tenth of the hosts has clocks that are wrong by up to this `time`")
	return o
}

// check returns what is wrong with the options.
func (o *Options) check() error {
	share := func(flag string, v float64) error {
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("%s %v: give a share from 0 to 1", flag, v)
		}
		return nil
	}
	atLeast := func(flag string, v, least, most int) error {
		if v < least || v > most {
			return fmt.Errorf("%s %d: give a number from %d to %d", flag, v, least, most)
		}
		return nil
	}
	err := errors.Join(
		atLeast("--hosts", o.Hosts, 1, 1_000_000), atLeast("--pops", o.Pops, 1, 1000), atLeast("--countries", o.Countries, 1, 1000),
		atLeast("--minutes", o.Minutes, 1, minute.MaxKept), subject.CheckPrefix(o.Push.Prefix),
		share("--duplicate", o.Chaos.Duplicate), share("--late", o.Chaos.Late), share("--restart", o.Chaos.Restart),
	)
	if !(o.Speed >= 0 && o.Speed <= 1e6) {
		err = errors.Join(err, fmt.Errorf("--speed %v: give a number from 0 to 1000000", o.Speed))
	}
	if (o.Listen == "") == (o.Push.URL == "") {
		err = errors.Join(err, errors.New("give either --listen or --push"))
	}
	return err
}

// Run simulates a fleet until its minutes are over and delivered, or until ctx ends. Then it writes the exact sums. Agents
// that are served over HTTP answer until ctx ends.
func Run(ctx context.Context, o Options) error {
	if err := o.check(); err != nil {
		return err
	}
	began := time.Now()
	fleet := New(o.Config)
	now := time.Now()
	o.Log.Info("the fleet is made", "hosts", o.Hosts, "pops", o.Pops, "took", now.Sub(began).Round(time.Millisecond))
	clock := Clock{Began: now, Begin: minute.Of(now.Unix()), Speed: o.Speed}
	if o.Speed == 1 {
		clock.Began = time.Unix(clock.Begin, 0)
	} else {
		clock.Begin -= int64(o.Minutes) * minute.Seconds
	}
	var err error
	if o.Listen != "" {
		err = o.serve(ctx, fleet, clock)
	} else {
		err = push(ctx, &o, fleet, clock)
	}
	if err != nil {
		return err
	}
	return o.writeSums(fleet, clock)
}

// writeSums writes the exact sums of all minutes that are over, one JSON object a line.
func (o *Options) writeSums(fleet *Fleet, clock Clock) error {
	over := (clock.Now().Unix() - clock.Begin - minute.Grace) / minute.Seconds
	e := json.NewEncoder(o.Out)
	for _, s := range fleet.Sums(clock.Begin, int(min(int64(o.Minutes), max(over, 0)))) {
		if err := e.Encode(s); err != nil {
			return err
		}
	}
	return nil
}

// serve serves the agents until ctx ends.
func (o *Options) serve(ctx context.Context, fleet *Fleet, clock Clock) error {
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return err
	}
	agents := &Server{Fleet: fleet, Clock: clock, Minutes: o.Minutes}
	fmt.Fprintln(o.Out, "agents:")
	for host := range o.Hosts {
		fmt.Fprintf(o.Out, "- http://%s%s\n", l.Addr(), agents.Path(host))
	}
	o.Log.Info("the agents are served", "address", l.Addr().String())
	s := &http.Server{Handler: agents, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	done := context.AfterFunc(ctx, func() { s.Close() })
	defer done()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
