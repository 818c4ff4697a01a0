package query

import (
	"context"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/window"
)

// Views are the newest finished minutes of a selection, for one request: see [window.Views]. Minute 1 is the newest one that
// is stored and has ended by the hub's clock.
//
// A hub has no live minute. Bucket 0 covers no time and is empty, and a merge of n buckets is that of the newest n finished
// minutes. A second is that of a finished minute.
//
// The methods of [window.Views] have no errors. After a failure they return nothing, and Err returns the error.
type Views struct {
	reader *Reader
	ctx    context.Context
	plan   *plan
	err    error
	info   Info

	known   bool
	minutes []stored // of all periods, oldest first, once known
}

var _ window.Views = (*Views)(nil)

// stored is a minute that is stored. Its version grows whenever it changes.
type stored struct {
	start   int64
	version uint64
}

// Views returns the views of a selection. The error is that of [Reader.Range].
func (r *Reader) Views(ctx context.Context, sel Selection) (*Views, error) {
	p, err := r.plan(ctx, sel)
	if err != nil {
		return nil, err
	}
	return &Views{reader: r, ctx: ctx, plan: p}, nil
}

// Err returns the first error.
func (v *Views) Err() error { return v.err }

// Info describes the bucket that was returned last.
func (v *Views) Info() Info { return v.info }

// Policy returns the policy whose minutes these are.
func (v *Views) Policy() string { return v.plan.policy }

// Periods returns how many finished minutes there are at most, plus one for the live one.
func (v *Views) Periods() int { return v.reader.cfg.Minutes + 1 }

// list returns the stored minutes.
func (v *Views) list() []stored {
	if v.known || v.err != nil {
		return v.minutes
	}
	v.known = true
	end := minute.Of(v.reader.Now())
	s := span{end - int64(v.reader.cfg.Minutes)*minute.Seconds, end}
	if v.plan.raw() {
		v.err = v.listRaw(s)
	} else {
		v.err = v.listRollups(s)
	}
	if v.err != nil {
		v.minutes = nil
	}
	return v.minutes
}

// listRollups lists the minutes in a span.
func (v *Views) listRollups(s span) error {
	versions := make([]uint64, (s.to-s.from)/minute.Seconds)
	for _, group := range v.plan.groups {
		err := v.reader.cfg.Store.Range(v.ctx, rollup.Minute1, v.plan.policy, group, s.from, s.to, func(k store.Key, _ []byte, revision uint64) error {
			versions[(k.Start-s.from)/minute.Seconds] += revision
			return nil
		})
		if err != nil {
			return err
		}
	}
	for i, version := range versions {
		if version > 0 {
			v.minutes = append(v.minutes, stored{s.from + int64(i)*minute.Seconds, version})
		}
	}
	return nil
}

func (v *Views) listRaw(s span) error {
	s.from = max(s.from, minute.Next(v.reader.Now()-int64(v.reader.cfg.RawAge.Seconds())))
	list, err := v.reader.hostMinutes(v.ctx, v.plan, s)
	for i := range list {
		h := &list[i]
		if n := len(v.minutes); n == 0 || v.minutes[n-1].start != h.minute {
			v.minutes = append(v.minutes, stored{start: h.minute})
		}
		v.minutes[len(v.minutes)-1].version += h.sequence
	}
	return err
}

// recent is how many minutes are looked at first for the newest one.
const recent = 4

// newest returns the start of the newest minute, if there is one.
func (v *Views) newest() (start int64, ok bool) {
	if !v.known && !v.plan.raw() && v.err == nil {
		end := minute.Of(v.reader.Now())
		if v.err = v.listRollups(span{end - recent*minute.Seconds, end}); v.err == nil && len(v.minutes) > 0 {
			start = v.minutes[len(v.minutes)-1].start
			v.minutes = nil
			return start, true
		}
	}
	list := v.list()
	if len(list) == 0 {
		return 0, false
	}
	return list[len(list)-1].start, true
}

// merge returns the merge of a span, or an empty bucket that covers it if nothing is stored.
func (v *Views) merge(s span, what content) *metric.Bucket {
	if v.err != nil {
		return nil
	}
	top := rollup.Minute1
	if s.to-s.from > 600 {
		top = v.reader.top(v.plan, s)
	}
	b, info, err := v.reader.merge(v.ctx, v.plan, s, top, what)
	if err != nil {
		v.err = err
		return nil
	}
	v.info = info
	if b.Empty() {
		return v.empty(s)
	}
	return b
}

func (v *Views) empty(s span) *metric.Bucket {
	b := metric.NewBucket(v.reader.cfg.Tables)
	b.Start, b.End = s.from, s.to
	b.Identity = v.reader.cfg.Identity
	b.Identity.Policy = v.plan.policy
	v.info = Info{From: s.from, To: s.to, Rates: true, Missing: int((s.to - s.from) / minute.Seconds)}
	return b
}

// Bucket returns the nth newest minute. Bucket 0 is empty. A minute that no host has is empty, too, unless it is older than
// all others.
func (v *Views) Bucket(n int) *metric.Bucket {
	if n <= 0 {
		now := minute.Of(v.reader.Now())
		return v.empty(span{now, now})
	}
	newest, ok := v.newest()
	if !ok || n > v.reader.cfg.Minutes {
		return nil
	}
	start := newest - int64(n-1)*minute.Seconds
	b := v.merge(span{start, start + minute.Seconds}, everything)
	if v.info.HostMinutes == 0 && (v.err != nil || len(v.list()) == 0 || start < v.minutes[0].start) {
		return nil
	}
	return b
}

// Minutes lists the minutes that are stored, oldest first.
func (v *Views) Minutes() []window.Minute {
	list := v.list()
	out := make([]window.Minute, len(list))
	for i, m := range list {
		s := span{m.start, m.start + minute.Seconds}
		out[i] = window.Minute{Start: s.from, End: s.to, Version: m.version, Bucket: func() *metric.Bucket { return v.merge(s, everything) }}
	}
	return out
}

// Merged returns the merge of the newest n minutes, or nil if there are none.
func (v *Views) Merged(n int) *metric.Bucket {
	newest, ok := v.newest()
	if !ok {
		return nil
	}
	n = max(min(n, v.reader.cfg.Minutes), 1)
	return v.merge(span{newest - int64(n-1)*minute.Seconds, newest + minute.Seconds}, everything)
}

// Second calls read with the finished minute of the given second if it is stored, otherwise with nil.
func (v *Views) Second(second int64, read func(b *metric.Bucket)) {
	start := minute.Of(second)
	if start+minute.Seconds > v.reader.Now() || v.err != nil {
		read(nil)
		return
	}
	read(v.merge(span{start, start + minute.Seconds}, everything))
}

// Totals returns the counters and histograms of the day (UTC) of the newest minute, and the gauges at its end. They start
// at 0 each day. All hubs of a store have the same, whenever they were started. What is merged from host-minutes starts at
// 0 each hour.
func (v *Views) Totals() *metric.Bucket {
	all := metric.NewBucket(v.reader.cfg.Tables)
	newest, ok := v.newest()
	if !ok {
		return all
	}
	s := span{rollup.Day1.Of(newest), newest + minute.Seconds}
	if v.plan.raw() {
		s.from = rollup.Hour1.Of(newest)
	}
	b, _, err := v.reader.merge(v.ctx, v.plan, s, rollup.Day1, countsOnly)
	if err != nil {
		v.err = err
		return all
	}
	all.Merge(b)
	all.Identity = b.Identity
	return all
}
