package window

import (
	"testing"

	"pktvisor/metric"
)

// TestClockFarAhead: a live clock that was ahead for a while and is corrected has not removed sealed minutes.
func TestClockFarAhead(t *testing.T) {
	const minute, day = 60, 86_400
	for _, c := range []struct {
		name    string
		ahead   int64
		minutes int64 // for which the clock is ahead
	}{
		{"five days, for seconds", 5 * day, 0},
		{"as far as the window", 3 * minute, 0},
		{"years, for two minutes", 3000 * day, 2},
	} {
		w := New(Config{Tables: resumedTables, Periods: 12, Shards: 1})
		now := int64(resumedMinute)
		for i := range uint64(4) {
			resumedCount(w, now, 1<<i) // 1, 2, 4 and 8 packets
			now += minute
		}
		for range c.minutes + 1 {
			resumedCount(w, now+c.ahead, 100)
			w.Advance(now+c.ahead+3, now+c.ahead+3) // what was live before is sealed
			now += minute
		}
		resumedCount(w, now, 1000)
		w.Advance(now+3, now+3)
		resumedCount(w, now+3, 1000)
		if got := metric.Of[resumedCounts](w.Merged(12).Sections[0]).Total; uint64(got) != 15+100*uint64(c.minutes+1)+2000 {
			t.Errorf("%s: the window has %d packets, want all", c.name, got)
		}
		if n := len(w.Sealed()); n != 6+2*int(c.minutes) {
			t.Errorf("%s: %d sealed minutes, want those that passed by either clock", c.name, n)
		}
		if got := metric.Of[resumedCounts](w.Bucket(6 + 2*int(c.minutes)).Sections[0]).Total; got != 1 {
			t.Errorf("%s: the oldest minute has %d packets, want 1", c.name, got)
		}
	}
}

// TestClockAheadForGood: if a clock stays ahead, the minutes that it skipped are in the window and displace earlier
// ones.
func TestClockAheadForGood(t *testing.T) {
	w := New(Config{Tables: resumedTables, Periods: 5, Shards: 1})
	resumedCount(w, resumedMinute, 1)
	resumedCount(w, resumedMinute+86_400, 2)
	w.Advance(resumedMinute+86_403, resumedMinute+86_403)
	expect(t, "window", w.Merged(5), resumedMinute+86_400-4*60, resumedMinute+86_403, 2)
	if n := len(w.Sealed()); n != 4 || w.Bucket(5) != nil {
		t.Errorf("%d sealed minutes, want 4", n)
	}
}
