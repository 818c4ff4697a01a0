package window

import (
	"slices"
	"testing"

	"pktvisor/metric"
)

type resumedCounts struct {
	Total metric.Counter `metric:"total" unit:"packets" help:"x"`
	Rate  metric.Rate    `metric:"rate" unit:"packets/s" help:"x"`
}

var resumedTables = []*metric.Table{metric.Define[resumedCounts]("packets")}

const resumedMinute = 1_709_294_400 // 2024-03-01 12:00:00 UTC

func old(start, end int64, n uint64) *metric.Bucket {
	b := metric.NewBucket(resumedTables)
	b.Start, b.End = start, end
	c := metric.Of[resumedCounts](b.Sections[0])
	c.Total = metric.Counter(n)
	c.Rate.Add(start, n)
	b.Seal(64)
	return b
}

func resumedCount(w *Window, second int64, n uint64) {
	w.Update(0, second, second, func(b *metric.Bucket, second int64) {
		c := metric.Of[resumedCounts](b.Sections[0])
		c.Total += metric.Counter(n)
		c.Rate.Add(second, n)
	})
}

func expect(t *testing.T, what string, b *metric.Bucket, start, end int64, n uint64) {
	t.Helper()
	if b == nil {
		t.Fatalf("%s: no bucket", what)
	}
	if c := metric.Of[resumedCounts](b.Sections[0]); b.Start != start || b.End != end || uint64(c.Total) != n {
		t.Errorf("%s: %d to %d, %d packets; want %d to %d, %d", what, b.Start-resumedMinute, b.End-resumedMinute, c.Total, start-resumedMinute, end-resumedMinute, n)
	}
}

// TestResume continues in the minute in which an earlier run stopped.
func TestResume(t *testing.T) {
	var saved []*metric.Bucket
	w := New(Config{Tables: resumedTables, Periods: 5, Shards: 1, DeepSamplePercent: 100, OnSeal: func(b *metric.Bucket) { saved = append(saved, b) }})
	w.Restore([]*metric.Bucket{old(resumedMinute-60, resumedMinute, 5), old(resumedMinute, resumedMinute+20, 7)}, resumedMinute+25)
	resumedCount(w, resumedMinute+30, 100)
	expect(t, "live", w.Bucket(0), resumedMinute, resumedMinute+31, 107)
	expect(t, "before", w.Bucket(1), resumedMinute-60, resumedMinute, 5)
	expect(t, "window of one", w.Merged(1), resumedMinute, resumedMinute+31, 107)
	expect(t, "window of all", w.Merged(5), resumedMinute-60, resumedMinute+31, 112)
	total := metric.Of[resumedCounts](w.Totals().Sections[0])
	if total.Total != 100 {
		t.Errorf("counted since the start: %d, want 100", total.Total)
	}

	w.Update(0, resumedMinute+61, resumedMinute+60, func(*metric.Bucket, int64) {}) // the first second of the next minute, in time
	w.Finish()
	expect(t, "sealed", w.Bucket(1), resumedMinute, resumedMinute+60, 107)
	rate := metric.Of[resumedCounts](w.Bucket(1).Sections[0]).Rate
	if first, events := rate.Seconds(); first != resumedMinute || len(events) != 60 || events[0] != 7 || events[30] != 100 || events[25] != 0 {
		t.Errorf("rate from %d: %v", first, events)
	}
	if len(saved) != 1 || saved[0] != w.Bucket(1) {
		t.Errorf("announced %d buckets, want the one that was sealed", len(saved))
	}
	if total := metric.Of[resumedCounts](w.Totals().Sections[0]); total.Total != 100 {
		t.Errorf("counted since the start, once sealed: %d, want 100", total.Total)
	}
	expect(t, "window after", w.Merged(5), resumedMinute-60, resumedMinute+62, 112)
}

