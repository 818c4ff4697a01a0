package query

import (
	"context"

	"pktvisor/hub/rollup"
	"pktvisor/metric"
	"pktvisor/minute"
)

// Steps merges the selected hosts for each step of a range: from and to are multiples of step, which is a multiple of a
// minute, in seconds. The buckets have the sections of tables, whose metrics are some of those of the reader. A bucket is nil
// if there is nothing in its step.
//
// If rates is true and several groups are merged, only rollups are used whose rates can be added up. The error is a
// [*UsageError] if the question is wrong, otherwise the error of the store.
func (r *Reader) Steps(ctx context.Context, sel Selection, tables []*metric.Table, from, to, step int64, rates bool) ([]*metric.Bucket, Info, error) {
	p, err := r.plan(ctx, sel)
	if err != nil {
		return nil, Info{}, err
	}
	s := span{from, to}
	if err := checkSpan(s); err != nil {
		return nil, Info{}, err
	}
	if step <= 0 || step%minute.Seconds != 0 || from%step != 0 || to%step != 0 {
		return nil, Info{}, usage("from %d to %d in steps of %d seconds: give steps of whole minutes, and multiples of them", from, to, step)
	}
	top := levelIn(step)
	if rates && len(p.groups) > 1 {
		top = min(top, rollup.Minute5)
	}
	g := newGather(s)
	m := metric.NewMerger(tables)
	out := make([]*metric.Bucket, (to-from)/step)
	put := func(at int64, b *metric.Bucket) {
		switch i := (at - from) / step; {
		case b.Empty():
		case out[i] == nil:
			out[i] = b
		default:
			out[i].Merge(b)
		}
	}
	if p.raw() {
		list, err := r.hostMinutes(ctx, p, s)
		if err != nil {
			return nil, Info{}, err
		}
		each(list, step, func(h *hostMinute) int64 { return h.minute }, func(at int64, list []hostMinute) {
			put(at, g.mergeMinutes(m, tables, list))
		})
		return out, g.finish(), nil
	}
	for _, group := range p.groups {
		pieces, damaged, err := r.tile(ctx, p.policy, group, s, top)
		if err != nil {
			return nil, Info{}, err
		}
		g.info.Damaged += damaged
		each(pieces, step, func(p *piece) int64 { return p.start }, func(at int64, pieces []piece) {
			put(at, g.mergeGroup(m, tables, pieces))
		})
	}
	return out, g.finish(), nil
}

// levelIn returns the highest level whose rollups fit into steps.
func levelIn(step int64) rollup.Level {
	level := rollup.Minute1
	for level.Above().Valid() && step%level.Above().Seconds() == 0 {
		level = level.Above()
	}
	return level
}

// each calls f with the parts of a list that are in the same step, in order. The list is in order of time.
func each[T any](list []T, step int64, start func(*T) int64, f func(at int64, part []T)) {
	for len(list) > 0 {
		at := start(&list[0]) / step * step
		n := 1
		for n < len(list) && start(&list[n]) < at+step {
			n++
		}
		f(at, list[:n])
		list = list[n:]
	}
}
