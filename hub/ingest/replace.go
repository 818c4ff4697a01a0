package ingest

import (
	"context"
	"errors"
	"fmt"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/metric"
	"pktvisor/minute"
)

// errGone is the error of a rollup that cannot be computed again, because raw host-minutes are gone.
var errGone = errors.New("the raw host-minutes of other members are gone")

// maxRaw bounds the raw host-minutes in memory while a minute is computed again, in bytes.
const maxRaw = 256 << 20

// raws are raw host-minutes.
type raws struct {
	items map[revision]*item
	hosts map[string]bool // those that were asked for
	bytes int
}

// revision is a revision of a host-minute.
type revision struct {
	rollup.MemberKey
	revision uint64
}

func versionOf(m *rollup.Member) revision { return revision{m.Key(), m.Revision} }

func newRaws() *raws {
	return &raws{items: make(map[revision]*item), hosts: make(map[string]bool)}
}

// newest returns the highest revision of each host-minute.
func (r *raws) newest() map[rollup.MemberKey]*item {
	list := make(map[rollup.MemberKey]*item, len(r.items))
	for v, it := range r.items {
		if old := list[v.MemberKey]; old == nil || old.member.Revision < v.revision {
			list[v.MemberKey] = it
		}
	}
	return list
}

// fetch reads the raw host-minutes of a host in the minute of a policy.
func (g *Ingester) fetch(ctx context.Context, k minuteKey, host string, into *raws) error {
	if into.hosts[host] {
		return nil
	}
	into.hosts[host] = true
	each := func(raw store.Raw) error {
		it := newItem(&raw)
		v := versionOf(&it.member)
		if v.Host != host || minute.Of(v.Start) != k.start || into.items[v] != nil {
			return nil
		}
		into.items[v] = it
		into.bytes += len(it.data)
		if into.bytes > maxRaw {
			return errGone
		}
		return nil
	}
	return g.cfg.Store.HostMinutes(ctx, k.policy, host, k.start, k.start+minute.Seconds, each)
}

// replace computes the minute again, with a higher revision of some of its host-minutes. A sum cannot be subtracted from, so
// it needs all members of the minute from the raw stream. If one is gone, the replacements are refused.
func (g *Ingester) replace(ctx context.Context, p *pending, newer []*item) error {
	with := make(map[rollup.MemberKey]*item, len(newer))
	for _, it := range newer {
		with[it.member.Key()] = it
	}
	err := untilStored(ctx, func() error { return g.replaceOnce(ctx, p, with) })
	switch {
	case errors.Is(err, errGone):
		for _, it := range newer {
			g.drop(it, "replacement: "+err.Error(), refused)
		}
		return nil
	case err == nil:
		g.counts.update(func(s *Status) { s.Replaced += uint64(len(newer)) })
	}
	return err
}

// replaceOnce computes the groups of the replaced host-minutes again, that of all hosts last.
func (g *Ingester) replaceOnce(ctx context.Context, p *pending, with map[rollup.MemberKey]*item) error {
	all, err := g.get(ctx, p.key(rollup.All))
	if err != nil {
		return err
	}
	have := newRaws()
	groups := make(map[string]bool)
	for i := range all.Members {
		m := &all.Members[i]
		if with[m.Key()] != nil {
			for _, group := range rollup.Groups(m.Tags)[1:] {
				groups[group] = true
			}
			continue
		}
		if err := g.fetch(ctx, p.minuteKey, m.Host, have); err != nil {
			return err
		}
		if have.items[versionOf(m)] == nil {
			return errGone
		}
	}
	for group := range groups {
		s, err := g.get(ctx, p.key(group))
		if err != nil {
			return err
		}
		if len(s.Members) == 0 {
			continue // the policy has too many groups
		}
		if err := g.recompute(ctx, p.key(group), s, with, have); err != nil {
			return err
		}
	}
	return g.recompute(ctx, p.key(rollup.All), all, with, have)
}

// recompute computes a rollup in the given state again, from the raw host-minutes of its members, with the higher revisions of
// some. A member keeps its tags, which say in which groups it is. All other members keep their revision too: a newer one that
// is in the raw stream must come to all of its groups, when it is delivered. Have are raw host-minutes that were read already.
func (g *Ingester) recompute(ctx context.Context, k store.Key, s state, with map[rollup.MemberKey]*item, have *raws) error {
	if have == nil {
		have = newRaws()
	}
	sum := g.merger.NewSum()
	defer g.merger.Release(sum)
	for i := range s.Members {
		m := s.Members[i]
		it := with[m.Key()]
		if it == nil || it.member.Revision < m.Revision {
			if have.items[versionOf(&m)] == nil {
				if err := g.fetch(ctx, minuteKey{k.Policy, k.Start}, m.Host, have); err != nil {
					return err
				}
			}
			it = have.items[versionOf(&m)]
		}
		if it == nil {
			return fmt.Errorf("%v: %w", k, errGone)
		}
		if err := g.merger.Open(it.data); err != nil {
			return fmt.Errorf("%v: %w", k, errGone)
		}
		as := it.member
		as.Tags = m.Tags
		g.merger.Add(sum, as)
	}
	if sum.Empty() {
		return nil
	}
	r := g.merger.Rollup(sum, k.Policy, revisionOf(&s)+1)
	return g.put(ctx, k, &r, s.revision)
}

// revisionOf returns the revision that the header of a rollup says.
func revisionOf(s *state) uint64 {
	info, err := metric.ReadSnapshotInfo(s.Snapshot)
	if err != nil {
		return 0
	}
	return info.Identity.Revision
}

// replaceStopped replaces host-minutes of a rollup whose older revision was written by a hub that stopped before it wrote the
// rollup of all hosts. If that is not possible, the older one will be delivered again, and the newer one is refused. Then it
// returns [store.ErrConflict], so that the rollup is read again.
func (g *Ingester) replaceStopped(ctx context.Context, k store.Key, s state, newer map[rollup.MemberKey]*item) error {
	err := g.recompute(ctx, k, s, newer, nil)
	if errors.Is(err, errGone) {
		for _, it := range newer {
			g.drop(it, "replacement: "+err.Error(), refused)
		}
		return nil
	}
	if err != nil {
		return err
	}
	return store.ErrConflict
}
