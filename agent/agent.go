// Package agent runs pktvisor: taps yield events, and policies summarise them.
//
//	one source, a file              a source for each shard, live
//	  source ─┬─► shard ◄─┐           source ─► shard
//	          └─► shard ◄─┘           source ─► shard
//
//	shard:  frames ─► front half ─┬─► back half of policy A ─► window A
//	                              └─► back half of policy B ─► window B
//
// A shard is one goroutine. Its front half belongs to a tap: it turns frames into packets and messages, and follows the
// clock. Each back half belongs to a policy: it flushes the counts of the policy's analyzers into the policy's window, which
// any goroutine may read at any time.
//
// A source says which clock counts. For a file, all shards follow the order of its packets, and wait for each other at the
// end of a minute. So the number of shards does not change the result, except in tables that are not exact, which may differ
// within their bounds. With live sources, each shard follows its own packets, and the wall clock while no packets arrive.
package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"pktvisor/agent/deal"
	"pktvisor/analyze"
	"pktvisor/analyze/dns"
	"pktvisor/analyze/packets"
	"pktvisor/capture"
	"pktvisor/internal/seedhash"
	"pktvisor/metric"
	"pktvisor/psl"
	"pktvisor/window"
)

// Default is the name of a tap or a policy that is configured without one.
const Default = "default"

// Config says what an agent observes, and how it summarises that.
type Config struct {
	// Host, Tags and Boot are those of the [metric.Identity] of the agent's buckets. All may be empty.
	Host     string
	Tags     metric.Tags
	Boot     uint64
	Taps     []TapConfig
	Policies []PolicyConfig
}

// Topics returns the analyzers that a policy has by default, in the order of the JSON. Locate finds the place of an address. If
// it is nil, the GeoIP tables stay empty. DNSTimeout is how long a query waits for its response.
func Topics(locate packets.Locator, dnsTimeout time.Duration) []analyze.Topic {
	return TopicsWith(locate, dnsTimeout, nil)
}

// TopicsWith is like [Topics], with another public suffix list than the embedded one.
func TopicsWith(locate packets.Locator, dnsTimeout time.Duration, suffixes *psl.Source) []analyze.Topic {
	return []analyze.Topic{
		packets.Topic(locate),
		dns.Topic(locate, suffixes, int64(dnsTimeout)),
	}
}

// Tables are the sections of a bucket with the default topics.
var Tables = tables(Topics(nil, 0))

func tables(topics []analyze.Topic) []*metric.Table {
	var all []*metric.Table
	for _, t := range topics {
		all = append(all, t.Table)
	}
	return append(all, sourceTable)
}

// Agent is a set of taps and policies.
type Agent struct {
	taps     []*Tap
	policies []*Policy
	seed     seedhash.Seed
}

// New makes an agent. It does nothing until [Agent.Run]. The error names a tap or a policy that is defined twice, or a tap
// that a policy needs and that does not exist.
func New(cfg Config) (*Agent, error) {
	a := &Agent{seed: seedhash.New()}
	if len(cfg.Taps) == 0 {
		return nil, errors.New("no tap is configured: give at least one")
	}
	for _, c := range cfg.Taps {
		c.Name = cmp.Or(c.Name, Default)
		if a.Tap(c.Name) != nil {
			return nil, fmt.Errorf("there are two taps %q", c.Name)
		}
		t := &Tap{cfg: c, seed: &a.seed, made: time.Now()}
		t.hosts.Store(&c.Hosts)
		t.share.Store(uint32(metric.Whole))
		t.dealing.Store(new(deal.Deal))
		for i := range c.Shards {
			t.fronts = append(t.fronts, newFront(t, i))
		}
		a.taps = append(a.taps, t)
	}
	for _, c := range cfg.Policies {
		if err := a.addPolicy(&cfg, c); err != nil {
			return nil, err
		}
	}
	for _, t := range a.taps {
		t.governor, t.spreader = t.newGovernor(), t.newSpreader()
	}
	return a, nil
}

