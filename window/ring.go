package window

import (
	"slices"

	"pktvisor/metric"
	"pktvisor/minute"
)

// ringConfig says what a ring keeps.
type ringConfig struct {
	// Tables are the sections of its buckets.
	Tables []*metric.Table
	// Minutes is the number of minutes to keep.
	Minutes int
	// Slots is the maximum number of slots of a top table in a kept minute, a power of two.
	Slots int
	// Identity, DeepSamplePercent and Anonymity are those of empty minutes.
	Identity          metric.Identity
	DeepSamplePercent int
	Anonymity         metric.Anonymity
}

// ring holds sealed minutes in the order in which they were filled. Minute 1 is the newest.
//
// A ring keeps a bounded number of buckets. Minutes in which nothing happened are not stored as buckets. A run of them
// is one entry, however long it is, and costs as much as one bucket to keep, drop and merge. So a run that turns out
// not to have passed, because the clock is set back, has removed nothing. A ring shows its newest minutes, including
// empty ones.
//
// A bucket in a ring does not change, and callers must not change the buckets that methods return. A ring may be used
// by one goroutine at a time.
type ring struct {
	cfg     ringConfig
	nothing *metric.Bucket // a sealed bucket without events
	entries []entry        // from head on, oldest first
	head    int
	buckets int // the number of buckets in all entries
}

// newRing makes an empty ring.
func newRing(cfg ringConfig) *ring {
	r := &ring{cfg: cfg, nothing: metric.NewBucket(cfg.Tables)}
	r.nothing.Identity, r.nothing.DeepSamplePercent, r.nothing.Anonymity = cfg.Identity, cfg.DeepSamplePercent, cfg.Anonymity
	r.nothing.Seal(0)
	return r
}

// entry is a bucket or, if that is nil, a run of empty minutes.
type entry struct {
	bucket *metric.Bucket
	run    run
	made   []*metric.Bucket // of the run's newest minutes, oldest first; made when a reader first asks for them
}

// run is whole minutes from one Unix time (included) to another (not included).
type run struct{ from, to int64 }

func (r run) minutes() int { return int(max(r.to-r.from, 0) / minute.Seconds) }

// newer returns the newest n minutes of the run, or all of it.
func (r run) newer(n int) run {
	return run{max(r.from, r.to-int64(n)*minute.Seconds), r.to}
}

func (e *entry) minutes() int {
	if e.bucket != nil {
		return 1
	}
	return e.run.minutes()
}

// next returns the start of the minute after the newest one.
func (e *entry) next() int64 {
	if e.bucket != nil {
		return minute.Next(e.bucket.Start)
	}
	return e.run.to
}

// Push seals a bucket and appends it as the newest minute. If the ring then has too many buckets, it drops the oldest
// ones, and the empty minutes before them.
func (r *ring) Push(b *metric.Bucket) {
	b.Seal(r.cfg.Slots)
	r.push(entry{bucket: b})
}

// pass appends the empty minutes between the newest one and the minute that starts at end. It does nothing if the ring
// is empty.
func (r *ring) pass(end int64) {
	if newest := r.newest(); newest != nil {
		r.push(entry{run: run{newest.next(), end}})
	}
}

// push appends an entry that is newer than all others.
func (r *ring) push(e entry) {
	if e.minutes() == 0 {
		return
	}
	r.entries = append(r.entries, e)
	if e.bucket != nil {
		r.buckets++
	}
	r.trim()
}

// trim drops the oldest buckets while the ring has too many, and the entries before them.
func (r *ring) trim() {
	for r.buckets > r.cfg.Minutes {
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

// keep changes the number of minutes to keep.
func (r *ring) keep(minutes int) {
	r.cfg.Minutes = minutes
	r.trim()
}

// clear drops all minutes.
func (r *ring) clear() { r.entries, r.head, r.buckets = nil, 0, 0 }

// maxUndone is how many of the newest entries undo looks at. It covers an hour of a clock that was ahead.
const maxUndone = 64

// undo removes the minutes from the given one on from runs. They have not passed, because the clock was ahead.
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

// visit calls do for the entries that have the newest n minutes, newest first, with the number of those minutes in each
// entry. It stops at the number of minutes that the ring keeps. It returns the position of the oldest visited entry.
func (r *ring) visit(n int, do func(e *entry, n int)) (oldest int) {
	i := len(r.entries)
	for left := min(n, r.cfg.Minutes); i > r.head && left > 0; {
		i--
		e := &r.entries[i]
		if n := min(e.minutes(), left); n > 0 {
			do(e, n)
			left -= n
		}
	}
	return i
}

// Bucket returns the nth newest minute, from 1 on, or nil if the ring does not have it. Each call returns the same
// bucket, also for an empty minute.
func (r *ring) Bucket(n int) (b *metric.Bucket) {
	seen := 0
	r.visit(n, func(e *entry, minutes int) {
		switch seen += minutes; {
		case seen < n:
		case e.bucket != nil:
			b = e.bucket
		default:
			b = r.make(e, minutes)[0]
		}
	})
	return b
}

// Buckets returns all minutes that the ring shows, oldest first.
func (r *ring) Buckets() []*metric.Bucket {
	list := make([]*metric.Bucket, 0, min(r.cfg.Minutes, 2*len(r.entries)))
	oldest := r.visit(r.cfg.Minutes, func(e *entry, n int) {
		if e.bucket != nil {
			list = append(list, e.bucket)
			return
		}
		for _, b := range slices.Backward(r.make(e, n)) {
			list = append(list, b)
		}
	})
	for i := range r.entries[r.head:oldest] {
		r.entries[r.head+i].made = nil // no reader sees them any more
	}
	slices.Reverse(list)
	return list
}

// make returns buckets for the newest n minutes of a run, oldest first.
func (r *ring) make(e *entry, n int) []*metric.Bucket {
	if missing := n - len(e.made); missing > 0 {
		older := make([]*metric.Bucket, 0, n)
		for ; missing > 0; missing-- {
			at := e.run.to - int64(len(e.made)+missing)*minute.Seconds
			older = append(older, r.empty(run{at, at + minute.Seconds}))
		}
		e.made = append(older, e.made...)
	}
	return e.made[len(e.made)-n:]
}

// empty returns a sealed bucket without events. All of these buckets share their sections.
func (r *ring) empty(of run) *metric.Bucket {
	b := *r.nothing
	b.Start, b.End = of.from, of.to
	return &b
}

// last returns the newest n minutes, newest first. A run, or the newer part of it, is one bucket.
func (r *ring) last(n int) []*metric.Bucket {
	var list []*metric.Bucket
	r.visit(n, func(e *entry, n int) {
		if e.bucket != nil {
			list = append(list, e.bucket)
		} else {
			list = append(list, r.empty(e.run.newer(n)))
		}
	})
	return list
}
