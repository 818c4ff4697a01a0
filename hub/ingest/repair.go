package ingest

import (
	"context"
	"errors"
	"maps"
	"math/bits"
	"slices"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/minute"
)

// repair replaces a damaged rollup of a minute by one from raw host-minutes, as far as they are there. It returns the state
// of the rollup afterwards. If nothing is found, it is an empty rollup with the revision of the damaged one.
func (g *Ingester) repair(ctx context.Context, k store.Key, s state) (state, error) {
	g.counts.update(func(s *Status) { s.Vanished++ })
	if len(s.Members) > 0 { // only the snapshot is damaged
		err := g.recompute(ctx, k, s, nil, nil)
		if err == nil {
			return g.get(ctx, k)
		}
		if !errors.Is(err, errGone) {
			return s, err
		}
	}
	empty := state{revision: s.revision}
	if k.Group == rollup.All {
		// Whether a host-minute is in its other groups is not known. So the caller adds it to these first.
		return empty, nil
	}
	all, err := g.get(ctx, minuteKey{k.Policy, k.Start}.key(rollup.All))
	if err != nil {
		return empty, err
	}
	var hosts []string
	for i := range all.Members {
		if m := &all.Members[i]; slices.Contains(rollup.Groups(m.Tags), k.Group) {
			hosts = append(hosts, m.Host)
		}
	}
	if err := g.restoreGroup(ctx, k, empty, hosts); err != nil {
		return empty, err
	}
	return g.get(ctx, k)
}

// restoreGroup writes the rollup of a tag that is gone, from the raw host-minutes of the given hosts.
func (g *Ingester) restoreGroup(ctx context.Context, k store.Key, s state, hosts []string) error {
	have := newRaws()
	for _, host := range hosts {
		if err := g.fetch(ctx, minuteKey{k.Policy, k.Start}, host, have); err != nil {
			return err
		}
	}
	o := new(open)
	var items []*item
	for _, it := range have.newest() {
		if slices.Contains(rollup.Groups(it.member.Tags), k.Group) {
			items = append(items, it)
		}
	}
	g.sum(items, []*open{o})
	if o.sum == nil {
		return nil
	}
	if err := g.storeOver(ctx, k, o, s); err != nil {
		return err
	}
	g.counts.update(func(s *Status) { s.Restored += uint64(len(o.items)) })
	return nil
}

// findHosts adds to p the raw host-minutes of the hosts that probably reported the minute, because the rollup of all hosts is
// damaged or gone: those of the minutes around it.
func (g *Ingester) findHosts(ctx context.Context, p *pending) error {
	hosts := make(map[string]bool)
	for _, start := range []int64{p.start - minute.Seconds, p.start + minute.Seconds} {
		s, err := g.get(ctx, minuteKey{p.policy, start}.key(rollup.All))
		if err != nil {
			return err
		}
		for i := range s.Members {
			hosts[s.Members[i].Host] = true
		}
	}
	for host := range g.recent[p.policy] {
		hosts[host] = true
	}
	return g.findRaw(ctx, p, hosts)
}

// findRaw adds to p the host-minutes of the given hosts that are in the raw stream. What is in its rollups already is found
// by their members.
func (g *Ingester) findRaw(ctx context.Context, p *pending, hosts map[string]bool) error {
	have := newRaws()
	for host := range hosts {
		if err := g.fetch(ctx, p.minuteKey, host, have); err != nil {
			return err
		}
	}
	for key, it := range have.newest() {
		if old := p.at[key]; old == nil {
			p.at[key] = it
			p.items = append(p.items, it)
			p.bytes += int64(len(it.data))
			g.bytes += int64(len(it.data))
		}
	}
	return nil
}

// lost says which parts of a rollup are gone from the levels below: the starts of rollups of the level below, and the hosts that
// are missing in minutes.
type lost struct {
	parts   map[int64]bool
	minutes map[int64]map[string]bool
}

// compare finds what the rollup k had and one that was computed from what is there now has not.
func compare(k store.Key, old, now *rollup.Rollup) lost {
	l := lost{make(map[int64]bool), make(map[int64]map[string]bool)}
	for _, s := range old.Sources {
		if !slices.ContainsFunc(now.Sources, func(o rollup.Source) bool { return o.Start == s.Start }) {
			l.parts[s.Start] = true
		}
	}
	if k.Level == rollup.Day1 {
		return l // it does not list the minutes of its members
	}
	for i := range old.Members {
		m := &old.Members[i]
		gone := m.Minutes
		for _, o := range rollup.HostMembers(now.Members, m.Host) {
			gone &^= o.Minutes
		}
		for ; gone != 0; gone &= gone - 1 {
			start := k.Start + int64(bits.TrailingZeros64(gone))*minute.Seconds
			l.parts[k.Level.Below().Of(start)] = true
			if l.minutes[start] == nil {
				l.minutes[start] = make(map[string]bool)
			}
			l.minutes[start][m.Host] = true
		}
	}
	return l
}

// restoreLost makes again what an old rollup had and a new one, computed from what is there now, has not, because a part of the
// levels below is gone: first minutes, from raw host-minutes, then the level below. It reports whether anything was gone.
func (g *Ingester) restoreLost(ctx context.Context, k store.Key, old, now *rollup.Rollup) bool {
	gone := compare(k, old, now)
	note := func(doing string, err error) {
		if err != nil && ctx.Err() == nil {
			g.failed(doing, err)
		}
	}
	for start, hosts := range gone.minutes {
		k := minuteKey{k.Policy, start}.key(k.Group)
		note("restore a minute", g.restoreHosts(ctx, k, hosts))
	}
	for start := range gone.parts {
		g.counts.update(func(s *Status) { s.Vanished++ })
		part := store.Key{Level: k.Level.Below(), Policy: k.Policy, Group: k.Group, Start: start}
		g.warn("vanished", "a rollup or a part of it is gone from the store", "rollup", part)
		if part.Level > rollup.Minute1 {
			note("restore a rollup", g.levels.compute(ctx, part))
		}
	}
	return len(gone.parts) > 0
}

// restoreHosts adds hosts to the rollup of a minute that lacks them.
func (g *Ingester) restoreHosts(ctx context.Context, k store.Key, hosts map[string]bool) error {
	s, err := g.get(ctx, k)
	if err != nil {
		return err
	}
	absent := make(map[string]bool)
	for host := range hosts {
		if len(rollup.HostMembers(s.Members, host)) == 0 {
			absent[host] = true
		}
	}
	switch {
	case len(absent) == 0:
		return nil
	case k.Group == rollup.All:
		return g.restoreMinute(ctx, minuteKey{k.Policy, k.Start}, absent)
	}
	return g.restoreGroup(ctx, k, s, slices.Collect(maps.Keys(absent)))
}

// restoreMinute adds host-minutes that are in the raw stream to a minute, as if they came late.
func (g *Ingester) restoreMinute(ctx context.Context, k minuteKey, hosts map[string]bool) error {
	p := &pending{minuteKey: k, at: make(map[rollup.MemberKey]*item)}
	before := g.Status().Stored
	err := g.findRaw(ctx, p, hosts)
	if err == nil && len(p.items) > 0 {
		err = g.write(ctx, p)
	}
	g.bytes -= p.bytes
	g.counts.update(func(s *Status) { s.Restored += s.Stored - before })
	return err
}
