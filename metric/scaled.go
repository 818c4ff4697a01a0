package metric

import (
	"math"

	"pktvisor/sketch"
)

// wholeUnit is the resolution of scaled weights, so that rounding them does not matter: they are in 1024ths.
const wholeUnit = 1 << 10

// scaling says what the keys of a table of a sample stand for. As long as one share of the sample applied to all of them, that
// is their weight times a factor. Otherwise a second table has the scaled weights.
type scaling struct {
	factor float64          // of what is being added; 0 before anything was
	whole  *sketch.Frequent // scaled weights in 1/wholeUnit; nil if factor applies to all
}

// by returns the factor.
func (s *scaling) by() float64 {
	if s.factor == 0 {
		return 1
	}
	return s.factor
}

// set changes the factor of what is added from now on to a table of the given total.
func (s *scaling) set(factor float64, total uint64, table func() *sketch.Frequent) {
	if factor != s.by() && total > 0 && s.whole == nil {
		s.whole = table().Times(s.by() * wholeUnit)
	}
	s.factor = factor
}

// weight returns a scaled weight.
func (s *scaling) weight(w uint64) uint64 { return sketch.TimesWeight(w, s.by()*wholeUnit) }

// add adds keys to the second table, if there is one.
func (s *scaling) add(keys []sketch.Prepared, rows []sketch.Weighted) {
	if s.whole == nil {
		return
	}
	for i := range rows {
		s.whole.AddPrepared(keys[rows[i].Key], s.weight(rows[i].Weight))
	}
}

// lose counts weight that was left out of the table.
func (s *scaling) lose(weight, most uint64) {
	if s.whole != nil && weight > 0 {
		s.whole.Lose(s.weight(weight), s.weight(most))
	}
}

// sampled tells the second table what [sketch.Frequent.Sampled] tells the first one.
func (s *scaling) sampled(by sketch.Thinning) {
	if s.whole != nil && by.Each > 0 {
		s.whole.Sampled(s.times(by))
	}
}

// times returns a thinning of scaled weights.
func (s *scaling) times(by sketch.Thinning) sketch.Thinning {
	return sketch.Thinning{Each: max(s.weight(by.Each), 1), Weight: s.weight(by.Weight)}
}

// merge adds what the keys of another table stand for, before that table itself is added. The functions return the tables.
func (s *scaling) merge(o *scaling, total, others uint64, table, other func() *sketch.Frequent) {
	switch {
	case others == 0:
		return
	case total == 0:
		s.factor, s.whole = o.factor, nil
		if o.whole != nil {
			s.whole = o.whole.Clone()
		}
		return
	case s.whole == nil && o.whole == nil && s.by() == o.by():
		return
	}
	if s.whole == nil {
		s.whole = table().Times(s.by() * wholeUnit)
	}
	if o.whole != nil {
		s.whole.Merge(o.whole)
	} else {
		s.whole.Merge(other().Times(o.by() * wholeUnit))
	}
}

// trim keeps the n heaviest keys, and frees memory.
func (s *scaling) trim(n int) {
	if s.whole != nil {
		s.whole.Trim(n)
	}
}

// bounds returns what a key stands for, given its bounds in the table.
func (s *scaling) bounds(key string, low, high uint64) (scaledLow, scaledHigh float64) {
	if s.whole != nil {
		low, high := s.whole.Bounds([]byte(key))
		return float64(low) / wholeUnit, float64(high) / wholeUnit
	}
	return float64(low) * s.by(), float64(high) * s.by()
}

// total returns what all keys together stand for, given their weight in the table.
func (s *scaling) total(total uint64) float64 {
	if s.whole != nil {
		return float64(s.whole.Total()) / wholeUnit
	}
	return float64(total) * s.by()
}

// rows returns the n keys that stand for most, with their bounds in the table.
func (s *scaling) rows(dst []sketch.Row, n int, table *sketch.Frequent) []sketch.Row {
	if s.whole == nil {
		return table.Top(dst, n)
	}
	for _, r := range s.whole.Top(dst, n) {
		low, high := table.Bounds([]byte(r.Key))
		dst = append(dst, sketch.Row{Key: r.Key, Lower: low, Upper: high})
	}
	return dst
}

// appendBinary appends the second table, with at most the n heaviest keys. If there is none, the keys of table have one factor.
// In a section of several, that is not known from the section, so what they stand for is appended.
func (s *scaling) appendBinary(dst []byte, n int, table *sketch.Frequent, o *SnapshotOptions) []byte {
	whole := s.whole
	if whole == nil {
		if !o.mixed {
			return dst
		}
		whole = table.Times(s.by() * wholeUnit)
	}
	if n < whole.Len() {
		whole = whole.Trimmed(n)
	}
	return whole.AppendBinary(dst)
}

