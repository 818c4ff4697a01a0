package query

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pktvisor/hub/rollup"
	"pktvisor/internal/testkit/testfleet"
	"pktvisor/minute"
)

// noon is a time of the tests, in the middle of a day.
var noon = time.Date(2026, 11, 29, 12, 7, 33, 0, time.UTC).Unix()

func tagged(tags ...string) func(o *testfleet.Minute) bool {
	return func(o *testfleet.Minute) bool {
		return Selection{Tags: tags}.Has(o.Tags)
	}
}

// TestRangeIsTheSum: random ranges of a random fleet have exactly what the host-minutes in them have, from whatever rollups
// they are made. Some longer rollups are missing, and some are older than their minutes.
func TestRangeIsTheSum(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	w := newWorld(t, noon)
	w.grow(1, 5, 8*time.Hour, 0.6)
	w.rollUp()
	for k := range w.Rolls { // a quarter of the longer ones is missing
		if k.Level > rollup.Minute1 && rnd.IntN(4) == 0 {
			delete(w.Rolls, k)
		}
	}
	// These came late, and are in no longer rollup yet.
	w.add(testfleet.Minute{Host: "ns1", Tags: "country=jp,pop=fra1", Start: minute.Of(noon) - 240, Boot: 2, Seq: 1, Count: 500, Name: "late"},
		testfleet.Minute{Host: "late", Tags: "country=nl,pop=ams1", Start: minute.Of(noon) - 600, Boot: 1, Seq: 1, Count: 700, Name: "late"})
	r := w.reader(Config{RawAge: 9 * time.Hour})
	used := map[rollup.Level]int{}
	for i := range 120 {
		sel := [...]Selection{
			{}, {Tags: []string{"pop=ams1"}}, {Tags: []string{"pop=fra1", "pop=ams1"}}, {Hosts: []string{"ns2"}}, {Tags: []string{"pop=ams1", "pop=nrt1", "country=nl"}},
			{Tags: []string{"pop=fra1"}, Hosts: []string{"ns1", "ns2"}},
		}[i%6]
		from := noon - rnd.Int64N(7*3600)
		to := min(from+1+rnd.Int64N(1<<(6+rnd.IntN(11))), noon)
		if i < 6 {
			from, to = noon-7*3600, noon
		}
		b, info, err := r.Range(t.Context(), sel, from, to)
		if err != nil {
			t.Fatal(err)
		}
		selected := func(o *testfleet.Minute) bool {
			return tagged(sel.Tags...)(o) && (len(sel.Hosts) == 0 || o.Host == sel.Hosts[0] || len(sel.Hosts) > 1 && o.Host == sel.Hosts[1])
		}
		if info.From != minute.Of(from) || info.To < to || info.To >= to+60 {
			t.Fatalf("from %d to %d: %+v", from, to, info)
		}
		for _, p := range w.check(b, info, w.want(info.From, info.To, selected)) {
			t.Errorf("%+v from %d, %d minutes: %s (%v)", sel, from, (to-from)/60, p, info.Levels)
		}
		for l, n := range info.Levels {
			used[l] += n
		}
	}
	if used[rollup.Hour1] < 5 || used[rollup.Minute5] < 100 || used[rollup.Minute1] < 100 {
		t.Errorf("these levels were used: %v", used)
	}
}

