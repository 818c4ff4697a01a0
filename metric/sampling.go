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

// mergeSampling sets the shares to those of b's and o's events together. Both buckets still have their own counters.
func (b *Bucket) mergeSampling(o *Bucket) {
	percent, known := min(b.DeepSamplePercent, o.DeepSamplePercent), false
	for i, s := range b.Sections {
		of := s.Table.sampledOf
		if of < 0 {
			continue
		}
		other := o.Sections[i]
		p, q := b.sampled(s), o.sampled(other)
		n, m := float64(s.Counter(of)), float64(other.Counter(of))
		switch {
		case p == q:
		case n+m == 0:
			p = min(p, q)
		case n == 0:
			p = q
		case m > 0:
			p = (p*n + q*m) / (n + m)
		}
		s.percent = p
		if !known {
			percent, known = wholePercent(p), true
		}
	}
	b.DeepSamplePercent = percent
	for _, s := range b.Sections {
		s.mixed = s.Table.sampledOf >= 0 && s.percent != float64(percent)
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
		if s, ok := b.Section(string(name)); ok && s.Table.sampledOf >= 0 {
			s.mixed, s.percent = true, float64(share)/sharePerPercent
		}
	}
	return nil
}