// addPolicy makes a policy, with a back half for each shard of its taps.
func (a *Agent) addPolicy(cfg *Config, c PolicyConfig) error {
	c.Name = cmp.Or(c.Name, Default)
	if a.Policy(c.Name) != nil {
		return fmt.Errorf("there are two policies %q", c.Name)
	}
	p := &Policy{cfg: c, tables: tables(c.Topics)}
	set := analyze.Settings{Seed: &a.seed, Periods: c.Periods, Scale: c.Scale, BlindKey: c.Anonymizer.BlindKey()}
	for _, t := range c.Topics {
		set.Table = t.Table
		p.makers = append(p.makers, t.New(set))
	}
	id := metric.Identity{Host: cfg.Host, Tags: cfg.Tags, Boot: cfg.Boot, Policy: c.Name}
	if c.Taps == nil {
		for _, t := range a.taps {
			c.Taps = append(c.Taps, t.cfg.Name)
		}
	}
	var fronts []*front
	for _, name := range c.Taps {
		t := a.Tap(name)
		if t == nil {
			return fmt.Errorf("policy %q: tap %q is not configured", c.Name, name)
		}
		if len(c.Taps) == 1 {
			id.Tap = name
		}
		t.policies = append(t.policies, p)
		fronts = append(fronts, t.fronts...)
	}
	kept := window.Config{
		Tables: p.tables, Periods: c.Periods, Shards: len(fronts), Single: c.Single,
		Identity: id, DeepSamplePercent: c.DeepSamplePercent, OnSeal: c.OnSeal, Slots: window.SealedSlots(c.Periods, c.Scale),
	}
	if c.Anonymizer != nil {
		kept.Anonymity, kept.Anonymize = c.Anonymizer.Anonymity(), c.Anonymizer.Bucket
	}
	p.window = window.New(kept)
	var making sync.WaitGroup
	for slot, f := range fronts { // in parallel, because most of the time goes into memory that is touched for the first time
		f.makers = append(f.makers, func() *back { return newBack(f, p, slot) })
		if f.tap.cfg.Spread == nil || f.id == 0 {
			making.Go(f.make)
		}
	}
	making.Wait()
	a.policies = append(a.policies, p)
	return nil
}

// Tap returns the tap with the given name, or nil.
func (a *Agent) Tap(name string) *Tap {
	if i := slices.IndexFunc(a.taps, func(t *Tap) bool { return t.cfg.Name == name }); i >= 0 {
		return a.taps[i]
	}
	return nil
}

// Policy returns the policy with the given name, or nil.
func (a *Agent) Policy(name string) *Policy {
	if i := slices.IndexFunc(a.policies, func(p *Policy) bool { return p.cfg.Name == name }); i >= 0 {
		return a.policies[i]
	}
	return nil
}

// Run analyses the frames of sources until all have ended or ctx is done. The keys of the map are the names of taps. A tap
// needs one source with [capture.OwnTime], or one source for each shard. Taps start in the order of the configuration and stop
// in reverse. Then the policies finish their windows, also in reverse. Everything that was read before an error is in the
// windows. Run returns the errors of [capture.Source.ReadBatch], and that of ctx if it is done before a file has ended. It does
// not close the sources.
func (a *Agent) Run(ctx context.Context, sources map[string][]capture.Source) error {
	err := runTaps(ctx, a.taps, sources)
	for _, p := range slices.Backward(a.policies) {
		p.window.Finish()
	}
	return err
}

// runTaps runs taps. When ctx is done, each tap stops after those that follow it in the list.
func runTaps(ctx context.Context, taps []*Tap, sources map[string][]capture.Source) error {
	first := taps[0]
	if len(taps) == 1 {
		return first.run(ctx, sources[first.cfg.Name])
	}
	own, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- first.run(own, sources[first.cfg.Name]) }()
	err := runTaps(ctx, taps[1:], sources)
	select {
	case e := <-ended:
		return errors.Join(err, e)
	case <-ctx.Done():
		stop()
		return errors.Join(err, <-ended)
	}
}
