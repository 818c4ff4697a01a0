package window

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"pktvisor/metric"
)

func newWindow(periods, shards int) *Window {
	return New(Config{Tables: tables, Periods: periods, Shards: shards, DeepSamplePercent: 100})
}

// spans returns the start, end and events of the live bucket and those before it.
func spans(w *Window) [][3]int64 {
	var all [][3]int64
	for n := 0; w.Bucket(n) != nil; n++ {
		b := w.Bucket(n)
		all = append(all, [3]int64{b.Start, b.End, int64(of(b).N)})
	}
	return all
}

func wantSpans(t *testing.T, w *Window, want ...[3]int64) {
	t.Helper()
	if got := spans(w); !slices.Equal(got, want) {
		t.Errorf("buckets, newest first: %v, want %v", got, want)
	}
}

// wantSealed is wantSpans after the closing bucket is sealed.
func wantSealed(t *testing.T, w *Window, want ...[3]int64) {
	t.Helper()
	w.Finish()
	wantSpans(t, w, want...)
}

// TestNumbering: bucket 0 is the live one, bucket 1 the newest finished minute, and a window of N has the newest N.
func TestNumbering(t *testing.T) {
	w := newWindow(4, 1)
	const first = 1_700_000_040 // the 20th second of a minute is 1,700,000,000
	for i := range int64(6) {
		add(w, 0, first+60*i+7, first+60*i+7, uint64(1)<<i)
	}
	wantSealed(t, w,
		[3]int64{first + 300, first + 308, 32}, [3]int64{first + 240, first + 300, 16},
		[3]int64{first + 180, first + 240, 8}, [3]int64{first + 120, first + 180, 4})
	for n, want := range []metric.Counter{0, 32, 48, 56, 60, 60} {
		if n == 0 {
			continue
		}
		if got := of(w.Merged(n)).N; got != want {
			t.Errorf("window of %d has %d, want %d", n, got, want)
		}
	}
	if got := of(w.Totals()).N; got != 63 {
		t.Errorf("totals are %d, want 63", got)
	}
	if b := w.Merged(4); b.Start != first+120 || b.End != first+308 {
		t.Errorf("window of 4 spans %d to %d", b.Start, b.End)
	}
}

// TestPartial: the first bucket starts with its first packet, the live one ends with the last second that is over, and
// those between are whole minutes.
func TestPartial(t *testing.T) {
	w := newWindow(5, 1)
	add(w, 0, 47, 47, 1)
	wantSealed(t, w, [3]int64{47, 48, 1})
	w.Advance(52, 52)
	wantSealed(t, w, [3]int64{47, 52, 1})
	add(w, 0, 61, 61, 2)
	wantSealed(t, w, [3]int64{60, 62, 2}, [3]int64{47, 60, 1})
	add(w, 0, 185, 185, 4)
	wantSealed(t, w, [3]int64{180, 186, 4}, [3]int64{120, 180, 0}, [3]int64{60, 120, 2}, [3]int64{47, 60, 1})
}

// TestTimeWithoutPackets: without packets, buckets still rotate, and are sealed after the grace.
func TestTimeWithoutPackets(t *testing.T) {
	w := newWindow(3, 2)
	w.Advance(5, 5)
	if w.Bucket(0) != nil {
		t.Error("time alone makes a bucket")
	}
	add(w, 0, 30, 30, 1)
	for s := int64(31); s <= 60+1; s++ {
		w.Advance(s, s)
	}
	wantSpans(t, w, [3]int64{60, 61, 0}) // the finished minute waits
	if got := of(w.Merged(2)).N; got != 1 {
		t.Errorf("a window of 2 has %d, want the minute that waits", got)
	}
	w.Advance(62, 62)
	wantSpans(t, w, [3]int64{60, 62, 0}, [3]int64{30, 60, 1})
	for s := int64(63); s <= 185; s++ {
		w.Advance(s, s)
	}
	wantSpans(t, w, [3]int64{180, 185, 0}, [3]int64{120, 180, 0}, [3]int64{60, 120, 0})
}

