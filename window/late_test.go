package window

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"pktvisor/metric"
)

// finished returns a sealed bucket with n events in each of the given seconds, which are of one minute.
func finished(host string, n uint64, seconds ...int64) *metric.Bucket {
	b := metric.NewBucket(tables)
	b.Identity = metric.Identity{Host: host, Policy: "default"}
	for _, s := range seconds {
		b.Cover(s, s+1)
		of(b).count(n)
		of(b).Pps.Add(s, n)
		of(b).Top.Add(fmt.Append(nil, s), n)
	}
	b.Seal(64)
	return b
}

func newRing(minutes int) *Ring {
	return NewRing(RingConfig{Tables: tables, Minutes: minutes, Slots: 64, DeepSamplePercent: 100})
}

// shown returns the start, end and events of the ring's minutes, newest first.
func shown(r *Ring) (all [][3]int64) {
	for _, b := range slices.Backward(r.Buckets()) {
		all = append(all, [3]int64{b.Start, b.End, int64(of(b).N)})
	}
	return all
}

func wantShown(t *testing.T, r *Ring, want ...[3]int64) {
	t.Helper()
	if got := shown(r); !slices.Equal(got, want) {
		t.Errorf("minutes, newest first: %v, want %v", got, want)
	}
}

// TestLate puts minutes in any order. Each goes to its place in time, and missing minutes are empty.
func TestLate(t *testing.T) {
	r := newRing(6)
	take := func(n uint64, second int64, want bool) {
		t.Helper()
		if took := r.Merge(finished("a", n, second)); took != want {
			t.Errorf("minute of %d: taken %t, want %t", second, took, want)
		}
	}
	take(1, 300, true)
	wantShown(t, r, [3]int64{300, 301, 1})
	take(2, 240, true) // the minute before
	take(4, 120, true) // older, with one minute missing in between
	wantShown(t, r, [3]int64{300, 301, 1}, [3]int64{240, 241, 2}, [3]int64{180, 240, 0}, [3]int64{120, 121, 4})
	take(8, 180, true) // the missing minute
	take(16, 420, true)
	wantShown(t, r, [3]int64{420, 421, 16}, [3]int64{360, 420, 0}, [3]int64{300, 301, 1}, [3]int64{240, 241, 2}, [3]int64{180, 181, 8}, [3]int64{120, 121, 4})
	take(32, 60, false)
	take(32, -60, false)
	take(32, 365, true)
	take(64, 480, true)
	wantShown(t, r, [3]int64{480, 481, 64}, [3]int64{420, 421, 16}, [3]int64{365, 366, 32}, [3]int64{300, 301, 1}, [3]int64{240, 241, 2}, [3]int64{180, 181, 8})
	take(32, 179, false) // it has been dropped
	if b := r.Merged(3); b.Start != 365 || b.End != 481 || of(b).N != 112 {
		t.Errorf("the newest three are from %d to %d with %d events", b.Start, b.End, of(b).N)
	}
	if r.Merged(0) != nil || r.Bucket(0) != nil || r.Bucket(7) != nil || newRing(2).Merged(2) != nil {
		t.Error("found a minute that does not exist")
	}
}

// TestSameMinute: the minutes of two hosts become one. The bucket that a reader got before does not change.
func TestSameMinute(t *testing.T) {
	r := newRing(3)
	r.Merge(finished("ns1", 5, 60, 61))
	before := r.Bucket(1)
	want := image(before)
	r.Merge(finished("ns2", 7, 61, 119))
	b := r.Bucket(1)
	if of(b).N != 24 || b.Start != 60 || b.End != 120 || of(b).Pps.At(61) != 12 || of(b).Top.Total() != 24 {
		t.Errorf("the merge has %d events from %d to %d, %d in second 61", of(b).N, b.Start, b.End, of(b).Pps.At(61))
	}
	if want := (metric.Identity{Policy: "default"}); b.Identity != want {
		t.Errorf("the merge is of %+v, want %+v", b.Identity, want)
	}
	if before == b || image(before) != want || before.Identity.Host != "ns1" {
		t.Error("the bucket that was in the ring has changed")
	}
	quarter := finished("ns3", 1, 90)
	quarter.DeepSamplePercent = 25
	r.Replace(quarter)
	r.Merge(finished("ns3", 1, 90))
	// These tables have no sampled metric, so there is no number to multiply by the lower share.
	if got, want := r.Bucket(1).DeepSamplePercent, 100; got != want {
		t.Errorf("%d%% deep sample, want %d", got, want)
	}
	r.Replace(finished("ns2", 1, 90))
	r.Replace(finished("ns2", 1, 90))
	wantShown(t, r, [3]int64{90, 91, 1})
	r.Replace(finished("ns2", 2, 150))
	wantShown(t, r, [3]int64{150, 151, 2}, [3]int64{90, 91, 1})
}

