package query

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/internal/testkit/testfleet"
	"pktvisor/metric"
	"pktvisor/minute"
)

func (w *world) views(r *Reader, sel Selection) *Views {
	w.t.Helper()
	v, err := r.Views(w.t.Context(), sel)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func total(b *metric.Bucket) int64 {
	if b == nil {
		return -1
	}
	return int64(b.Sections[0].Counter(0))
}

// TestViews: minute 1 is the newest finished one that is stored. There is no live minute, and a minute without hosts is empty.
func TestViews(t *testing.T) {
	last := minute.Of(noon) - 60
	for _, sel := range []Selection{{}, {Tags: []string{"pop=a"}}, {Tags: []string{"pop=a", "pop=b"}}, {Hosts: []string{"ns1", "ns2"}}, {Tags: []string{"pop=a", "role=x"}}} {
		w := newWorld(t, noon)
		r := w.reader(Config{Minutes: 10, Identity: metric.Identity{Host: "hub", Boot: 77, Tags: "site=hq"}})
		if sel.Tags == nil {
			v := w.views(r, sel)
			if v.Bucket(1) != nil || v.Merged(3) != nil || len(v.Minutes()) != 0 || total(v.Totals()) != 0 || v.Bucket(0).End != minute.Of(noon) {
				t.Errorf("%v of an empty store", sel)
			}
		}
		at := func(start int64, count uint64) testfleet.Minute {
			return testfleet.Minute{Host: "ns1", Tags: "pop=a,role=x", Start: start, Boot: 1, Seq: uint64(start), Count: count, Name: "name"}
		}
		// In order of time: too old to show, a gap of two, one that has not ended, and one in the future.
		w.add(at(last-600, 1), at(last-540, 2), at(last-180, 4), at(last, 8), at(last+60, 16), at(last+120, 32), testfleet.Minute{Host: "ns2", Tags: "pop=b", Start: last - 60, Boot: 1, Seq: 1, Count: 64, Name: "other"})
		const offset = testfleet.Second
		second := int64(64) // what minute 2 has
		if len(sel.Tags) == 1 || len(sel.Tags) == 2 && sel.Tags[1] == "role=x" {
			second = 0
		}
		v := w.views(r, sel)
		if v.Periods() != 11 {
			t.Errorf("%d periods", v.Periods())
		}
		for n, want := range map[int]int64{0: 0, 1: 8, 2: second, 3: 0, 4: 4, 9: 0, 10: 2, 11: -1} {
			b := v.Bucket(n)
			if total(b) != want {
				t.Errorf("%v: bucket %d has %d, want %d", sel, n, total(b), want)
			}
			if b != nil && n > 0 && (b.Start != last-int64(n-1)*60 || b.End != b.Start+60 || b.Identity.Host != "hub" || b.Identity.Boot != 77 || b.Identity.Tags != "site=hq" || b.Identity.Policy != "default") {
				t.Errorf("%v: bucket %d from %d to %d of %+v", sel, n, b.Start, b.End, b.Identity)
			}
			if want > 0 && (b.Identity.Seq != uint64(b.Start/60) || b.Identity.Revision == 0 || b.Covered != 60) {
				t.Errorf("%v: bucket %d is %+v and covers %d s", sel, n, b.Identity, b.Covered)
			}
		}
		if got := v.Merged(1); total(got) != 8 || got.Sections[0].Rate(2).At(last+offset) != 8 {
			t.Errorf("%v: a window of 1 has %d", sel, total(got))
		}
		if got := v.Merged(4); total(got) != 12+second || got.Start != last-180 || got.End != last+60 || got.Sections[0].Rate(2).At(last-180+offset) != 4 {
			t.Errorf("%v: a window of 4 has %d from %d to %d", sel, total(got), got.Start, got.End)
		}
		if got := v.Merged(99); total(got) != 14+second {
			t.Errorf("%v: a window of 99 has %d", sel, total(got))
		}
		minutes := v.Minutes()
		if want := 3 + int(second/64); len(minutes) != want {
			t.Errorf("%v: %d minutes, want %d", sel, len(minutes), want)
		}
		for i, m := range minutes {
			b := m.Bucket()
			if b == nil || b.Start != m.Start || b.End != m.End || m.Version != b.Identity.Revision || i > 0 && m.Start <= minutes[i-1].Start {
				t.Errorf("%v: minute %d: %+v of %+v", sel, i, m, b)
			}
		}
		for at, want := range map[int64]int64{last + 5: 8, last - 180: 4, last + 60: -1, last - 120: 0} {
			v.Second(at, func(b *metric.Bucket) {
				if total(b) != want {
					t.Errorf("%v: second %d is in a minute with %d, want %d", sel, at, total(b), want)
				}
			})
		}
		wantTotal := 15 + second // of the day
		if v.plan.raw() {
			wantTotal = 12 + second // of the hour, which began at noon
		}
		if got := total(v.Totals()); got != wantTotal {
			t.Errorf("%v: totals of %d, want %d", sel, got, wantTotal)
		}
		if v.Err() != nil {
			t.Error(v.Err())
		}
	}
}

// TestViewsOfAnotherHub: a late host-minute gives a minute a higher revision under the same key, whenever its hosts began.
func TestViewsOfAnotherHub(t *testing.T) {
	w := newWorld(t, noon)
	r := w.reader(Config{})
	last := minute.Of(noon) - 60
	var before metric.Identity
	for i := range 5 {
		w.add(testfleet.Minute{Host: string(rune('e' - i)), Start: last, Boot: 1, Seq: uint64(i), Count: 10, Name: "n"})
		b := w.views(r, Selection{}).Bucket(1)
		if i > 0 && (b.Identity.Seq != before.Seq || b.Identity.Revision <= before.Revision) || b.Start != last || total(b) != int64(10*(i+1)) {
			t.Errorf("after %d hosts: %+v, before %+v", i+1, b.Identity, before)
		}
		before = b.Identity
	}
}

// TestNewestAfterAnOutage: if nothing came for a while, the newest minute is the last one that did.
func TestNewestAfterAnOutage(t *testing.T) {
	w := newWorld(t, noon)
	w.grow(1, 1, time.Hour, 1)
	r := w.reader(Config{})
	was := w.views(r, Selection{}).Bucket(1).Start
	for _, c := range []struct {
		after time.Duration
		nth   int64
	}{{3 * time.Minute, was}, {20 * time.Minute, was}, {time.Hour, 0}} {
		w.now = noon + int64(c.after.Seconds())
		b := w.views(r, Selection{}).Bucket(1)
		if c.nth == 0 && b != nil || c.nth != 0 && (b == nil || b.Start != c.nth) {
			t.Errorf("after %v: %+v", c.after, b)
		}
	}
}

// TestViewsFail: after a failure of the store, views return nothing, and say why.
func TestViewsFail(t *testing.T) {
	w := newWorld(t, noon)
	w.grow(1, 2, 10*time.Minute, 1)
	r := w.reader(Config{})
	for i, ask := range []func(v *Views) bool{
		func(v *Views) bool { return v.Bucket(1) == nil },
		func(v *Views) bool { return v.Merged(3) == nil },
		func(v *Views) bool { return len(v.Minutes()) == 0 },
		func(v *Views) bool { return total(v.Totals()) == 0 },
		func(v *Views) (ok bool) {
			v.Second(noon-65, func(b *metric.Bucket) { ok = b == nil })
			return ok
		},
	} {
		for _, sel := range []Selection{{}, {Hosts: []string{"ns0"}}} {
			v := w.views(r, sel)
			w.fail = errors.New("away")
			if !ask(v) || !errors.Is(v.Err(), w.fail) {
				t.Errorf("question %d of %v: error %v", i, sel, v.Err())
			}
			w.fail = nil
		}
	}
}

// TestUsage: wrong questions have errors that say what to ask instead.
func TestUsage(t *testing.T) {
	w := newWorld(t, noon)
	w.grow(1, 2, 10*time.Minute, 1)
	r := w.reader(Config{})
	many := make([]string, 201)
	for i := range many {
		many[i] = "h"
	}
	for _, sel := range []Selection{
		{Policy: "other"}, {Tags: []string{"pop=mars"}}, {Tags: []string{"pop"}}, {Tags: []string{"POP=ams1"}}, {Tags: many}, {Hosts: many}, {Hosts: []string{""}},
	} {
		if _, _, err := r.Range(t.Context(), sel, noon-600, noon); !isUsage(err) {
			t.Errorf("%.60v: %v", sel, err)
		}
	}
	for _, c := range []struct {
		sel      Selection
		from, to int64
	}{
		{Selection{}, noon, noon - 600}, {Selection{}, -60, noon}, {Selection{}, 0, 1 << 61}, {Selection{}, 0, noon},
		{Selection{Hosts: []string{"ns0"}}, noon - 7*3600, noon}, {Selection{Tags: []string{"pop=ams1", "country=nl"}}, noon - 7*3600, noon - 6*3600},
	} {
		if _, _, err := r.Range(t.Context(), c.sel, c.from, c.to); !isUsage(err) {
			t.Errorf("%v from %d to %d: %v", c.sel, c.from, c.to, err)
		}
	}
	for _, c := range [][3]int64{{noon / 60 * 60, noon/60*60 + 600, 0}, {noon / 60 * 60, noon/60*60 + 600, 61}, {1, 601, 60}, {60, 60, 60}} {
		if _, _, err := r.Steps(t.Context(), Selection{}, tables, c[0], c[1], c[2], false); !isUsage(err) {
			t.Errorf("steps %v: %v", c, err)
		}
	}
}

func isUsage(err error) bool {
	_, ok := errors.AsType[*UsageError](err)
	return ok
}

// TestRevisionsOfHostMinutes: a host-minute that was delivered twice counts once, and a higher revision replaces it.
func TestRevisionsOfHostMinutes(t *testing.T) {
	w := newWorld(t, noon)
	start := minute.Of(noon) - 60
	for _, m := range []struct{ revision, count uint64 }{{1, 10}, {1, 10}, {3, 30}, {2, 20}} {
		w.add(testfleet.Minute{Host: "hub2", Start: start, Boot: 1, Seq: 5, Revision: m.revision, Count: m.count, Name: fmt.Sprint(len(w.Minutes))})
		delete(w.Rolls, store.Key{Level: rollup.Minute1, Policy: "default", Group: "all", Start: start})
	}
	w.add(testfleet.Minute{Host: "ns1", Start: start, Boot: 1, Seq: 5, Count: 1, Name: "x"})
	b, info, err := w.reader(Config{}).Range(t.Context(), Selection{Hosts: []string{"hub2"}}, start, start+60)
	if err != nil || total(b) != 30 || info.Raw != 1 || info.HostMinutes != 1 {
		t.Errorf("%d of %+v: %v", total(b), info, err)
	}
}
