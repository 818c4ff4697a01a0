package metric

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"pktvisor/internal/testkit"
)

type testCounters struct {
	Total   Counter `metric:"total" unit:"packets" help:"All."`
	InTotal Counter `metric:"in.total" unit:"packets" help:"In."`
}

// testMetrics has every kind of metric, in every form.
type testMetrics struct {
	testCounters
	Pps      Rate        `metric:"rates.pps" unit:"packets/s" help:"A second."`
	Size     Histogram   `metric:"in.size" unit:"bytes" help:"Size."`
	Ratio    Histogram   `metric:"ratio" unit:"ratio" scale:"0.001" help:"Ratio."`
	Names    Cardinality `metric:"cardinality.names" unit:"names" help:"Names."`
	TopNames Top         `metric:"top_names" unit:"packets" slots:"16" group:"g" label:"name" help:"Top."`
	TopAll   Top         `metric:"top_all" unit:"packets" help:"Top."`
}

type otherMetrics struct {
	Deep Counter `metric:"deep_samples" sample:"seen,taken" unit:"packets" help:"Deep."`
}

var (
	testTable  = Define[testMetrics]("test")
	otherTable = Define[otherMetrics]("other")
	testTables = []*Table{testTable, otherTable}
)

// event is something that a bucket counts.
type event struct {
	second int64
	size   uint64
	name   string
}

func (e event) add(b *Bucket) {
	b.Cover(e.second, e.second+1)
	m := Of[testMetrics](b.Sections[0])
	m.Total++
	m.InTotal += Counter(e.size & 1)
	m.Pps.Add(e.second, 1)
	m.Size.Record(e.size)
	m.Ratio.Record(e.size / 2)
	m.Names.Add([]byte(e.name))
	m.TopAll.Add([]byte(e.name), e.size)
	Of[otherMetrics](b.Sections[1]).Deep++
}

func bucketOf(events ...event) *Bucket {
	b := NewBucket(testTables)
	for _, e := range events {
		e.add(b)
	}
	return b
}

func drawEvents(t *rapid.T) []event {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) event {
		return event{
			second: rapid.Int64Range(0, 300).Draw(t, "second"), size: rapid.Uint64Range(0, 5000).Draw(t, "size"),
			name: fmt.Sprintf("n%d.example", rapid.IntRange(0, 30).Draw(t, "name")),
		}
	}), 0, 30).Draw(t, "events")
}

// image returns everything that can be read from a bucket.
func image(b *Bucket) string {
	return string(b.AppendJSON(nil, JSONOptions{Key: "k", Rows: 1000, LiveSecond: 100}))
}

func merged(buckets ...*Bucket) *Bucket {
	b := NewBucket(testTables)
	for _, o := range buckets {
		b.Merge(o)
	}
	return b
}

// TestBucketMergeLaws: buckets merge in any order and grouping. The merge of parts is the whole. An empty bucket
// changes nothing. Merging does not change the operands.
func TestBucketMergeLaws(t *testing.T) { rapid.Check(t, mergeLaws) }

// FuzzMergeLaws lets coverage guide the choices of TestBucketMergeLaws.
func FuzzMergeLaws(f *testing.F) { f.Fuzz(rapid.MakeFuzz(mergeLaws)) }

func mergeLaws(t *rapid.T) {
	var parts [3][]event
	for i := range parts {
		parts[i] = drawEvents(t)
	}
	var all []event
	var buckets [3]*Bucket
	var before [3]string
	for i, p := range parts {
		all = append(all, p...)
		buckets[i] = bucketOf(p...)
		buckets[i].Lost = uint64(i)
		before[i] = image(buckets[i])
	}
	a, b, c := buckets[0], buckets[1], buckets[2]
	whole := bucketOf(all...)
	whole.Lost = 3
	want := image(whole)
	for name, m := range map[string]*Bucket{
		"(a b) c": merged(merged(a, b), c), "a (b c)": merged(a, merged(b, c)), "c b a": merged(c, b, a), "b a c": merged(b, a, c),
		"with empty ones": merged(NewBucket(testTables), a, NewBucket(testTables), b, c, NewBucket(testTables)),
	} {
		if got := image(m); got != want {
			t.Fatalf("%s: %s\nwant %s", name, got, want)
		}
	}
	for i := range buckets {
		if got := image(buckets[i]); got != before[i] {
			t.Fatalf("merging changed part %d: %s\nwas %s", i, got, before[i])
		}
	}
	sealed := merged(a, b, c)
	sealed.Seal(8192)
	if got := image(merged(sealed)); got != want {
		t.Fatalf("sealed: %s\nwant %s", got, want)
	}
}

