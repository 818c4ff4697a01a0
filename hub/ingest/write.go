package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
)

// state is a rollup as it is stored.
type state struct {
	rollup.Rollup
	revision uint64 // in the store; 0 if there is none
	damaged  bool   // it is there and cannot be read
}

// get reads a rollup. A rollup that is not there or damaged is empty. The error is that of the store, or says that a newer
// program has written the rollup, which this one must not replace.
func (g *Ingester) get(ctx context.Context, k store.Key) (s state, err error) {
	data, revision, err := g.cfg.Store.Get(ctx, k)
	if errors.Is(err, store.ErrNotFound) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	s.revision = revision
	if s.Rollup, err = rollup.Decode(data); errors.Is(err, rollup.ErrVersion) {
		return s, fmt.Errorf("%v: %w", k, err)
	}
	if err != nil {
		g.warn("damaged rollup", "a stored rollup is damaged", "rollup", k, "error", err)
		s.damaged = true
	}
	return s, nil
}

// put writes a rollup over the given revision.
func (g *Ingester) put(ctx context.Context, k store.Key, r *rollup.Rollup, revision uint64) error {
	if _, err := g.cfg.Store.Put(ctx, k, r.Append(nil), revision); err != nil {
		if errors.Is(err, store.ErrConflict) {
			g.counts.update(func(s *Status) { s.Conflicts++ })
		}
		return err
	}
	g.counts.update(func(s *Status) { s.Rollups++ })
	g.levels.changed(k, g.cfg.Now())
	return nil
}

// maxTries is how often a rollup is read again after another hub was faster.
const maxTries = 12

