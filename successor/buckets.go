package successor

import (
	"iter"
	"math"

	"pktvisor/sketch"
)

// boundsPerDecade is the number of buckets of the successor's histograms from 1 to 10, from 10 to 100, and so on.
const boundsPerDecade = 18

// bounds are the upper bounds of the buckets of its histograms of whole numbers, up to 10^18: powers of the 18th root of ten,
// rounded down.
var bounds = func() (all []uint64) {
	for decade := range 18 {
		for i := range boundsPerDecade {
			bound := uint64(math.Pow(10, float64(decade)+float64(i)/boundsPerDecade))
			if len(all) == 0 || bound != all[len(all)-1] {
				all = append(all, bound)
			}
		}
	}
	return all
}()

// cumulative yields the upper bound of each bucket that has values, and the number of values up to it. A value above 101 counts up
// to 1.1% too low: see [sketch.Histogram.CountAtOrBelow].
func cumulative(h *sketch.Histogram) iter.Seq2[uint64, uint64] {
	return func(yield func(bound, n uint64) bool) {
		last := uint64(0)
		for _, bound := range bounds {
			n := h.CountAtOrBelow(bound)
			if n > last && !yield(bound, n) {
				return
			}
			if last = n; n == h.Count() {
				return
			}
		}
	}
}
