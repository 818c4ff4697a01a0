package window

import "pktvisor/metric"

// bucketFor returns the bucket that a shard's second belongs to, and the second to count it at. A second of
// no open bucket counts in the live one.
func (w *Window) bucketFor(shard int, second, wall int64) (*metric.Bucket, int64) {
	w.returned(shard, second)
	w.advance(second, wall)
	w.updates++
	if b := w.Open(second); b != nil {
		return b, second
	}
	second = max(second, w.live.Start)
	w.live.End = max(w.live.End, second+1)
	return w.live, second
}

// returned records that a shard came back to the closing bucket after it was in the live one. Then there are two
// clocks, and the minutes between the buckets have not passed. A shard that is merely late was not in the live bucket yet.
func (w *Window) returned(shard int, second int64) {
	period := periodOf(second)
	if w.live != nil && w.closes(period) && w.at[shard] == periodOf(w.live.Start) {
		w.skipped = run{}
	}
	w.at[shard] = period
}

// Open returns the open bucket that covers the given second (Unix time), or nil if that bucket is sealed already or
// was never open. It is for the rates, and may be called only by what [Window.Update] calls.
func (w *Window) Open(second int64) *metric.Bucket {
	b, period := w.live, periodOf(second)
	switch {
	case w.cfg.Single || period == periodOf(w.live.Start):
	case w.closes(period) || w.reopen(second):
		b = w.closing
	default:
		return nil
	}
	// The first bucket is partial: it starts with its first second.
	b.Start, b.End = min(b.Start, second), max(b.End, second+1)
	return b
}

// closes reports whether the closing bucket is of the given period.
func (w *Window) closes(period int64) bool {
	return w.closing != nil && periodOf(w.closing.Start) == period
}

// reopen opens the minute before the live one for a second of it, if nothing has come for it yet and
// nothing later is sealed.
func (w *Window) reopen(second int64) bool {
	live, period := periodOf(w.live.Start), periodOf(second)
	if period != live-PeriodSeconds {
		return false
	}
	switch newest := w.sealed.newest(); {
	case w.skipped.minutes() > 0 && w.skipped.to == live:
		w.skipped.to = period
		w.sealClosing()
		w.closing = w.emptyBucket(period, live)
	case w.closing == nil && w.resumed == nil && (newest == nil || newest.next() <= period):
		w.closing, w.closeAt = w.emptyBucket(second, live), w.wall+grace
	default:
		return false
	}
	return true
}

// Advance tells the window that time has come to the given second (Unix time), with or without
// packets, on all shards. It rotates buckets, and seals the closing one when its wait is over.
func (w *Window) Advance(second, wall int64) {
	w.mu.Lock()
	if w.live != nil {
		w.advance(second, wall)
		if periodOf(second) == periodOf(w.live.Start) {
			w.live.End = max(w.live.End, second)
		}
		w.updates++
	}
	w.unlock()
}

// advance makes the bucket of the given second the live one, unless it is open, or is that of the minute before.
func (w *Window) advance(second, wall int64) {
	w.wall = wall
	period := periodOf(second)
	if w.live == nil {
		// The first bucket is partial: it starts with its first packet.
		w.live, w.newest = w.emptyBucket(second, second), period
		w.resume(period)
		return
	}
	// A wall clock that was set back must not keep a bucket open.
	if w.closing != nil && (wall >= w.closeAt || wall < w.closeAt-grace-PeriodSeconds) {
		w.sealClosing()
	}
	live := periodOf(w.live.Start)
	switch {
	case w.cfg.Single || w.closes(period):
	case period > live:
		w.forward(period)
	case period < live-MaxStepBack:
		w.back(second)
	}
}

// forward starts a live bucket of a later period.
func (w *Window) forward(period int64) {
	w.sealClosing()
	live := periodOf(w.live.Start)
	skipped := run{live + PeriodSeconds, period}
	if w.newest > live && period >= w.newest {
		// The clock had been set back and comes back to the minute it had come to, or goes on from there.
		skipped.from = w.newest + PeriodSeconds
	} else {
		w.live.End = live + PeriodSeconds
	}
	w.closing, w.closeAt, w.skipped = w.live, w.wall+grace, skipped
	w.live, w.newest = w.emptyBucket(period, period), max(w.newest, period)
}

// back starts a live bucket at an earlier second, after the clock was set back.
func (w *Window) back(second int64) {
	// If the clock had been ahead until now, the minutes that it skipped have not passed, or not all.
	w.skipped.to = min(w.skipped.to, periodOf(second))
	w.sealClosing()
	w.sealed.undo(periodOf(second))
	w.closing, w.closeAt = w.live, w.wall+grace
	w.live = w.emptyBucket(second, second)
}

// resume joins the restored buckets to the first live one, of the given period: minutes that are missing
// between them are empty buckets, and one of the same period is its beginning.
func (w *Window) resume(period int64) {
	newest := w.sealed.newest()
	if newest == nil {
		return
	}
	if b := newest.bucket; b != nil && periodOf(b.Start) == period {
		w.resumed = b
		w.sealed.pop()
	}
	if newest := w.sealed.newest(); newest != nil && w.resumed == nil {
		w.push(entry{run: run{newest.next(), period}})
	}
	w.sealed.trim(w.cfg.Periods - 1)
}

// push adds sealed buckets to the ring.
func (w *Window) push(e entry) { w.sealed.push(e, w.cfg.Periods-1) }

// resumes reports whether the open bucket b goes on where an earlier run stopped.
func (w *Window) resumes(b *metric.Bucket) bool {
	return w.resumed != nil && periodOf(w.resumed.Start) == periodOf(b.Start)
}

func (w *Window) emptyBucket(start, end int64) *metric.Bucket {
	b := w.newBucket()
	b.Start, b.End = start, end
	return b
}

// emptySealed returns a sealed bucket in which nothing happened. All of them share their sections.
func (w *Window) emptySealed(r run) *metric.Bucket {
	b := *w.nothing
	b.Start, b.End = r.from, r.to
	return &b
}
