package metric

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pktvisor/sketch"
)

// hourOf makes a bucket with the rate of an hour, and appends its seconds to truth.
func hourOf(r *rand.Rand, start int64, truth *[]uint64) *Bucket {
	b := NewBucket([]*Table{fruitTable})
	b.Start, b.End = start, start+3600
	rate := &Of[fruit](b.Sections[0]).Rate
	rate.Cover(b.Start, b.End)
	for second := b.Start; second < b.End; second++ {
		v := uint64(0)
		if r.IntN(5) > 0 {
			v = uint64(2000 + 1500*math.Sin(float64(second)/5000) + 300*r.NormFloat64())
		}
		rate.Add(second, v)
		*truth = append(*truth, v)
	}
	return b
}

// checkSeconds compares the rate of a bucket with all seconds that it should have.
func checkSeconds(t *testing.T, what string, b *Bucket, truth []uint64) {
	t.Helper()
	rate := &Of[fruit](b.Sections[0]).Rate
	if got := rate.seconds(); got != uint64(len(truth)) {
		t.Errorf("%s: %d seconds, want %d", what, got, len(truth))
	}
	sorted := slices.Sorted(slices.Values(truth))
	qs := []float64{0, 0.1, 0.25, 0.5, 0.9, 0.95, 0.99, 1}
	got := make([]uint64, len(qs))
	rate.Quantiles(qs, got)
	for i, q := range qs {
		want := float64(sorted[max(int(math.Ceil(q*float64(len(sorted)))), 1)-1])
		if math.Abs(float64(got[i])-want) > 0.01*want {
			t.Errorf("%s: quantile %v is %d, want %v", what, q, got[i], want)
		}
	}
}

// TestCoarseRates: hours with coarse rates make a day with the right number of seconds and quantiles, whatever the way of
// merging.
func TestCoarseRates(t *testing.T) {
	tables := []*Table{fruitTable}
	r := rand.New(rand.NewPCG(1, 4))
	var truth, none []uint64
	var sent [][]byte
	var buckets []*Bucket
	day := NewBucket(tables)
	const hours = 24
	for i := range int64(hours) {
		b := hourOf(r, testStart+3600*i, &truth)
		day.Merge(b)
		data := b.AppendSnapshot(nil, SnapshotOptions{CoarseRates: true})
		if exact := b.AppendSnapshot(nil, SnapshotOptions{}); len(data) > 1200 || len(data) > len(exact)/3 {
			t.Errorf("%d bytes, %d with all seconds", len(data), len(exact))
		}
		got := mustRead(t, tables, data)
		if i%5 == 0 {
			checkSeconds(t, "an hour", got, truth[3600*i:])
		}
		if rate := &Of[fruit](got.Sections[0]).Rate; rate.At(got.End-1) != truth[len(truth)-1] || rate.end-rate.from != 1 {
			t.Errorf("the last second has %d, want %d; from %d to %d", rate.At(got.End-1), truth[len(truth)-1], rate.from, rate.end)
		}
		checkSeconds(t, "the original", b, truth[3600*i:])
		sent, buckets = append(sent, data), append(buckets, got)
	}
	checkSeconds(t, "the exact day", day, truth)
	checkSeconds(t, "the coarse day", mustRead(t, tables, day.AppendSnapshot(nil, SnapshotOptions{CoarseRates: true})), truth)

	m := NewMerger(tables)
	open := func(i int) {
		t.Helper()
		if _, err := m.Open(sent[i]); err != nil {
			t.Fatal(err)
		}
	}
	up, down, newest := NewBucket(tables), NewBucket(tables), NewBucket(tables)
	for i := range hours {
		open(i)
		m.AddTo(up)
		if i == hours-1 {
			m.AddTo(newest)
		}
	}
	checkSeconds(t, "merged from the oldest on", up, truth)
	for i := hours - 1; i >= 0; i-- {
		open(i)
		if i == hours-1 {
			m.AddTo(down)
		} else {
			m.Precede(down)
		}
	}
	checkSeconds(t, "preceded one by one", down, truth)
	older := slices.Clone(buckets[:hours-1])
	slices.Reverse(older)
	newest.Precede(older)
	checkSeconds(t, "preceded by all", newest, truth)
	if newest.Start != testStart || newest.End != testStart+hours*3600 {
		t.Errorf("from %d to %d", newest.Start, newest.End)
	}

	// An exact hour after coarse ones, and before one.
	exact := hourOf(r, testStart+24*3600, &truth)
	late := NewBucket(tables)
	late.Merge(exact)
	late.Precede(append([]*Bucket{newest}, hourOf(rand.New(rand.NewPCG(9, 9)), testStart-3600, &none)))
	checkSeconds(t, "with exact hours", late, append(none, truth...))

	// A gap of half a minute, in which nothing ran, and a minute without events.
	gap := mustRead(t, tables, sent[3])
	quiet := NewBucket(tables)
	quiet.Cover(gap.Start-90, gap.Start-30)
	gap.Precede([]*Bucket{quiet, mustRead(t, tables, shifted(t, sent[2], -90))})
	checkSeconds(t, "over a gap", gap, append(make([]uint64, 90), truth[2*3600:4*3600]...))

	// Over hosts, the quantiles are those of the seconds of each.
	both := mustRead(t, tables, sent[0])
	both.Merge(buckets[0])
	checkSeconds(t, "over hosts", both, append(slices.Clone(truth[:3599]), append(slices.Clone(truth[:3599]), 2*truth[3599])...))
	// The reader is the only one that knows that it was coarse.
	if again := full(mustRead(t, tables, full(newest))); string(again) != string(full(newest)) {
		t.Error("what was read differs")
	}
}

