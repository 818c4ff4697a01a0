package ingest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/internal/testkit/fleet"
	"pktvisor/metric"
	"pktvisor/minute"
)

// hostMinute is what one process of a host counted in a minute.
type hostMinute struct {
	host       string
	boot       uint64
	start, end int64
	tags       metric.Tags
}

// world is a random fleet, and what happened to it.
type world struct {
	policy  string
	first   int64                        // the start of the first minute
	minutes map[hostMinute][]fleet.Event // what counts
	puts    int
}

// newWorld draws a fleet, and puts its host-minutes into the raw stream. Some are there in two revisions.
func newWorld(t *rapid.T) *world {
	w := &world{policy: newPolicy(), minutes: map[hostMinute][]fleet.Event{}}
	// The few minutes are in two rollups of five minutes, and also in two of an hour, or of a day.
	w.first = noon - rapid.SampledFrom([]int64{0, 5 * 60, 12*3600 + 5*60}).Draw(t, "before noon")
	hosts := rapid.IntRange(2, 6).Draw(t, "hosts")
	tags := make([]metric.Tags, hosts)
	for i := range tags {
		tags[i] = rapid.SampledFrom([]metric.Tags{"", "pop=a", "pop=b", "pop=a,role=x", "pop=b,role=x", "country=nl,pop=a,role=y"}).Draw(t, "tags")
	}
	last := rapid.Int64Range(0, 3).Draw(t, "minutes")
	for i := range hosts {
		for m := int64(0); m <= last; m++ {
			start := w.first + m*minute.Seconds
			cut := start + minute.Seconds
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				continue // away
			case 1:
				cut = start + rapid.Int64Range(1, 59).Draw(t, "restart")
			}
			w.put(t, hostMinute{fmt.Sprint("h", i), 1, start, cut, tags[i]})
			if cut < start+minute.Seconds {
				w.put(t, hostMinute{fmt.Sprint("h", i), 2, cut, start + minute.Seconds, tags[i]})
			}
		}
	}
	return w
}

// put draws the events of a host-minute and stores it in one or two revisions.
func (w *world) put(t *rapid.T, m hostMinute) {
	var list []fleet.Event
	for range rapid.IntRange(0, 8).Draw(t, "events") {
		list = append(list, fleet.Event{
			Second: rapid.Int64Range(m.start, m.end-1).Draw(t, "second"),
			Name:   fmt.Sprint("n", rapid.IntRange(0, 30).Draw(t, "name")), Size: rapid.Uint64Range(0, 3000).Draw(t, "size"),
		})
	}
	id := id(w.policy, m.host, m.tags, m.boot)
	if rapid.IntRange(0, 7).Draw(t, "revised") == 0 {
		put(t, fleet.Bucket(id, m.start, m.end, list[:len(list)/2]))
		w.puts++
		id.Revision = rapid.Uint64Range(1, 3).Draw(t, "revision")
	}
	put(t, fleet.Bucket(id, m.start, m.end, list))
	w.puts++
	w.minutes[m] = list
}