// TestGrace: a finished bucket waits for late shards until the grace is over. What comes later counts in the live
// bucket.
func TestGrace(t *testing.T) {
	w := newWindow(5, 2)
	add(w, 0, 10, 10, 1)
	add(w, 1, 10, 10, 1)
	add(w, 0, 60, 60, 10)
	add(w, 1, 59, 60, 1) // late, but counted in its own minute
	wantSpans(t, w, [3]int64{60, 61, 10})
	add(w, 1, 60, 61, 10) // all shards are past it, but late packets may still come
	add(w, 0, 59, 61, 1)
	wantSpans(t, w, [3]int64{60, 61, 20})
	w.Advance(62, 62)
	wantSpans(t, w, [3]int64{60, 62, 20}, [3]int64{10, 60, 4})

	add(w, 0, 120, 120, 100)
	add(w, 1, 100, 121, 10) // within the grace
	add(w, 1, 101, 122, 100)
	wantSpans(t, w, [3]int64{120, 121, 200}, [3]int64{60, 120, 30}, [3]int64{10, 60, 4})
	// What was too late is in the live bucket, but in none of its seconds.
	if got := of(w.Bucket(0)).Pps.At(120); got != 100 {
		t.Errorf("%d events in the live bucket's first second, want 100", got)
	}
}

// TestSingle: one bucket covers the whole time, including gaps and steps back.
func TestSingle(t *testing.T) {
	w := New(Config{Tables: tables, Periods: 5, Shards: 1, Single: true})
	for i, second := range []int64{1000, 1001, 5000, 900, 90_000} {
		add(w, 0, second, second, uint64(1)<<i)
	}
	w.Advance(100_000, 100_000)
	wantSpans(t, w, [3]int64{900, 90_001, 31})
	if got := of(w.Merged(5)).N; got != 31 {
		t.Errorf("the window has %d, want 31", got)
	}
}

// TestBounded: however long a window runs, it keeps only its periods.
func TestBounded(t *testing.T) {
	const periods = 16
	w := newWindow(periods, 1)
	for i := range int64(200) {
		add(w, 0, i*60, i*60, 1)
		updateKeys(w, 0, 0, i*60, i*60, func(s *metric.Section) {
			for k := range 1000 {
				metric.Of[counts](s).Top.Add(fmt.Appendf(nil, "%d-%d", i, k), 1)
			}
		})
		w.Finish()
		if got := len(w.Sealed()); got != min(int(i), periods-1) {
			t.Fatalf("minute %d: %d sealed buckets", i, got)
		}
	}
	if c := cap(w.sealed.entries); c > 4*periods {
		t.Errorf("room for %d sealed buckets", c)
	}
	if got := of(w.Totals()).N; got != 200 {
		t.Errorf("totals are %d, want 200", got)
	}
}

// TestTrims: many periods share the memory of a few, table by table.
func TestTrims(t *testing.T) {
	for _, c := range []struct{ periods, slots int }{{2, 8192}, {5, 8192}, {8, 8192}, {9, 4096}, {60, 1024}, {1440, 256}} {
		if got := newWindow(c.periods, 1).sealed.cfg.Slots; got != c.slots {
			t.Errorf("%d periods: %d slots a sealed table, want %d", c.periods, got, c.slots)
		}
		w := New(Config{Tables: tables, Periods: c.periods, Shards: 1, Slots: 128})
		if got := w.sealed.cfg.Slots; got != 128 {
			t.Errorf("%d periods: %d slots a sealed table, want the 128 that were asked for", c.periods, got)
		}
	}
	for _, c := range []struct{ periods, scale, slots int }{{5, 1, 8192}, {5, -1, 4096}, {5, -9, 64}, {60, 2, 4096}, {60, 4, 8192}, {1440, -1, 128}, {1440, -5, 64}} {
		if got := SealedSlots(c.periods, c.scale); got != c.slots {
			t.Errorf("%d periods at scale %d: %d slots a sealed table, want %d", c.periods, c.scale, got, c.slots)
		}
	}
}