// TestLateSeals: a minute that is put has at most as many slots as the ring's tables.
func TestLateSeals(t *testing.T) {
	crowded := func(from int) *metric.Bucket {
		b := metric.NewBucket(tables)
		b.Cover(60, 120)
		for i := range 20 {
			of(b).Top.Add(fmt.Append(nil, from+i), uint64(1+i))
		}
		return b
	}
	for name, put := range map[string]func(r *Ring) bool{
		"pushed":   func(r *Ring) bool { r.Push(crowded(0)); return true },
		"put":      func(r *Ring) bool { return r.Merge(crowded(0)) },
		"merged":   func(r *Ring) bool { return r.Merge(finished("a", 1, 60)) && r.Merge(crowded(0)) },
		"replaced": func(r *Ring) bool { return r.Merge(finished("a", 1, 60)) && r.Replace(crowded(0)) },
	} {
		r := NewRing(RingConfig{Tables: tables, Minutes: 3, Slots: 16})
		if n := of(crowded(0)).Top.Len(); n != 20 || !put(r) {
			t.Fatalf("%s: %d keys, or not accepted", name, n)
		}
		if got := of(r.Bucket(1)).Top.Len(); got > 12 || got == 0 {
			t.Errorf("%s: %d keys in a table of 16 slots, want up to 12", name, got)
		}
	}
}

// TestEmptyMinutesStay: a reader that has seen an empty minute sees the same bucket again after a minute beside it was
// put.
func TestEmptyMinutesStay(t *testing.T) {
	r := newRing(10)
	r.Merge(finished("a", 1, 0))
	r.Merge(finished("a", 1, 480))
	seen := r.Buckets()
	r.Merge(finished("a", 2, 240))
	for i, b := range r.Buckets() {
		if same := b == seen[i]; same != (i != 4) {
			t.Errorf("minute %d: the same bucket %t", i, same)
		}
	}
	// The same applies to a run of which only the newest minutes were read.
	for late := range int64(8) {
		r := newRing(10)
		r.Merge(finished("a", 1, 0))
		r.Merge(finished("a", 1, 540))
		var seen [10]*metric.Bucket
		for n := 1; n <= 5; n++ {
			seen[n] = r.Bucket(n)
		}
		r.Merge(finished("a", 2, 60+60*late))
		for n := 1; n <= 5; n++ {
			b := r.Bucket(n)
			if same := b == seen[n]; same != (n != int(9-late)) || b.Start != 540-60*int64(n-1) {
				t.Errorf("minute %d put: the same bucket %t as minute %d, which starts at %d", late, same, n, b.Start)
			}
		}
	}
}

// TestLateBehindWindow puts a late minute into a ring that was not filled in the order of time. It goes before all
// newest minutes that are later.
func TestLateBehindWindow(t *testing.T) {
	r := newRing(9)
	for _, second := range []int64{600, 660, 120, 180, 720} {
		r.Push(finished("a", 1, second))
	}
	r.Merge(finished("a", 2, 300))
	want := [][3]int64{{720, 721, 1}}
	for empty := int64(660); empty > 300; empty -= 60 {
		want = append(want, [3]int64{empty, empty + 60, 0})
	}
	wantShown(t, r, append(want, [][3]int64{{300, 301, 2}, {240, 300, 0}}...)...)
	r.Merge(finished("a", 4, 240))
	if got := of(r.Bucket(9)).N; got != 4 {
		t.Errorf("the minute of 240 has %d events, want 4", got)
	}
	if r.Merge(finished("a", 8, 180)) {
		t.Error("a minute that is not shown was accepted")
	}
}

