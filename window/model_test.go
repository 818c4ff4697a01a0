package window

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pktvisor/metric"
)

type counts struct {
	N    metric.Counter   `metric:"n" unit:"events" help:"Events."`
	Pps  metric.Rate      `metric:"pps" unit:"events/s" help:"Events a second."`
	Size metric.Histogram `metric:"size" unit:"events" help:"Events an update."`
	Top  metric.Top       `metric:"top" unit:"events" slots:"64" help:"Events by second."`
}

var tables = []*metric.Table{metric.Define[counts]("test")}

func of(b *metric.Bucket) *counts { return metric.Of[counts](b.Sections[0]) }

// count adds n events of a second, but not the second as a key.
func (m *counts) count(second int64, n uint64) {
	m.N += metric.Counter(n)
	m.Pps.Add(second, n)
	m.Size.Record(n)
}

// add has a shard add n events, as shards do: what is counted, then keys.
func add(w *Window, shard int, second, wall int64, n uint64) {
	at := second
	w.Update(shard, second, wall, func(b *metric.Bucket, second int64) {
		at = second
		of(b).count(second, n)
	})
	updateKeys(w, shard, 0, second, wall, func(s *metric.Section) {
		metric.Of[counts](s).Top.Add(fmt.Append(nil, at), n)
	})
}

func image(b *metric.Bucket) string {
	if b == nil {
		return "none"
	}
	return string(b.AppendJSON(nil, metric.JSONOptions{Key: "k", Rows: 100}))
}

// minute is a bucket of the model: what was counted in which second.
type minute struct {
	start, end int64
	events     []event
}

type event struct {
	second int64
	n      uint64
}

// bucket makes the bucket that the minute must be.
func (m *minute) bucket() *metric.Bucket {
	b := metric.NewBucket(tables)
	b.Cover(m.start, m.end)
	b.Start, b.End = m.start, m.end // an empty one, too
	for _, e := range m.events {
		of(b).count(e.second, e.n)
		of(b).Top.Add(fmt.Append(nil, e.second), e.n)
	}
	return b
}

// model is a window that forgets nothing: every minute in the order of filling, of which the last is
// live and the one before it may be open, too.
type model struct {
	periods int
	single  bool
	minutes []*minute
	waiting bool // the last but one is open for late shards
	until   int64
	at      []int64
	total   uint64
}

func minuteOf(second int64) int64 {
	for second%60 != 0 {
		second--
	}
	return second
}

func (m *model) live() *minute { return m.minutes[len(m.minutes)-1] }

func (m *model) start(start, end int64) {
	m.minutes = append(m.minutes, &minute{start: start, end: end})
	m.waiting = false
}

func (m *model) time(second, wall int64) {
	switch {
	case len(m.minutes) == 0:
		m.start(second, second)
	case m.single:
	case second >= minuteOf(m.live().start)+60:
		m.live().end = minuteOf(m.live().start) + 60
		for m.live().end < minuteOf(second) {
			m.start(m.live().end, m.live().end+60)
		}
		m.start(minuteOf(second), minuteOf(second))
		m.waiting, m.until = true, wall+2
	case second < m.live().start-60:
		m.start(second, second)
	}
	if m.waiting && (wall >= m.until || slices.Min(m.at) >= m.live().start) {
		m.waiting = false
	}
}

func (m *model) update(shard int, second, wall int64, n uint64) {
	m.at[shard] = second
	m.time(second, wall)
	to := m.live()
	if m.waiting {
		if last := m.minutes[len(m.minutes)-2]; minuteOf(second) == minuteOf(last.start) {
			to = last
		}
	}
	if m.single {
		to.start = min(to.start, second)
	}
	second = max(second, to.start)
	to.end = max(to.end, second+1)
	to.events = append(to.events, event{second, n})
	m.total += n
}

func (m *model) advance(second, wall int64) {
	if len(m.minutes) == 0 {
		return
	}
	m.time(second, wall)
	if !m.single {
		m.live().end = max(m.live().end, second)
	}
}

// sealed returns the minutes that no longer change and are still kept, oldest first.
func (m *model) sealed() []*minute {
	n := max(len(m.minutes)-1, 0)
	if m.waiting {
		n--
	}
	return m.minutes[max(n-(m.periods-1), 0):n]
}

// newest returns the merge of the newest n minutes.
func (m *model) newest(n int) *metric.Bucket {
	if len(m.minutes) == 0 {
		return nil
	}
	b := metric.NewBucket(tables)
	b.Start, b.End = m.live().start, m.live().end
	kept := m.sealed()
	if m.waiting {
		kept = append(slices.Clone(kept), m.minutes[len(m.minutes)-2])
	}
	kept = append(slices.Clone(kept), m.live())
	for _, x := range kept[max(len(kept)-n, 0):] {
		b.Merge(x.bucket())
	}
	return b
}

