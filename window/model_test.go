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

// count adds n events without their second: neither to the rate nor to the keys.
func (m *counts) count(n uint64) {
	m.N += metric.Counter(n)
	m.Size.Record(n)
}

// add lets a shard add n events of its second, as shards do: first the counts and rates, then the keys.
func add(w *Window, shard int, second, wall int64, n uint64) {
	addLate(w, shard, second, second, wall, n)
}

// addLate adds events that count at the shard's second, but in the rates at another one. They are left out of the rates
// if that second's bucket is no longer open.
func addLate(w *Window, shard int, second, rated, wall int64, n uint64) {
	at := second
	w.Update(shard, second, wall, func(b *metric.Bucket, second int64) {
		at = second
		of(b).count(n)
		if b := w.Open(rated); b != nil {
			of(b).Pps.Add(rated, n)
		}
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

// modelMinute is a bucket of the model, with its events and their seconds.
type modelMinute struct {
	start, end int64
	events     []event
	rates      []event
	run        *[2]int64 // the run of skipped minutes that it belongs to
}

type event struct {
	second int64
	n      uint64
}

func (m *modelMinute) period() int64 { return minuteOf(m.start) }

func (m *modelMinute) cover(second int64) {
	m.start, m.end = min(m.start, second), max(m.end, second+1)
}

// bucket returns the bucket that the minute must be.
func (m *modelMinute) bucket() *metric.Bucket {
	b := metric.NewBucket(tables)
	b.Start, b.End = m.start, m.end // also for an empty one
	for _, e := range m.events {
		of(b).count(e.n)
		of(b).Top.Add(fmt.Append(nil, e.second), e.n)
	}
	for _, e := range m.rates {
		of(b).Pps.Add(e.second, e.n)
	}
	return b
}

// model is a window that drops nothing. It has everything that was sealed in the order of filling, and the open
// minutes.
type model struct {
	periods       int
	single        bool
	done          []*modelMinute
	live, closing *modelMinute
	skipped       [2]int64 // minutes between closing and live: from (included), to (not included)
	latest        int64    // the latest minute that was ever live
	until         int64
	at            map[int]int64 // minute of each shard's latest update
	total         uint64
}

func minuteOf(second int64) int64 {
	for second%60 != 0 {
		second--
	}
	return second
}

// between returns the minutes that were skipped.
func (m *model) between() []*modelMinute { return empties(&m.skipped) }

// empties returns the newest minutes of a run, as many as a window of the test can have.
func empties(run *[2]int64) (list []*modelMinute) {
	run = &[2]int64{run[0], run[1]}
	for p := max(run[0], run[1]-60*20); p < run[1]; p += 60 {
		list = append(list, &modelMinute{start: p, end: p + 60, run: run})
	}
	return list
}

// undo removes the skipped minutes from the given one on from the sealed ones, because they have not passed.
func (m *model) undo(from int64) {
	var done []*modelMinute
	var last *[2]int64
	for _, x := range m.done {
		switch {
		case x.run == nil || x.run[1] <= from:
			done = append(done, x)
		case x.run != last:
			done = append(done, empties(&[2]int64{x.run[0], from})...)
		}
		last = x.run
	}
	m.done = done
}

func (m *model) seal() {
	if m.closing != nil {
		m.done = append(append(m.done, m.closing), m.between()...)
		m.closing, m.skipped = nil, [2]int64{}
	}
}

func (m *model) time(second, wall int64) {
	p := minuteOf(second)
	if m.live == nil {
		m.live, m.latest = &modelMinute{start: second, end: second}, p
		return
	}
	if wall >= m.until {
		m.seal()
	}
	now := m.live.period()
	switch {
	case m.single, p == now, m.closing != nil && p == m.closing.period():
	case p > now: // forward
		m.seal()
		from := now + 60
		if m.latest > now && p >= m.latest { // back from where the clock had been set to
			from = m.latest + 60
		} else {
			m.live.end = now + 60
		}
		m.closing, m.skipped, m.until = m.live, [2]int64{from, p}, wall+2
		m.live, m.latest = &modelMinute{start: p, end: p}, max(m.latest, p)
	case p < now-60: // back
		m.skipped[1] = min(m.skipped[1], p)
		m.seal()
		m.undo(p)
		m.closing, m.until = m.live, wall+2
		m.live = &modelMinute{start: second, end: second}
	}
}

// open returns the minute that is open for a second, or nil.
func (m *model) open(second, wall int64) *modelMinute {
	p, now := minuteOf(second), m.live.period()
	switch {
	case m.single || p == now:
		return m.live
	case m.closing != nil && p == m.closing.period():
		return m.closing
	case p != now-60:
		return nil
	case len(m.between()) > 0 && m.skipped[1] == now:
		m.skipped[1] = p
		m.seal()
		m.closing = &modelMinute{start: p, end: now}
	case m.closing == nil && (len(m.done) == 0 || m.done[len(m.done)-1].period() < p):
		m.closing, m.until = &modelMinute{start: second, end: now}, wall+2
	default:
		return nil
	}
	return m.closing
}

func (m *model) update(shard int, second, rated, wall int64, n uint64) {
	p := minuteOf(second)
	if m.live != nil && m.closing != nil && p == m.closing.period() && m.at[shard] == m.live.period() {
		m.skipped = [2]int64{} // two clocks
	}
	m.at[shard] = p
	m.time(second, wall)
	m.total += n
	to := m.open(second, wall)
	if to == nil {
		to, second = m.live, max(second, m.live.start)
	}
	to.cover(second)
	to.events = append(to.events, event{second, n})
	if at := m.open(rated, wall); at != nil {
		at.cover(rated)
		at.rates = append(at.rates, event{rated, n})
	}
}

func (m *model) advance(second, wall int64) {
	if m.live == nil {
		return
	}
	m.time(second, wall)
	if minuteOf(second) == m.live.period() {
		m.live.end = max(m.live.end, second)
	}
}

// sealed returns the minutes that no longer change and are still kept, oldest first.
func (m *model) sealed() []*modelMinute { return m.done[max(len(m.done)-(m.periods-1), 0):] }

// newest returns the merge of the newest n minutes, placed end to end if they do not follow each other.
func (m *model) newest(n int) *metric.Bucket {
	if m.live == nil {
		return nil
	}
	if m.single {
		return m.live.bucket()
	}
	kept := slices.Clone(m.sealed())
	if m.closing != nil {
		kept = append(append(kept, m.closing), m.between()...)
	}
	kept = append(kept, m.live)
	kept = kept[max(len(kept)-min(n, m.periods), 0):]
	b := metric.NewBucket(tables)
	b.Start, b.End = m.live.start, m.live.end
	var seconds []uint64 // of all minutes, in their order
	start := m.live.start
	for i, x := range slices.Backward(kept) {
		if gap := start - x.end; i < len(kept)-1 && gap > 0 && gap < 60 {
			seconds = append(make([]uint64, gap), seconds...)
			start = x.end
		}
		mine := make([]uint64, x.end-x.start)
		for _, e := range x.rates {
			mine[e.second-x.start] += e.n
		}
		if i < len(kept)-1 {
			start -= x.end - x.start
		}
		seconds = append(mine, seconds...)
		part := x.bucket()
		of(part).Pps, part.Start, part.End = metric.Rate{}, 0, 0
		b.Merge(part)
	}
	b.Start = start
	for i, n := range seconds {
		of(b).Pps.Add(start+int64(i), n)
	}
	return b
}

// TestModel compares a window with the model over random sequences of events: several shards, some of them late, gaps,
// clocks that step in either direction, and time without packets.
func TestModel(t *testing.T) { rapid.Check(t, windowModel) }

// FuzzModel lets coverage guide the choices of TestModel.
func FuzzModel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(windowModel)) }

func windowModel(t *rapid.T) {
	shards := rapid.IntRange(1, 3).Draw(t, "shards")
	periods := rapid.IntRange(2, 6).Draw(t, "periods")
	m := &model{periods: periods, single: rapid.IntRange(0, 4).Draw(t, "single") == 0, at: map[int]int64{0: 0, 1: 0, 2: 0}}
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
	jumps := []int64{-3600, 3600, -120, 120, 1 << 30, -1 << 30}
	if m.single {
		jumps = jumps[:4] // it stores each second of a day
	}
	total := metric.Counter(0)
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		// Mostly seconds pass, sometimes minutes, and rarely the clock is set.
		clock += rapid.OneOf(rapid.Int64Range(0, 3), rapid.Int64Range(0, 40), rapid.Int64Range(40, 200), rapid.Int64Range(-2000, 2000),
			rapid.SampledFrom(jumps)).Draw(t, "pass")
		wall += rapid.Int64Range(0, 2).Draw(t, "wall")
		if rapid.IntRange(0, 3).Draw(t, "advance") == 0 {
			w.Advance(clock, wall)
			m.advance(clock, wall)
		} else {
			shard, n := rapid.IntRange(0, shards-1).Draw(t, "shard"), rapid.Uint64Range(1, 99).Draw(t, "events")
			second := clock - rapid.OneOf(rapid.Just[int64](0), rapid.Int64Range(0, 70)).Draw(t, "late")
			rated := second - rapid.OneOf(rapid.Just[int64](0), rapid.Int64Range(0, 130)).Draw(t, "rated")
			addLate(w, shard, second, rated, wall, n)
			m.update(shard, second, rated, wall, n)
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
}

func compare(t *rapid.T, w *Window, m *model) {
	if m.live == nil {
		return
	}
	if got, want := image(w.Bucket(0)), image(m.live.bucket()); got != want {
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
		// Seconds without events at the edge of an open bucket are not in its rate yet. So compare the quantiles of the
		// whole span.
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
	for _, x := range m.done {
		if len(x.events) > 0 {
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