// groups returns the groups of the world.
func (w *world) groups() (list []string) {
	for m := range w.minutes {
		list = append(list, rollup.Groups(m.tags)...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// check compares all rollups of all levels with one bucket that got everything.
func (w *world) check(t *rapid.T) {
	for _, group := range w.groups() {
		for level := rollup.Minute1; level.Valid(); level = level.Above() {
			starts := map[int64]bool{}
			for m := range w.minutes {
				if slices.Contains(rollup.Groups(m.tags), group) {
					starts[level.Of(m.start)] = true
				}
			}
			for start := range starts {
				w.checkRollup(t, store.Key{Level: level, Policy: w.policy, Group: group, Start: start})
			}
		}
	}
}

func (w *world) checkRollup(t *rapid.T, k store.Key) {
	var list []fleet.Event
	var from, to int64
	var seconds uint64
	keys := map[rollup.MemberKey]uint64{} // with the minutes
	for m, events := range w.minutes {
		if k.Level.Of(m.start) != k.Start || !slices.Contains(rollup.Groups(m.tags), k.Group) {
			continue
		}
		if list = append(list, events...); from == 0 {
			from, to = m.start, m.end
		}
		from, to = min(from, m.start), max(to, m.end)
		seconds += uint64(m.end - m.start)
		bit := uint64(1) << ((minute.Of(m.start) - k.Start) / minute.Seconds % 64)
		if k.Level == rollup.Minute1 {
			keys[rollup.MemberKey{Host: m.host, Boot: m.boot, Seq: 1, Start: m.start}] = 1
		} else if key := (rollup.MemberKey{Host: m.host}); k.Level == rollup.Day1 {
			keys[key] |= 1 << ((minute.Of(m.start) - w.first) / minute.Seconds)
		} else {
			keys[key] |= bit
		}
	}
	r, b := read(t, k)
	if diff := fleet.Diff(b, fleet.All(from, to, list), k.Level >= rollup.Hour1); diff != "" {
		t.Fatalf("%v: %s", k, diff)
	}
	if covered := max(b.Covered, uint64(b.End-b.Start)); covered != seconds && b.Covered != seconds {
		t.Fatalf("%v covers %d, want %d", k, covered, seconds)
	}
	for _, m := range r.Members {
		key := m.Key()
		if k.Level > rollup.Minute1 {
			key = rollup.MemberKey{Host: m.Host}
		}
		want := keys[key]
		if k.Level == rollup.Day1 {
			n := uint64(0)
			for ; want > 0; want &= want - 1 {
				n++
			}
			want = n
		}
		if m.Minutes != want || want == 0 {
			t.Fatalf("%v: member %+v, want the minutes %b", k, m, want)
		}
		delete(keys, key)
	}
	if len(keys) > 0 {
		t.Fatalf("%v lacks the members %v", k, keys)
	}
}

// TestCountedOnce is the property that proves the hub: whatever the fleet and the order of deliveries, with duplicates, with
// two ingesters at once, which stop and start between any two deliveries and in the middle of writing, all rollups equal one bucket
// that got each event once, and list exactly the host-minutes.
func TestCountedOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		f := &fates{t: t, clock: &clock{t: time.Unix(noon, 0).Add(50 * time.Hour)}}
		for i := range f.hubs {
			f.views[i] = &view{Store: shared, policy: w.policy}
			f.start(i)
		}
		list := consume(t, w.puts)
		at := make([]int, len(list))
		for i := range at {
			at[i] = i
		}
		order := make([]store.Delivery, len(list))
		for i, k := range rapid.Permutation(at).Draw(t, "order") {
			order[i] = list[k]
			f.deliver(&order[i])
		}
		for i := range f.hubs {
			f.views[i].before = nil
			finish(t, f.hubs[i], f.clock)
		}
		for i := range order { // all again, some with other tags
			d := order[i]
			if i%2 == 0 {
				d.Tags = "pop=other"
			}
			f.hubs[i%2].accept(&d)
		}
		for i := range f.hubs {
			finish(t, f.hubs[i], f.clock)
		}
		w.check(t)
		if n := total(t, store.Key{Level: rollup.Minute1, Policy: w.policy, Group: "pop=other", Start: w.first}); n >= 0 {
			t.Fatalf("duplicates with other tags count in another group")
		}
	})
}

// fates is what happens to two ingesters.
type fates struct {
	t     *rapid.T
	clock *clock
	views [2]*view
	hubs  [2]*Ingester
}

// start starts an ingester instead of one that stopped.
func (f *fates) start(i int) {
	f.hubs[i] = newIngester(f.views[i], f.clock, nil)
}

// crash stops an ingester. What it has not acknowledged is delivered to another one.
func (f *fates) crash(i int) {
	old := f.hubs[i]
	f.views[i].before = nil
	f.start(i)
	to := f.hubs[rapid.IntRange(0, 1).Draw(f.t, "redelivered to")]
	for _, p := range old.pending {
		for _, it := range p.items {
			for k := range it.deliveries {
				to.accept(&it.deliveries[k])
			}
		}
	}
}

// deliver gives a delivery to an ingester, and then lets something happen.
func (f *fates) deliver(d *store.Delivery) {
	i := rapid.IntRange(0, 1).Draw(f.t, "to")
	f.hubs[i].accept(d)
	if rapid.IntRange(0, 2).Draw(f.t, "twice") == 0 {
		again := *d
		f.hubs[rapid.IntRange(0, 1).Draw(f.t, "again to")].accept(&again)
	}
	ctx := context.Background()
	switch rapid.IntRange(0, 6).Draw(f.t, "fate") {
	case 0: // write
		f.clock.pass(15 * time.Second)
		f.hubs[i].step(ctx)
	case 1: // both at once
		f.clock.pass(15 * time.Second)
		var both sync.WaitGroup
		both.Go(func() { f.hubs[0].step(ctx) })
		both.Go(func() { f.hubs[1].step(ctx) })
		both.Wait()
	case 2: // the other one writes before one write of this one
		n := rapid.IntRange(0, 4).Draw(f.t, "before write")
		f.views[i].before = func(store.Key) error {
			if n--; n == -1 {
				f.hubs[1-i].step(ctx)
			}
			return nil
		}
		f.clock.pass(15 * time.Second)
		f.hubs[i].step(ctx)
		f.views[i].before = nil
	case 3: // stop
		f.crash(i)
	case 4: // stop in the middle of writing
		n := rapid.IntRange(0, 6).Draw(f.t, "after writes")
		f.views[i].before = func(store.Key) error {
			if n--; n < 0 {
				return errDead
			}
			return nil
		}
		f.clock.pass(15 * time.Second)
		f.hubs[i].step(ctx)
		f.crash(i)
	}
}
