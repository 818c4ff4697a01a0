package metric

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"pktvisor/internal/testkit"
	"pktvisor/sketch"
)

type mergedState struct {
	Open Gauge       `metric:"open" unit:"queries" help:"x"`
	Rate Rate        `metric:"rates.one" unit:"x/s" help:"x"`
	Few  Cardinality `metric:"few" unit:"x" help:"x"`
	Tiny Top         `metric:"tiny" unit:"x" slots:"16" help:"x"`
}

// mergerTables have every kind of metric, and sections that sample.
var mergerTables = append([]*Table{fruitTable, sampledTables[0], Define[mergedState]("state"), vegTable}, sampledTables[1])

// randomBucket makes a bucket of a host in the given minute. Some of its metrics are empty.
func randomBucket(r *rand.Rand, minute int64) *Bucket {
	b := NewBucket(mergerTables)
	b.Start = testStart + 60*minute
	b.End = b.Start + 60
	b.DeepSamplePercent = []int{100, 10, 10, 1}[r.IntN(4)]
	b.Lost = r.Uint64N(3)
	if r.IntN(2) == 0 {
		f := Of[fruit](b.Sections[0])
		names := 1 + r.IntN(20_000)
		for range r.IntN(3000) {
			key := fmt.Appendf(nil, "kind%d", int(float64(names)*r.Float64()*r.Float64()))
			f.Kinds.Add(key)
			f.Size.Record(r.Uint64N(1 << r.Uint64N(20)))
			f.Rate.Add(b.Start+r.Int64N(60), 1+r.Uint64N(3))
			f.Top.Add(key, 1+r.Uint64N(9))
			f.Few.Add(key[:5], 1)
			f.Trees.Add(key[:5], r.Uint64N(1<<r.IntN(20)), 1+r.Uint32N(5))
			asked := sketch.Asked{Truncated: r.Uint32N(2)}
			asked.Query(1+r.Uint64N(9), uint16(r.Uint32N(2)), 64)
			f.Juice.AddPrepared(sketch.Prepare(key), r.Uint64N(2)*r.Uint64N(99), &asked)
		}
		f.Total = Counter(r.Uint64())
	}
	p := Of[sampledCounts](b.Sections[1])
	p.Total = Counter(r.Uint64N(2) * r.Uint64N(10_000))
	p.DeepSamples = p.Total * Counter(b.DeepSamplePercent) / 100
	s := Of[mergedState](b.Sections[2])
	s.Open = Gauge(r.Int64N(100) - 50)
	for i := range r.IntN(40) {
		s.Few.Add([]byte{byte(i)})
		s.Tiny.Add([]byte{byte(i)}, 1+r.Uint64N(5))
	}
	if r.IntN(2) == 0 {
		b.Seal(64 << r.IntN(8))
	}
	return b
}

// TestMerger: a merger does what reading and merging do, in any order, over hosts and over time, for merges of merges and for
// buckets of other tables.
func TestMerger(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 12
	}
	m := NewMerger(mergerTables)
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 3))
		few := mergerTables[0].Select(func(d *Desc) bool { return r.IntN(2) == 0 })
		into := [][]*Table{mergerTables, {mergerTables[3], few, mergerTables[1]}, mergerTables}[r.IntN(3)]
		want, got := NewBucket(into), NewBucket(into)
		for range r.IntN(2) { // a bucket that was used before
			got.Merge(randomBucket(r, 5))
			got.Merge(randomBucket(r, 7))
			got.Lost, got.Covered, got.Identity.Host = 1, 2, "before"
			got.Reset()
			if !bytes.Equal(full(got), full(NewBucket(into))) {
				t.Fatal("reset: something is left")
			}
		}
		wantHistory, gotHistory := NewBucket(into), NewBucket(into)
		wantHistory.Cover(testStart+6000, testStart+6060)
		gotHistory.Cover(testStart+6000, testStart+6060)
		var parts []*Bucket
		minute := int64(90)
		for range 8 {
			b := randomBucket(r, minute)
			minute -= r.Int64N(2)
			if len(parts) > 2 && r.IntN(3) == 0 {
				b.Merge(parts[r.IntN(len(parts))]) // a rollup
			}
			parts = append(parts, b)
			data := b.AppendSnapshot(nil, SnapshotOptions{
				TopKeys: []int{-1, 0, 16}[r.IntN(3)], Compression: Compression(r.IntN(4)), NoiseShare: 1 << (13 + r.IntN(4)),
			})
			read := mustRead(t, mergerTables, data)
			info, err := m.Open(data)
			if err != nil || info.Start != b.Start || info.DeepSamplePercent != read.DeepSamplePercent {
				t.Fatalf("%+v, %v", info, err)
			}
			for range 1 + r.IntN(2) {
				want.Merge(read)
				m.AddTo(got)
			}
			wantHistory.Precede([]*Bucket{read})
			m.Precede(gotHistory)
			if !bytes.Equal(full(got), full(want)) || !bytes.Equal(full(gotHistory), full(wantHistory)) {
				t.Fatalf("seed %d, part %d: the merges differ", seed, len(parts))
			}
		}
		json := JSONOptions{Key: "k", Rows: 20}
		if w, g := want.AppendJSON(nil, json), got.AppendJSON(nil, json); !bytes.Equal(w, g) {
			t.Fatalf("seed %d: %s\nwant %s", seed, g, w)
		}
	}
}