// lateModel models a ring that is filled only by Merge and Replace. It drops nothing.
type lateModel struct {
	minutes int
	events  map[int64][]event // of each accepted minute
	hosts   map[int64]string  // the host of each minute; empty if there are several
	newest  int64
	oldest  int64
}

// put puts a minute, and reports whether it is among the newest.
func (m *lateModel) put(start int64, host string, events []event, replace bool) bool {
	if len(m.events) == 0 {
		m.newest, m.oldest = start, start
	}
	if start <= m.newest-60*int64(m.minutes) {
		return false
	}
	m.newest, m.oldest = max(m.newest, start), min(m.oldest, start)
	had, again := m.hosts[start]
	switch {
	case replace || !again:
		m.events[start], m.hosts[start] = events, host
	default:
		m.events[start] = append(slices.Clone(m.events[start]), events...)
		if had != host {
			m.hosts[start] = ""
		}
	}
	return true
}

// starts returns the starts of the minutes that are shown, newest first.
func (m *lateModel) starts() (list []int64) {
	for s := m.newest; s >= m.oldest && len(list) < m.minutes && len(m.events) > 0; s -= 60 {
		list = append(list, s)
	}
	return list
}

// of returns the merge of some of these minutes, given newest first.
func (m *lateModel) of(starts []int64) *metric.Bucket {
	b := metric.NewBucket(tables)
	for _, s := range starts {
		b.Cover(s, s+60)
		for _, e := range m.events[s] {
			of(b).count(e.n)
			of(b).Pps.Add(e.second, e.n)
			of(b).Top.Add(fmt.Append(nil, e.second), e.n)
		}
	}
	b.Seal(64)
	return b
}

// TestLateModel compares a ring with the model over random minutes of several hosts, in any order.
func TestLateModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &lateModel{minutes: rapid.IntRange(1, 8).Draw(t, "minutes"), events: map[int64][]event{}, hosts: map[int64]string{}}
		r := newRing(m.minutes)
		seen, images := map[int64]*metric.Bucket{}, map[*metric.Bucket]string{}
		base := rapid.Int64Range(-3, 100).Draw(t, "base")
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			base += rapid.SampledFrom([]int64{0, 0, 0, 1, 1, 2, 7, 1 << 20}).Draw(t, "pass")
			start := 60 * (base - rapid.Int64Range(0, 10).Draw(t, "late"))
			host := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "host")
			var events []event
			b := metric.NewBucket(tables)
			b.Identity.Host = host
			b.Cover(start, start+60)
			for _, off := range rapid.SliceOfN(rapid.Int64Range(0, 59), 0, 4).Draw(t, "seconds") {
				e := event{start + off, rapid.Uint64Range(1, 9).Draw(t, "n")}
				events = append(events, e)
				of(b).count(e.n)
				of(b).Pps.Add(e.second, e.n)
				of(b).Top.Add(fmt.Append(nil, e.second), e.n)
			}
			b.Seal(64)
			put, replace := r.Merge, rapid.Bool().Draw(t, "replace")
			if replace {
				put = r.Replace
			}
			took := put(b)
			if want := m.put(start, host, events, replace); took != want {
				t.Fatalf("minute of %d: taken %t, want %t", start, took, want)
			}
			if took {
				delete(seen, start)
			}
			compareLate(t, r, m, seen, images)
		}
	})
}