// TestModel holds a window to the model over random sequences of what may happen to it: several shards,
// some late, gaps, clocks that step either way, time without packets.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shards := rapid.IntRange(1, 3).Draw(t, "shards")
		periods := rapid.IntRange(2, 6).Draw(t, "periods")
		m := &model{periods: periods, single: rapid.IntRange(0, 4).Draw(t, "single") == 0, at: make([]int64, shards)}
		var announced []*metric.Bucket
		var images []string
		w := New(Config{
			Tables: tables, Periods: periods, Shards: shards, Single: m.single, DeepSamplePercent: 100,
			OnSeal: func(b *metric.Bucket) {
				announced, images = append(announced, b), append(images, image(b))
			},
		})
		if w.Bucket(0) != nil || w.Merged(periods) != nil || w.Last(periods) != nil || w.Periods() != periods {
			t.Fatal("a new window has buckets")
		}
		clock, wall := rapid.Int64Range(-200, 10_000).Draw(t, "clock"), int64(1_000_000)
		updates, total := w.Updates(), metric.Counter(0)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			// Mostly seconds pass, sometimes minutes, and rarely the clock is set.
			clock += rapid.OneOf(rapid.Int64Range(0, 3), rapid.Int64Range(0, 40), rapid.Int64Range(40, 200), rapid.Int64Range(-2000, 2000)).Draw(t, "pass")
			wall += rapid.Int64Range(0, 2).Draw(t, "wall")
			if rapid.IntRange(0, 3).Draw(t, "advance") == 0 {
				w.Advance(clock, wall)
				m.advance(clock, wall)
			} else {
				shard, n := rapid.IntRange(0, shards-1).Draw(t, "shard"), rapid.Uint64Range(1, 99).Draw(t, "events")
				second := clock - rapid.OneOf(rapid.Just[int64](0), rapid.Int64Range(0, 70)).Draw(t, "late")
				add(w, shard, second, wall, n)
				m.update(shard, second, wall, n)
			}
			if len(m.minutes) > 0 {
				if w.Updates() == updates {
					t.Fatal("Updates did not change")
				}
				updates = w.Updates()
			}
			compare(t, w, m)
			now := of(w.Totals()).N
			if now < total || now != metric.Counter(m.total) {
				t.Fatalf("total %d, was %d, want %d", now, total, m.total)
			}
			total = now
		}
		compareSealed(t, announced, images, m)
		n := rapid.IntRange(1, periods+1).Draw(t, "last")
		if b := w.Merged(n); b != nil {
			if got, want := image(w.Last(n)), image(b); got != want {
				t.Fatalf("last window of %d: %s\nwant %s", n, got, want)
			}
		}
	})
}

func compare(t *rapid.T, w *Window, m *model) {
	if len(m.minutes) == 0 {
		return
	}
	if got, want := image(w.Bucket(0)), image(m.newest(1)); got != want {
		t.Fatalf("live bucket: %s\nwant %s", got, want)
	}
	sealed := m.sealed()
	if got := len(w.Sealed()); got != len(sealed) {
		t.Fatalf("%d sealed buckets, want %d", got, len(sealed))
	}
	for i := 1; i <= len(sealed); i++ {
		want := sealed[len(sealed)-i].bucket()
		want.Seal(8192)
		if got, want := image(w.Bucket(i)), image(want); got != want {
			t.Fatalf("bucket %d: %s\nwant %s", i, got, want)
		}
	}
	if w.Bucket(len(sealed)+1) != nil || w.Bucket(-1) != nil {
		t.Fatal("there is a bucket beyond the last")
	}
	for _, n := range []int{1, 2, m.periods, m.periods + 3} {
		want := m.newest(n)
		// Seconds without events at the edge of an open bucket are not in its rate yet: compare the
		// quantiles of the whole span.
		got := w.Merged(n)
		for _, b := range []*metric.Bucket{got, want} {
			of(b).Pps.Cover(b.Start, b.End)
		}
		if got, want := image(got), image(want); got != want {
			t.Fatalf("window of %d: %s\nwant %s", n, got, want)
		}
	}
}

// compareSealed checks that every minute with events was announced, in order, and has not changed since.
func compareSealed(t *rapid.T, announced []*metric.Bucket, images []string, m *model) {
	var want, got []string
	for _, x := range m.minutes[:max(len(m.minutes)-1, 0)] {
		if len(x.events) > 0 && (!m.waiting || x != m.minutes[len(m.minutes)-2]) {
			b := x.bucket()
			b.Seal(8192)
			want = append(want, image(b))
		}
	}
	for i, b := range announced {
		if image(b) != images[i] {
			t.Fatalf("a sealed bucket changed: %s\nwas %s", image(b), images[i])
		}
		if of(b).N > 0 {
			got = append(got, images[i])
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("announced %q\nwant %q", got, want)
	}
}
