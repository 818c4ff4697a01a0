package metric

import (
	"slices"
	"testing"

	"pktvisor/sketch"
)

// TestRateSum: the sum has all events, also those of seconds that are only in the histogram.
func TestRateSum(t *testing.T) {
	var r Rate
	if seconds, events := r.Sum(); seconds != 0 || events != 0 {
		t.Errorf("an empty rate has %d events in %d seconds", events, seconds)
	}
	r.Cover(1000, 1100)
	r.Add(1001, 5)
	r.Add(1099, 7)
	if seconds, events := r.Sum(); seconds != 100 || events != 12 {
		t.Errorf("%d events in %d seconds, want 12 in 100", events, seconds)
	}
	r.Cover(1000, 1100+maxSeconds)
	if seconds, events := r.Sum(); seconds != 100+maxSeconds || events != 12 {
		t.Errorf("%d events in %d seconds, want 12 in %d", events, seconds, 100+maxSeconds)
	}
}

// TestRateMinus: the difference has what is left in each second, and the seconds of the first rate.
func TestRateMinus(t *testing.T) {
	var all, some, more Rate
	all.Cover(59, 122)
	for second, n := range map[int64]uint64{59: 4, 60: 10, 61: 3, 121: 8} {
		all.Add(second, n)
	}
	some.Add(60, 3)
	some.Add(61, 5)  // more than there were
	some.Add(200, 9) // outside
	more.Add(60, 2)
	first, got := all.Minus(&some, &more).Seconds()
	if want := slices.Concat([]uint64{4, 5}, make([]uint64, 60), []uint64{8}); first != 59 || !slices.Equal(got, want) {
		t.Errorf("from %d: %v, want %v", first, got, want)
	}
	all.Cover(59, 59+2*maxSeconds)
	if all.Minus(&some) != nil || some.Minus(&all) != nil {
		t.Error("a rate of which some seconds are only in a histogram has a difference")
	}
}

// TestQuantilesOfSample: the shown quantiles are of what the values stand for, once the share has changed.
func TestQuantilesOfSample(t *testing.T) {
	var h Histogram
	h.RecordN(10, 10)
	if got := h.Quantiles().Quantile(0.5); got != 10 {
		t.Errorf("p50 is %d", got)
	}
	h.setFactor(100)
	h.RecordN(20, 1) // stands for a hundred
	if got := h.Quantiles().Quantile(0.5); got != 20 || h.Quantile(0.5) != 10 {
		t.Errorf("p50 is %d, and %d of the values themselves", got, h.Quantile(0.5))
	}
}

// TestHeaviest: the rows are those that JSON shows, whatever is in the memory that they are put into.
func TestHeaviest(t *testing.T) {
	top := Top{Frequent: sketch.NewFrequent(64), slots: 64}
	top.Add([]byte("a"), 10)
	top.setFactor(100)
	top.Add([]byte("b"), 1) // stands for a hundred
	buf := make([]sketch.Row, 5)
	got := top.Heaviest(buf, 2)
	if len(got) != 2 || got[0] != (sketch.Row{Key: "b", Lower: 1, Upper: 1}) || got[1] != (sketch.Row{Key: "a", Lower: 10, Upper: 10}) {
		t.Errorf("got %+v", got)
	}
}