// shifted returns a snapshot with other times.
func shifted(t *testing.T, data []byte, by int64) []byte {
	t.Helper()
	b := mustRead(t, []*Table{fruitTable}, data)
	moved := NewBucket(b.tables())
	moved.Start, moved.End = b.Start+by, b.End+by
	Of[fruit](moved.Sections[0]).Rate.mergeShifted(&Of[fruit](b.Sections[0]).Rate, by)
	return moved.AppendSnapshot(nil, SnapshotOptions{})
}

func (b *Bucket) tables() []*Table {
	var tables []*Table
	for _, s := range b.Sections {
		tables = append(tables, s.Table)
	}
	return tables
}

// TestMergerForgetsCoarseRates: the histogram of one snapshot is not in the next one.
func TestMergerForgetsCoarseRates(t *testing.T) {
	tables := []*Table{fruitTable}
	var truth []uint64
	b := hourOf(rand.New(rand.NewPCG(1, 4)), testStart, &truth)
	m := NewMerger(tables)
	for _, coarse := range []bool{true, false, true} {
		data := b.AppendSnapshot(nil, SnapshotOptions{CoarseRates: coarse})
		if _, err := m.Open(data); err != nil {
			t.Fatal(err)
		}
		got := NewBucket(tables)
		m.AddTo(got)
		checkSeconds(t, fmt.Sprint("coarse ", coarse), got, truth)
	}
}

// TestRollupKeys: with the options of rollups, tables keep the keys that matter: all of a small table, and of a large one
// as many as asked for that are above the noise.
func TestRollupKeys(t *testing.T) {
	type sizes struct {
		Large Top `metric:"large" unit:"x" help:"x"`
		Half  Top `metric:"half" unit:"x" slots:"4096" help:"x"`
		Small Top `metric:"small" unit:"x" slots:"1024" help:"x"`
		Tiny  Top `metric:"tiny" unit:"x" slots:"64" help:"x"`
	}
	tables := []*Table{Define[sizes]("sizes")}
	b := NewBucket(tables)
	b.Start, b.End = testStart, testStart+60
	all := Of[sizes](b.Sections[0])
	for i := range 6000 {
		key := fmt.Appendf(nil, "key%d", i)
		w := uint64(12_000_000 / (i + 100)) // 6000 keys of 49 million in all; a 65536th is 750, an 8192nd 6,000
		all.Large.Add(key, w)
		if i < 3000 {
			all.Half.Add(key, w)
		}
		if i < 700 {
			all.Small.Add(key, w)
		}
		if i < 48 {
			all.Tiny.Add(key, w)
		}
	}
	for _, c := range []struct {
		keys  int
		noise uint64
		want  [4]int
	}{
		{0, 0, [4]int{384, 192, 96, 48}},
		{1024, 65536, [4]int{1024, 512, 256, 48}},
		{4096, 65536, [4]int{4096, 2048, 700, 48}},
		{4096, 0, [4]int{1891, 2048, 700, 48}},
	} {
		data := b.AppendSnapshot(nil, SnapshotOptions{TopKeys: c.keys, NoiseShare: c.noise, Compression: Zstd})
		got := Of[sizes](mustRead(t, tables, data).Sections[0])
		if n := [4]int{got.Large.Len(), got.Half.Len(), got.Small.Len(), got.Tiny.Len()}; n != c.want {
			t.Errorf("%d keys, a %dth: %v kept, want %v", c.keys, c.noise, n, c.want)
		}
		for _, top := range []*Top{&got.Large, &got.Half, &got.Small, &got.Tiny} { // what is kept is exact
			for _, row := range top.Top(nil, 5000) {
				if row.Upper != row.Lower {
					t.Fatalf("%+v", row)
				}
			}
		}
	}
}

// TestBoundsOnTheWire: the bounds of a table's keys survive a snapshot, a merge of snapshots, and a snapshot of that. A reader
// that does not know them has wider ones.
func TestBoundsOnTheWire(t *testing.T) {
	tables := []*Table{fruitTable}
	host := func(weights ...uint64) []byte {
		b := NewBucket(tables)
		b.Start, b.End = testStart, testStart+60
		top := &Of[fruit](b.Sections[0]).Top
		for i, w := range weights {
			top.Add([]byte{'a' + byte(i)}, w)
		}
		return b.AppendSnapshot(nil, SnapshotOptions{TopKeys: 2})
	}
	want := []sketch.Row{{Key: "a", Lower: 1100, Upper: 1100}, {Key: "c", Lower: 900, Upper: 907}, {Key: "b", Lower: 500, Upper: 700}}
	one, two := host(1000, 500, 7), host(100, 0, 900) // the first lacks c, the second has all
	merged := NewBucket(tables)
	merged.Merge(mustRead(t, tables, one))
	merged.Merge(mustRead(t, tables, two))
	// Another host lacks b, which may have had up to 200.
	merged.Merge(mustRead(t, tables, host(0, 200, 1<<30, 1<<31)))
	for name, b := range map[string]*Bucket{"merged": merged, "sent again": mustRead(t, tables, merged.AppendSnapshot(nil, SnapshotOptions{TopKeys: -1}))} {
		top := &Of[fruit](b.Sections[0]).Top
		if top.MaxError() != 207 {
			t.Errorf("%s: error %d", name, top.MaxError())
		}
		for _, w := range want {
			if w.Key == "a" {
				w.Upper += 200 // the third host may have dropped it, too
			}
			if w.Key == "c" {
				w.Lower, w.Upper = w.Lower+1<<30, w.Upper+1<<30
			}
			if lower, upper := top.Bounds([]byte(w.Key)); lower != w.Lower || upper != w.Upper {
				t.Errorf("%s: %s has %d to %d, want %d to %d", name, w.Key, lower, upper, w.Lower, w.Upper)
			}
		}
	}
}
