package metric

import (
	"math"
	"strconv"
)

// Bin is the number of values above the upper bound of the bin before it, up to and including its own.
type Bin struct {
	Upper float64
	Count uint64
}

// Bins returns the values of each histogram in bins with the same bounds for all of them, for a heat map. Bounds are powers of
// two, or of a root of two, as fine as at most most bins allow (1 or more), and values of 0 have one more bin. A bin without
// values is left out, so the counts of a histogram's bins add up to its count. Upper bounds are multiplied by scale. A nil
// histogram has no bins. Ratio is the upper bound of a bin by its lower one.
func Bins(list []*Histogram, scale float64, most int) (bins [][]Bin, ratio float64) {
	first, last := math.MaxInt, math.MinInt
	for _, h := range list {
		if h == nil {
			continue
		}
		for i := range h.Buckets() {
			first, last = min(first, i), max(last, i)
		}
	}
	shift := 0
	for first <= last && last>>shift-first>>shift >= most {
		shift++
	}
	out := make([][]Bin, len(list))
	for i, h := range list {
		if h != nil {
			out[i] = h.bins(scale, shift)
		}
	}
	return out, sixDigits(math.Exp2(float64(int(1)<<shift) / bucketsPerOctave))
}

// bucketsPerOctave is the number of buckets of a histogram for each power of two.
const bucketsPerOctave = 64

// bins merges each 2^shift buckets.
func (h *Histogram) bins(scale float64, shift int) []Bin {
	bins := []Bin{}
	if n := h.ZeroCount(); n > 0 {
		bins = append(bins, Bin{0, n})
	}
	at := math.MinInt
	for i, n := range h.Buckets() {
		if i >>= shift; i == at {
			bins[len(bins)-1].Count += n
			continue
		}
		at = i
		upper := math.Exp2(float64((i+1)<<shift) / bucketsPerOctave)
		bins = append(bins, Bin{sixDigits(upper * scale), n})
	}
	return bins
}

// sixDigits rounds to six significant digits. More would be noise.
func sixDigits(v float64) float64 {
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 6, 64), 64) // its own text is a number
	return v
}
