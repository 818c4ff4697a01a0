package metric

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pktvisor/sketch"
)

// TestSelect: metrics left out of a table have no values and take no memory. Calling their methods is still safe.
func TestSelect(t *testing.T) {
	few := testTable.Select(func(d *Desc) bool { return d.Path == "total" || d.Path == "in.size" })
	if !few.Has("total") || !few.Has("in.size") || few.Has("top_all") || len(few.Descs) != 2 || testTable.Descs[1].Path != "in.total" {
		t.Fatalf("selected %+v", few.Descs)
	}
	b := NewBucket([]*Table{few})
	b.Start, b.End = 0, 60
	m := Of[testMetrics](b.Sections[0])
	key := []byte("key")
	var batch sketch.DenseHistogram
	batch.Record(7)
	m.Total, m.InTotal = 3, 4
	m.Size.Record(100)
	m.Ratio.Record(1)
	m.Ratio.AddDense(&batch)
	m.Pps.Add(5, 1)
	m.Pps.Cover(0, 60)
	m.Names.Add(key)
	m.TopAll.Add(key, 5)
	m.TopAll.AddPrepared(sketch.Prepare(key), 5)
	m.TopAll.Shed(make([]uint64, 100_000))
	other := bucketOf(event{5, 10, "a"})
	o := Of[testMetrics](other.Sections[0])
	m.Ratio.Merge(&o.Ratio)
	m.Pps.Merge(&o.Pps)
	m.Names.Merge(&o.Names)
	m.TopAll.Merge(&o.TopAll)
	if m.Ratio.Count() != 0 || m.Pps.At(5) != 0 || m.Names.Estimate() != 0 || m.TopAll.Total() != 0 || len(m.TopAll.Top(nil, 5)) != 0 {
		t.Error("a metric that is switched off has counted")
	}
	if first, seconds := m.Pps.Seconds(); len(seconds) != 0 {
		t.Errorf("a rate that is switched off has %d seconds from %d", len(seconds), first)
	}
	b.Seal(256)
	want := `{"1m":{"period":{"start_ts":0,"length":60,"lost":0},"test":{"total":3,"in":{"size":{"p50":100,"p90":100,"p95":100,"p99":100,"min":100,"max":100,"mean":100,"count":1}}}}}`
	if got := string(b.AppendJSON(nil, JSONOptions{Key: "1m"})); got != want {
		t.Errorf("JSON %s\nwant %s", got, want)
	}
}

// TestSelectTwice: a metric that was left out stays left out in a further selection.
func TestSelectTwice(t *testing.T) {
	few := testTable.Select(func(d *Desc) bool { return d.Kind != KindTop }).Select(func(d *Desc) bool { return d.Kind == KindCounter })
	m := Of[testMetrics](few.New())
	m.TopAll.Add([]byte("key"), 1)
	m.Size.Record(1)
	if len(few.Descs) != 2 || m.TopAll.Total() != 0 || m.Size.Count() != 0 {
		t.Errorf("%d metrics; a metric that is switched off has counted", len(few.Descs))
	}
}

// TestSelectMerges: buckets of a table and of a selection from it merge, over hosts, over time and through snapshots. A
// metric that one of them lacks has the other's value, or is left out.
func TestSelectMerges(t *testing.T) {
	few := []*Table{otherTable, testTable.Select(func(d *Desc) bool { return d.Kind != KindTop && d.Path != "total" })}
	part := func() *Bucket {
		b := NewBucket(few)
		b.Start, b.End, b.Lost = 0, 60, 2
		m := Of[testMetrics](b.Sections[1])
		m.InTotal = 4
		m.Size.Record(9)
		m.Pps.Add(3, 1)
		m.TopAll.Add([]byte("b"), 1)
		Of[otherMetrics](b.Sections[0]).Deep = 8
		return b
	}
	whole := func() *Bucket { return bucketOf(event{65, 11, "a"}) }
	sent := func(b *Bucket, tables []*Table) *Bucket {
		return mustRead(t, tables, b.AppendSnapshot(nil, SnapshotOptions{}))
	}
	check := func(name string, b *Bucket, total, top uint64) {
		t.Helper()
		s, _ := b.Section("test")
		m, o := Of[testMetrics](s), b.Sections[slices.Index(b.Sections, s)^1]
		if uint64(m.Total) != total || m.InTotal != 5 || m.Size.Count() != 2 || m.Size.Sum() != 20 || m.Pps.At(3)+m.Pps.At(65) != 2 || m.TopAll.Total() != top ||
			Of[otherMetrics](o).Deep != 9 || b.Lost != 2 {
			t.Errorf("%s: %s", name, b.AppendJSON(nil, JSONOptions{Key: name}))
		}
	}
	b := whole()
	b.Merge(part())
	check("a part into all", b, 1, 11)
	b = part()
	b.Merge(whole())
	check("all into a part", b, 0, 0)
	b = whole()
	b.Precede([]*Bucket{part()})
	check("a part before all", b, 1, 11)
	b = whole()
	b.Merge(sent(part(), testTables))
	check("a part that was sent", b, 1, 11)
	b = part()
	b.Merge(sent(whole(), few))
	check("all that was sent, read as a part", b, 0, 0)
	b = whole()
	b.Merge(NewBucket([]*Table{vegTable}))
	if before := whole(); !bytes.Equal(b.AppendJSON(nil, JSONOptions{}), before.AppendJSON(nil, JSONOptions{})) {
		t.Error("the merge with another section changed the bucket")
	}
}

// TestSelectSampling: a selection keeps the counters that say how much was sampled, because a merge needs them.
func TestSelectSampling(t *testing.T) {
	none := sampledTables[0].Select(func(*Desc) bool { return false })
	if !none.Has("total") || !none.Has("deep_samples") {
		t.Errorf("selected %+v", none.Descs)
	}
	b := NewBucket([]*Table{none})
	b.DeepSamplePercent = 50
	if got := string(b.AppendJSON(nil, JSONOptions{Key: "k"})); !strings.Contains(got, `"deep_sample_percent":50,"deep_sample_factor":2`) {
		t.Error(got)
	}
}

func TestGroups(t *testing.T) {
	if got := Groups([]*Table{otherTable, testTable, testTable}); !slices.Equal(got, []string{"g"}) {
		t.Errorf("groups %q", got)
	}
}
