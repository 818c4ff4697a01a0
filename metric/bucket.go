package metric

import (
	"slices"

	"pktvisor/minute"
)

// Bucket is what was summarised in one stretch of time: a section of every analyzer.
type Bucket struct {
	// Identity says whose summary it is. Merging leaves it as it is.
	Identity Identity
	// Start and End are Unix times in seconds: the bucket covers the packets from Start (included)
	// to End (not included).
	Start, End int64
	// Sections are in the order of the tables that the bucket was made of.
	Sections []*Section
	// DeepSamplePercent is the share of flows and transactions that were analysed deeply.
	DeepSamplePercent int
	// Lost is how many packets were dropped before they could be counted.
	Lost uint64
}

// NewBucket makes an empty bucket with a section of each table.
func NewBucket(tables []*Table) *Bucket {
	b := &Bucket{DeepSamplePercent: 100}
	for _, t := range tables {
		b.Sections = append(b.Sections, t.New())
	}
	return b
}

// Section returns the section of the given name.
func (b *Bucket) Section(name string) (*Section, bool) {
	for _, s := range b.Sections {
		if s.Table.Section == name {
			return s, true
		}
	}
	return nil, false
}

// Empty reports whether the bucket covers no time yet.
func (b *Bucket) Empty() bool { return b.End <= b.Start }

// Cover stretches the bucket to span the seconds from start (included) to end (not included).
func (b *Bucket) Cover(start, end int64) {
	if b.Empty() {
		b.Start, b.End = start, end
		return
	}
	b.Start, b.End = min(b.Start, start), max(b.End, end)
}

// Merge adds o, made of the same tables, to b: over time or over hosts. It leaves o as it was.
func (b *Bucket) Merge(o *Bucket) {
	if !o.Empty() {
		b.Cover(o.Start, o.End)
	}
	b.mergeAllButRates(o)
	b.mergeRates(o, 0)
}

// mergeAllButRates adds all of o but the time that it covers and the rates.
func (b *Bucket) mergeAllButRates(o *Bucket) {
	b.mergeSampling(o)
	b.Lost += o.Lost
	for i, s := range b.Sections {
		s.mergeAllButRates(o.Sections[i])
	}
}

// mergeRates adds the rates of o, shifted by so many seconds.
func (b *Bucket) mergeRates(o *Bucket, shift int64) {
	for i, s := range b.Sections {
		for k, r := range s.rates {
			r.merge(o.Sections[i].rates[k], shift)
		}
	}
}

// maxGap is how many seconds may be missing between two buckets that follow each other: less than a minute, while no agent ran.
const maxGap = minute.Seconds

// Precede adds the buckets that were filled before b, newest first, to it. They are as old as that says: where the
// clock was set while they were filled, so that a bucket does not end where the next begins, or within a minute
// before, they are taken for a stretch of time that ends with b's all the same. So the merge of a window is never longer
// than its buckets together, and its rates have the seconds of these and no others.
func (b *Bucket) Precede(older []*Bucket) {
	shifts := make([]int64, len(older))
	start := b.Start
	for i, o := range older {
		if gap := start - o.End; gap < 0 || gap >= maxGap {
			shifts[i] = gap
		}
		start = o.Start + shifts[i]
	}
	if len(older) > 0 {
		b.Cover(start, b.Start)
		for _, s := range b.Sections {
			for _, r := range s.rates {
				r.Cover(start, b.Start) // with what had no events at all
			}
		}
	}
	for _, o := range older {
		b.mergeAllButRates(o)
	}
	for i, o := range slices.Backward(older) { // the oldest first: a rate has its newest minutes at hand
		b.mergeRates(o, shifts[i])
	}
}

// MergeCounters adds the counters and histograms of o to b, which are what a process counts from
// its start; rates and sketches are left out.
func (b *Bucket) MergeCounters(o *Bucket) {
	b.Lost += o.Lost
	for i, s := range b.Sections {
		for k, c := range s.counters {
			*c += *o.Sections[i].counters[k]
		}
		for k, h := range s.histograms {
			h.Merge(o.Sections[i].histograms[k])
		}
	}
}

// Seal fills the rates up to the time that the bucket covers, gives back memory that it no longer
// needs, and keeps of each top table no more than slots slots, a power of two. Nothing may be added to it afterwards.
func (b *Bucket) Seal(slots int) {
	for _, s := range b.Sections {
		for _, r := range s.rates {
			r.Cover(b.Start, b.End)
		}
		for _, h := range s.histograms {
			h.Compact()
		}
		for _, c := range s.cardinals {
			c.Compact()
		}
		for _, t := range s.tops {
			if keep := slots / 4 * 3; t.Len() > keep {
				t.Trim(keep)
			}
			t.Compact()
		}
	}
}
