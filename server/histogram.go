package server

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"pktvisor/metric"
	"pktvisor/sketch"
)

// nativeSchema is the resolution of native histograms: 2^4 buckets an octave, each 4.4% wide.
const nativeSchema = 4

// histogram is a metric with a sketch's values, both as a classic and as a native histogram. The scraper chooses which
// one is sent.
type histogram struct {
	desc  *prometheus.Desc
	value *dto.Histogram
}

// newHistogram copies the sketch's state into a metric.
func newHistogram(desc *prometheus.Desc, h *sketch.Histogram, d *metric.Desc) histogram {
	scale := d.BaseScale()
	v := &dto.Histogram{
		SampleCount:   new(h.Count()),
		SampleSum:     new(float64(h.Sum()) * scale),
		Schema:        new(int32(nativeSchema)),
		ZeroThreshold: new(0.0),
		ZeroCount:     new(h.ZeroCount()),
	}
	for k := d.Unit.First; k <= d.Unit.Last; k++ {
		v.Bucket = append(v.Bucket, &dto.Bucket{
			UpperBound:      new(float64(uint64(1)<<k) * scale),
			CumulativeCount: new(h.CountAtOrBelow(1 << k)),
		})
	}
	appendNative(v, h, scale)
	return histogram{desc, v}
}

// appendNative appends the native buckets. A bucket of the sketch is 1.1% wide and counts in the native bucket that
// holds its middle, because the scale of the base unit is not a power of two.
func appendNative(v *dto.Histogram, h *sketch.Histogram, scale float64) {
	next := math.MinInt // the index after the newest bucket
	last := int64(0)    // the count of the newest bucket
	for i, n := range h.Buckets() {
		middle := math.Exp2((float64(i)+0.5)/(1<<sketch.Scale)) * scale
		index := int(math.Ceil(math.Log2(middle) * (1 << nativeSchema)))
		if index == next-1 {
			last += int64(n)
			v.PositiveDelta[len(v.PositiveDelta)-1] += int64(n)
			continue
		}
		if index == next {
			*v.PositiveSpan[len(v.PositiveSpan)-1].Length++
		} else {
			offset := index - next
			if next == math.MinInt {
				offset = index
			}
			v.PositiveSpan = append(v.PositiveSpan, &dto.BucketSpan{Offset: new(int32(offset)), Length: new(uint32(1))})
		}
		v.PositiveDelta = append(v.PositiveDelta, int64(n)-last)
		last, next = int64(n), index+1
	}
	if len(v.PositiveSpan) == 0 { // an empty span distinguishes an empty native histogram from a classic one
		v.PositiveSpan = []*dto.BucketSpan{{Offset: new(int32(0)), Length: new(uint32(0))}}
	}
}

// Desc implements [prometheus.Metric].
func (h histogram) Desc() *prometheus.Desc { return h.desc }

// Write implements [prometheus.Metric].
func (h histogram) Write(m *dto.Metric) error {
	m.Histogram = h.value
	return nil
}
