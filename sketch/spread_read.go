package sketch

import (
	"bytes"
	"cmp"
	"iter"
	"math"
	"slices"
)

// sampled sums up the pairs of a key that are below its threshold.
type sampled struct {
	seen   uint64  // the weight of all of them
	sure   uint64  // the weight of those that are as heavy that every such pair is in the sample
	light  float64 // the number of the others
	chance float64 // the sum of the chances of the others to be in the sample
	share  float64 // the share of the pairs of weight 1 that are in the sample
}

func (x *sampled) add(p *spreadPair) {
	w := uint64(p.weight)
	x.seen += w
	if chance := float64(w) * x.share; chance >= 1 {
		x.sure += w
	} else {
		x.light++
		x.chance += chance
	}
}

// estimate returns an unbiased estimate of the key's value.
func (x *sampled) estimate() float64 {
	if x.share == 0 {
		return float64(x.seen)
	}
	return float64(x.sure) + x.light/x.share
}

// bounds returns the bounds of the key's value, which is at most added.
//
// The number of light pairs in the sample is the sum of independent chances. Its limits are those of a Poisson distribution
// (Wilson and Hilferty's approximation of the chi-square distribution, 1931), narrowed by the square root of the chance to be left out:
// all pairs are in the sample if there is no such chance.
func (x *sampled) bounds(added uint64) (lower, upper uint64) {
	if x.share >= 1 {
		return x.seen, x.seen
	}
	if x.share == 0 {
		return x.seen, max(added, x.seen)
	}
	n, out := x.light, 1.0
	low, high := 0.0, cube(1-1.0/9+z95/3)
	if n > 0 {
		out = math.Sqrt(1 - x.chance/n)
		low = n * cube(max(1-1/(9*n)-z95/(3*math.Sqrt(n)), 0))
		high = (n + 1) * cube(1-1/(9*(n+1))+z95/(3*math.Sqrt(n+1)))
	}
	least := float64(x.sure) + (n-(n-low)*out)/x.share
	most := float64(x.sure) + (n+(high-n)*out)/x.share
	lower = min(max(uint64(least), x.seen), max(added, x.seen))
	upper = max(lower, uint64(min(math.Ceil(most), float64(max(added, x.seen)))))
	return lower, upper
}

func cube(x float64) float64 { return x * x * x }

// sums returns the sums of all keys.
func (s *Spread) sums() []sampled {
	sums := make([]sampled, len(s.keys))
	threshold := s.Threshold()
	for i := range sums {
		sums[i].share = float64(min(threshold, s.keys[i].limit)) / everything
	}
	for i := range s.pairs {
		p := &s.pairs[i]
		if uint64(p.hash) < uint64(p.weight)*min(threshold, s.keys[p.key].limit) {
			sums[p.key].add(p)
		}
	}
	return sums
}

// Top appends the n keys with the greatest lower bounds to dst, in descending order, and equal ones by key. Keys without a sampled
// pair are left out.
func (s *Spread) Top(dst []Row, n int) []Row { return s.AtLeast(dst, n, 1) }

// AtLeast is like [Spread.Top], for keys whose lower bound is at least least.
func (s *Spread) AtLeast(dst []Row, n int, least uint64) []Row {
	type bound struct {
		key          int
		lower, upper uint64
	}
	var all []bound
	sums := s.sums()
	for i := range sums {
		if sums[i].seen > 0 && (least <= 1 || sums[i].estimate() >= float64(least)) {
			if lower, upper := sums[i].bounds(s.added); lower >= least {
				all = append(all, bound{i, lower, upper})
			}
		}
	}
	slices.SortFunc(all, func(a, b bound) int {
		if c := cmp.Compare(b.lower, a.lower); c != 0 {
			return c
		}
		return bytes.Compare(s.key(a.key), s.key(b.key))
	})
	for _, b := range all[:min(max(n, 0), len(all))] {
		dst = append(dst, Row{string(s.key(b.key)), b.lower, b.upper})
	}
	return dst
}