// TestKindMergeLaws checks the same for each kind alone, with more values than the sketches hold exactly. The bounds
// that a kind states must hold for any grouping.
func TestKindMergeLaws(t *testing.T) {
	const parts, events, keys = 4, 20_000, 9_000
	rng := rand.New(rand.NewPCG(1, 2))
	var c [parts]Cardinality
	var h [parts]Histogram
	var tops [parts]Top
	counts := map[string]uint64{}
	var whole Histogram
	var wholeC Cardinality
	for i := range tops {
		tops[i].init(&Desc{Slots: 1024})
	}
	for i := range events {
		n := int(float64(keys) * rng.Float64() * rng.Float64() * rng.Float64())
		key := fmt.Appendf(nil, "name-%d", n)
		p := i % parts
		c[p].Add(key)
		wholeC.Add(key)
		h[p].Record(uint64(n))
		whole.Record(uint64(n))
		tops[p].Add(key, 1)
		counts[string(key)]++
	}
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}} {
		var mc Cardinality
		var mh Histogram
		var mt Top
		mt.init(&Desc{Slots: 1024})
		for _, i := range order {
			mc.Merge(&c[i])
			mh.Merge(&h[i])
			mt.Merge(&tops[i])
		}
		if mc.Estimate() != wholeC.Estimate() {
			t.Errorf("order %v: cardinality %v, that of the whole is %v", order, mc.Estimate(), wholeC.Estimate())
		}
		if !bytes.Equal(mh.AppendBinary(nil), whole.AppendBinary(nil)) {
			t.Errorf("order %v: the histogram is not that of the whole", order)
		}
		if mt.Total() != events {
			t.Errorf("order %v: %d events in the top table, want %d", order, mt.Total(), events)
		}
		for key, n := range counts {
			if lower, upper := mt.Bounds([]byte(key)); n < lower || n > upper {
				t.Fatalf("order %v: %s is said to have %d to %d, has %d", order, key, lower, upper, n)
			}
		}
	}
}

// TestMergeHosts: the same minute of two hosts adds up second by second.
func TestMergeHosts(t *testing.T) {
	a, b := NewBucket(testTables), NewBucket(testTables)
	a.Cover(600, 660)
	b.Cover(600, 660)
	for i := range int64(60) {
		Of[testMetrics](a.Sections[0]).Pps.Add(600+i, uint64(i))
		Of[testMetrics](b.Sections[0]).Pps.Add(600+i, uint64(59-i))
	}
	m := merged(a, b)
	if m.Start != 600 || m.End != 660 {
		t.Errorf("from %d to %d, want 600 to 660", m.Start, m.End)
	}
	var got [2]uint64
	Of[testMetrics](m.Sections[0]).Pps.Quantiles([]float64{0, 1}, got[:])
	if got != [2]uint64{59, 59} {
		t.Errorf("least and most a second are %v, want 59 and 59", got)
	}
}

// TestMergeMeta checks what a merge does to the fields of a bucket that are not metrics.
func TestMergeMeta(t *testing.T) {
	a, b := NewBucket(testTables), NewBucket(testTables)
	a.Cover(120, 180)
	b.Cover(60, 120)
	a.DeepSamplePercent, b.DeepSamplePercent = 50, 20
	a.Lost, b.Lost = 3, 4
	a.Merge(b)
	if a.Start != 60 || a.End != 180 || a.DeepSamplePercent != 50 || a.Lost != 7 {
		t.Errorf("%d to %d, %d%%, %d lost", a.Start, a.End, a.DeepSamplePercent, a.Lost)
	}
	if e := NewBucket(testTables); !e.Empty() || a.Empty() {
		t.Error("Empty is wrong")
	}
	if s, ok := a.Section("other"); !ok || s.Table != otherTable {
		t.Error("section other is not found")
	}
	if _, ok := a.Section("nothing"); ok {
		t.Error("found a section that does not exist")
	}
}

func TestMergeCounters(t *testing.T) {
	a, b := bucketOf(event{5, 10, "a"}), bucketOf(event{70, 30, "b"}, event{71, 31, "c"})
	b.Lost = 2
	before := image(b)
	a.MergeCounters(b)
	m := Of[testMetrics](a.Sections[0])
	if m.Total != 3 || m.InTotal != 1 || m.Size.Count() != 3 || m.Size.Max() != 31 || a.Lost != 2 {
		t.Errorf("total %d, in %d, %d sizes up to %d, %d lost", m.Total, m.InTotal, m.Size.Count(), m.Size.Max(), a.Lost)
	}
	if m.Names.Estimate() != 1 || m.TopAll.Len() != 1 || m.Pps.At(70) != 0 || a.End != 6 {
		t.Errorf("rates or sketches were merged: %s", image(a))
	}
	if image(b) != before {
		t.Error("the operand has changed")
	}
}

