package window

import "pktvisor/metric"

// Views gives readers the minutes of one policy: the live one and the sealed ones, each alone or merged. All methods
// may be called from any goroutine. Sealed buckets must not be changed.
type Views interface {
	// Periods returns the maximum number of buckets, including the live one.
	Periods() int
	// Bucket returns bucket n: 0 is the live one, 1 the newest sealed one, and so on. It returns nil if there is no
	// such bucket. A sealed minute is the same bucket in each call.
	Bucket(n int) *metric.Bucket
	// Minutes lists the sealed minutes, oldest first.
	Minutes() []Minute
	// Merged returns the merge of the newest n buckets, including the live one, or nil before the first packet.
	Merged(n int) *metric.Bucket
	// Second calls read once, with the bucket that has the given second (Unix time) if that bucket is recent, otherwise
	// with nil. read must be quick, must look only at counts, not at keys, and must neither change nor keep the bucket.
	Second(second int64, read func(b *metric.Bucket))
	// Totals returns the counters and histograms of everything since the start, and the present gauges.
	Totals() *metric.Bucket
}

// Minute is a sealed minute in a list.
type Minute struct {
	// Start and End are those of its bucket.
	Start, End int64
	// Version is a comparable value that changes when the content of the minute changes.
	Version any
	// Bucket returns the minute's bucket, or nil if it cannot be had any more.
	Bucket func() *metric.Bucket
}

// minutesOf lists sealed buckets. A sealed bucket does not change, so its address is its version.
func minutesOf(sealed []*metric.Bucket) []Minute {
	list := make([]Minute, len(sealed))
	for i, b := range sealed {
		list[i] = Minute{b.Start, b.End, b, func() *metric.Bucket { return b }}
	}
	return list
}

var _ Views = (*Window)(nil)

// Periods returns how many buckets the window keeps.
func (w *Window) Periods() int { return w.cfg.Periods }

// Bucket returns bucket n: 0 is a copy of the live one, 1 the newest sealed minute, and so on. It returns nil if there
// is no such bucket. A sealed bucket must not be changed.
func (w *Window) Bucket(n int) *metric.Bucket {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n == 0 {
		if w.live == nil {
			return nil
		}
		w.lockKeys()
		defer w.unlockKeys()
		b := w.copyOf(w.live)
		w.mergeResumed(b, w.live)
		w.setGauges(b)
		return b
	}
	return w.sealed.Bucket(n)
}

// Unsealed returns copies of the buckets that are not sealed yet, oldest first: for a short time that of the minute before,
// and the live one.
func (w *Window) Unsealed() []*metric.Bucket {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unsealed()
}

// Checkpoint calls save with copies of the buckets that are not sealed yet, oldest first, each as it would be if it were
// sealed now: with the same identity and size. No sealed bucket is announced while save runs. So OnSeal is called for a
// bucket only after save has seen its last copy. save must not call the window.
func (w *Window) Checkpoint(save func(open []*metric.Bucket)) {
	w.announcing.Lock()
	defer w.announcing.Unlock()
	w.mu.Lock()
	for len(w.unannounced) > 0 { // these come before the copies
		w.mu.Unlock()
		w.announceAll()
		w.mu.Lock()
	}
	open, seq := w.unsealed(), w.seals
	w.mu.Unlock()
	for _, b := range open {
		seq++
		b.Identity.Seq = seq
		b.Seal(w.sealed.cfg.Slots)
	}
	save(open)
}

// unsealed returns copies of the open buckets, oldest first. The caller holds mu.
func (w *Window) unsealed() []*metric.Bucket {
	w.lockKeys()
	defer w.unlockKeys()
	var list []*metric.Bucket
	for _, open := range []*metric.Bucket{w.closing, w.live} {
		if open == nil {
			continue
		}
		b := w.copyOf(open)
		w.mergeResumed(b, open)
		if open == w.live {
			w.setGauges(b)
		}
		list = append(list, b)
	}
	return list
}

// Second calls read with the bucket that has the given second (Unix time), if that bucket is open or is the newest
// sealed one, otherwise with nil. read must be quick, must look only at counts, not at keys, and must neither change
// nor keep the bucket.
func (w *Window) Second(second int64, read func(b *metric.Bucket)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	recent := []*metric.Bucket{w.live, w.closing}
	if e := w.sealed.newest(); e != nil {
		recent = append(recent, e.bucket) // nil for a run of empty minutes
	}
	for _, b := range recent {
		if b != nil && second >= b.Start && second < b.End {
			read(b)
			return
		}
	}
	read(nil)
}

// Merged returns the merge of the newest n buckets (at least one), including the live one, or nil before the first
// packet.
func (w *Window) Merged(n int) *metric.Bucket {
	return w.merged(n, w.copyOf)
}

// Last returns the same as Merged, but saves the time to copy the live bucket, because it merges into that bucket. The
// window must not be used afterwards.
func (w *Window) Last(n int) *metric.Bucket {
	return w.merged(n, func(live *metric.Bucket) *metric.Bucket { return live })
}

// copyOf returns a copy of an open bucket. A bucket that covers no time yet keeps its start.
func (w *Window) copyOf(open *metric.Bucket) *metric.Bucket {
	b := w.emptyBucket(open.Start, open.End)
	b.Merge(open)
	return b
}

// merged is like Merged, and merges into the bucket that into returns for the live one.
func (w *Window) merged(n int, into func(live *metric.Bucket) *metric.Bucket) *metric.Bucket {
	w.mu.Lock()
	if w.live == nil {
		w.mu.Unlock()
		return nil
	}
	w.lockKeys()
	b := into(w.live)
	w.mergeResumed(b, w.live)
	w.setGauges(b)
	left := max(min(n, w.cfg.Periods)-1, 0)
	var older []*metric.Bucket // newest first
	if skipped := w.skipped.newer(left); skipped.minutes() > 0 {
		older = append(older, w.sealed.empty(skipped))
		left -= skipped.minutes()
	}
	if w.closing != nil && left > 0 {
		closing := w.closing
		if w.resumes(closing) {
			closing = w.copyOf(closing)
			w.mergeResumed(closing, w.closing)
		}
		b.Precede(append(older, closing))
		older = older[:0]
		left--
	}
	w.unlockKeys()
	older = append(older, w.sealed.last(left)...)
	w.mu.Unlock()
	// Sealed buckets do not change, so the shards do not have to wait for this.
	b.Precede(older)
	return b
}

// Sealed returns the sealed buckets, oldest first. They must not be changed.
func (w *Window) Sealed() []*metric.Bucket {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sealed.Buckets()
}

// Minutes lists the sealed minutes, oldest first.
func (w *Window) Minutes() []Minute { return minutesOf(w.Sealed()) }

// mergeResumed adds to b the counts of an earlier run in the period of the open bucket.
func (w *Window) mergeResumed(b, open *metric.Bucket) {
	if w.resumes(open) {
		b.Merge(w.resumed)
	}
}

// setGauges sets the gauges of b, which has the contents of the live bucket, to the present state.
func (w *Window) setGauges(b *metric.Bucket) { b.SetGauges(w.totals, w.closing, w.live) }

// Totals returns the counters and histograms of everything since the start, and the present gauges.
func (w *Window) Totals() *metric.Bucket {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.newBucket()
	b.MergeCounters(w.totals)
	for _, open := range []*metric.Bucket{w.closing, w.live} {
		if open != nil {
			b.MergeCounters(open)
		}
	}
	return b
}
