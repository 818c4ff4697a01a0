package otlp

import (
	"math"

	"pktvisor/sketch"
)

// MaxScale is the greatest scale of exponential histograms: the one that histograms have in the agent.
const MaxScale = sketch.Scale

// The sketch's buckets are those of OpenTelemetry, for the integers that it stores: microseconds, or thousandths. The values that
// are sent are in the base unit, seconds, because that is what names, dashboards and the semantic conventions expect. One
// integer is unit base units, and log2(unit) is not a multiple of a bucket's width, so each bucket becomes the one whose bounds
// are nearest to its own. All are shifted by the same number, so no two buckets meet in one, and merges remain exact.
//
// Bounds are then off by up to half of a bucket: by 0.41% for microseconds, 0.21% for thousandths, 0 for bytes. A quantile that a
// receiver takes from the middle of a bucket is within 0.55% and that, which is less than 1% together. At a lower scale, 2^n
// buckets become one, and the error is that of the greater width.

// shiftOf returns the number to add to the index of a bucket when one stored integer is unit base units.
func shiftOf(unit float64) int { return int(math.Round(math.Log2(unit) * (1 << sketch.Scale))) }

// appendHistogram appends the fields of an ExponentialHistogramDataPoint with what h has counted. One of its integers is unit
// base units, and inBase converts it exactly. Count, sum, minimum and maximum are exact, as far as a float64 is.
func (w *wire) appendHistogram(h *sketch.Histogram, unit float64, inBase func(uint64) float64, scale int) {
	w.fixed(4, h.Count())
	w.double(5, inBase(h.Sum()))
	w.sint(6, int32(scale))
	w.fixed(7, h.ZeroCount())
	if h.Count() > h.ZeroCount() {
		w.message(8, func() { w.appendBuckets(h, shiftOf(unit), sketch.Scale-scale) })
	}
	if h.Count() > 0 {
		w.double(12, inBase(h.Min()))
		w.double(13, inBase(h.Max()))
	}
}

// appendBuckets appends the fields of Buckets: the index of the first bucket, and the counts of it and all that follow. 2^down
// buckets of h become one.
func (w *wire) appendBuckets(h *sketch.Histogram, shift, down int) {
	first := true
	at, count := 0, uint64(0)
	var counts wire
	flush := func(until int) {
		if first {
			return
		}
		counts.number(count)
		for at++; at < until; at++ {
			counts.number(0)
		}
	}
	for i, n := range h.Buckets() {
		i = (i + shift) >> down
		switch {
		case first:
			w.sint(1, int32(i))
		case i == at:
			count += n
			continue
		default:
			flush(i)
		}
		first, at, count = false, i, n
	}
	flush(0)
	w.message(2, func() { w.raw(counts) })
}

// number appends a number without a tag, as in a packed field.
func (w *wire) number(v uint64) {
	for ; v >= 0x80; v >>= 7 {
		*w = append(*w, byte(v)|0x80)
	}
	*w = append(*w, byte(v))
}
