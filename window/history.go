package window

import (
	"sync"

	"pktvisor/metric"
)

// History is [Views] of sealed minutes only, as a hub has them: the minutes of several agents, merged, in the order of
// time. It has no live bucket, so bucket 0 is nil. A merge of n buckets is the merge of the newest n sealed ones.
type History struct {
	mu     sync.Mutex
	ring   *Ring
	totals *metric.Bucket
}

var _ Views = (*History)(nil)

// NewHistory makes an empty history.
func NewHistory(cfg RingConfig) *History {
	h := &History{ring: NewRing(cfg), totals: metric.NewBucket(cfg.Tables)}
	h.totals.Identity, h.totals.DeepSamplePercent = cfg.Identity, cfg.DeepSamplePercent
	return h
}

// Merge merges a finished minute into the history: see [Ring.Merge].
func (h *History) Merge(b *metric.Bucket) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ring.Merge(b) {
		return false
	}
	h.totals.MergeCounters(b)
	return true
}

// Periods returns how many minutes the history keeps, plus one, since the number of periods includes a live bucket.
func (h *History) Periods() int { return h.ring.cfg.Minutes + 1 }

// Bucket returns the nth newest minute, from 1 on, or nil if there is none.
func (h *History) Bucket(n int) *metric.Bucket {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ring.Bucket(n)
}

// Sealed returns all minutes, oldest first.
func (h *History) Sealed() []*metric.Bucket {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ring.Buckets()
}

// Minutes lists all minutes, oldest first.
func (h *History) Minutes() []Minute { return minutesOf(h.Sealed()) }

// Merged returns the merge of the newest n minutes (at least one), or nil if there are no minutes.
func (h *History) Merged(n int) *metric.Bucket {
	h.mu.Lock()
	list := h.ring.last(max(n, 1))
	h.mu.Unlock()
	return h.ring.merge(list) // sealed buckets do not change
}

// Second calls read with the newest minute if it has the given second, otherwise with nil.
func (h *History) Second(second int64, read func(b *metric.Bucket)) {
	h.mu.Lock()
	b := h.ring.Bucket(1)
	h.mu.Unlock()
	if b != nil && (second < b.Start || second >= b.End) {
		b = nil
	}
	read(b)
}

// Totals returns the counters and histograms of everything that was merged.
func (h *History) Totals() *metric.Bucket {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := metric.NewBucket(h.ring.cfg.Tables)
	b.Identity, b.DeepSamplePercent = h.totals.Identity, h.totals.DeepSamplePercent
	b.MergeCounters(h.totals)
	return b
}
