package otlp

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"pktvisor/sketch"
)

// histogramPoint returns a histogram as a receiver reads it.
func histogramPoint(t *testing.T, h *sketch.Histogram, unit float64, scale int) *metrics.ExponentialHistogramDataPoint {
	t.Helper()
	var w wire
	w.appendHistogram(h, unit, func(v uint64) float64 { return float64(v) * unit }, scale)
	p := new(metrics.ExponentialHistogramDataPoint)
	if err := proto.Unmarshal(w, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// quantile is how a receiver estimates a quantile: the middle of the bucket, in proportion, that has the value of that rank.
func quantile(p *metrics.ExponentialHistogramDataPoint, rank uint64) float64 {
	seen := p.ZeroCount
	if rank <= seen {
		return 0
	}
	for i, n := range p.Positive.BucketCounts {
		if seen += n; seen >= rank {
			return math.Exp2((float64(p.Positive.Offset) + float64(i) + 0.5) / math.Exp2(float64(p.Scale)))
		}
	}
	return math.NaN()
}

// bound returns the stated error of a quantile, and half a unit for integers that are few.
func bound(scale int) float64 { return math.Exp2(0.5/math.Exp2(float64(scale)))*math.Exp2(0.5/64) - 1 }

// TestHistogram: count, sum, minimum and maximum are exact, no count is lost, and quantiles are within the stated error.
func TestHistogram(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, unit := range []float64{1, 1e-6, 1e-3} {
		for scale := range MaxScale + 1 {
			var h sketch.Histogram
			var values []uint64
			sum := 0.0
			for range 20_000 {
				v := uint64(math.Exp(r.NormFloat64()*2 + 9))
				if r.IntN(50) == 0 {
					v = 0
				}
				h.Record(v)
				values, sum = append(values, v), sum+float64(v)
			}
			slices.Sort(values)
			p := histogramPoint(t, &h, unit, scale)
			var inBuckets uint64
			for _, n := range p.Positive.BucketCounts {
				inBuckets += n
			}
			if p.Count != 20_000 || inBuckets+p.ZeroCount != p.Count || p.Scale != int32(scale) || p.ZeroThreshold != 0 || p.Negative != nil {
				t.Errorf("unit %v, scale %d: %d values, %d in buckets, %d zeros", unit, scale, p.Count, inBuckets, p.ZeroCount)
			}
			if p.GetSum() != sum*unit || p.GetMin() != float64(values[0])*unit || p.GetMax() != float64(values[len(values)-1])*unit {
				t.Errorf("unit %v, scale %d: sum %v, %v to %v", unit, scale, p.GetSum(), p.GetMin(), p.GetMax())
			}
			if c := p.Positive.BucketCounts; c[0] == 0 || c[len(c)-1] == 0 {
				t.Errorf("unit %v, scale %d: empty buckets at the ends", unit, scale)
			}
			worst := 0.0
			for _, rank := range []uint64{2000, 10_000, 18_000, 19_000, 19_800, 19_980} {
				exact := float64(values[rank-1]) * unit
				worst = max(worst, math.Abs(quantile(p, rank)/exact-1)-0.5*unit/exact) // integers lie anywhere in their unit
			}
			if worst > bound(scale) || scale == MaxScale && worst > 0.01 {
				t.Errorf("unit %v, scale %d: off by %.4f, stated %.4f", unit, scale, worst, bound(scale))
			}
		}
	}
}

// TestShift: how far the bounds of a bucket are from the true ones is as stated.
func TestShift(t *testing.T) {
	for unit, want := range map[float64]string{1: "0.00%", 1e-6: "0.41%", 1e-3: "0.21%"} {
		off := math.Exp2(math.Abs(float64(shiftOf(unit))/64-math.Log2(unit))) - 1
		if got := fmt.Sprintf("%.2f%%", off*100); got != want {
			t.Errorf("unit %v: off by %s, want %s", unit, got, want)
		}
	}
}

// TestFewValues: histograms without values, only with zeros, and with the extreme ones.
func TestFewValues(t *testing.T) {
	var h sketch.Histogram
	p := histogramPoint(t, &h, 1e-6, 6)
	if p.Count != 0 || p.Sum == nil || *p.Sum != 0 || p.Min != nil || p.Max != nil || p.Positive != nil {
		t.Errorf("empty: %v", p)
	}
	h.RecordN(0, 3)
	if p = histogramPoint(t, &h, 1e-6, 6); p.Count != 3 || p.ZeroCount != 3 || p.Positive != nil || p.GetMin() != 0 || p.Min == nil {
		t.Errorf("zeros: %v", p)
	}
	h.Record(1)
	h.Record(math.MaxUint64)
	for scale := range MaxScale + 1 {
		p = histogramPoint(t, &h, 1, scale)
		c := p.Positive.BucketCounts
		if len(c) != 64<<scale+1 || c[0] != 1 || c[len(c)-1] != 1 || p.Positive.Offset != -1 {
			t.Errorf("scale %d: %d buckets from %d on", scale, len(c), p.Positive.Offset)
		}
	}
	var times sketch.Histogram
	times.Record(7)
	times.Record(9)
	if p := histogramPoint(t, &times, 1e-6, 6); p.GetMin() != float64(7)*1e-6 || p.GetMax() != float64(9)*1e-6 || p.GetSum() != float64(16)*1e-6 {
		t.Errorf("7 and 9 µs: %v", p)
	}
	h.Compact()
	if q := histogramPoint(t, &h, 1, 0); !proto.Equal(p, histogramPoint(t, &h, 1, MaxScale)) || q.Count != 5 {
		t.Error("a compact histogram differs")
	}
}
