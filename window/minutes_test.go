package window

import (
	"slices"
	"testing"

	"pktvisor/metric"
)

// TestStepForward: a step of years costs no memory, and leaves empty minutes.
func TestStepForward(t *testing.T) {
	w := newWindow(5, 1)
	add(w, 0, 30, 30, 7)
	const later = 20 * 365 * 86_400
	sealed := 0
	w.cfg.OnSeal = func(*metric.Bucket) { sealed++ }
	add(w, 0, later+30, 31, 3)
	wantSealed(t, w, [3]int64{later, later + 31, 3}, [3]int64{later - 60, later, 0}, [3]int64{later - 120, later - 60, 0},
		[3]int64{later - 180, later - 120, 0}, [3]int64{later - 240, later - 180, 0})
	if sealed > 1+5 {
		t.Errorf("%d buckets were sealed: want the one before and no more empty ones than the window keeps", sealed)
	}
	if b := w.Merged(5); b.Start != later-240 || of(b).N != 3 {
		t.Errorf("window from %d with %d events", b.Start, of(b).N)
	}
}

// TestStepBack: a clock that was set back continues in a new bucket, which comes after the earlier ones.
func TestStepBack(t *testing.T) {
	const now = 1_700_000_040
	w := newWindow(4, 1)
	add(w, 0, now+30, 100, 1)
	add(w, 0, now-30, 101, 1) // a little back: the minute before, for which nothing had come
	wantSealed(t, w, [3]int64{now + 30, now + 31, 1}, [3]int64{now - 30, now, 1})
	add(w, 0, now-3600+5, 102, 10)
	wantSealed(t, w, [3]int64{now - 3600 + 5, now - 3600 + 6, 10}, [3]int64{now + 30, now + 31, 1}, [3]int64{now - 30, now, 1})
	add(w, 0, now-3600+60, 103, 100)
	wantSealed(t, w, [3]int64{now - 3540, now - 3539, 100}, [3]int64{now - 3595, now - 3540, 10}, [3]int64{now + 30, now + 31, 1}, [3]int64{now - 30, now, 1})
	if got := of(w.Merged(3)).N; got != 111 {
		t.Errorf("a window of 3 has %d, want 111", got)
	}
	if got := of(w.Merged(2)).N; got != 110 {
		t.Errorf("a window of 2 has %d, want 110", got)
	}
}

// TestBefore1970: minutes are aligned before 1970 as well.
func TestBefore1970(t *testing.T) {
	w := newWindow(3, 1)
	add(w, 0, -61, 0, 1)
	add(w, 0, -1, 1, 2)
	add(w, 0, 0, 2, 4)
	wantSealed(t, w, [3]int64{0, 1, 4}, [3]int64{-60, 0, 2}, [3]int64{-61, -60, 1})
}

// TestOutlier: one packet with a time far ahead or far back takes one place in the window, and has no other effect.
func TestOutlier(t *testing.T) {
	const now = 1_700_000_040
	for _, off := range []int64{30 * 365 * 86_400, -30 * 365 * 86_400, 3600, -3600, 300, -300} {
		w := newWindow(6, 1)
		for i := range int64(5) {
			add(w, 0, now+60*i, 0, 10)
			if i == 2 {
				add(w, 0, now+off, 0, 1)
				add(w, 0, now+60*i+1, 0, 10)
			}
		}
		if got := of(w.Merged(6)).N; got != 61 {
			t.Errorf("outlier by %d: the window has %d events, want all 61", off, got)
		}
		if b := w.Merged(6); b.End-b.Start > 360 || b.End != now+241 {
			t.Errorf("outlier by %d: the window is of %d seconds, to %d", off, b.End-b.Start, b.End-now)
		}
	}
}

