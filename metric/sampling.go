package metric

import (
	"encoding/binary"
	"math"
)

// sampled returns the percentage of a section's events that were analysed in depth.
func (b *Bucket) sampled(s *Section) float64 {
	if percent, known := s.sampling.percent(); known {
		return percent
	}
	if s.mixed {
		return s.percent
	}
	return float64(b.DeepSamplePercent)
}

// share says which share of the events in a stretch of time was analysed in depth.
type share struct {
	percent     float64
	seen, taken uint64 // all events, and those that were analysed in depth
	timeless    bool   // the bucket covers no time yet
}

// merge returns the share of the events of both: the analysed events divided by those seen. A share without events has
// no weight. If neither has events, a share that covers no time has no weight.
func (a share) merge(b share) share {
	sum := share{a.percent, a.seen + b.seen, a.taken + b.taken, a.timeless && b.timeless}
	switch {
	case a.percent == b.percent:
	case a.seen > 0 && b.seen > 0:
		sum.percent = min(100*float64(sum.taken)/float64(sum.seen), 100)
	case b.seen > 0 || sum.seen == 0 && a.timeless && !b.timeless:
		sum.percent = b.percent
	case sum.seen == 0 && a.timeless == b.timeless: // there are no events to scale
		sum.percent = max(a.percent, b.percent)
	}
	return sum
}

// share returns the share of a section of the bucket. If s is nil or does not sample, it returns the share of the
// bucket itself.
func (b *Bucket) share(s *Section) share {
	sum := share{percent: float64(b.DeepSamplePercent), timeless: b.Empty()}
	if s != nil && s.Table.sampled() {
		sum.percent, sum.seen, sum.taken = b.sampled(s), s.Counter(s.Table.seen), s.Counter(s.Table.taken)
	}
	return sum
}

// mergeSampling sets the shares of b and its sections to those of all events of b and others together. Call it while
// the buckets still have their own counters and times.
func (b *Bucket) mergeSampling(others []*Bucket) {
	whole, known := b.share(nil), false
	for _, o := range others {
		whole = whole.merge(o.share(nil))
	}
	percent := wholePercent(whole.percent)
	for i, s := range b.Sections {
		if !s.Table.sampled() {
			continue
		}
		sum := b.share(s)
		for _, o := range others {
			if other := b.match(o, i); other != nil {
				sum = sum.merge(o.share(other))
			}
		}
		s.percent = sum.percent
		if !known {
			percent, known = wholePercent(sum.percent), true
		}
	}
	b.DeepSamplePercent = percent
	for _, s := range b.Sections {
		s.mixed = s.Table.sampled() && s.percent != float64(percent)
	}
}

// wholePercent rounds a share, but never down to zero.
func wholePercent(p float64) int {
	if p > 0 {
		return max(int(math.Round(p)), 1)
	}
	return 0
}

// sharePerPercent is the resolution of shares in a snapshot. A share is stored in millionths.
const sharePerPercent = 10_000

// appendShares appends the shares of sections, by name, if the header's percentage does not apply to all of them. That
// happens in a bucket merged from buckets with different sample rates.
func (b *Bucket) appendShares(dst []byte) []byte {
	n := uint64(0)
	for _, s := range b.Sections {
		if b.hasOwnShare(s) {
			n++
		}
	}
	dst = binary.AppendUvarint(dst, n)
	for _, s := range b.Sections {
		if b.hasOwnShare(s) {
			dst = appendText(dst, s.Table.Section)
			dst = binary.AppendUvarint(dst, uint64(math.Round(b.sampled(s)*sharePerPercent)))
		}
	}
	return dst
}

// hasOwnShare reports whether the bucket's percentage does not apply to a section.
func (b *Bucket) hasOwnShare(s *Section) bool {
	return s.Table.sampled() && b.sampled(s) != float64(b.DeepSamplePercent)
}

// shareOf is a section's share in a header, in millionths.
type shareOf struct {
	section string
	share   uint64
}

// maxShares bounds the shares in a header. It is far more than a program has sections.
const maxShares = 256

// readShares reads what appendShares appended.
func readShares(c *cursor) (shares []shareOf, ok bool) {
	var n uint64
	if !c.uvarint(&n) || n > maxShares {
		return nil, false
	}
	for ; n > 0; n-- {
		var s shareOf
		if !c.text(&s.section) || !c.uvarint(&s.share) || s.share > 100*sharePerPercent {
			return nil, false
		}
		shares = append(shares, s)
	}
	return shares, true
}

// setShares sets the shares of the sections that a header lists.
func (b *Bucket) setShares(shares []shareOf) {
	for _, of := range shares {
		if s, ok := b.Section(of.section); ok && s.Table.sampled() {
			s.mixed, s.percent = true, float64(of.share)/sharePerPercent
		}
	}
}

// readSampling reads the sampling of a section from a snapshot, in which it is beside the counter of what was taken. values are
// those of the section's metrics. An older program wrote only a percentage.
func (b *Bucket) readSampling(s *Section, values []encoded) error {
	s.sampling = sampling{}
	if !s.Table.sampled() {
		return nil
	}
	d := &s.Table.Descs[s.Table.taken]
	if err := s.sampling.readBinary(values[s.Table.taken].beside, b.Start, b.End); err != nil {
		return s.Table.metricError(d.Path, err)
	}
	percent := b.sampled(s)
	s.setFactors(percent)
	s.assume(percent)
	return nil
}