// Bounds returns the bounds of a key's value. Each holds with a chance of 97.5%. For a key without a sampled pair, the lower bound
// is 0.
func (s *Spread) Bounds(key []byte) (lower, upper uint64) {
	key = key[:min(len(key), MaxKeyLen)]
	for i := range s.keys {
		if bytes.Equal(s.key(i), key) {
			return s.sums()[i].bounds(s.added)
		}
	}
	return 0, s.Missing()
}

// Each yields all keys that are held with their bounds: see [Spread.Bounds]. A key is valid until the next one.
func (s *Spread) Each() iter.Seq2[[]byte, Bounds] {
	return func(yield func([]byte, Bounds) bool) {
		for i, x := range s.sums() {
			lower, upper := x.bounds(s.added)
			if !yield(s.key(i), Bounds{lower, upper}) {
				return
			}
		}
	}
}

// Missing returns the upper bound of a key that is not held.
func (s *Spread) Missing() uint64 {
	_, upper := (&sampled{share: float64(s.Threshold()) / everything}).bounds(s.added)
	return upper
}

// TotalBounds returns the bounds of the sum of the values of all keys. Each holds with a chance of about 97.5%: the sum of many
// independent samples is nearly normal, and each light pair adds (1-p)/share² to its variance, where p is its chance to be sampled.
func (s *Spread) TotalBounds() (lower, upper uint64) {
	if s.Exact() {
		n := uint64(s.Estimate() + 0.5)
		return n, n
	}
	seen, sum, variance := uint64(0), 0.0, 0.0
	for _, x := range s.sums() {
		if seen += x.seen; x.share == 0 {
			return seen, s.added
		}
		sum += x.estimate()
		variance += (x.light - x.chance) / (x.share * x.share)
	}
	off := z95 * math.Sqrt(max(variance, 0))
	lower = max(seen, uint64(max(sum-off, 0)))
	return lower, max(lower, min(uint64(sum+off+1), s.added))
}

// Estimate returns an estimate of the sum of the values of all keys.
func (s *Spread) Estimate() float64 {
	sum := 0.0
	for _, x := range s.sums() {
		sum += x.estimate()
	}
	return min(sum, float64(s.added))
}

// Exact reports whether the values of all keys are exact.
func (s *Spread) Exact() bool {
	if s.above > 0 {
		return false
	}
	for i := range s.keys {
		if s.keys[i].limit < everything { // also in a sketch that got the key from another one
			return false
		}
	}
	return true
}

// Len returns the number of keys held, some of which may have no sampled pair left.
func (s *Spread) Len() int { return len(s.keys) }

// Pairs returns the number of pairs held.
func (s *Spread) Pairs() int { return len(s.pairs) }

// Heavy calls f with each key that has at least least items of weight 1, and the bounds of its value. The key is valid during the
// call. Unlike the other methods that read, Heavy writes to s, so that it allocates nothing.
func (s *Spread) Heavy(least uint64, f func(key []byte, lower, upper uint64)) {
	for i := range s.keys {
		s.keys[i].n = 0
	}
	threshold := s.Threshold()
	for i := range s.pairs {
		p := &s.pairs[i]
		if k := &s.keys[p.key]; uint64(p.hash) < min(threshold, k.limit) {
			k.n++
		}
	}
	for i := range s.keys {
		n, share := float64(s.keys[i].n), float64(min(threshold, s.keys[i].limit))/everything
		if n < float64(least)*share {
			continue
		}
		x := sampled{seen: uint64(n), light: n, chance: n * share, share: share}
		if lower, upper := x.bounds(s.added); lower >= least {
			f(s.key(i), lower, upper)
		}
	}
}

// Limited calls f with each key whose own limit is below the common threshold. They are few: each had a 24th of the
// sample when it got its limit. The key is valid during the call.
func (s *Spread) Limited(f func(key []byte, limit uint64)) {
	threshold := s.Threshold()
	for i := range s.keys {
		if limit := s.keys[i].limit; limit < threshold {
			f(s.key(i), limit)
		}
	}
}
