package sketch

import (
	"reflect"
	"sync"
	"testing"
)

func TestEmptySizes(t *testing.T) {
	for _, c := range []struct {
		sketch any
		most   uintptr
	}{{Distinct{}, 56}, {Frequent{}, 152}, {Histogram{}, 96}} {
		if got := reflect.TypeOf(c.sketch).Size(); got > c.most {
			t.Errorf("an empty %T has %d bytes, want %d at most", c.sketch, got, c.most)
		}
	}
}

// TestFloodIsFlat: a flood of different keys does not grow any sketch beyond its documented size.
func TestFloodIsFlat(t *testing.T) {
	var d Distinct
	var f Frequent
	key := floodName()
	for i := range 400_000 {
		d.Add(nextName(key, i))
		f.Add(key, 1)
	}
	if got := cap(d.regs) + 4*cap(d.coupons); got != 16<<10 {
		t.Errorf("Distinct holds %d bytes", got)
	}
	if got := 16*cap(f.entries) + cap(f.keys) + 4*cap(f.index); got > 512<<10 {
		t.Errorf("Frequent holds %d bytes", got)
	}
	d.Compact()
	f.Compact()
	if got := cap(d.regs) + 4*cap(d.coupons); got > 8500 {
		t.Errorf("a compact Distinct holds %d bytes", got)
	}
	if got, most := 16*cap(f.entries)+cap(f.keys)+4*cap(f.index), f.Len()*(16+len(key)); got > most*9/8 {
		t.Errorf("a compact Frequent holds %d bytes for %d", got, most)
	}
}

// TestReadersMayShare is for the race detector: several goroutines read sealed sketches at the same time.
func TestReadersMayShare(t *testing.T) {
	d := distinctOf("k", 0, 5000)
	few := distinctOf("k", 0, 50)
	f := zipf(64, 5000, 500, 0, 1).f
	h := sealedHistogram()
	d.Compact()
	few.Compact()
	f.Compact()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var window Distinct
			window.Merge(few)
			window.Merge(d)
			var top Frequent
			top.Merge(f)
			var values Histogram
			values.Merge(h)
			if window.Estimate() != d.Estimate() || values.Quantile(0.9) != h.Quantile(0.9) || top.Top(nil, 1)[0] != f.Top(nil, 1)[0] {
				t.Error("the merge of a single sketch is not that sketch")
			}
			if lower, _ := f.Bounds([]byte(f.Top(nil, 1)[0].Key)); lower == 0 {
				t.Error("the heaviest key has no weight")
			}
			_ = d.AppendBinary(few.AppendBinary(f.AppendBinary(h.AppendBinary(nil))))
		})
	}
	wg.Wait()
}
