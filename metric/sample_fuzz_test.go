package metric

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"testing"
)

// FuzzSampledBody reads any body of a section that samples. What is accepted gives valid JSON and can be merged, and a merger
// accepts the same.
func FuzzSampledBody(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, schedule := range simSchedules {
		m := newSimMinute(rng, simPopulations["few resolvers, very unequal"], schedule)
		m.pairs = m.pairs[:40]
		b := m.bucket(600).AppendSnapshot(nil, SnapshotOptions{Compression: Uncompressed})
		_, stored, err := openSnapshot(b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(stored)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b := NewBucket(simTables)
		b.Cover(600, 660)
		data := b.AppendSnapshot(nil, SnapshotOptions{Compression: Uncompressed})
		info, stored, err := openSnapshot(data)
		if err != nil || info.Start != 600 {
			t.Fatal(err)
		}
		data = append(data[:len(data)-snapshotSum-len(stored)], body...)
		binary.LittleEndian.PutUint32(data[12:], uint32(len(body)))
		binary.LittleEndian.PutUint32(data[16:], uint32(len(body)))
		data = reseal(append(data, 0, 0, 0, 0))
		read, err := ReadSnapshot(simTables, data)
		m := NewMerger(simTables)
		_, mergerErr := m.Open(data)
		if (err == nil) != (mergerErr == nil) {
			t.Fatalf("ReadSnapshot: %v; a merger: %v", err, mergerErr)
		}
		if err != nil {
			return
		}
		check := func(what string, b *Bucket) {
			if text := b.AppendJSON(nil, JSONOptions{Key: "k"}); !json.Valid(text) {
				t.Fatalf("%s: %s", what, text)
			}
		}
		check("read", read)
		sum, merged := newSimBucket(), newSimBucket()
		sum.Merge(read)
		m.AddTo(merged)
		check("sum", sum)
		if !bytes.Equal(sum.AppendJSON(nil, JSONOptions{Key: "k"}), merged.AppendJSON(nil, JSONOptions{Key: "k"})) {
			t.Fatal("a merger gives something else")
		}
		window := newSimBucket()
		window.Precede([]*Bucket{read})
		check("window", window)
		window.Seal(64)
		if _, err := ReadSnapshot(simTables, window.AppendSnapshot(nil, SnapshotOptions{TopKeys: 4})); err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
	})
}

// newSimBucket returns a bucket of the minute after 660, with a share that changes.
func newSimBucket() *Bucket {
	rng := rand.New(rand.NewPCG(3, 4))
	m := newSimMinute(rng, func(*rand.Rand) (pairs []simPair) {
		for range 9 {
			pairs = append(pairs, simPair{weights: [numSimKeys]int{1, 2, 3}})
		}
		return pairs
	}, simSchedules["up"])
	return m.bucket(660)
}