// TestSeal: sealing changes nothing that can be read if the tables fit. If they do not fit, the bounds still hold. The
// rates cover all of the bucket's time.
func TestSeal(t *testing.T) {
	b := bucketOf(event{65, 100, "a"})
	b.Cover(60, 120)
	m := Of[testMetrics](b.Sections[0])
	const keys = 5000
	for i := range keys {
		m.TopAll.Add(fmt.Appendf(nil, "key-%d", i), uint64(i))
		m.Names.Add(fmt.Appendf(nil, "key-%d", i))
	}
	estimate := m.Names.Estimate()
	b.Seal(256)
	if got := m.TopAll.Len(); got != 192 {
		t.Errorf("%d keys kept, want 192", got)
	}
	for i := range keys {
		if lower, upper := m.TopAll.Bounds(fmt.Appendf(nil, "key-%d", i)); uint64(i) < lower || uint64(i) > upper {
			t.Fatalf("key-%d is said to have %d to %d", i, lower, upper)
		}
	}
	rows := m.TopAll.Top(nil, 3)
	for i, want := range []uint64{keys - 1, keys - 2, keys - 3} {
		if rows[i].Lower != want {
			t.Errorf("row %d is %+v, want %d", i, rows[i], want)
		}
	}
	if first, seconds := m.Pps.Seconds(); first != 60 || len(seconds) != 60 {
		t.Errorf("the rate spans %d seconds from %d", len(seconds), first)
	}
	if m.Names.Estimate() != estimate {
		t.Errorf("cardinality %v, was %v", m.Names.Estimate(), estimate)
	}
}

// TestJSONGolden shows a bucket with every kind of metric in the form of the API.
func TestJSONGolden(t *testing.T) {
	b := NewBucket(testTables)
	for i := range 200 {
		event{1_700_000_000 + int64(i%50), uint64(i), fmt.Sprintf("n%d.example", i%12)}.add(b)
	}
	m := Of[testMetrics](b.Sections[0])
	for i := range 40 {
		m.TopNames.Add(fmt.Appendf(nil, "k%d", i), uint64(100+i)) // more than its 16 slots hold
	}
	b.Lost, b.DeepSamplePercent = 5, 30
	got := b.AppendJSON([]byte(nil), JSONOptions{
		Key: "5m", LiveSecond: 1_700_000_003, Rows: 4,
		Extra: []ExtraSection{{"extra", map[string]int{"a": 1}}, {"broken", func() {}}},
	})
	testkit.Golden(t, "testdata/bucket.golden.json", indented(t, got))
	testkit.Golden(t, "testdata/empty.golden.json", indented(t, NewBucket(testTables).AppendJSON(nil, JSONOptions{Key: "1m"})))
}

// TestIdle: a bucket is idle until something is counted or lost, in a metric of any kind.
func TestIdle(t *testing.T) {
	for name, add := range map[string]func(b *Bucket, m *testMetrics){
		"":             func(b *Bucket, m *testMetrics) { b.Cover(60, 120); m.Pps.Cover(60, 120) },
		"a counter":    func(_ *Bucket, m *testMetrics) { m.InTotal = 1 },
		"a rate":       func(_ *Bucket, m *testMetrics) { m.Pps.Add(60, 1) },
		"an old rate":  func(_ *Bucket, m *testMetrics) { m.Pps.Add(60, 1); m.Pps.Cover(60, 200_000) },
		"a histogram":  func(_ *Bucket, m *testMetrics) { m.Size.Record(0) },
		"a name":       func(_ *Bucket, m *testMetrics) { m.Names.Add([]byte("a")) },
		"a table":      func(_ *Bucket, m *testMetrics) { m.TopNames.Add([]byte("a"), 1) },
		"a lost frame": func(b *Bucket, _ *testMetrics) { b.Lost = 1 },
	} {
		b := NewBucket(testTables)
		add(b, Of[testMetrics](b.Sections[0]))
		if got := b.Idle(); got != (name == "") {
			t.Errorf("a bucket with %q: idle is %v", name, got)
		}
	}
}

// TestPrecedeQuiet: the seconds of a minute without events count as zero.
func TestPrecedeQuiet(t *testing.T) {
	b := bucketOf(event{120, 1, "a"})
	quiet := NewBucket(testTables)
	quiet.Start, quiet.End = 60, 120
	b.Precede([]*Bucket{quiet})
	if first, seconds := Of[testMetrics](b.Sections[0]).Pps.Seconds(); first != 60 || len(seconds) != 61 || seconds[60] != 1 {
		t.Errorf("%d seconds from %d: %v", len(seconds), first, seconds)
	}
}

// TestMergeOtherKind: two metrics with the same path and different kinds are different metrics.
func TestMergeOtherKind(t *testing.T) {
	type other struct {
		Total Histogram `metric:"total" unit:"packets" help:"x"`
		In    Counter   `metric:"in.total" unit:"packets" help:"x"`
	}
	o := NewBucket([]*Table{Define[other]("test")})
	v := Of[other](o.Sections[0])
	v.In = 5
	v.Total.Record(3)
	b := bucketOf(event{60, 1, "a"})
	b.Merge(o)
	b.Precede([]*Bucket{o})
	if m := Of[testMetrics](b.Sections[0]); m.Total != 1 || m.InTotal != 11 {
		t.Errorf("total %d, in %d; want 1 and 11", m.Total, m.InTotal)
	}
	o.Merge(b)
	if v.In != 16 || v.Total.Count() != 1 {
		t.Errorf("in %d, %d values; want 16 and 1", v.In, v.Total.Count())
	}
}