// untilStored calls try until it does not lose against another hub, at most maxTries times.
func untilStored(ctx context.Context, try func() error) error {
	for n := 1; ; n++ {
		err := try()
		if !errors.Is(err, store.ErrConflict) || n == maxTries {
			return err
		}
		sleep(ctx, backoff(n, 4*time.Millisecond, 500*time.Millisecond))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// write writes the host-minutes of p to their rollups. When it returns nil, each is in all of its rollups, or is refused and
// marked as done.
//
// The rollup of all hosts is written last. So a host-minute that is in it is in all others, and a duplicate is found there
// alone. If a hub stopped between two writes, the host-minute is not in the rollup of all hosts. Then the members of each
// rollup decide, one by one, whether it is added.
func (g *Ingester) write(ctx context.Context, p *pending) error {
	all, err := g.get(ctx, p.key(rollup.All))
	if err != nil {
		return err
	}
	if all.damaged { // all of its members are added again, as if they came late
		if err := g.findHosts(ctx, p); err != nil {
			return err
		}
	}
	var fresh, newer []*item
	restarts := make(map[string]int)
	for _, it := range p.items {
		if it.done {
			continue
		}
		host := it.member.Host
		switch rollup.Has(all.Members, &it.member) {
		case rollup.Present:
			g.counts.update(func(s *Status) { s.Duplicate++ })
		case rollup.Older:
			newer = append(newer, it)
		case rollup.Absent:
			restarts[host]++
			if len(rollup.HostMembers(all.Members, host))+restarts[host] > maxRestarts || len(all.Members)+len(fresh) >= maxMembers {
				g.drop(it, "the host was restarted too often in a minute, or there are too many hosts", refused)
				continue
			}
			fresh = append(fresh, it)
		}
	}
	if len(fresh) > 0 {
		if err := g.add(ctx, p, fresh, all.revision > 0); err != nil {
			return err
		}
	}
	if len(newer) > 0 {
		return g.replace(ctx, p, newer)
	}
	return nil
}

func (k minuteKey) key(group string) store.Key {
	return store.Key{Level: rollup.Minute1, Policy: k.policy, Group: group, Start: k.start}
}

// drop refuses all deliveries of a host-minute.
func (g *Ingester) drop(it *item, reason string, count func(s *Status)) {
	it.done = true
	for i := range it.deliveries {
		g.refuse(&it.deliveries[i], reason, count)
	}
	it.deliveries = nil
}

// maxOpen is how many groups are merged at once. If hosts have many tags that overlap, the groups are merged in several passes.
const maxOpen = 24

// open is a group that is being merged.
type open struct {
	sum   *rollup.Sum
	items []*item
}

// add adds host-minutes that are not in the rollup of all hosts. Hosts with the same tags are merged first, and their sum into
// each of their groups. A group is written after the last of its hosts.
func (g *Ingester) add(ctx context.Context, p *pending, items []*item, late bool) error {
	slices.SortStableFunc(items, func(a, b *item) int { return strings.Compare(string(a.member.Tags), string(b.member.Tags)) })
	runs, last := g.runs(p, items)
	all := &open{sum: g.merger.NewSum()}
	first := true
	for len(last) > 0 {
		opened := make(map[string]*open)
		skipped := make(map[string]bool)
		for i, r := range runs {
			var into []*open
			var adopt string // a group without a sum yet, which gets that of the run
			for _, group := range r.groups {
				if _, waits := last[group]; !waits || skipped[group] {
					continue
				}
				if opened[group] == nil {
					if len(opened) >= maxOpen {
						skipped[group] = true // until the next pass
						continue
					}
					opened[group] = new(open)
				}
				into = append(into, opened[group])
				if opened[group].sum == nil {
					adopt = group
				}
			}
			if first {
				into = append(into, all)
			}
			if len(into) == 0 {
				continue
			}
			g.addRun(r.items, into, opened[adopt])
			for _, group := range r.groups {
				if o := opened[group]; o != nil && last[group] == i {
					if err := g.store(ctx, p.key(group), o, late); err != nil {
						return err
					}
					delete(opened, group)
					delete(last, group)
				}
			}
		}
		first = false
	}
	if first { // no host has tags
		for _, r := range runs {
			g.addRun(r.items, []*open{all}, nil)
		}
	}
	if err := g.store(ctx, p.key(rollup.All), all, late); err != nil {
		return err
	}
	for _, r := range runs { // also where the host-minutes were there already, because a hub stopped
		for _, group := range r.groups {
			g.levels.changed(p.key(group), g.cfg.Now())
		}
	}
	g.counts.update(func(s *Status) {
		s.Stored += uint64(len(all.items))
		if late {
			s.Late += uint64(len(all.items))
		}
	})
	return nil
}

// run are host-minutes with the same tags, and their groups without that of all hosts.
type run struct {
	items  []*item
	groups []string
}

// runs splits items, which are in the order of their tags, into runs. It also returns the last run of each group.
func (g *Ingester) runs(p *pending, items []*item) (runs []run, last map[string]int) {
	last = make(map[string]int)
	for len(items) > 0 {
		n := 1
		for n < len(items) && items[n].member.Tags == items[0].member.Tags {
			n++
		}
		r := run{items: items[:n]}
		for _, group := range rollup.Groups(items[0].member.Tags)[1:] {
			if !g.limits.group(p.policy, group) {
				g.counts.update(func(s *Status) { s.Overflow += uint64(n) })
				g.warn("overflow", "the policy has too many groups: the hosts count in the group of all hosts only", "policy", p.policy, "group", group)
				continue
			}
			r.groups = append(r.groups, group)
			last[group] = len(runs)
		}
		runs = append(runs, r)
		items = items[n:]
	}
	return runs, last
}

// addRun adds host-minutes to groups. It reads each once. If several groups get several host-minutes, these are merged first,
// and adopt, one of the groups, gets the sum as its own. Host-minutes that cannot be read are dropped.
func (g *Ingester) addRun(items []*item, into []*open, adopt *open) {
	if len(items) == 1 || len(into) == 1 {
		g.sum(items, into)
		return
	}
	one := &open{sum: g.merger.NewSum()}
	g.sum(items, []*open{one})
	for _, o := range into {
		if o == adopt {
			continue
		}
		if o.sum == nil {
			o.sum = g.merger.NewSum()
		}
		o.sum.Merge(one.sum)
		o.items = append(o.items, one.items...)
	}
	if adopt != nil {
		adopt.sum, adopt.items = one.sum, one.items
	} else {
		g.merger.Release(one.sum)
	}
}

// sum adds each host-minute to each of the groups.
func (g *Ingester) sum(items []*item, into []*open) {
	for _, it := range items {
		if it.done {
			continue
		}
		if err := g.merger.Open(it.data); err != nil {
			g.drop(it, "damaged: "+err.Error(), damaged)
			continue
		}
		for _, o := range into {
			if o.sum == nil {
				o.sum = g.merger.NewSum()
			}
			g.merger.Add(o.sum, it.member)
			o.items = append(o.items, it)
		}
	}
}

// store adds a sum to the rollup k. Exists says that the rollup is probably there. It reads the rollup again until no other
// hub was faster.
func (g *Ingester) store(ctx context.Context, k store.Key, o *open, exists bool) error {
	defer func() { g.merger.Release(o.sum); o.sum = nil }()
	known := !exists
	var s state
	return untilStored(ctx, func() (err error) {
		if !known {
			if s, err = g.get(ctx, k); err != nil {
				return err
			}
		}
		known = false
		if s.damaged {
			if s, err = g.repair(ctx, k, s); err != nil {
				return err
			}
		}
		return g.storeOver(ctx, k, o, s)
	})
}

// storeOver adds a sum to a rollup in the given state.
func (g *Ingester) storeOver(ctx context.Context, k store.Key, o *open, s state) error {
	var absent []*item
	newer := make(map[rollup.MemberKey]*item)
	for _, it := range o.items {
		switch rollup.Has(s.Members, &it.member) {
		case rollup.Absent:
			if !it.done {
				absent = append(absent, it)
			}
		case rollup.Older:
			newer[it.member.Key()] = it
		}
	}
	if len(newer) > 0 { // a hub stopped between two groups, and then a newer revision came
		return g.replaceStopped(ctx, k, s, newer)
	}
	if len(absent) < len(o.items) {
		g.merger.Release(o.sum)
		o.items, o.sum = nil, nil
		g.sum(absent, []*open{o})
	}
	if o.sum == nil || o.sum.Empty() {
		return nil
	}
	sum, revision := o.sum, uint64(0)
	if len(s.Members) > 0 {
		sum = g.merger.NewSum() // o.sum is needed again if another hub is faster
		defer g.merger.Release(sum)
		sum.Merge(o.sum)
		if err := g.merger.AddRollup(sum, &s.Rollup); err != nil {
			if _, err := g.repair(ctx, k, s); err != nil {
				return err
			}
			return store.ErrConflict // read it again
		}
		revision = g.merger.Info().Identity.Revision + 1
	}
	r := g.merger.Rollup(sum, k.Policy, revision)
	return g.put(ctx, k, &r, s.revision)
}
