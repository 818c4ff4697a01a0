package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"pktvisor/agent/deal"
	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/filter"
	"pktvisor/metric"
	"pktvisor/window"
)

// AddTap adds a tap. If the agent runs, the tap begins to read its sources. Otherwise it does so when the agent runs, unless
// [Agent.Run] is given others for it. The agent does not close the sources.
//
// The error says that there is a tap with this name, or that the number of sources does not fit.
func (a *Agent) AddTap(cfg TapConfig, sources []capture.Source) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	if err := cfg.check(sources); err != nil {
		return err
	}
	t, err := a.addTap(cfg)
	if err != nil {
		return err
	}
	t.sources = sources
	if a.running != nil {
		a.running.endless = true
		a.startTap(t)
	}
	return nil
}

func (a *Agent) addTap(c TapConfig) (*Tap, error) {
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
	t.governor, t.spreader = t.newGovernor(), t.newSpreader()
	a.taps.add(t)
	return t, nil
}

// RemoveTap stops a tap, waits for its shards, and forgets it. Its sources can then be closed. The error says that there is no
// such tap, or names the policies that use it, in which case nothing changes; or it is that of a source.
func (a *Agent) RemoveTap(name string) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	t := a.Tap(name)
	if t == nil {
		return fmt.Errorf("tap %q does not exist", name)
	}
	if users := t.policies.all(); len(users) > 0 {
		var names []string
		for _, p := range users {
			names = append(names, fmt.Sprintf("%q", p.cfg.Name))
		}
		return fmt.Errorf("tap %q is in use: remove the policies that use it first: %s", name, joinSome(names))
	}
	if a.running != nil {
		a.running.endless = true
	}
	err := t.end()
	a.taps.remove(t)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// AddPolicy adds a policy. If the agent runs, the policy counts the events from the moment when AddPolicy returns, or a little
// earlier. Its tables are made before a shard knows of them, so no shard has to wait and no packet is lost. The other policies
// do not notice.
//
// The error says that there is a policy with this name, or that a tap does not exist.
func (a *Agent) AddPolicy(cfg PolicyConfig) (*Policy, error) {
	a.changing.Lock()
	defer a.changing.Unlock()
	return a.addPolicy(cfg)
}

// addPolicy makes a policy, with a back half for each shard of its taps.
func (a *Agent) addPolicy(c PolicyConfig) (*Policy, error) {
	c.Name = cmp.Or(c.Name, Default)
	if a.Policy(c.Name) != nil {
		return nil, fmt.Errorf("there are two policies %q", c.Name)
	}
	filters, err := c.topicFilters()
	if err != nil {
		return nil, fmt.Errorf("policy %q: %w", c.Name, err)
	}
	c.Partial = c.Partial || slices.ContainsFunc(filters, func(f *filter.Filter) bool { return f != nil })
	p := &Policy{cfg: c, tables: tables(c.Topics), filters: filters}
	if err := a.findTaps(p); err != nil {
		return nil, err
	}
	set := analyze.Settings{Seed: &a.seed, Periods: c.Periods, Scale: c.Scale, BlindKey: c.Anonymizer.BlindKey()}
	for _, t := range c.Topics {
		set.Table = t.Table
		p.makers = append(p.makers, t.New(set))
	}
	p.window = a.newWindow(p)
	for _, t := range p.taps {
		t.policies.add(p)
		t.adapt()
	}
	var making sync.WaitGroup
	slot := 0
	for _, t := range p.taps {
		for _, f := range t.fronts { // in parallel, because most of the time goes into memory that is touched for the first time
			at := slot
			making.Go(func() { f.add(p, at) })
			slot++
		}
	}
	making.Wait()
	a.policies.add(p)
	return p, nil
}

// findTaps finds the taps of a policy.
func (a *Agent) findTaps(p *Policy) error {
	if p.cfg.Taps == nil {
		p.taps = a.taps.all()
		return nil
	}
	for _, name := range p.cfg.Taps {
		t := a.Tap(name)
		if t == nil {
			return fmt.Errorf("policy %q: tap %q is not configured", p.cfg.Name, name)
		}
		p.taps = append(p.taps, t)
	}
	return nil
}

// newWindow makes the window of a policy that has its taps.
func (a *Agent) newWindow(p *Policy) *window.Window {
	c := &p.cfg
	id := metric.Identity{Host: a.host, Tags: a.tags, Boot: a.boot, Policy: beforeSlash(c.Name)}
	if c.Key != "" {
		id.Policy += "/" + c.Key
	}
	if len(p.taps) == 1 {
		id.Tap = beforeSlash(p.taps[0].cfg.Name)
	}
	cfg := window.Config{
		Tables: p.tables, Periods: c.Periods, Shards: p.shards(), Single: c.Single,
		Identity: id, DeepSamplePercent: c.DeepSamplePercent, OnSeal: c.OnSeal, Slots: window.SealedSlots(c.Periods, c.Scale),
	}
	if c.Anonymizer != nil {
		cfg.Anonymity, cfg.Anonymize = c.Anonymizer.Anonymity(), c.Anonymizer.Bucket
	}
	return window.New(cfg)
}

// beforeSlash returns the part of a name in front of the first slash.
func beforeSlash(name string) string {
	before, _, _ := strings.Cut(name, "/")
	return before
}

// RemovePolicy removes a policy. What it has counted is flushed, and queries without a response count as open. Then its window
// is closed: [PolicyConfig.OnSeal] gets the last minutes, the unfinished one too, before RemovePolicy returns. The window can
// still be read by those who have it. Other policies keep all their counts and what waits in them. The error says that there is
// no such policy.
func (a *Agent) RemovePolicy(name string) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	p := a.Policy(name)
	if p == nil {
		return fmt.Errorf("policy %q does not exist", name)
	}
	a.policies.remove(p)
	var left []*back
	for _, t := range p.taps {
		for _, f := range t.fronts {
			if b := f.remove(p); b != nil {
				left = append(left, b)
			}
		}
		t.policies.remove(p)
		t.adapt()
	}
	for _, b := range left {
		b.finish()
	}
	for _, t := range p.taps {
		t.plans.forget()
	}
	p.window.Close()
	return nil
}

// maxNamed is the maximum number of names in an error.
const maxNamed = 5

// joinSome joins the first names, and says how many more there are.
func joinSome(names []string) string {
	more := len(names) - maxNamed
	text := ""
	for i, n := range slices.Clone(names)[:min(len(names), maxNamed)] {
		if i > 0 {
			text += ", "
		}
		text += n
	}
	if more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
