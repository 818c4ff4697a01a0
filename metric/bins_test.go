package metric

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestBins compares bins with the recorded values, one by one.
func TestBins(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct {
		name  string
		scale float64
		value func() uint64
	}{
		{"latencies", 1, func() uint64 { return uint64(100 * math.Exp(rnd.ExpFloat64()*2)) }},
		{"small", 1, func() uint64 { return rnd.Uint64N(8) }},
		{"whole range", 1, func() uint64 { return rnd.Uint64() >> rnd.UintN(64) }},
		{"one value", 0.001, func() uint64 { return 1500 }},
		{"zeros", 1, func() uint64 { return 0 }},
	} {
		list := make([]*Histogram, 5) // the last is nil
		values := make([][]uint64, len(list))
		for i := range list[:4] {
			list[i] = new(Histogram)
			for range 1000 * i { // the first is empty
				v := c.value()
				list[i].Record(v)
				values[i] = append(values[i], v)
			}
		}
		list[2].Compact()
		const most = 40
		got, ratio := Bins(list, c.scale, most)
		bounds := make(map[float64]bool)
		for i, bins := range got {
			if (bins == nil) != (list[i] == nil) {
				t.Fatalf("%s: bins of histogram %d: %v", c.name, i, bins)
			}
			lower, total := math.Inf(-1), uint64(0)
			for _, b := range bins {
				bounds[b.Upper] = true
				if b.Upper <= lower {
					t.Errorf("%s: bound %v follows %v", c.name, b.Upper, lower)
				}
				want := uint64(0)
				for _, v := range values[i] {
					// A bound is rounded to six digits.
					if f := float64(v) * c.scale; f > lower*(1+1e-5) && f <= b.Upper*(1+1e-5) {
						want++
					}
				}
				if b.Count != want {
					t.Errorf("%s: %d values up to %v, want %d", c.name, b.Count, b.Upper, want)
				}
				if b.Upper > 0 && lower > 0 && b.Upper/lower < ratio*0.9999 {
					t.Errorf("%s: bounds %v and %v, ratio %v", c.name, lower, b.Upper, ratio)
				}
				lower, total = b.Upper, total+b.Count
			}
			if list[i] != nil && total != list[i].Count() {
				t.Errorf("%s: the bins have %d of %d values", c.name, total, list[i].Count())
			}
		}
		if len(bounds) > most+1 {
			t.Errorf("%s: %d bins", c.name, len(bounds))
		}
		if c.name == "latencies" && len(bounds) <= most/2 {
			t.Errorf("only %d bins: they could be finer", len(bounds))
		}
	}
}
