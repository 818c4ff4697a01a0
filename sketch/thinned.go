package sketch

import "math"

// thinned says that a sketch counted a sample of a stream, with weights that make up for what was left out: an item of weight w that is in
// the sample with a chance of 1/k was added with weight k w. The chances are independent of each other, and k may change at any time as
// long as it does not depend on what follows.
//
// Let each be the most that an item of the stream was, or would have been, added with while k was above 1, and let a key of weight N have been
// added with X while k was above 1. With C² = 2 ln(1/δ), each of
//
//	N ≥ X - C sqrt(each X)        X ≥ N - C sqrt(each N)
//
// holds with a chance of 1-δ, whatever the weights: see docs/decisions/0034. X is at most all weight that was added while k was above 1. What was
// added before counts as it is. A merge of samples with different k has the greatest each. The zero value stands for the whole stream.
type thinned struct{ by Thinning }

// Thinning says how a stream was sampled: an item stands for up to Each, the reciprocal of the chance that it is in the sample times its weight.
// Weight is what was added in this way, in all.
type Thinning struct{ Each, Weight uint64 }

// MaxEach is where the weight that a sampled item stands for saturates.
const MaxEach = 1 << 48

// deviations is C at 97.5%.
var deviations = math.Sqrt(2 * math.Log(1/0.025))

// add says that items are added with weights up to t.Each, and t.Weight in all.
func (s *thinned) add(t Thinning) {
	s.by.Each = max(s.by.Each, min(t.Each, MaxEach))
	s.by.Weight = addWeight(s.by.Weight, t.Weight)
}

// times returns what holds when all weights are multiplied by a factor.
func (s thinned) times(factor float64) (t thinned) {
	if s.by.Each > 0 {
		t.add(Thinning{max(TimesWeight(s.by.Each, factor), 1), TimesWeight(s.by.Weight, factor)})
	}
	return t
}

// bounds returns the bounds of the true weight of a key that was added with a weight from low to high. Each holds with a chance of 97.5%.
func (s thinned) bounds(low, high uint64) (lower, upper uint64) {
	if s.by.Each == 0 {
		return low, high
	}
	each, part := float64(s.by.Each), float64(s.by.Weight)
	// What is in the sample weighs at least as much as if all of it had been added with each.
	least := math.Ceil(float64(low) / each)
	least = max(least, float64(low)-deviations*math.Sqrt(each*min(float64(low), part)))
	part = min(float64(high), part)
	half := deviations * math.Sqrt(each) / 2
	root := half + math.Sqrt(half*half+part)
	most := math.Ceil(float64(high) - part + root*root)
	return min(uint64(least), low), max(uint64(min(most, maxWeight)), high)
}

// Sampled says that what is added next is a sample of a stream. Then the bounds that f returns are those of the whole stream, each with
// a chance of 97.5%, until [Frequent.Reset].
func (f *Frequent) Sampled(t Thinning) { f.thinned.add(t) }

// SampledBy returns the sum of what [Frequent.Sampled] got. Keep it beside the binary form, which does not have it.
func (f *Frequent) SampledBy() Thinning { return f.thinned.by }

// TotalBounds returns the bounds of the weight of the whole stream.
func (f *Frequent) TotalBounds() (lower, upper uint64) { return f.thinned.bounds(f.total, f.total) }

// Missing returns the most weight that a key can have that f does not hold.
func (f *Frequent) Missing() uint64 {
	_, upper := f.thinned.bounds(0, f.offset)
	return upper
}

// Sampled does the same for a view.
func (v *FrequentView) Sampled(t Thinning) {
	v.thinned.add(t)
	if v.whole != nil {
		v.whole.Sampled(t)
	}
}

// Sampled says that what is added next is a sample, as [Frequent.Sampled] does, by the bytes of responses and by those of queries.
func (a *Amplification) Sampled(responses, queries Thinning) {
	a.f.thinned.add(responses)
	a.f.asked.thinned.add(queries)
}

// SampledBy returns the sums of what [Amplification.Sampled] got.
func (a *Amplification) SampledBy() (responses, queries Thinning) {
	return a.f.thinned.by, a.f.asked.thinned.by
}

// TotalBounds returns the bounds of the bytes of all responses.
func (a *Amplification) TotalBounds() (lower, upper uint64) { return a.f.TotalBounds() }

// Missing returns the most bytes of responses that a key can have that a does not hold.
func (a *Amplification) Missing() uint64 { return a.f.Missing() }
