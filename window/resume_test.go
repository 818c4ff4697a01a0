package window

import (
	"testing"

	"pktvisor/metric"
)

type counts struct {
	Total metric.Counter `metric:"total" unit:"packets" help:"x"`
	Rate  metric.Rate    `metric:"rate" unit:"packets/s" help:"x"`
}

var tables = []*metric.Table{metric.Define[counts]("packets")}

const minute = 1_709_294_400 // 2024-03-01 12:00:00 UTC

func old(start, end int64, n uint64) *metric.Bucket {
	b := metric.NewBucket(tables)
	b.Start, b.End = start, end
	c := metric.Of[counts](b.Sections[0])
	c.Total = metric.Counter(n)
	c.Rate.Add(start, n)
	b.Seal(64)
	return b
}

func count(w *Window, second int64, n uint64) {
	w.Update(0, second, second, func(b *metric.Bucket, second int64) {
		c := metric.Of[counts](b.Sections[0])
		c.Total += metric.Counter(n)
		c.Rate.Add(second, n)
	})
}

func expect(t *testing.T, what string, b *metric.Bucket, start, end int64, n uint64) {
	t.Helper()
	if b == nil {
		t.Fatalf("%s: no bucket", what)
	}
	if c := metric.Of[counts](b.Sections[0]); b.Start != start || b.End != end || uint64(c.Total) != n {
		t.Errorf("%s: %d to %d, %d packets; want %d to %d, %d", what, b.Start-minute, b.End-minute, c.Total, start-minute, end-minute, n)
	}
}

// TestResume goes on in the minute in which an earlier run stopped.
func TestResume(t *testing.T) {
	var saved []*metric.Bucket
	w := New(Config{Tables: tables, Periods: 5, Shards: 1, DeepSamplePercent: 100, OnSeal: func(b *metric.Bucket) { saved = append(saved, b) }})
	w.Restore([]*metric.Bucket{old(minute-60, minute, 5), old(minute, minute+20, 7)})
	count(w, minute+30, 100)
	expect(t, "live", w.Bucket(0), minute, minute+31, 107)
	expect(t, "before", w.Bucket(1), minute-60, minute, 5)
	expect(t, "window of one", w.Merged(1), minute, minute+31, 107)
	expect(t, "window of all", w.Merged(5), minute-60, minute+31, 112)
	total := metric.Of[counts](w.Totals().Sections[0])
	if total.Total != 100 {
		t.Errorf("counted since the start: %d, want 100", total.Total)
	}

	w.Update(0, minute+61, minute+60, func(*metric.Bucket, int64) {}) // the first second of the next minute, in time
	w.Finish()
	expect(t, "sealed", w.Bucket(1), minute, minute+60, 107)
	rate := metric.Of[counts](w.Bucket(1).Sections[0]).Rate
	if first, events := rate.Seconds(); first != minute || len(events) != 60 || events[0] != 7 || events[30] != 100 || events[25] != 0 {
		t.Errorf("rate from %d: %v", first, events)
	}
	if len(saved) != 1 || saved[0] != w.Bucket(1) {
		t.Errorf("announced %d buckets, want the one that was sealed", len(saved))
	}
	if total := metric.Of[counts](w.Totals().Sections[0]); total.Total != 100 {
		t.Errorf("counted since the start, once sealed: %d, want 100", total.Total)
	}
	expect(t, "window after", w.Merged(5), minute-60, minute+62, 112)
}

// TestFinish seals the bucket that waits for a late shard.
func TestFinish(t *testing.T) {
	var saved []*metric.Bucket
	w := New(Config{Tables: tables, Periods: 5, Shards: 2, OnSeal: func(b *metric.Bucket) { saved = append(saved, b) }})
	w.Finish()
	count(w, minute+59, 3)
	count(w, minute+60, 4)
	if len(saved) != 0 || w.Bucket(1) != nil {
		t.Fatal("sealed while a shard was late")
	}
	w.Finish()
	if len(saved) != 1 {
		t.Fatalf("%d buckets announced", len(saved))
	}
	expect(t, "sealed", w.Bucket(1), minute+59, minute+60, 3)
	expect(t, "live", w.Bucket(0), minute+60, minute+61, 4)
}

// TestRestoreGap fills the minutes between what was restored and the first packets.
func TestRestoreGap(t *testing.T) {
	for _, c := range []struct{ gap, sealed int64 }{{0, 2}, {1, 3}, {2, 4}, {3, 4}, {100, 4}, {1e9, 4}} {
		w := New(Config{Tables: tables, Periods: 5, Shards: 1, DeepSamplePercent: 100})
		w.Restore([]*metric.Bucket{old(minute-120, minute-60, 1), old(minute-60, minute, 2)})
		now := minute + 60*c.gap
		count(w, now, 9)
		sealed := w.Sealed()
		if int64(len(sealed)) != c.sealed {
			t.Fatalf("gap of %d: %d sealed, want %d", c.gap, len(sealed), c.sealed)
		}
		for i, b := range sealed {
			start := now - 60*(c.sealed-int64(i))
			expect(t, "sealed", b, start, start+60, map[int64]uint64{minute - 120: 1, minute - 60: 2}[start])
		}
	}
}