// TestFinish seals the bucket that waits for a late shard.
func TestFinish(t *testing.T) {
	var saved []*metric.Bucket
	w := New(Config{Tables: resumedTables, Periods: 5, Shards: 2, OnSeal: func(b *metric.Bucket) { saved = append(saved, b) }})
	w.Finish()
	resumedCount(w, resumedMinute+59, 3)
	resumedCount(w, resumedMinute+60, 4)
	if len(saved) != 0 || w.Bucket(1) != nil {
		t.Fatal("sealed while a shard was late")
	}
	w.Finish()
	if len(saved) != 1 {
		t.Fatalf("%d buckets announced", len(saved))
	}
	expect(t, "sealed", w.Bucket(1), resumedMinute+59, resumedMinute+60, 3)
	expect(t, "live", w.Bucket(0), resumedMinute+60, resumedMinute+61, 4)
}

// TestRestoreGap fills the minutes between the restored ones and the first packets.
func TestRestoreGap(t *testing.T) {
	for _, c := range []struct{ gap, sealed int64 }{{0, 2}, {1, 3}, {2, 4}, {3, 4}, {100, 4}, {1e9, 4}} {
		w := New(Config{Tables: resumedTables, Periods: 5, Shards: 1, DeepSamplePercent: 100})
		w.Restore([]*metric.Bucket{old(resumedMinute-120, resumedMinute-60, 1), old(resumedMinute-60, resumedMinute, 2)}, resumedMinute)
		now := resumedMinute + 60*c.gap
		resumedCount(w, now, 9)
		sealed := w.Sealed()
		if int64(len(sealed)) != c.sealed {
			t.Fatalf("gap of %d: %d sealed, want %d", c.gap, len(sealed), c.sealed)
		}
		for i, b := range sealed {
			start := now - 60*(c.sealed-int64(i))
			expect(t, "sealed", b, start, start+60, map[int64]uint64{resumedMinute - 120: 1, resumedMinute - 60: 2}[start])
		}
	}
}

// TestResumeWhole: a full window that stops and continues within the minute still has all of its minutes.
func TestResumeWhole(t *testing.T) {
	const periods = 5
	var restored []*metric.Bucket
	for i := range int64(periods) {
		restored = append(restored, old(resumedMinute+60*i, resumedMinute+60*i+60, uint64(1)<<i))
	}
	restored[periods-1].End = restored[periods-1].Start + 20
	for _, c := range []struct {
		at     int64 // seconds after the newest restored minute's start
		sealed []uint64
		live   uint64
	}{
		{30, []uint64{1, 2, 4, 8}, 16 + 100},
		{60, []uint64{2, 4, 8, 16}, 100},
		{150, []uint64{4, 8, 16, 0}, 100},
	} {
		w := New(Config{Tables: resumedTables, Periods: periods, Shards: 1, DeepSamplePercent: 100})
		w.Restore(restored, resumedMinute+60*(periods-1))
		resumedCount(w, resumedMinute+60*(periods-1)+c.at, 100)
		count := func(b *metric.Bucket) uint64 { return uint64(metric.Of[resumedCounts](b.Sections[0]).Total) }
		var sealed []uint64
		for _, b := range w.Sealed() {
			sealed = append(sealed, count(b))
		}
		if !slices.Equal(sealed, c.sealed) || count(w.Bucket(0)) != c.live {
			t.Errorf("%d s later: sealed minutes have %d, the live one %d; want %d and %d", c.at, sealed, count(w.Bucket(0)), c.sealed, c.live)
		}
	}
}

