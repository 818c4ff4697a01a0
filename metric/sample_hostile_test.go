package metric

import (
	"encoding/binary"
	"testing"
)

// hostileSampling is a sampling in binary form, with one seen, taken, scaled and root for all measures.
func hostileSampling(least, most, seen, taken, scaled, root uint64) []byte {
	b := binary.AppendUvarint(binary.AppendUvarint(nil, least), most)
	for range numMeasures {
		for _, n := range []uint64{seen, taken, scaled, root} {
			b = binary.AppendUvarint(b, n)
		}
	}
	return append(b, 0, 0)
}

// TestHostileSampling: numbers that no agent can have counted are refused. The sum of the greatest that are not can still be
// written and read, however many there are.
func TestHostileSampling(t *testing.T) {
	const most = maxSampled
	for _, c := range []struct {
		bytes []byte
		ok    bool
	}{
		{hostileSampling(1, 1, most, most, most, most), true},
		{hostileSampling(1, 1, most+1, 0, 0, 0), false},
		{hostileSampling(1, 1, 1<<63, 1<<63, 0, 0), false},
		{hostileSampling(1, 1, 1, 2, 0, 0), false},
		{hostileSampling(1, 1, 1, 1, most+1, 0), false},
		{hostileSampling(1, 1, 1, 1, 0, most+1), false},
		{hostileSampling(0, 0, 1, 1, 0, 0), false},
		{hostileSampling(2, 1, 1, 1, 0, 0), false},
		{hostileSampling(1, uint64(Whole)+1, 1, 1, 0, 0), false},
	} {
		var a sampling
		if err := a.readBinary(c.bytes, 0, 60); (err == nil) != c.ok {
			t.Errorf("%x: %v", c.bytes, err)
		}
	}
	var one, sum sampling
	if err := one.readBinary(hostileSampling(1, 1, most, most, most, most), 0, 60); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		sum.add(&one, i%2 == 0)
	}
	var read sampling
	if err := read.readBinary(sum.appendBinary(nil, 0, SnapshotOptions{}), 0, 60); err != nil || read.seen[byEvents] != most {
		t.Errorf("the sum: %v, %d", err, read.seen[byEvents])
	}
	if percent, _ := sum.percent(); percent > 100 {
		t.Errorf("%v%%", percent)
	}
}
