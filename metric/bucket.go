package metric

import "pktvisor/minute"

// Bucket is the summary of one stretch of time, with a section for every analyzer.
type Bucket struct {
	// Identity says whose summary it is. Merging does not change it.
	Identity Identity
	// Anonymity says how what the bucket holds was anonymised.
	Anonymity Anonymity
	// Start and End are Unix times in seconds. The bucket covers the packets from Start (included) to End (not
	// included).
	Start, End int64
	// Sections are in the order of the tables from which the bucket was made.
	Sections []*Section
	// DeepSamplePercent is the percentage of address pairs that were analysed in depth.
	DeepSamplePercent int
	// Lost is the number of packets that were dropped before they could be counted.
	Lost uint64
	// Covered is the sum, over the merged buckets of all hosts, of the seconds that each covers. It is 0 in a bucket of one
	// host, which covers the time from Start to End. Merging does not change it.
	Covered uint64
}

// covered returns the seconds that the bucket covers, summed over its hosts.
func (b *Bucket) covered() uint64 {
	if b.Covered == 0 {
		return uint64(b.End - b.Start)
	}
	return b.Covered
}

// NewBucket makes an empty bucket with a section for each table.
func NewBucket(tables []*Table) *Bucket {
	b := &Bucket{DeepSamplePercent: 100}
	for _, t := range tables {
		b.Sections = append(b.Sections, t.New())
	}
	return b
}

// Reset empties the bucket, as if [NewBucket] had just made it. It keeps the memory of the top tables for what comes next.
func (b *Bucket) Reset() {
	*b = Bucket{Sections: b.Sections, DeepSamplePercent: 100}
	for _, s := range b.Sections {
		s.mixed, s.percent = false, 0
		s.sampling, s.countsShare, s.keysShare = sampling{}, 0, 0
		for _, v := range s.values {
			v.reset()
		}
	}
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

// Cover extends the bucket to the seconds from start (included) to end (not included).
func (b *Bucket) Cover(start, end int64) {
	if b.Empty() {
		b.Start, b.End = start, end
		return
	}
	b.Start, b.End = min(b.Start, start), max(b.End, end)
}

// Merge adds o, which another shard or host has counted. It matches sections by name and metrics by path and kind, so
// the tables of the two buckets may differ. It leaves out metrics that b's tables lack, and does not change o. To add
// older buckets, use [Bucket.Precede].
func (b *Bucket) Merge(o *Bucket) {
	b.mergeSampling([]*Bucket{o})
	if !o.Empty() {
		b.Cover(o.Start, o.End)
	}
	b.Lost += o.Lost
	b.Anonymity = b.Anonymity.With(o.Anonymity)
	for i, s := range b.Sections {
		if other := b.match(o, i); other != nil {
			s.merge(other)
		}
	}
}

// match returns the section that o has for section i of b, or nil if it has none.
func (b *Bucket) match(o *Bucket, i int) *Section {
	name := b.Sections[i].Table.Section
	if i < len(o.Sections) && o.Sections[i].Table.Section == name {
		return o.Sections[i]
	}
	s, _ := o.Section(name)
	return s
}

// maxGap bounds the gap between two buckets that follow each other, in seconds. Such a gap is less than a minute in
// which no agent ran.
const maxGap = minute.Seconds

// Precede adds to b the buckets that were filled before it, newest first. Their order determines their age. If the
// clock was set while they were filled, a bucket may end neither where the next begins nor within a minute before. Such
// a bucket is shifted so that it ends where the next begins. So the merge of a window is never longer than the sum of
// its buckets, and its rates have exactly the seconds of these buckets.
func (b *Bucket) Precede(older []*Bucket) {
	if len(older) == 0 {
		return
	}
	b.mergeSampling(older)
	shifts := make([]int64, len(older))
	end := b.Start
	start := end
	for i, o := range older {
		if gap := start - o.End; gap < 0 || gap >= maxGap {
			shifts[i] = gap
		}
		start = o.Start + shifts[i]
		b.Lost += o.Lost
		b.Anonymity = b.Anonymity.With(o.Anonymity)
	}
	b.Cover(start, end)
	sections := make([]*Section, len(older))
	var values []earlier
	for i, s := range b.Sections {
		for k, o := range older {
			sections[k] = b.match(o, i)
		}
		s.sampling.precede(sections, shifts, start, end)
		for k, v := range s.values {
			values = values[:0]
			for n, o := range sections {
				if other := s.match(o, k); other != nil {
					values = append(values, earlier{other, shifts[n]})
				}
			}
			v.precede(values, start, end)
		}
	}
}

// MergeCounters adds the values that a process counts from its start: the counters and histograms of o, which is a
// bucket of the same tables, and the changes of its gauges. It leaves out rates and sketches.
func (b *Bucket) MergeCounters(o *Bucket) {
	b.Lost += o.Lost
	for i, s := range b.Sections {
		for k, v := range s.values {
			if s.Table.Descs[k].Kind.sinceStart {
				v.merge(o.Sections[i].values[k])
			}
		}
	}
}

// Seal fills the rates up to the time that the bucket covers and frees memory that the bucket no longer needs. It
// reduces each top table to at most slots slots, a power of two. Do not add to the bucket afterwards.
func (b *Bucket) Seal(slots int) {
	for _, s := range b.Sections {
		s.sampling.seal(b.Start, b.End)
		for _, v := range s.values {
			v.seal(b.Start, b.End, slots)
		}
	}
}

// Idle reports whether nothing was counted or lost.
func (b *Bucket) Idle() bool {
	for _, s := range b.Sections {
		for k, v := range s.values {
			if !v.idle(&s.Table.Descs[k]) {
				return false
			}
		}
	}
	return b.Lost == 0
}
