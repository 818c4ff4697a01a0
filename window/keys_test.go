package window

import (
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"pktvisor/metric"
)

// updateKeys calls add to change the keys of a section, as a shard does.
func updateKeys(w *Window, shard, section int, second, wall int64, add func(s *metric.Section)) {
	add(w.LockKeys(shard, section, second, wall))
	w.UnlockKeys(section)
}

// TestKeysApart: while one shard adds keys, another one adds counts. A reader or a seal waits until all of the keys are
// added.
func TestKeysApart(t *testing.T) {
	for name, look := range map[string]func(w *Window) *metric.Bucket{
		"merged": func(w *Window) *metric.Bucket { return w.Merged(2) },
		"live":   func(w *Window) *metric.Bucket { return w.Bucket(0) },
		"sealed": func(w *Window) *metric.Bucket {
			for shard := range 2 {
				w.Update(shard, 60, 60, func(*metric.Bucket, int64) {})
			}
			w.Advance(62, 62)
			return w.Sealed()[0]
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWindow(5, 2)
			add(w, 0, 0, 0, 1)
			add(w, 1, 0, 0, 1)
			seen := make(chan *metric.Bucket, 1)
			updateKeys(w, 0, 0, 30, 30, func(s *metric.Section) {
				w.Update(1, 30, 30, func(b *metric.Bucket, second int64) { of(b).count(5) })
				go func() { seen <- look(w) }()
				for range 1000 {
					runtime.Gosched() // let the reader run
					metric.Of[counts](s).Top.Add([]byte("a"), 1)
				}
			})
			if m := of(<-seen); m.Top.Total() != 1002 || m.N != 7 {
				t.Errorf("%d events, keys of weight %d; want 7 and 1002", m.N, m.Top.Total())
			}
		})
	}
}

// TestKeysWait: a shard that waits for another's keys does not keep other goroutines from adding counts or other keys,
// or from reading rates.
func TestKeysWait(t *testing.T) {
	w := New(Config{Tables: []*metric.Table{metric.Define[counts]("a"), metric.Define[counts]("b")}, Periods: 3, Shards: 3})
	var waiting sync.WaitGroup
	updateKeys(w, 0, 0, 0, 0, func(s *metric.Section) {
		waiting.Go(func() {
			updateKeys(w, 1, 0, 0, 0, func(s *metric.Section) { metric.Of[counts](s).Top.Add([]byte("a"), 5) })
		})
		for range 1000 {
			runtime.Gosched() // let it wait
		}
		w.Update(2, 0, 0, func(b *metric.Bucket, second int64) { of(b).count(1); w.Open(second); of(b).Pps.Add(second, 1) })
		w.Second(0, func(b *metric.Bucket) {
			if got := of(b).Pps.At(0); got != 1 {
				t.Errorf("a rate of %d, want 1", got)
			}
		})
		updateKeys(w, 2, 1, 0, 0, func(s *metric.Section) { metric.Of[counts](s).Top.Add([]byte("b"), 7) })
		metric.Of[counts](s).Top.Add([]byte("a"), 3)
	})
	waiting.Wait()
	b := w.Bucket(0)
	if of(b).N != 1 || of(b).Top.Total() != 8 || metric.Of[counts](b.Sections[1]).Top.Total() != 7 {
		t.Errorf("%d events, keys of %d and %d; want 1, 8 and 7", of(b).N, of(b).Top.Total(), metric.Of[counts](b.Sections[1]).Top.Total())
	}
}

// TestKeysAfterSeal: if a shard has locked the keys of a second before, its next keys do not go into that bucket once
// it is sealed.
func TestKeysAfterSeal(t *testing.T) {
	w := newWindow(5, 2)
	add(w, 0, 59, 59, 1)
	add(w, 1, 60, 60, 1)
	key := func(s *metric.Section) { metric.Of[counts](s).Top.Add([]byte("late"), 1) }
	for range 3 {
		updateKeys(w, 0, 0, 59, 60, key)
	}
	w.Advance(62, 62) // the grace is over
	updateKeys(w, 0, 0, 59, 62, key)
	sealed, live := of(w.Bucket(1)), of(w.Bucket(0))
	if got, _ := sealed.Top.Bounds([]byte("late")); got != 3 {
		t.Errorf("%d late keys in the bucket they belong to, want 3", got)
	}
	if got, _ := live.Top.Bounds([]byte("late")); got != 1 {
		t.Errorf("%d late keys in the live bucket, want 1", got)
	}
}

