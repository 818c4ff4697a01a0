package query

import (
	"context"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/metric"
	"pktvisor/minute"
)

// maxFine is how many rollups of five minutes are merged for the rates of several groups.
const maxFine = 900

// Range returns the merge of the selected hosts from one Unix time (included) to another (not included). The times are
// extended to whole minutes. The bucket covers the time of the minutes that exist. It is empty if there are none.
//
// The error is a [*UsageError] if the question is wrong, otherwise the error of the store.
func (r *Reader) Range(ctx context.Context, sel Selection, from, to int64) (*metric.Bucket, Info, error) {
	p, err := r.plan(ctx, sel)
	if err != nil {
		return nil, Info{}, err
	}
	s := span{minute.Of(from), minute.Of(to + minute.Seconds - 1)}
	if err := checkSpan(s); err != nil {
		return nil, Info{}, err
	}
	return r.merge(ctx, p, s, r.top(p, s), everything)
}

func checkSpan(s span) error {
	switch {
	case s.from < 0 || s.to > 1<<40:
		return usage("from %d to %d: give Unix times", s.from, s.to)
	case s.to <= s.from:
		return usage("from %d to %d: the end must be after the start", s.from, s.to)
	case s.to-s.from > maxRange:
		return usage("from %d to %d: give at most ten years", s.from, s.to)
	}
	return nil
}

// top returns the highest level to use for a span. The rates of several groups can be added up second by second only up
// to five minutes. They are left out if that would take too many rollups.
func (r *Reader) top(p *plan, s span) rollup.Level {
	if len(p.groups) < 2 {
		return rollup.Day1
	}
	fine := (s.to - s.from) / rollup.Minute5.Seconds() * int64(len(p.groups))
	if fine <= maxFine && s.from >= r.Now()-int64(r.cfg.FiveAge.Seconds()) {
		return rollup.Minute5
	}
	return rollup.Day1
}

// RangeOf is Range with buckets of other tables, whose metrics are some of those of the reader, and rollups up to the level
// top. It is not kept.
func (r *Reader) RangeOf(ctx context.Context, sel Selection, tables []*metric.Table, from, to int64, top rollup.Level) (*metric.Bucket, Info, error) {
	p, err := r.plan(ctx, sel)
	if err != nil {
		return nil, Info{}, err
	}
	s := span{minute.Of(from), minute.Of(to + minute.Seconds - 1)}
	if err := checkSpan(s); err != nil {
		return nil, Info{}, err
	}
	g, m := newGather(s), metric.NewMerger(tables)
	all := metric.NewBucket(tables)
	if p.raw() {
		list, err := r.hostMinutes(ctx, p, s)
		if err != nil {
			return nil, Info{}, err
		}
		return g.mergeMinutes(m, tables, list), g.finish(), nil
	}
	for _, group := range p.groups {
		pieces, damaged, err := r.tile(ctx, p.policy, group, s, top)
		if err != nil {
			return nil, Info{}, err
		}
		g.info.Damaged += damaged
		all.Merge(g.mergeGroup(m, tables, pieces))
	}
	return all, g.finish(), nil
}

// Members calls each for the stored rollups of a level and a group that start from from (included) to to (not included),
// oldest first, with what is in them. It leaves out damaged ones.
func (r *Reader) Members(ctx context.Context, level rollup.Level, policy, group string, from, to int64, each func(start int64, members []rollup.Member)) error {
	return r.cfg.Store.Range(ctx, level, policy, group, level.Of(from), level.Of(to), func(k store.Key, data []byte, _ uint64) error {
		if m, err := rollup.Decode(data); err == nil {
			each(k.Start, m.Members)
		}
		return nil
	})
}
