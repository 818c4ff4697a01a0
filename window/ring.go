package window

import "pktvisor/metric"

// ring holds the sealed minutes, oldest first. A run of empty minutes is one entry, however long it is, so that
// it costs as much as one bucket to make, keep, drop and merge.
type ring struct {
	entries []entry // from head on
	head    int
	minutes int // in all entries
}

// entry is a bucket or, where that is nil, a run of empty minutes.
type entry struct {
	bucket *metric.Bucket
	run    run
	made   []*metric.Bucket // of the run, oldest first, once somebody has asked for one of them
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

// push appends what is newer than all else, and drops the oldest minutes of more than most.
func (r *ring) push(e entry, most int) {
	n := e.minutes()
	if n == 0 {
		return
	}
	r.entries = append(r.entries, e)
	r.minutes += n
	r.trim(most)
}

// trim drops the oldest minutes of more than most.
func (r *ring) trim(most int) {
	for r.minutes > most {
		oldest := &r.entries[r.head]
		n := oldest.minutes()
		if drop := min(r.minutes-most, n); drop < n { // of a run
			oldest.run.from += int64(drop) * PeriodSeconds
			if oldest.made != nil {
				oldest.made = oldest.made[drop:]
			}
			r.minutes -= drop
			return
		}
		*oldest = entry{}
		r.head++
		r.minutes -= n
	}
	if r.head > len(r.entries)/2 {
		r.entries = append(r.entries[:0], r.entries[r.head:]...)
		clear(r.entries[len(r.entries):cap(r.entries)])
		r.head = 0
	}
}

// newest returns the newest entry, or nil.
func (r *ring) newest() *entry {
	if r.head == len(r.entries) {
		return nil
	}
	return &r.entries[len(r.entries)-1]
}

// pop removes the newest entry.
func (r *ring) pop() {
	e := r.newest()
	r.minutes -= e.minutes()
	*e = entry{}
	r.entries = r.entries[:len(r.entries)-1]
}

// bucket returns the nth newest minute, from 1 on, or nil. Empty minutes are made by empty, once.
func (r *ring) bucket(n int, empty func(run) *metric.Bucket) *metric.Bucket {
	if n < 1 || n > r.minutes {
		return nil
	}
	for i := len(r.entries) - 1; ; i-- {
		e := &r.entries[i]
		if have := e.minutes(); n > have {
			n -= have
			continue
		}
		if e.bucket != nil {
			return e.bucket
		}
		e.make(empty)
		return e.made[len(e.made)-n]
	}
}

// all returns all minutes, oldest first.
func (r *ring) all(empty func(run) *metric.Bucket) []*metric.Bucket {
	list := make([]*metric.Bucket, 0, r.minutes)
	for i := range r.entries[r.head:] {
		e := &r.entries[r.head+i]
		if e.bucket != nil {
			list = append(list, e.bucket)
			continue
		}
		e.make(empty)
		list = append(list, e.made...)
	}
	return list
}

// make makes the buckets of a run.
func (e *entry) make(empty func(run) *metric.Bucket) {
	if e.made != nil {
		return
	}
	for at := e.run.from; at < e.run.to; at += PeriodSeconds {
		e.made = append(e.made, empty(run{at, at + PeriodSeconds}))
	}
}

// last returns the newest n minutes, newest first: a run, or the newer part of it, as one bucket.
func (r *ring) last(n int, empty func(run) *metric.Bucket) []*metric.Bucket {
	var list []*metric.Bucket
	for i := len(r.entries) - 1; i >= r.head && n > 0; i-- {
		e := &r.entries[i]
		if e.bucket != nil {
			list = append(list, e.bucket)
		} else {
			list = append(list, empty(e.run.newer(n)))
		}
		n -= e.minutes()
	}
	return list
}

// newer is the newest n minutes of the run, or all of it.
func (r run) newer(n int) run {
	return run{max(r.from, r.to-int64(n)*PeriodSeconds), r.to}
}