// compareLate compares a ring with the model. Buckets that were seen before must be the same ones, and unchanged.
func compareLate(t *rapid.T, r *Ring, m *lateModel, seen map[int64]*metric.Bucket, images map[*metric.Bucket]string) {
	starts := m.starts()
	all := r.Buckets()
	if len(all) != len(starts) || r.Bucket(len(starts)+1) != nil {
		t.Fatalf("%d minutes, want %d", len(all), len(starts))
	}
	for i, start := range starts {
		b := r.Bucket(i + 1)
		if b != all[len(all)-1-i] || seen[start] != nil && seen[start] != b {
			t.Fatalf("minute %d is not the bucket that it was", i+1)
		}
		if got, want := image(b), image(m.of(starts[i:i+1])); got != want {
			t.Fatalf("minute %d: %s\nwant %s", i+1, got, want)
		}
		if b.Identity.Host != m.hosts[start] {
			t.Fatalf("minute %d is of host %q, want %q", i+1, b.Identity.Host, m.hosts[start])
		}
		seen[start], images[b] = b, image(b)
	}
	for b, was := range images {
		if image(b) != was {
			t.Fatalf("a bucket changed: %s\nwas %s", image(b), was)
		}
	}
	for _, n := range []int{1, 3, m.minutes} {
		part := starts[:min(n, len(starts))]
		if got, want := image(r.Merged(n)), image(m.of(part)); got != want {
			t.Fatalf("the newest %d: %s\nwant %s", n, got, want)
		}
	}
	if r.buckets > m.minutes || len(r.entries)-r.head > 2*m.minutes+1 {
		t.Fatalf("%d buckets in %d entries", r.buckets, len(r.entries)-r.head)
	}
}

// TestHistory checks what readers see of sealed minutes while other goroutines put more.
func TestHistory(t *testing.T) {
	h := NewHistory(RingConfig{Tables: tables, Minutes: 4, Slots: 64, DeepSamplePercent: 100, Identity: metric.Identity{Policy: "default"}})
	if h.Bucket(0) != nil || h.Bucket(1) != nil || h.Merged(3) != nil || len(h.Sealed()) != 0 || h.Periods() != 5 || of(h.Totals()).N != 0 {
		t.Error("an empty history has something")
	}
	h.Second(60, func(b *metric.Bucket) {
		if b != nil {
			t.Error("an empty history has a second")
		}
	})
	var putting sync.WaitGroup
	for host := range 3 {
		putting.Go(func() {
			for i := range int64(4) {
				m := (i*3 + int64(host)) % 4 // in a different order for each host
				if !h.Merge(finished(fmt.Sprint(host), 1, 60*m, 60*m+59)) {
					t.Error("a minute was not accepted")
				}
				h.Merged(4)
				h.Totals()
				h.Sealed()
			}
		})
	}
	putting.Wait()
	if h.Merge(finished("late", 1, -60)) {
		t.Error("a minute that is too old was accepted")
	}
	if b := h.Merged(9); of(b).N != 24 || b.Start != 0 || b.End != 240 || b.Identity != (metric.Identity{Policy: "default"}) {
		t.Errorf("all: %d events from %d to %d of %+v", of(b).N, b.Start, b.End, b.Identity)
	}
	if b := h.Merged(1); of(b).N != 6 || h.Bucket(1).Start != 180 || len(h.Sealed()) != 4 || of(h.Totals()).N != 24 {
		t.Errorf("the newest has %d events, all %d", of(b).N, of(h.Totals()).N)
	}
	for second, want := range map[int64]uint64{239: 3, 238: 0} {
		h.Second(second, func(b *metric.Bucket) {
			if b == nil || of(b).Pps.At(second) != want {
				t.Errorf("second %d: not %d events", second, want)
			}
		})
	}
	if b := h.Merged(0); of(b).N != 6 || h.Totals().Identity.Policy != "default" {
		t.Errorf("a merge of 0 minutes has %d events, want those of the newest", of(b).N)
	}
	h.Second(240, func(b *metric.Bucket) {
		if b != nil {
			t.Error("a future second is there")
		}
	})
	h.Second(179, func(b *metric.Bucket) {
		if b != nil {
			t.Error("an old second is there")
		}
	})
}
