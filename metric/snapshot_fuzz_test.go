package metric

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// checkRead reads data, and checks that it is either rejected or gives a valid bucket.
func checkRead(t *testing.T, data []byte) {
	b, err := ReadSnapshot(snapshotTables, data)
	m := NewMerger(snapshotTables)
	_, mergerErr := m.Open(data)
	if (err == nil) != (mergerErr == nil) || err != nil && err.Error() != mergerErr.Error() {
		t.Fatalf("ReadSnapshot: %v; a merger: %v", err, mergerErr)
	}
	if err != nil {
		var typed *SnapshotError
		if b != nil || !errors.As(err, &typed) {
			t.Fatalf("rejected with %T, bucket %v", err, b)
		}
		return
	}
	again := mustRead(t, snapshotTables, full(b))
	if !bytes.Equal(full(again), full(b)) {
		t.Fatal("what was read differs once written and read again")
	}
	sum, merged := grow(1, 10, 10), grow(1, 10, 10)
	sum.Merge(b)
	m.AddTo(merged)
	if !bytes.Equal(full(sum), full(merged)) {
		t.Fatal("a merger gives something else")
	}
	sum.Merge(again)
	sum.MergeCounters(b)
	sum.AppendJSON(nil, JSONOptions{Key: "1m"})
	sum.Seal(256)
	b.AppendSnapshot(nil, SnapshotOptions{TopKeys: 4})
}

func addSnapshots(f *testing.F, add func(data []byte)) {
	for _, events := range []int{0, 1, 20, 200} {
		add(grow(uint64(events), events, 1000).AppendSnapshot(nil, SnapshotOptions{TopKeys: 16, Compression: Uncompressed}))
		add(grow(uint64(events), events, 1000).AppendSnapshot(nil, SnapshotOptions{TopKeys: 16, Compression: Compression(events % 3)}))
	}
	merged := mustRead(f, snapshotTables, grow(5, 300, 100).AppendSnapshot(nil, SnapshotOptions{TopKeys: 16}))
	merged.Merge(merged)
	merged.Merge(grow(6, 300, 300))
	add(merged.AppendSnapshot(nil, SnapshotOptions{TopKeys: -1, Compression: Uncompressed}))
	add(exampleBucket().AppendSnapshot(nil, SnapshotOptions{Compression: Uncompressed}))
}

// FuzzReadSnapshot reads any data, as it is and with a correct checksum.
func FuzzReadSnapshot(f *testing.F) {
	addSnapshots(f, func(data []byte) { f.Add(data) })
	f.Fuzz(func(t *testing.T, data []byte) {
		checkRead(t, data)
		ReadSnapshotInfo(data)
		if len(data) >= snapshotPrelude+snapshotSum {
			checkRead(t, reseal(data))
		}
	})
}

// FuzzSnapshotBody reads any body in an envelope that matches it.
func FuzzSnapshotBody(f *testing.F) {
	addSnapshots(f, func(data []byte) {
		if _, stored, err := openSnapshot(data); err == nil && data[9] == bodyStored {
			f.Add(stored)
		}
	})
	empty := NewBucket(nil)
	empty.Start, empty.End = testStart, testStart+60
	envelope := empty.AppendSnapshot(nil, SnapshotOptions{Compression: Uncompressed})
	envelope = envelope[:len(envelope)-snapshotSum-1] // without the body, a zero
	f.Fuzz(func(t *testing.T, body []byte) {
		data := append(bytes.Clone(envelope), body...)
		binary.LittleEndian.PutUint32(data[12:], uint32(len(body)))
		binary.LittleEndian.PutUint32(data[16:], uint32(len(body)))
		checkRead(t, reseal(append(data, 0, 0, 0, 0)))
	})
}
