package window

import (
	"slices"

	"pktvisor/metric"
)

// ring holds the sealed minutes, oldest first. A run of empty minutes is one entry, however long it is, so that
// it costs as much as one bucket to make, keep, drop and merge. The ring is bounded in buckets, not in minutes: a run that turns
// out not to have passed, because the clock is set back, has removed nothing. A window shows the ring's newest minutes.
type ring struct {
	entries []entry // from head on
	head    int
	buckets int // in all entries
}

// entry is a bucket or, where that is nil, a run of empty minutes.
type entry struct {
	bucket *metric.Bucket
	run    run
	made   []*metric.Bucket // of the run's newest minutes, oldest first, once somebody has asked for them
}

// run is whole minutes from one Unix time (included) to another (not included).
type run struct{ from, to int64 }

func (r run) minutes() int { return int(max(r.to-r.from, 0) / PeriodSeconds) }

func (e *entry) minutes() int {
	if e.bucket != nil {
		return 1
	}
	return e.run.minutes()
}

// next is the start of the minute after the newest one.
func (e *entry) next() int64 {
	if e.bucket != nil {
		return periodOf(e.bucket.Start) + PeriodSeconds
	}
	return e.run.to
}

// push appends what is newer than all else, and drops the oldest buckets of more than most.
func (r *ring) push(e entry, most int) {
	if e.minutes() == 0 {
		return
	}
	r.entries = append(r.entries, e)
	if e.bucket != nil {
		r.buckets++
	}
	r.trim(most)
}

// trim drops the oldest buckets of more than most, and what is before them.
func (r *ring) trim(most int) {
	for r.buckets > most {
		if r.entries[r.head].bucket != nil {
			r.buckets--
		}
		r.entries[r.head] = entry{}
		r.head++
	}
	if r.head > len(r.entries)/2 {
		r.entries = append(r.entries[:0], r.entries[r.head:]...)
		clear(r.entries[len(r.entries):cap(r.entries)])
		r.head = 0
	}
}

// maxUndone is in how many of the newest entries runs are undone: an hour of a clock that was ahead.
const maxUndone = 64

// undo shortens runs of minutes from the given one on: they have not passed, the clock was ahead.
func (r *ring) undo(from int64) {
	for i := len(r.entries) - 1; i >= max(r.head, len(r.entries)-maxUndone); i-- {
		if e := &r.entries[i]; e.bucket == nil && e.run.to > from {
			e.run.to = max(e.run.from, from)
			e.made = nil
		}
	}
	for newest := r.newest(); newest != nil && newest.minutes() == 0; newest = r.newest() {
		r.entries = r.entries[:len(r.entries)-1]
	}
}

// newest returns the newest entry, or nil.
func (r *ring) newest() *entry {
	if r.head == len(r.entries) {
		return nil
	}
	return &r.entries[len(r.entries)-1]
}

// pop removes the newest entry, a bucket.
func (r *ring) pop() {
	*r.newest() = entry{}
	r.entries = r.entries[:len(r.entries)-1]
	r.buckets--
}

// visit calls do for the entries that have the newest most minutes, newest first, with how many of them each has. It returns
// the position of the oldest one.
func (r *ring) visit(most int, do func(e *entry, n int)) (oldest int) {
	i := len(r.entries)
	for i > r.head && most > 0 {
		i--
		e := &r.entries[i]
		if n := min(e.minutes(), most); n > 0 {
			do(e, n)
			most -= n
		}
	}
	return i
}

// bucket returns the nth newest minute, from 1 on, or nil. Empty minutes are made by empty, once.
func (r *ring) bucket(n int, empty func(run) *metric.Bucket) (b *metric.Bucket) {
	seen := 0
	r.visit(n, func(e *entry, minutes int) {
		switch seen += minutes; {
		case seen < n:
		case e.bucket != nil:
			b = e.bucket
		default:
			b = e.make(minutes, empty)[0]
		}
	})
	return b
}

// all returns the newest most minutes, oldest first.
func (r *ring) all(most int, empty func(run) *metric.Bucket) []*metric.Bucket {
	list := make([]*metric.Bucket, 0, min(most, 2*len(r.entries)))
	oldest := r.visit(most, func(e *entry, n int) {
		if e.bucket != nil {
			list = append(list, e.bucket)
			return
		}
		for _, b := range slices.Backward(e.make(n, empty)) {
			list = append(list, b)
		}
	})
	for i := range r.entries[r.head:oldest] {
		r.entries[r.head+i].made = nil // nobody sees them any more
	}
	slices.Reverse(list)
	return list
}

// make returns buckets of the newest n minutes of a run, oldest first.
func (e *entry) make(n int, empty func(run) *metric.Bucket) []*metric.Bucket {
	if missing := n - len(e.made); missing > 0 {
		older := make([]*metric.Bucket, 0, n)
		for ; missing > 0; missing-- {
			at := e.run.to - int64(len(e.made)+missing)*PeriodSeconds
			older = append(older, empty(run{at, at + PeriodSeconds}))
		}
		e.made = append(older, e.made...)
	}
	return e.made[len(e.made)-n:]
}

// last returns the newest n minutes, newest first: a run, or the newer part of it, as one bucket.
func (r *ring) last(n int, empty func(run) *metric.Bucket) []*metric.Bucket {
	var list []*metric.Bucket
	r.visit(n, func(e *entry, n int) {
		if e.bucket != nil {
			list = append(list, e.bucket)
		} else {
			list = append(list, empty(e.run.newer(n)))
		}
	})
	return list
}

// newer is the newest n minutes of the run, or all of it.
func (r run) newer(n int) run {
	return run{max(r.from, r.to-int64(n)*PeriodSeconds), r.to}
}
