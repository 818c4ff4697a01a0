package metric

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// rateModel is a rate as a map, and the span that it covers.
type rateModel struct {
	events    map[int64]uint64
	from, end int64
}

func (m *rateModel) cover(from, end int64) {
	if end <= from {
		return
	}
	if m.events == nil {
		m.events, m.from, m.end = map[int64]uint64{}, from, end
	}
	m.from, m.end = min(m.from, from), max(m.end, end)
}

func (m *rateModel) add(second int64, n uint64) {
	m.cover(second, second+1)
	m.events[second] += n
}

// sorted returns the events of all seconds of the span, ascending.
func (m *rateModel) sorted() []uint64 {
	var all []uint64
	for s := m.from; s < m.end; s++ {
		all = append(all, m.events[s])
	}
	slices.Sort(all)
	return all
}

// nearestRank returns the least value such that at least percent/100 of all values are no greater, computed in
// integers.
func nearestRank(sorted []uint64, percent int) uint64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1]
}

func checkRate(t interface{ Fatalf(string, ...any) }, r *Rate, m *rateModel) {
	first, seconds := r.Seconds()
	if int64(len(seconds)) != m.end-m.from || len(seconds) > 0 && first != m.from {
		t.Fatalf("spans %d seconds from %d, want %d from %d", len(seconds), first, m.end-m.from, m.from)
	}
	for i, v := range seconds {
		if at := m.from + int64(i); v != m.events[at] || r.At(at) != v {
			t.Fatalf("second %d has %d (At %d), want %d", at, v, r.At(at), m.events[at])
		}
	}
	if r.At(m.from-1) != 0 || r.At(m.end) != 0 {
		t.Fatalf("a second outside of the span has events")
	}
	var got [5]uint64
	r.Quantiles([]float64{0.5, 0.9, 0.95, 0.99, 1}, got[:])
	sorted := m.sorted()
	for i, percent := range []int{50, 90, 95, 99, 100} {
		if want := nearestRank(sorted, percent); got[i] != want {
			t.Fatalf("p%d of %d seconds is %d, want %d", percent, len(sorted), got[i], want)
		}
	}
}

// TestRateModel compares a rate of a few minutes with a map, for any order of adding, covering and merging.
func TestRateModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r, other Rate
		var m, otherModel rateModel
		second := rapid.Int64Range(-100, 200)
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			rate, model := &r, &m
			if rapid.Bool().Draw(t, "other") {
				rate, model = &other, &otherModel
			}
			if rapid.IntRange(0, 3).Draw(t, "cover") == 0 {
				from, n := second.Draw(t, "from"), rapid.Int64Range(-2, 70).Draw(t, "length")
				rate.Cover(from, from+n)
				model.cover(from, from+n)
				continue
			}
			s, n := second.Draw(t, "second"), uint64(rapid.IntRange(0, 1000).Draw(t, "events"))
			rate.Add(s, n)
			model.add(s, n)
		}
		checkRate(t, &r, &m)
		checkRate(t, &other, &otherModel)
		r.Merge(&other)
		if otherModel.events != nil {
			m.cover(otherModel.from, otherModel.end)
			for s, n := range otherModel.events {
				m.add(s, n)
			}
		}
		checkRate(t, &r, &m)
		checkRate(t, &other, &otherModel)
	})
}

// TestRateRanks checks a whole rank that floats make slightly too large: 0.55 of 100.
func TestRateRanks(t *testing.T) {
	var r Rate
	for i := range int64(100) {
		r.Add(1000+i, uint64(100-i))
	}
	var got [6]uint64
	r.Quantiles([]float64{0, 0.5, 0.55, 0.9, 0.99, 1}, got[:])
	if want := [6]uint64{1, 50, 55, 90, 99, 100}; got != want {
		t.Errorf("quantiles of 1 to 100: %v, want %v", got, want)
	}
}

// TestRateBeyondADay: the last day is exact, older seconds are within the histogram's error, and the memory stays that
// of a day.
func TestRateBeyondADay(t *testing.T) {
	const days = 3
	var r Rate
	var all []uint64
	for i := range int64(days * maxSeconds) {
		v := uint64(i*7919%10_000) * uint64(1+i/maxSeconds)
		r.Add(5_000_000+i, v)
		all = append(all, v)
	}
	first, seconds := r.Seconds()
	if len(seconds) != maxSeconds || first+int64(len(seconds)) != 5_000_000+days*maxSeconds {
		t.Fatalf("keeps %d seconds from %d, want those of the last day", len(seconds), first)
	}
	for i, v := range seconds {
		if want := all[first-5_000_000+int64(i)]; v != want {
			t.Fatalf("second %d has %d, want %d", first+int64(i), v, want)
		}
	}
	if n := int(r.older.Count()) + len(seconds); n != len(all) {
		t.Errorf("%d seconds in all, want %d", n, len(all))
	}
	slices.Sort(all)
	var got [4]uint64
	r.Quantiles([]float64{0.5, 0.9, 0.95, 0.99}, got[:])
	for i, percent := range []int{50, 90, 95, 99} {
		want := nearestRank(all, percent)
		if math.Abs(float64(got[i])-float64(want)) > 0.01*float64(want) {
			t.Errorf("p%d: %d, want %d within 1%%", percent, got[i], want)
		}
	}
	if events := r.At(first - 1); events != 0 {
		t.Errorf("a second older than a day still has %d exact events", events)
	}
}