// TestTiling: a range is covered by the longest rollups that there are.
func TestTiling(t *testing.T) {
	w := newWorld(t, noon)
	w.grow(3, 1, 60*time.Hour, 1)
	w.rollUp()
	r := w.reader(Config{MinuteAge: 100 * time.Hour})
	day := rollup.Day1.Of(noon)
	for _, c := range []struct {
		name     string
		from, to int64
		want     map[rollup.Level]int
	}{
		{"a day", day - 86400, day, map[rollup.Level]int{rollup.Day1: 1}},
		{"a day and edges", day - 86400 - 3660, day + 360, map[rollup.Level]int{rollup.Day1: 1, rollup.Hour1: 1, rollup.Minute5: 1, rollup.Minute1: 2}},
		{"hours", day, day + 2*3600, map[rollup.Level]int{rollup.Hour1: 2}},
		{"24 hours", minute.Of(noon) - 86400, noon - 33, map[rollup.Level]int{rollup.Hour1: 23, rollup.Minute5: 11, rollup.Minute1: 5}},
		{"minutes", day + 60, day + 300, map[rollup.Level]int{rollup.Minute1: 4}},
	} {
		_, info, err := r.Range(t.Context(), Selection{}, c.from, c.to)
		if err != nil || fmt.Sprint(info.Levels) != fmt.Sprint(c.want) || info.Missing != 0 {
			t.Errorf("%s: %v (%d missing), want %v: %v", c.name, info.Levels, info.Missing, c.want, err)
		}
	}
}

// TestRatesOfGroups: the seconds of several groups are added up if their rollups are short enough, and left out otherwise.
func TestRatesOfGroups(t *testing.T) {
	w := newWorld(t, noon)
	w.grow(5, 3, 10*time.Hour, 1)
	w.rollUp()
	r := w.reader(Config{FiveAge: 8 * time.Hour})
	two := Selection{Tags: []string{"pop=ams1", "pop=fra1"}}
	for _, c := range []struct {
		sel   Selection
		hours int64
		rates bool
	}{{two, 2, true}, {two, 7, true}, {two, 9, false}, {Selection{Tags: []string{"pop=ams1"}}, 9, true}} {
		b, info, err := r.Range(t.Context(), c.sel, noon-c.hours*3600, noon)
		if err != nil {
			t.Fatal(err)
		}
		if info.Rates != c.rates {
			t.Errorf("%d hours of %v: rates %v, want %v", c.hours, c.sel.Tags, info.Rates, c.rates)
		}
		for _, p := range w.check(b, info, w.want(info.From, info.To, tagged(c.sel.Tags...))) {
			t.Errorf("%d hours of %v: %s", c.hours, c.sel.Tags, p)
		}
	}
}

// TestGauges: the gauge of a range is the sum of the hosts' states in its newest minute.
func TestGauges(t *testing.T) {
	w := newWorld(t, noon)
	w.grow(7, 6, 3*time.Hour, 1)
	w.rollUp()
	r := w.reader(Config{})
	for _, sel := range []Selection{{}, {Tags: []string{"pop=ams1", "pop=nrt1"}}, {Hosts: []string{"ns0", "ns3"}}} {
		b, info, err := r.Range(t.Context(), sel, noon-7200, noon-33)
		if err != nil {
			t.Fatal(err)
		}
		want := w.want(info.From, info.To, func(o *testfleet.Minute) bool {
			return tagged(sel.Tags...)(o) && (len(sel.Hosts) == 0 || o.Host == "ns0" || o.Host == "ns3")
		})
		if got := b.Sections[0].Gauge(1); uint64(got) != want.gauge {
			t.Errorf("%v: gauge %d, want %d", sel, got, want.gauge)
		}
	}
}

// TestNothingIsStale: a change of any minute is in the next answer, and the same question without a change gets the same bucket.
func TestNothingIsStale(t *testing.T) {
	w := newWorld(t, noon)
	w.grow(9, 3, 2*time.Hour, 1)
	w.rollUp()
	r := w.reader(Config{})
	all := func(*testfleet.Minute) bool { return true }
	before, _, err := r.Range(t.Context(), Selection{}, noon-3600, noon)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if i%2 == 0 {
			w.add(testfleet.Minute{Host: "late", Start: minute.Of(noon) - 60 - int64(i)*30, Boot: 1, Seq: uint64(i), Count: 1000, Name: "late"})
		} else {
			w.rollUp()
		}
		b, info, err := r.Range(t.Context(), Selection{}, noon-3600, noon)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range w.check(b, info, w.want(info.From, info.To, all)) {
			t.Errorf("after change %d: %s", i, p)
		}
		again, _, _ := r.Range(t.Context(), Selection{}, noon-3600, noon)
		if again != b || i%2 == 0 && b == before {
			t.Errorf("after change %d: the same bucket: %v, as before the change: %v", i, again == b, b == before)
		}
		before = b
	}
	if r.cache.bytes > r.cfg.CacheBytes || len(r.cache.entries) == 0 {
		t.Errorf("%d bytes are kept", r.cache.bytes)
	}
}