func TestRestore(t *testing.T) {
	old := newWindow(5, 1)
	for i := range int64(7) {
		add(old, 0, i*60, i*60, uint64(1)<<i)
	}
	old.Finish()
	w := newWindow(4, 1)
	add(w, 0, 600, 600, 1000)
	add(w, 0, 660, 660, 2000)
	w.Restore(old.Sealed(), 0)
	wantSealed(t, w, [3]int64{660, 661, 2000}, [3]int64{600, 660, 1000}, [3]int64{300, 360, 32}, [3]int64{240, 300, 16})
	if got := of(w.Merged(4)).N; got != 3048 {
		t.Errorf("the window has %d, want 3048", got)
	}
	if got := of(w.Totals()).N; got != 3000 {
		t.Errorf("totals are %d, want those of this run: 3000", got)
	}
	add(w, 0, 720, 720, 4000)
	wantSealed(t, w, [3]int64{720, 721, 4000}, [3]int64{660, 720, 2000}, [3]int64{600, 660, 1000}, [3]int64{300, 360, 32})
}

// TestMeta: the identity and the sampling are in every bucket, including empty and restored ones. Lost packets add up.
func TestMeta(t *testing.T) {
	id := metric.Identity{Host: "ns1", Tap: "eth0", Policy: "default", Tags: "pop=ams1", Boot: 7}
	first := id
	first.Seq = 1
	w := New(Config{Tables: tables, Periods: 3, Shards: 1, DeepSamplePercent: 25, Identity: id})
	lose := func(b *metric.Bucket, _ int64) { b.Lost++ }
	w.Update(0, 0, 0, lose)
	w.Update(0, 60, 60, lose)
	w.Finish()
	for name, b := range map[string]*metric.Bucket{"live": w.Bucket(0), "sealed": w.Bucket(1), "window": w.Merged(2)} {
		want := id
		if name == "sealed" {
			want = first
		}
		if b.DeepSamplePercent != 25 || b.Identity != want {
			t.Errorf("%s: %d%% deep sample of %+v, want 25 of %+v", name, b.DeepSamplePercent, b.Identity, want)
		}
	}
	if w.Merged(2).Lost != 2 || w.Totals().Lost != 2 {
		t.Errorf("%d lost in the window, %d in the totals, want 2", w.Merged(2).Lost, w.Totals().Lost)
	}
	again := New(Config{Tables: tables, Periods: 4, Shards: 1, DeepSamplePercent: 25, Identity: id})
	// A restored bucket remains the one that the other run sealed. One without a boot is that of an older program.
	known, old := finished("ns0", 1, 60), finished("ns0", 1, 0)
	known.Identity.Boot, known.Identity.Seq = 5, 9
	again.Restore([]*metric.Bucket{old, known}, 150)
	again.Update(0, 190, 190, lose)
	noBoot := id
	noBoot.Boot = 0
	for want, b := range map[metric.Identity]*metric.Bucket{
		noBoot: again.Bucket(3), {Host: "ns0", Policy: "default", Boot: 5, Seq: 9}: again.Bucket(2), id: again.Bucket(1),
	} {
		if b == nil || b.Identity != want {
			t.Errorf("bucket %+v, want one of %+v", b, want)
		}
	}
}

// TestCopies: changing a live bucket or a window that a method returned does not change the window.
func TestCopies(t *testing.T) {
	w := newWindow(3, 1)
	add(w, 0, 5, 5, 1)
	add(w, 0, 65, 65, 1)
	want := image(w.Merged(2))
	for _, b := range []*metric.Bucket{w.Bucket(0), w.Merged(1), w.Merged(2), w.Totals()} {
		of(b).count(50)
		of(b).Top.Add([]byte("65"), 50)
		b.Lost = 7
	}
	if got := image(w.Merged(2)); got != want {
		t.Errorf("the window is %s, was %s", got, want)
	}
	if got := w.Merged(0); of(got).N != 1 {
		t.Errorf("a window of 0 has %d, want that of 1", of(got).N)
	}
}

