package server

import (
	"math"

	"pktvisor/exposition"
	"pktvisor/metric"
	"pktvisor/sketch"
)

// nativeSchema is the resolution of native histograms: 2^4 buckets an octave, each 4.4% wide.
const nativeSchema = 4

// distribution replaces v with what the sketch of a histogram has counted: classic buckets with the given bounds, and those of
// a native histogram. bounds are those of [metric.Desc.Bounds]. It reuses the memory of v.
func distribution(v *exposition.Distribution, h *sketch.Histogram, d *metric.Desc, bounds []uint64) {
	*v = exposition.Distribution{
		Count: h.Count(), Sum: d.InBase(h.Sum()), Schema: nativeSchema, Zeros: h.ZeroCount(),
		Buckets: v.Buckets[:0], Spans: v.Spans[:0], Deltas: v.Deltas[:0],
	}
	shift := math.Log2(d.BaseScale())
	count := h.ZeroCount()         // up to the present bucket
	next, last := 0, int64(0)      // the native index after the newest bucket, and its count
	half := 2 * d.Unit.First       // the bound of the next classic bucket is 2^(half/2)
	const step = 1 << sketch.Scale // buckets of the sketch an octave
	classic := func(below int) {   // adds the classic buckets that end before the given bucket of the sketch
		for len(v.Buckets) < len(bounds) && half*step/2 <= below {
			bound := bounds[len(v.Buckets)]
			v.Buckets = append(v.Buckets, exposition.Bucket{Bound: d.InBase(bound), Count: count})
			half++
		}
	}
	for i, n := range h.Buckets() {
		classic(i)
		count += n
		// A bucket of the sketch is 1.1% wide and counts in the native bucket that holds its middle, because the scale of
		// the base unit is not a power of two.
		index := int(math.Ceil(((float64(i)+0.5)/step + shift) * (1 << nativeSchema)))
		switch {
		case len(v.Spans) > 0 && index == next-1:
			last += int64(n)
			v.Deltas[len(v.Deltas)-1] += int64(n)
			continue
		case len(v.Spans) > 0 && index == next:
			v.Spans[len(v.Spans)-1].Length++
		default:
			v.Spans = append(v.Spans, exposition.Span{Offset: int32(index - next), Length: 1})
		}
		v.Deltas = append(v.Deltas, int64(n)-last)
		last, next = int64(n), index+1
	}
	classic(math.MaxInt)
}