// TestDamagedRollups: a damaged rollup is replaced by those below, and a damaged minute is left out.
func TestDamagedRollups(t *testing.T) {
	w := newWorld(t, noon)
	w.grow(11, 2, 4*time.Hour, 1)
	w.rollUp()
	for k, e := range w.Rolls {
		if k.Level == rollup.Hour1 {
			e.Data[len(e.Data)-9] ^= 1
		}
	}
	r := w.reader(Config{})
	b, info, err := r.Range(t.Context(), Selection{}, noon-3*3600, noon)
	if err != nil || info.Damaged == 0 || info.Levels[rollup.Hour1] != 0 || info.Levels[rollup.Minute5] < 24 {
		t.Fatalf("%+v, %v", info, err)
	}
	for _, p := range w.check(b, info, w.want(info.From, info.To, func(*testfleet.Minute) bool { return true })) {
		t.Error(p)
	}
}

// TestExpiredMinutes: a longer rollup of which the store no longer has all minutes is used, also if one of them was written
// again.
func TestExpiredMinutes(t *testing.T) {
	w := newWorld(t, noon)
	w.grow(13, 2, 20*time.Minute, 0.8)
	w.rollUp()
	start := rollup.Minute5.Of(noon - 600)
	var kept int
	for k, e := range w.Rolls {
		if k.Level == rollup.Minute1 && k.Start >= start && k.Start < start+300 {
			if kept++; kept%2 == 0 {
				delete(w.Rolls, k)
				continue
			}
			w.Rolls[k] = testfleet.Entry{Data: e.Data, Revision: e.Revision + 1_000_000}
		}
	}
	b, info, err := w.reader(Config{}).Range(t.Context(), Selection{}, start, start+300)
	if err != nil || info.Levels[rollup.Minute5] != 1 {
		t.Fatalf("%+v, %v", info, err)
	}
	for _, p := range w.check(b, info, w.want(info.From, info.To, func(*testfleet.Minute) bool { return true })) {
		t.Error(p)
	}
}

// TestSteps: each step has exactly its host-minutes.
func TestSteps(t *testing.T) {
	w := newWorld(t, noon)
	w.grow(15, 4, 8*time.Hour, 0.5)
	w.rollUp()
	r := w.reader(Config{RawAge: 30 * time.Hour})
	for _, step := range []int64{60, 120, 300, 900, 3600, 7200} {
		for _, sel := range []Selection{{}, {Tags: []string{"pop=ams1", "pop=fra1"}}, {Hosts: []string{"ns1"}}} {
			from, to := (noon-7*3600)/step*step, (noon+step)/step*step
			got, _, err := r.Steps(t.Context(), sel, tables, from, to, step, true)
			if err != nil || int64(len(got)) != (to-from)/step {
				t.Fatalf("%d steps: %v", len(got), err)
			}
			for i, b := range got {
				at := from + int64(i)*step
				want := w.want(at, at+step, func(o *testfleet.Minute) bool {
					return tagged(sel.Tags...)(o) && (len(sel.Hosts) == 0 || o.Host == "ns1")
				})
				if b == nil {
					if want.total != 0 {
						t.Errorf("%v, step %d at %d: nothing, want %d", sel, step, at, want.total)
					}
					continue
				}
				var most [1]uint64
				b.Sections[0].Rate(2).Quantiles([]float64{1}, most[:])
				if b.Sections[0].Counter(0) != want.total || step < 3600 && most[0] != want.most || b.Start < at || b.End > at+step {
					t.Errorf("%v, step %d at %d: %d from %d to %d, at most %d, want %d, %d", sel, step, at, b.Sections[0].Counter(0), b.Start, b.End, most[0], want.total, want.most)
				}
			}
		}
	}
}