// TestConcurrent lets shards race each other and readers. Nothing is lost, totals never decrease, and minutes are
// announced once, in order. It is most useful with the race detector.
func TestConcurrent(t *testing.T) {
	const shards, seconds = 4, 600
	var announced []int64
	var sealedEvents metric.Counter
	w := New(Config{
		Tables: tables, Periods: 5, Shards: shards, DeepSamplePercent: 100,
		OnSeal: func(b *metric.Bucket) {
			announced = append(announced, b.Start)
			sealedEvents += of(b).N
		},
	})
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			last := metric.Counter(0)
			for {
				select {
				case <-done:
					return
				default:
				}
				now := of(w.Totals()).N
				if now < last {
					t.Errorf("totals went from %d to %d", last, now)
				}
				last = now
				if b := w.Merged(5); b != nil {
					image(b)
				}
				for _, b := range w.Sealed() {
					image(b)
				}
			}
		})
	}
	// Half a minute at a time, so that no shard is so late that the clock seems to step back.
	for from := int64(0); from < seconds; from += 30 {
		var writers sync.WaitGroup
		for shard := range shards {
			writers.Go(func() {
				for s := from; s < from+30; s++ {
					add(w, shard, s, s, 1)
				}
			})
		}
		writers.Go(func() {
			for s := from; s < from+30; s++ {
				w.Advance(s, s)
			}
		})
		writers.Wait()
	}
	close(done)
	readers.Wait()
	if got := of(w.Totals()).N; got != shards*seconds {
		t.Errorf("%d events, want %d", got, shards*seconds)
	}
	if want := []int64{0, 60, 120, 180, 240, 300, 360, 420, 480}; !slices.Equal(announced, want) {
		t.Errorf("announced the minutes %v, want %v", announced, want)
	}
	if sealedEvents != shards*540 {
		t.Errorf("%d events are announced, want %d", sealedEvents, shards*540)
	}
}

// TestAnnounceOrder lets many goroutines seal at once. OnSeal sees the buckets in the order of sealing.
func TestAnnounceOrder(t *testing.T) {
	const shards, minutes = 8, 40
	var starts []int64
	w := New(Config{Tables: tables, Periods: 3, Shards: shards, OnSeal: func(b *metric.Bucket) { starts = append(starts, b.Start) }})
	var mu sync.Mutex
	next := int64(0)
	var running sync.WaitGroup
	for shard := range shards {
		running.Go(func() {
			for {
				mu.Lock()
				s := next
				next += 60
				mu.Unlock()
				if s >= minutes*60 {
					return
				}
				add(w, shard, s, s, 1)
			}
		})
	}
	running.Wait()
	if len(starts) == 0 {
		t.Fatal("nothing was sealed")
	}
	// A shard that is overtaken by more than a minute steps back, so minutes may come again. The ring and the
	// announcements still have the same order.
	sealed := slices.DeleteFunc(w.Sealed(), func(b *metric.Bucket) bool { return of(b).N == 0 }) // minutes without a packet
	tail := starts[len(starts)-len(sealed):]
	for i, b := range sealed {
		if b.Start != tail[i] {
			t.Errorf("announced %v, sealed bucket %d starts at %d", tail, i, b.Start)
		}
	}
}

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

// TestClose: a window that is closed announces both open minutes, in order and once, and time no longer passes in it.
func TestClose(t *testing.T) {
	var got [][2]int64
	cfg := Config{Tables: tables, Periods: 5, Shards: 1, OnSeal: func(b *metric.Bucket) { got = append(got, [2]int64{b.Start, int64(of(b).N)}) }}
	w := New(cfg)
	add(w, 0, 110, 110, 3)
	add(w, 0, 120, 120, 4)
	w.Close()
	w.Advance(300, 300)
	w.Close()
	if want := [][2]int64{{110, 3}, {120, 4}}; !slices.Equal(got, want) {
		t.Errorf("announced %v, want %v", got, want)
	}
	if b := w.Bucket(1); b == nil || of(b).N != 4 {
		t.Errorf("the newest sealed minute is %v", b)
	}
	New(cfg).Close()
	if len(got) != 2 {
		t.Errorf("an empty window has announced %v", got[2:])
	}
}