// TestInterleaved: two clocks that differ by an hour share the window. No buckets are made for the time between.
func TestInterleaved(t *testing.T) {
	const now = 1_700_000_040
	w := newWindow(8, 2)
	for i := range int64(600) {
		add(w, 0, now+i, 0, 1)
		add(w, 1, now+i-3600, 0, 100)
	}
	w.Finish()
	var first, second []metric.Counter
	for n := range 8 {
		b := w.Bucket(n)
		if b.Start >= now {
			first = append(first, of(b).N)
		} else {
			second = append(second, of(b).N)
		}
	}
	if want := []metric.Counter{60, 60, 60, 60}; !slices.Equal(first, want) {
		t.Errorf("minutes of the first clock have %d, want %d", first, want)
	}
	if want := []metric.Counter{6000, 6000, 6000, 6000}; !slices.Equal(second, want) {
		t.Errorf("minutes of the second clock have %d, want %d", second, want)
	}
	// p50 covers only the seconds of the minutes, not the hour between.
	var p [1]uint64
	m := w.Merged(8)
	of(m).Pps.Quantiles([]float64{0.25}, p[:])
	if p[0] != 1 || m.End-m.Start != 480 {
		t.Errorf("p25 %d in %d seconds, want 1 in 480", p[0], m.End-m.Start)
	}
}

// TestStaleFlush: the clock is set back, and the tick or another shard sees this first. Then a shard adds its last
// second of the old time. History stays.
func TestStaleFlush(t *testing.T) {
	const now = 1_700_000_040
	for _, wait := range []int64{0, 1, 5, 30} {
		w := newWindow(8, 2)
		for s := int64(now); s < now+300; s++ {
			add(w, 0, s, s, 1)
			add(w, 1, s, s, 1)
		}
		old, back := int64(now+299), int64(now+299-3600)
		w.Advance(back, back)
		for shard := range 2 {
			add(w, shard, old, back+wait, 1)
			add(w, shard, back+wait, back+wait, 1)
		}
		if got := of(w.Merged(8)).N; got != 604 {
			t.Errorf("flushed %d s late: the window has %d, want 604", wait, got)
		}
	}
}

// TestSkippedAllocates: skipping minutes costs the same however many they are, for packets and for readers.
func TestSkippedAllocates(t *testing.T) {
	perJump := func(minutes int64) (jump, merge float64) {
		w := newWindow(1440, 1)
		second := int64(0)
		jump = testing.AllocsPerRun(20, func() {
			second += 60 * minutes
			w.Update(0, second, second, func(*metric.Bucket, int64) {})
		})
		return jump, testing.AllocsPerRun(5, func() { w.Merged(1440) })
	}
	jump, merge := perJump(1)
	if far, farMerge := perJump(2880); far > jump+8 || farMerge > merge+100 {
		t.Errorf("a jump of two days makes %.0f allocations, a window with it %.0f; one of a minute %.0f and %.0f", far, farMerge, jump, merge)
	}
	w := newWindow(1440, 1)
	w.Update(0, 0, 0, func(*metric.Bucket, int64) {})
	w.Update(0, 60*100_000, 0, func(*metric.Bucket, int64) {})
	w.Finish()
	if sealed := w.Sealed(); len(sealed) != 1439 || sealed[7] != w.Bucket(1439-7) {
		t.Errorf("%d sealed minutes, or different buckets in each call", len(sealed))
	}
}

// TestQuietBefore: empty minutes at the beginning of a window count in its rates.
func TestQuietBefore(t *testing.T) {
	w := newWindow(5, 1)
	add(w, 0, 7, 7, 1)
	for second := int64(600); second < 660; second++ {
		add(w, 0, second, second, 10)
	}
	for range 2 {
		for n, want := range map[int][3]uint64{1: {10, 10, 10}, 2: {0, 10, 10}, 5: {0, 0, 10}} {
			var got [3]uint64
			b := w.Merged(n)
			of(b).Pps.Quantiles([]float64{0.5, 0.75, 0.85}, got[:])
			if got != want || b.End-b.Start != 60*int64(n) {
				t.Errorf("window of %d: quantiles %d, want %d", n, got, want)
			}
		}
		w.Finish()
	}
}
