package sketch

import (
	"encoding/binary"
	"slices"
)

// The histogram's binary form, version 1. All numbers except the first two are unsigned varints
// (LEB128, at most 10 bytes):
//
//	version (1 byte)   1
//	scale (1 byte)     6
//	zeros              number of values that are 0
//	n                  number of buckets with counts
//	min, max, sum      only if there is a value
//	n pairs            gap, count
//
// A bucket's position is its OpenTelemetry index plus one. The first gap is the first bucket's
// position, each other one the number of positions skipped since the bucket before.
const histogramVersion = 1

// AppendBinary appends h in the form that docs/sketches.md describes: 4 bytes if it is empty, otherwise about 2 bytes
// for each bucket that has counts. Equal histograms give equal bytes.
func (h *Histogram) AppendBinary(dst []byte) []byte {
	n := uint64(0)
	h.each(func(int, uint64) bool {
		n++
		return true
	})
	dst = append(dst, histogramVersion, Scale)
	dst = binary.AppendUvarint(dst, h.zeros)
	dst = binary.AppendUvarint(dst, n)
	if h.count == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, h.least)
	dst = binary.AppendUvarint(dst, h.most)
	dst = binary.AppendUvarint(dst, h.sum)
	return h.appendPairs(dst)
}

// appendPairs appends the gap and count of each bucket.
func (h *Histogram) appendPairs(dst []byte) []byte {
	next := 0
	h.each(func(p int, n uint64) bool {
		dst = binary.AppendUvarint(dst, uint64(p-next))
		dst = binary.AppendUvarint(dst, n)
		next = p + 1
		return true
	})
	return dst
}

// UnmarshalBinary replaces h by the histogram in b. The error is a [*DecodeError].
func (h *Histogram) UnmarshalBinary(b []byte) error {
	if err := h.Borrow(b); err != nil {
		return err
	}
	h.packed = slices.Clone(h.packed)
	return nil
}

// Borrow is like UnmarshalBinary, but h refers to b from then on. Until b changes, h may be read, and merged into others.
func (h *Histogram) Borrow(b []byte) error {
	if len(b) < 2 {
		return histogramError(reasonShort)
	}
	if b[0] != histogramVersion || b[1] != Scale {
		return histogramError(reasonHeader)
	}
	b = b[2:]
	var nh Histogram
	var n uint64
	ok := takeUvarint(&b, &nh.zeros) && takeUvarint(&b, &n)
	if ok && (nh.zeros > 0 || n > 0) {
		ok = takeUvarint(&b, &nh.least) && takeUvarint(&b, &nh.most) && takeUvarint(&b, &nh.sum)
	}
	if !ok {
		return histogramError(reasonShort)
	}
	if reason := nh.readPairs(b, n); reason != "" {
		return histogramError(reason)
	}
	*h = nh
	return nil
}

func histogramError(reason string) error { return &DecodeError{"histogram", reason} }

// takeUvarint moves the varint at the front of b to v, and reports whether there was one.
func takeUvarint(b *[]byte, v *uint64) bool {
	if len(*b) > 0 && (*b)[0] < 0x80 { // most are short
		*v, *b = uint64((*b)[0]), (*b)[1:]
		return true
	}
	x, size := binary.Uvarint(*b)
	if size <= 0 {
		return false
	}
	*b, *v = (*b)[size:], x
	return true
}

// readPairs checks the n pairs, which are all of b, and keeps them. It returns what is wrong, or "". The rest of h
// must have been read.
func (h *Histogram) readPairs(b []byte, n uint64) string {
	pairs := b
	h.count = h.zeros
	first, next := -1, 0
	for ; n > 0; n-- {
		var gap, count uint64
		if !takeUvarint(&b, &gap) || !takeUvarint(&b, &count) {
			return reasonShort
		}
		if next >= numPositions || gap >= uint64(numPositions-next) {
			return "a bucket is out of range"
		}
		if h.count+count < count || count == 0 {
			return reasonCount
		}
		next += int(gap)
		if next < numSparse && !holdsInteger(next) {
			return "a bucket holds no integer"
		}
		if first < 0 {
			first = next
		}
		next++
		h.count += count
	}
	if len(b) > 0 {
		return reasonTrailing
	}
	if h.count == 0 {
		return ""
	}
	fits := h.least <= h.most
	switch {
	case first < 0:
		fits = fits && h.most == 0
	case h.zeros > 0:
		fits = fits && h.least == 0 && h.most > 0 && position(h.most) == next-1
	default:
		fits = fits && h.least > 0 && position(h.least) == first && position(h.most) == next-1
	}
	if !fits {
		return "the minimum or maximum does not fit the buckets"
	}
	if first >= 0 {
		h.packed = pairs
	}
	return ""
}
