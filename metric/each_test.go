package metric

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"pktvisor/sketch"
)

// thinnedBucket has a table and a table of amplification of a sample of messages.
func thinnedBucket(each uint64) *Bucket {
	b := NewBucket(simTables)
	b.Cover(600, 660)
	v := Of[simMetrics](b.Sections[0])
	v.Top.Sampled(sketch.Thinning{Each: each, Weight: 6400})
	v.Top.Add([]byte("a"), 6400)
	v.Amp.Sampled(sketch.Thinning{Each: 100 * each, Weight: 640_000}, sketch.Thinning{Each: 50 * each, Weight: 64_000})
	v.Amp.AddPrepared(sketch.Prepare([]byte("a")), 640_000, &sketch.Asked{Bytes: 64_000, Queries: 100})
	return b
}

// TestThinnedTables: what a message stands for goes through a snapshot and merges of all kinds, and the rows have its bounds.
func TestThinnedTables(t *testing.T) {
	b := thinnedBucket(64)
	const want = `"top":[{"name":"a","estimate":4661,"lower":4661,"upper":8391}]`
	const amp = `{"name":"a","estimate":466163,"lower":466163,"upper":839042,"queries_bytes":25128,"queries_upper":116429,`
	check := func(what string, b *Bucket) {
		t.Helper()
		text := string(b.AppendJSON(nil, JSONOptions{Key: "k"}))
		if !strings.Contains(text, want) || !strings.Contains(text, amp) {
			t.Errorf("%s: %s", what, text)
		}
	}
	check("counted", b)
	data := b.AppendSnapshot(nil, SnapshotOptions{Compression: Uncompressed})
	read, err := ReadSnapshot(simTables, data)
	if err != nil {
		t.Fatal(err)
	}
	check("read", read)
	if again := read.AppendSnapshot(nil, SnapshotOptions{Compression: Uncompressed}); !bytes.Equal(again, data) {
		t.Error("a second snapshot differs")
	}
	sum := NewBucket(simTables)
	sum.Merge(read)
	check("merged", sum)
	m := NewMerger(simTables)
	if _, err := m.Open(data); err != nil {
		t.Fatal(err)
	}
	merged := NewBucket(simTables)
	m.AddTo(merged)
	check("merged from bytes", merged)
	if _, err := m.Open(NewBucket(simTables).AppendSnapshot(nil, SnapshotOptions{})); err != nil {
		t.Fatal(err)
	}
	exact := NewBucket(simTables)
	m.AddTo(exact)
	if by := Of[simMetrics](exact.Sections[0]).Top.SampledBy(); by.Each != 0 {
		t.Errorf("the next snapshot got %v from the one before", by)
	}

	sum.Merge(thinnedBucket(16))
	v := Of[simMetrics](sum.Sections[0])
	if by := v.Top.SampledBy(); by != (sketch.Thinning{Each: 64, Weight: 12_800}) {
		t.Errorf("the sum has %v", by)
	}
	if lower, upper := v.Top.TotalBounds(); lower != 10341 || upper != 15506 {
		t.Errorf("in all %d to %d", lower, upper)
	}
	if v.Top.Missing() != 473 || v.Amp.Missing() != 47218 {
		t.Errorf("missing %d and %d", v.Top.Missing(), v.Amp.Missing())
	}
}

// TestHostileThinnings: numbers that no agent writes are refused.
func TestHostileThinnings(t *testing.T) {
	of := func(n ...uint64) (b []byte) {
		for _, v := range n {
			b = binary.AppendUvarint(b, v)
		}
		return b
	}
	for _, c := range []struct {
		b  []byte
		ok bool
	}{
		{nil, true}, {of(1, 0, 1, 0), true}, {of(sketch.MaxEach, 1<<63-1, 1, 5), true},
		{of(0, 0, 1, 0), false}, {of(1, 0, 0, 0), false}, {of(1, 0), false}, {of(1, 0, 1, 0, 1), false}, {of(sketch.MaxEach+1, 0, 1, 0), false},
		{of(1, 1<<63, 1, 0), false}, {[]byte{0x80}, false},
	} {
		if _, err := readThinnings(c.b, 2); (err == nil) != c.ok {
			t.Errorf("%x: %v", c.b, err)
		}
	}
}