// TestRestoreMissing: missing minutes between restored ones are empty from the start on. The seconds of each count once
// in the rates of every window that has it.
func TestRestoreMissing(t *testing.T) {
	w := New(Config{Tables: resumedTables, Periods: 8, Shards: 1, DeepSamplePercent: 100})
	w.Restore([]*metric.Bucket{old(resumedMinute, resumedMinute+60, 1), old(resumedMinute+120, resumedMinute+180, 2)}, resumedMinute+300)
	for i, want := range []uint64{1, 0, 2, 0, 0} {
		start := int64(resumedMinute + 60*i)
		expect(t, "before the first packet", w.Bucket(5-i), start, start+60, want)
	}
	for second := int64(resumedMinute + 300); second < resumedMinute+360; second++ {
		resumedCount(w, second, 10)
	}
	for n := 1; n <= 6; n++ {
		b := w.Merged(n)
		_, seconds := metric.Of[resumedCounts](b.Sections[0]).Rate.Seconds()
		if got, want := len(seconds), 60*n; got != want || b.End-b.Start != 60*int64(n) {
			t.Errorf("a window of %d has a rate of %d seconds, and spans %d; want %d", n, got, b.End-b.Start, want)
		}
	}
}

// TestResumeOnce: the bucket of the minute in which a run begins is never published twice: alone, and as a part of the
// live bucket. A packet of its minute makes it a part of this run's bucket. Otherwise it is announced as the other run
// left it.
func TestResumeOnce(t *testing.T) {
	var announced []*metric.Bucket
	restored := func() (w *Window, part *metric.Bucket) {
		announced = nil
		w = New(Config{
			Tables: resumedTables, Periods: 5, Shards: 1, DeepSamplePercent: 100, Identity: metric.Identity{Host: "ns1", Boot: 2},
			OnSeal: func(b *metric.Bucket) { announced = append(announced, b) },
		})
		part = old(resumedMinute, resumedMinute+20, 7)
		part.Identity = metric.Identity{Host: "ns1", Boot: 1}
		whole := old(resumedMinute-60, resumedMinute, 5)
		whole.Identity = metric.Identity{Host: "ns1", Boot: 1, Seq: 3}
		w.Restore([]*metric.Bucket{whole, part}, resumedMinute+25)
		w.Advance(resumedMinute+59, resumedMinute+59)
		if sealed := w.Sealed(); len(sealed) != 1 || sealed[0] != whole || w.Bucket(1) != whole || len(announced) != 0 {
			t.Fatalf("before it is known whether the minute continues: %d sealed, %d announced", len(sealed), len(announced))
		}
		return w, part
	}
	for name, pass := range map[string]func(w *Window){
		"the minute passes without a packet": func(w *Window) {
			w.Advance(resumedMinute+60, resumedMinute+60)
			w.Advance(resumedMinute+61, resumedMinute+61)
		},
		"the first packet is of a later minute": func(w *Window) { resumedCount(w, resumedMinute+60, 100) },
		"a packet of the minute that comes too late": func(w *Window) {
			w.Advance(resumedMinute+60, resumedMinute+60)
			resumedCount(w, resumedMinute+59, 100)
		},
	} {
		w, part := restored()
		pass(w)
		if w.Bucket(1) != part || len(announced) != 1 || announced[0] != part || part.Identity != (metric.Identity{Host: "ns1", Boot: 1}) {
			t.Errorf("%s: %d announced, newest sealed %+v", name, len(announced), w.Bucket(1).Identity)
		}
		expect(t, name, part, resumedMinute, resumedMinute+20, 7)
		if b := w.Bucket(0); b != nil && metric.Of[resumedCounts](b.Sections[0]).Total != 100 {
			t.Errorf("%s: the live bucket has %d packets", name, metric.Of[resumedCounts](b.Sections[0]).Total)
		}
	}
	w, part := restored()
	resumedCount(w, resumedMinute+59, 100)
	w.Update(0, resumedMinute+61, resumedMinute+60, func(*metric.Bucket, int64) {})
	w.Finish()
	expect(t, "continued", w.Bucket(1), resumedMinute, resumedMinute+60, 107)
	if id := w.Bucket(1).Identity; len(announced) != 1 || announced[0] == part || id != (metric.Identity{Host: "ns1", Boot: 2, Seq: 1}) {
		t.Errorf("continued: %d announced, identity %+v", len(announced), id)
	}
}