// thinning returns the thinning of the second table, given that of the first one. If there is none, it is that of the table that appendBinary
// writes then.
func (s *scaling) thinning(first sketch.Thinning) sketch.Thinning {
	if s.whole != nil {
		return s.whole.SampledBy()
	}
	return s.times(first)
}

// readBinary reads what appendBinary appended, for a table of the given slots, in which messages were sampled like this.
func (s *scaling) readBinary(b []byte, slots int, by sketch.Thinning) error {
	*s = scaling{}
	if b == nil {
		return nil
	}
	whole := sketch.NewFrequent(slots)
	if err := whole.UnmarshalBinary(b); err != nil {
		return err
	}
	whole.Sampled(by)
	whole.Compact()
	s.whole = whole
	return nil
}

// sampledValue is a value whose content is scaled by the share of the sample at the time when it is added.
type sampledValue interface {
	// setFactor sets the factor of what is added from now on.
	setFactor(factor float64)
	// assumeFactor sets the factor of everything that was added.
	assumeFactor(factor float64)
	// sampledKeys reports whether the value is one of the keys of a section, and not of its counts.
	sampledKeys() bool
}

// ShareOfCounts tells the section the share of the sample for the counts that are added next. ShareOfKeys does so for the keys.
func (s *Section) ShareOfCounts(share Share) { s.shareOf(&s.countsShare, share, false) }

// ShareOfKeys tells the section the share of the sample for the keys that are added next.
func (s *Section) ShareOfKeys(share Share) { s.shareOf(&s.keysShare, share, true) }

func (s *Section) shareOf(last *Share, share Share, keys bool) {
	if *last == share || *last == 0 && share == Whole {
		return
	}
	*last = share
	for i, v := range s.values {
		if sv, ok := v.(sampledValue); ok && sv.sampledKeys() == keys && !s.Table.Descs[i].Whole {
			sv.setFactor(share.factor())
		}
	}
}

// setFactors tells all values of a section that was read the factor that applied to them, if it was one.
func (s *Section) setFactors(percent float64) {
	if percent <= 0 || percent >= 100 {
		return
	}
	for i, v := range s.values {
		if sv, ok := v.(sampledValue); ok && !s.Table.Descs[i].Whole {
			sv.assumeFactor(100 / percent)
		}
	}
}

// appendScaled writes what a row stands for, if a part of the events was left out of the sample.
func (w *writer) appendScaled(c *scale, low, high uint64, scaledLow, scaledHigh float64) {
	estimate, lower, upper := c.bounds(low, high, scaledLow, scaledHigh)
	w.uint("scaled", estimate)
	w.uint("scaled_lower", lower)
	w.uint("scaled_upper", upper)
}

// appendDistinct writes what a number of distinct items, from low to high, stands for. An item that comes from one address pair
// stands for mean items on average, and for most at most. One that comes from many stands for itself. prefix is what the names
// of the members begin with.
func (w *writer) appendDistinct(prefix string, c *scale, low, high uint64, mean, most float64) {
	_, lower, upper := c.bounds(low, high, 0, float64(high)*most)
	estimate := min(rounded(float64(low)*mean), upper)
	w.uint(prefix+"scaled", max(estimate, lower))
	w.uint(prefix+"scaled_lower", lower)
	w.uint(prefix+"scaled_upper", upper)
}

// scaleBy returns the scale of the values of a metric of the section that is being written: see [Section.scaleBy].
func (w *writer) scaleBy(d *Desc, inAll float64) (scale, bool) {
	if w.section == nil || !w.section.Table.sampled() || d.Whole {
		return scale{}, false
	}
	return w.section.scaleBy(d, inAll)
}

// factors returns what one event of the sample stands for: on average, and at most.
func (a *sampling) factors() (mean, most float64) {
	mean, most = 1, a.least.factor()
	if n := a.taken[byEvents]; n > 0 {
		mean = a.scaled[byEvents] / float64(n)
	}
	return mean, max(most, mean)
}

// rankError returns how far the share of the events up to a quantile can be from what it says, for a distribution of which the
// sample stands for scaled events.
func (c *scale) rankError(scaled float64) float64 {
	if scaled <= c.deviation {
		return 1
	}
	return math.Min(2*c.deviation/(scaled-c.deviation), 1)
}
