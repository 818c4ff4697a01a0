package metric

import (
	"encoding/binary"
	"errors"
	"math"
)

// sampled returns the share of a section's events that were analysed deeply, in percent.
func (b *Bucket) sampled(s *Section) float64 {
	if s.mixed {
		return s.percent
	}
	return float64(b.DeepSamplePercent)
}

// share is how much of a stretch of time was analysed deeply.
type share struct {
	percent     float64
	seen, taken uint64 // events, and those of them that were analysed deeply
	timeless    bool   // of a bucket that covers no time yet
}

// merge returns the share of the events of both: what was analysed divided by what was seen. A share without events has no
// weight, and a share without time has none where neither has events.
func (a share) merge(b share) share {
	sum := share{a.percent, a.seen + b.seen, a.taken + b.taken, a.timeless && b.timeless}
	switch {
	case a.percent == b.percent:
	case a.seen > 0 && b.seen > 0:
		sum.percent = min(100*float64(sum.taken)/float64(sum.seen), 100)
	case b.seen > 0 || sum.seen == 0 && a.timeless && !b.timeless:
		sum.percent = b.percent
	case sum.seen == 0 && a.timeless == b.timeless: // there is nothing to multiply
		sum.percent = max(a.percent, b.percent)
	}
	return sum
}

// share returns the share of a section of the bucket, or that of the bucket itself if the section does not sample.
func (b *Bucket) share(s *Section) share {
	sum := share{percent: float64(b.DeepSamplePercent), timeless: b.Empty()}
	if s != nil && s.Table.sampled() {
		sum.percent, sum.seen, sum.taken = b.sampled(s), s.Counter(s.Table.seen), s.Counter(s.Table.taken)
	}
	return sum
}

// mergeSampling sets the shares to those of the events of b and all others together. The buckets still have their own counters
// and times.
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

// sharePerPercent is the resolution of shares in a snapshot: a millionth.
const sharePerPercent = 10_000

// appendShares appends the shares of sections, by name, if the header's percentage does not hold for all of them. That
// is so in a bucket merged from buckets that were sampled at several rates.
func (b *Bucket) appendShares(dst []byte) []byte {
	n := uint64(0)
	for _, s := range b.Sections {
		if s.mixed {
			n++
		}
	}
	if n == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, n)
	for _, s := range b.Sections {
		if s.mixed {
			dst = appendText(dst, s.Table.Section)
			dst = binary.AppendUvarint(dst, uint64(math.Round(s.percent*sharePerPercent)))
		}
	}
	return dst
}

// readShares reads what appendShares has appended, if anything.
func (b *Bucket) readShares(header []byte) error {
	if len(header) == 0 {
		return nil
	}
	c := cursor{header}
	var n uint64
	if !c.uvarint(&n) {
		return errors.New("a header that is cut short")
	}
	for ; n > 0; n-- {
		var name []byte
		var share uint64
		if !c.bytes(&name) || !c.uvarint(&share) {
			return errors.New("a header that is cut short")
		}
		if share > 100*sharePerPercent {
			return errors.New("a header out of range")
		}
		if s, ok := b.Section(string(name)); ok && s.Table.sampled() {
			s.mixed, s.percent = true, float64(share)/sharePerPercent
		}
	}
	return nil
}
