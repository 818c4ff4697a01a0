package sketch

import "math"

// A sample stands for more than itself. The functions below multiply what a sketch of a sample counted.

// Times returns a copy in which all weights and errors are multiplied by a factor, and rounded.
func (f *Frequent) Times(factor float64) *Frequent {
	c := f.Clone()
	c.asked = nil
	for i := range c.entries {
		c.entries[i].weight = max(TimesWeight(c.entries[i].weight, factor), 1)
	}
	for i := range c.covered {
		c.covered[i] = TimesWeight(c.covered[i], factor)
	}
	c.absent = TimesWeight(c.absent, factor)
	c.offset = TimesWeight(c.offset, factor)
	c.thinned = c.thinned.times(factor)
	c.total = TimesWeight(c.total, factor)
	if held := c.weights(); c.total < addWeight(held, c.offset) { // the sum of what was rounded up
		c.total = addWeight(held, c.offset)
	}
	return c
}

// weights returns the sum of the lower bounds.
func (f *Frequent) weights() (sum uint64) {
	for i := range f.entries {
		sum = addWeight(sum, f.entries[i].weight)
	}
	return sum
}

// TimesWeight returns a weight times a factor, rounded, at most the greatest weight.
func TimesWeight(w uint64, factor float64) uint64 {
	if v := math.Round(float64(w) * factor); v < maxWeight {
		return uint64(v)
	}
	return maxWeight
}

// Lose counts weight that was left out before it was added, as [Frequent.Shed] does. No key lost more than most of it.
func (f *Frequent) Lose(weight, most uint64) {
	f.total = addWeight(f.total, weight)
	f.offset = addWeight(f.offset, most)
}

// Total returns the weight of the whole stream.
func (v *FrequentView) Total() uint64 {
	if v.whole != nil {
		return v.whole.total
	}
	return v.total
}

// Sketch returns what the view has, as a sketch of the given number of slots.
func (v *FrequentView) Sketch(slots int) *Frequent {
	f := NewFrequent(slots)
	f.MergeView(v)
	return f
}

// Responses returns a copy of the keys with their bytes of responses, without those that have none.
func (a *Amplification) Responses() *Frequent {
	c := NewFrequent(1 << a.f.lg())
	c.total, c.offset, c.thinned = a.f.total, a.f.offset, a.f.thinned
	for i, e := range a.f.entries {
		if e.weight > 0 {
			c.addCovered(a.f.key(i), e.hash, e.weight, a.f.cover(i))
		}
	}
	return c
}

// MergeTimes adds what o counted, with all counts multiplied by a factor and rounded. It does not change o.
func (h *Histogram) MergeTimes(o *Histogram, factor float64) {
	if o.count == 0 {
		return
	}
	h.extremes(o.least, o.most)
	times := func(n uint64) uint64 { return max(TimesWeight(n, factor), 1) }
	h.sum = addSaturating(h.sum, TimesWeight(o.sum, factor))
	if o.zeros > 0 {
		n := times(o.zeros)
		h.zeros, h.count = addSaturating(h.zeros, n), addSaturating(h.count, n)
	}
	if o.count == o.zeros {
		return
	}
	h.reserve(o.span())
	o.each(func(p int, n uint64) bool {
		n = times(n)
		h.counts[p-h.first] = addSaturating(h.counts[p-h.first], n)
		h.count = addSaturating(h.count, n)
		return true
	})
}