// TestAnnouncedWithKeys: keys that are added after the grace is over announce the minute before, after they are added.
func TestAnnouncedWithKeys(t *testing.T) {
	var sealed []int64
	var w *Window
	w = New(Config{Tables: tables, Periods: 5, Shards: 1, OnSeal: func(b *metric.Bucket) {
		sealed = append(sealed, b.Start, int64(of(w.Bucket(0)).Top.Total()))
	}})
	add(w, 0, 7, 7, 1)
	updateKeys(w, 0, 0, 60, 60, func(s *metric.Section) { metric.Of[counts](s).Top.Add([]byte("a"), 3) })
	if len(sealed) != 0 {
		t.Errorf("announced %v within the grace", sealed)
	}
	updateKeys(w, 0, 0, 62, 62, func(s *metric.Section) { metric.Of[counts](s).Top.Add([]byte("a"), 1) })
	if want := []int64{7, 4}; !slices.Equal(sealed, want) {
		t.Errorf("announced %v, want %v", sealed, want)
	}
}

// TestUnlockKeysAlone: to add more keys of the same second, a shard needs only the lock of the keys. A reader that
// copies the counts or another shard that adds counts does not delay it.
func TestUnlockKeysAlone(t *testing.T) {
	announced := 0
	w := New(Config{Tables: tables, Periods: 5, Shards: 1, OnSeal: func(*metric.Bucket) { announced++ }})
	add(w, 0, -60, -60, 1)
	add(w, 0, 7, 7, 1)
	if w.Finish(); announced != 1 {
		t.Fatalf("%d announced", announced)
	}
	key := func(s *metric.Section) { metric.Of[counts](s).Top.Add([]byte("a"), 1) }
	updateKeys(w, 0, 0, 7, 7, key) // this call finds the bucket
	w.mu.Lock()
	done := make(chan struct{})
	go func() {
		for range 3 {
			updateKeys(w, 0, 0, 7, 7, key)
		}
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("the keys wait for the counts")
	}
	w.mu.Unlock()
	<-done
	if got := of(w.Bucket(0)).Top.Total(); got != 5 {
		t.Errorf("keys of weight %d, want 5", got)
	}
}

// TestAnnouncedByKeys lets many goroutines seal minutes through keys or counts. Each minute is announced once, in
// order, before the last goroutine returns, and without a lock held.
func TestAnnouncedByKeys(t *testing.T) {
	const shards, minutes = 4, 100
	var sealed []*metric.Bucket
	var w *Window
	w = New(Config{Tables: tables, Periods: minutes, Shards: shards, OnSeal: func(b *metric.Bucket) {
		sealed = append(sealed, b)
		w.Bucket(0) // would wait forever if keys were locked
	}})
	var total metric.Counter
	for m := range int64(minutes) {
		var running sync.WaitGroup
		for shard := range shards {
			running.Go(func() {
				if shard == int(m)%shards {
					w.Update(shard, 60*m, 60*m, func(b *metric.Bucket, _ int64) { of(b).count(1) })
				}
				for range 3 {
					updateKeys(w, shard, 0, 60*m, 60*m, func(s *metric.Section) { metric.Of[counts](s).Top.Add([]byte("a"), 1) })
				}
			})
		}
		running.Wait()
		if got, want := len(sealed), max(int(m)-1, 0); got != want {
			t.Fatalf("minute %d: %d announced, want %d", m, got, want)
		}
	}
	for i, b := range sealed {
		if b.Start != 60*int64(i) || of(b).Top.Total() != 3*shards {
			t.Errorf("announced %d: minute of %d, keys of weight %d", i, b.Start, of(b).Top.Total())
		}
		total += of(b).N
	}
	if total != minutes-2 {
		t.Errorf("%d events announced, want %d", total, minutes-2)
	}
}
