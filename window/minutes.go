package window

import (
	"pktvisor/metric"
	"pktvisor/minute"
)

// bucketFor returns the bucket to which a shard's second belongs, and the second at which to count it. A second without
// an open bucket counts in the live one.
func (w *Window) bucketFor(shard int, second, wall int64) (*metric.Bucket, int64) {
	w.returned(shard, second)
	w.advance(second, wall)
	if b := w.Open(second); b != nil {
		return b, second
	}
	second = max(second, w.live.Start)
	w.live.End = max(w.live.End, second+1)
	return w.live, second
}

// returned records that a shard came back to the closing bucket after it was in the live one. Then there are two
// clocks, and the minutes between the buckets have not passed. A shard that is merely late has not been in the live
// bucket yet.
func (w *Window) returned(shard int, second int64) {
	period := minute.Of(second)
	if w.live != nil && w.closes(period) && w.at[shard] == minute.Of(w.live.Start) {
		w.skipped = run{}
	}
	w.at[shard] = period
}

// Open returns the open bucket that covers the given second (Unix time), or nil if that bucket is already sealed or was
// never open. It is for the rates. Call it only from within the function passed to [Window.Update].
func (w *Window) Open(second int64) *metric.Bucket {
	b, period := w.live, minute.Of(second)
	switch {
	case w.cfg.Single || period == minute.Of(w.live.Start):
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
	return w.closing != nil && minute.Of(w.closing.Start) == period
}

// reopen opens the minute before the live one for one of its seconds, if nothing has come for that minute yet and
// nothing later is sealed.
func (w *Window) reopen(second int64) bool {
	live, period := minute.Of(w.live.Start), minute.Of(second)
	if period != live-minute.Seconds {
		return false
	}
	switch newest := w.sealed.newest(); {
	case w.skipped.minutes() > 0 && w.skipped.to == live:
		w.skipped.to = period
		w.sealClosing()
		w.closing = w.emptyBucket(period, live)
	case w.closing == nil && w.resumed == nil && (newest == nil || newest.next() <= period):
		w.closing, w.closeAt = w.emptyBucket(second, live), w.wall+minute.Grace
	default:
		return false
	}
	return true
}

// Advance tells the window that time has reached the given second (Unix time) on all shards, with or without packets. It
// rotates buckets, and seals the closing one when its grace is over.
func (w *Window) Advance(second, wall int64) {
	w.mu.Lock()
	switch {
	case w.closed:
	case w.live == nil && w.resumed != nil && minute.Of(w.resumed.Start) < minute.Of(second):
		w.release() // no packet has continued it
	case w.live != nil:
		w.advance(second, wall)
		if minute.Of(second) == minute.Of(w.live.Start) {
			w.live.End = max(w.live.End, second)
		}
	}
	w.unlock()
}

// advance makes the bucket of the given second the live one, unless that bucket is open or belongs to the minute
// before.
func (w *Window) advance(second, wall int64) {
	w.wall = wall
	period := minute.Of(second)
	if w.live == nil {
		// The first bucket is partial: it starts with its first packet.
		w.live, w.newest = w.emptyBucket(second, second), period
		w.resume(period)
		return
	}
	// A wall clock that was set back must not keep a bucket open.
	if w.closing != nil && (wall >= w.closeAt || wall < w.closeAt-minute.Grace-minute.Seconds) {
		w.sealClosing()
	}
	live := minute.Of(w.live.Start)
	switch {
	case w.cfg.Single || w.closes(period):
	case period > live:
		w.forward(period)
	case period < live-minute.Late:
		w.back(second)
	}
}

// forward starts a live bucket of a later period.
func (w *Window) forward(period int64) {
	w.sealClosing()
	live := minute.Of(w.live.Start)
	skipped := run{live + minute.Seconds, period}
	if w.newest > live && period >= w.newest {
		// The clock had been set back, and has returned to the latest minute or continues after it.
		skipped.from = w.newest + minute.Seconds
	} else {
		w.live.End = live + minute.Seconds
	}
	w.closing, w.closeAt, w.skipped = w.live, w.wall+minute.Grace, skipped
	w.live, w.newest = w.emptyBucket(period, period), max(w.newest, period)
}

// back starts a live bucket at an earlier second, after the clock was set back.
func (w *Window) back(second int64) {
	// If the clock had been ahead until now, the minutes that it skipped have not passed, or not all of them.
	w.skipped.to = min(w.skipped.to, minute.Of(second))
	w.sealClosing()
	w.sealed.undo(minute.Of(second))
	w.closing, w.closeAt = w.live, w.wall+minute.Grace
	w.live = w.emptyBucket(second, second)
}

// release makes a sealed bucket of the one that no packet has continued.
func (w *Window) release() {
	b := w.resumed
	w.resumed = nil
	w.sealed.Push(b)
	if w.cfg.OnSeal != nil {
		w.unannounced = append(w.unannounced, b)
		w.hasUnannounced.Store(true)
	}
}

// resume joins the restored buckets to the first live one, of the given period. Missing minutes in between become empty
// buckets. A restored bucket of the same period becomes the beginning of the live one.
func (w *Window) resume(period int64) {
	if w.resumed != nil && minute.Of(w.resumed.Start) != period {
		w.release()
	}
	if w.resumed == nil {
		w.sealed.pass(period)
	}
	w.sealed.keep(w.kept - 1)
}

// resumes reports whether the open bucket b continues a bucket of an earlier run.
func (w *Window) resumes(b *metric.Bucket) bool {
	return w.resumed != nil && minute.Of(w.resumed.Start) == minute.Of(b.Start)
}

func (w *Window) emptyBucket(start, end int64) *metric.Bucket {
	b := w.newBucket()
	b.Start, b.End = start, end
	return b
}
