package metric

import (
	"encoding/binary"
	"errors"
	"math"

	"pktvisor/sketch"
)

// A table of an analyzer that counts only a sample of its messages says what a message stands for at most: see
// [sketch.Frequent.Sampled].

// appendThinnings appends what messages stand for, unless all of them were counted.
func appendThinnings(dst []byte, by ...sketch.Thinning) []byte {
	if by[0].Each == 0 {
		return dst
	}
	for _, t := range by {
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, t.Each), t.Weight)
	}
	return dst
}

var errThinning = errors.New("what a message stands for is cut short or out of range")

// readThinnings reads what appendThinnings appended for n of them. No bytes say that all messages were counted.
func readThinnings(b []byte, n int) (by [3]sketch.Thinning, err error) {
	if len(b) == 0 {
		return by, nil
	}
	c := cursor{b: b}
	for i := range by[:n] {
		t := &by[i]
		if !c.uvarint(&t.Each) || !c.uvarint(&t.Weight) || t.Each == 0 || t.Each > sketch.MaxEach || t.Weight > math.MaxInt64 {
			return by, errThinning
		}
	}
	if len(c.b) > 0 {
		return by, errThinning
	}
	return by, nil
}