// TestRateStepsByYears: a clock that steps forward by years costs no memory, and the empty seconds count.
func TestRateStepsByYears(t *testing.T) {
	var r Rate
	r.Add(0, 100)
	r.Add(10*365*86_400, 100)
	_, seconds := r.Seconds()
	if len(seconds) != maxSeconds {
		t.Errorf("%d seconds, want %d", len(seconds), maxSeconds)
	}
	var got [2]uint64
	r.Quantiles([]float64{0.5, 1}, got[:])
	if got[0] != 0 || got[1] < 99 || got[1] > 101 {
		t.Errorf("p50 %d and p100 %d, want 0 and 100", got[0], got[1])
	}
	if r.older.Count()+maxSeconds != 10*365*86_400+1 {
		t.Errorf("%d seconds in all, want ten years", r.older.Count()+maxSeconds)
	}
}

// TestRateMergesOlderDay: if a day is merged with the day before it, in either direction, all seconds count separately.
func TestRateMergesOlderDay(t *testing.T) {
	day := func(first int64) *Rate {
		var r Rate
		for i := range int64(maxSeconds) {
			r.Add(first+i, 10)
		}
		return &r
	}
	for _, first := range [][2]int64{{0, maxSeconds}, {maxSeconds, 0}} {
		r := day(first[0])
		r.Merge(day(first[1]))
		var got [2]uint64
		r.Quantiles([]float64{0.5, 1}, got[:])
		if got != [2]uint64{10, 10} {
			t.Errorf("days from %v: p50 and p100 are %v, want 10 and 10", first, got)
		}
		if n := int(r.older.Count() + uint64(r.end-r.from)); n != 2*maxSeconds {
			t.Errorf("days from %v: %d seconds in all, want %d", first, n, 2*maxSeconds)
		}
	}
}

// TestRateEmptySeconds: with one packet now and then for 30 years, only the seconds with packets take time or memory.
func TestRateEmptySeconds(t *testing.T) {
	const day = 86_400
	for _, every := range []int64{120, 3600, day, 1000 * day} {
		var r Rate
		at := int64(-5 * 365 * day)
		for range 3000 {
			r.Add(at, 7)
			at += every
		}
		if most := maxSeconds/max(every, blockSeconds) + 2; int64(len(r.blocks)) > most {
			t.Errorf("every %d s: keeps %d minutes, want at most %d", every, len(r.blocks), most)
		}
		n := testing.AllocsPerRun(100, func() {
			r.Add(at, 7)
			at += every
		})
		if n > 2 { // a minute, and sometimes the list
			t.Errorf("every %d s: %g allocations for a packet", every, n)
		}
	}
	var empty Rate
	empty.Cover(0, maxSeconds)
	n := testing.AllocsPerRun(100, func() {
		var merged Rate
		merged.Merge(&empty)
		merged.Merge(&empty)
	})
	if n != 0 || len(empty.blocks) != 0 {
		t.Errorf("a day without packets: %d minutes are kept, and a merge takes %g allocations", len(empty.blocks), n)
	}
}

// TestRateLosesNothing: over any steps of time, merges and shifts, each event and each covered second counts once.
func TestRateLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		day := rapid.Int64Range(-3, 3)
		draw := func(r *Rate) (events uint64) {
			for range rapid.IntRange(0, 20).Draw(t, "events") {
				second := day.Draw(t, "day")*maxSeconds + rapid.Int64Range(-70, 70).Draw(t, "second")
				n := uint64(rapid.IntRange(1, 100).Draw(t, "n"))
				r.Add(second, n)
				events += n
			}
			return events
		}
		sum := func(r *Rate) (events uint64) {
			if r.older != nil {
				events = r.older.Sum()
			}
			_, seconds := r.Seconds()
			if len(seconds) > maxSeconds {
				t.Fatalf("keeps %d seconds", len(seconds))
			}
			for _, v := range seconds {
				events += v
			}
			return events
		}
		var a, b Rate
		inA, inB := draw(&a), draw(&b)
		spanned := b.end - b.from
		if sum(&a) != inA || sum(&b) != inB {
			t.Fatalf("%d and %d events, want %d and %d", sum(&a), sum(&b), inA, inB)
		}
		if a.older != nil {
			spanned += int64(a.older.Count())
		}
		if b.older != nil {
			spanned += int64(b.older.Count())
		}
		shift := rapid.Int64Range(-maxSeconds, maxSeconds).Draw(t, "shift")
		a.mergeShifted(&b, shift)
		if sum(&a) != inA+inB {
			t.Fatalf("merged with a shift of %d: %d events, want %d", shift, sum(&a), inA+inB)
		}
		have := a.end - a.from
		if a.older != nil {
			have += int64(a.older.Count())
		}
		if have < spanned-maxSeconds {
			t.Fatalf("%d seconds after merging, want %d or those that overlap less", have, spanned)
		}
	})
}