// TestMergerRejects: after an error nothing is open, and the next snapshot is read as if nothing had been.
func TestMergerRejects(t *testing.T) {
	m := NewMerger(snapshotTables)
	many, little := grow(1, 3000, 500), grow(2, 0, 1)
	data := many.AppendSnapshot(nil, SnapshotOptions{Compression: Uncompressed})
	small := little.AppendSnapshot(nil, SnapshotOptions{Compression: Zstd})
	want := NewBucket(snapshotTables)
	want.Merge(little)
	for i := 0; i < len(data); i += 7 {
		bad := bytes.Clone(data)
		bad[i] ^= 0x15
		bad = reseal(bad)
		_, readErr := ReadSnapshot(snapshotTables, bad)
		_, err := m.Open(bad)
		if (err == nil) != (readErr == nil) {
			t.Fatalf("byte %d: %v, ReadSnapshot %v", i, err, readErr)
		}
		if err != nil {
			var typed *SnapshotError
			if !errors.As(err, &typed) || err.Error() != readErr.Error() {
				t.Fatalf("byte %d: %v, ReadSnapshot %v", i, err, readErr)
			}
			func() {
				defer func() {
					if recover() == nil {
						t.Fatal("something is open after an error")
					}
				}()
				m.AddTo(NewBucket(snapshotTables))
			}()
		}
		if i%70 == 0 {
			if _, err := m.Open(small); err != nil {
				t.Fatal(err)
			}
			got := NewBucket(snapshotTables)
			m.AddTo(got)
			if !bytes.Equal(full(got), full(want)) {
				t.Fatal("a snapshot before is still there")
			}
		}
	}
}

// TestMergerAllocates: reading and merging into a warm bucket allocates only the texts of the header.
func TestMergerAllocates(t *testing.T) {
	if testkit.RaceEnabled {
		t.Skip("pools forget what they have with the race detector")
	}
	b := grow(1, 30_000, 5000)
	b.Identity = Identity{Host: "ns1", Tap: "eth0", Policy: "default", Tags: "country=nl,pop=ams1"}
	m, into := NewMerger(snapshotTables), NewBucket(snapshotTables)
	for _, compression := range []Compression{Deflate, Zstd} {
		data := b.AppendSnapshot(nil, SnapshotOptions{Compression: compression})
		run := func() {
			if _, err := m.Open(data); err != nil {
				t.Fatal(err)
			}
			m.AddTo(into)
		}
		run()
		if n := testing.AllocsPerRun(10, run); n > 3 {
			t.Errorf("compression %d: %v allocations", compression, n)
		}
	}
}

func BenchmarkMerger(b *testing.B) {
	data := grow(1, 200_000, 1_000_000).AppendSnapshot(nil, SnapshotOptions{Compression: Zstd})
	m, into := NewMerger(snapshotTables), NewBucket(snapshotTables)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Open(data); err != nil {
			b.Fatal(err)
		}
		m.AddTo(into)
	}
}

func BenchmarkReadAndMerge(b *testing.B) {
	data := grow(1, 200_000, 1_000_000).AppendSnapshot(nil, SnapshotOptions{})
	into := NewBucket(snapshotTables)
	b.ReportAllocs()
	for b.Loop() {
		into.Merge(mustRead(b, snapshotTables, data))
	}
}
