package sketch

import (
	"encoding/binary"
	"iter"
	"math"
	"math/bits"
	"slices"
)

// Histogram describes how unsigned integers (microseconds, bytes, thousandths) are distributed. It is an exponential
// histogram of [Scale] 6, as in OpenTelemetry and in Prometheus native histograms, over the whole range of uint64.
//
// Count, Sum, Min and Max are exact (the sums saturate at 2^64-1). A quantile up to 101, and at both ends, is exactly
// the value that has that rank. Otherwise it is within 0.55% and half a unit of it, which is always less than 1%.
// Merging is exact: the merge of the histograms of parts is the histogram of the whole.
//
// Memory: 96 bytes empty; 8 bytes for each of 64 buckets an octave between the smallest and the greatest value (10
// KiB from 100 µs to 100 s, 32 KiB at most); compacted, about 2 bytes for each bucket that has counts.
type Histogram struct {
	counts []uint64 // counts[i] is the count at position first+i
	packed []byte   // after Compact, instead of counts: the pairs of the binary form
	first  int
	zeros  uint64
	count  uint64 // of all values, including zeros
	sum    uint64
	least  uint64 // of all values
	most   uint64
}

// Record counts v.
func (h *Histogram) Record(v uint64) { h.RecordN(v, 1) }

// RecordN counts v n times.
func (h *Histogram) RecordN(v, n uint64) {
	if n == 0 {
		return
	}
	h.extremes(v, v)
	h.count = addSaturating(h.count, n)
	if v == 0 {
		h.zeros = addSaturating(h.zeros, n)
		return
	}
	hi, lo := bits.Mul64(v, n)
	if hi != 0 {
		lo = math.MaxUint64
	}
	h.sum = addSaturating(h.sum, lo)
	p := position(v)
	h.reserve(p, p)
	h.counts[p-h.first] = addSaturating(h.counts[p-h.first], n)
}

// extremes updates the minimum and maximum by least and most. It must be called before the count is raised.
func (h *Histogram) extremes(least, most uint64) {
	if h.count == 0 {
		h.least, h.most = least, most
		return
	}
	h.least, h.most = min(h.least, least), max(h.most, most)
}

// reserve makes counts cover the positions from first to last.
func (h *Histogram) reserve(first, last int) {
	if h.packed != nil {
		h.unpack()
	}
	if len(h.counts) == 0 {
		h.first = first
		h.counts = append(h.counts[:0], make([]uint64, last-first+1)...)
		return
	}
	if n := h.first - first; n > 0 {
		h.counts = slices.Insert(h.counts, 0, make([]uint64, n)...)
		h.first = first
	}
	if n := last + 1 - h.first - len(h.counts); n > 0 {
		h.counts = append(h.counts, make([]uint64, n)...)
	}
}

// Merge adds what o counted. It does not change o.
func (h *Histogram) Merge(o *Histogram) {
	if o.count == 0 {
		return
	}
	if h == o {
		o = o.Clone()
	}
	h.extremes(o.least, o.most)
	h.count = addSaturating(h.count, o.count)
	h.zeros = addSaturating(h.zeros, o.zeros)
	h.sum = addSaturating(h.sum, o.sum)
	if o.count == o.zeros {
		return
	}
	h.reserve(o.span())
	o.each(func(p int, n uint64) bool {
		h.counts[p-h.first] = addSaturating(h.counts[p-h.first], n)
		return true
	})
}

// Subtract removes what o counted. o must have been merged into h before, and must not have changed since. Min and
// Max remain those of all values that were ever merged, until no value is left.
func (h *Histogram) Subtract(o *Histogram) {
	h.count -= min(o.count, h.count)
	h.zeros -= min(o.zeros, h.zeros)
	h.sum -= min(o.sum, h.sum)
	if o.count == o.zeros {
		return
	}
	h.reserve(o.span())
	o.each(func(p int, n uint64) bool {
		h.counts[p-h.first] -= min(n, h.counts[p-h.first])
		return true
	})
}

// AddDense adds what d counted. It does not change d.
func (h *Histogram) AddDense(d *DenseHistogram) {
	h.addSmall(&d.small)
	first, end := d.used()
	if first == end {
		return
	}
	h.extremes(^d.invMin, d.max)
	h.sum = addSaturating(h.sum, d.sum)
	h.reserve(first, end-1)
	counts := h.counts[first-h.first:]
	for i, n := range d.counts[first:end] {
		counts[i] = addSaturating(counts[i], uint64(n))
		h.count = addSaturating(h.count, uint64(n))
	}
}

// addSmall adds values, given the number of times that each occurred.
func (h *Histogram) addSmall(small *[numSmall]uint32) {
	h.RecordN(0, uint64(small[0]))
	first, last := 1, numSmall-1
	for first < numSmall && small[first] == 0 {
		first++
	}
	if first == numSmall {
		return
	}
	for small[last] == 0 {
		last--
	}
	h.extremes(uint64(first), uint64(last))
	h.reserve(position(uint64(first)), position(uint64(last)))
	var count, sum uint64 // neither can overflow
	for v := uint64(first); v <= uint64(last); v++ {
		n := uint64(small[v%numSmall])
		if n == 0 {
			continue
		}
		count += n
		sum += v * n
		p := position(v) - h.first
		h.counts[p] = addSaturating(h.counts[p], n)
	}
	h.count, h.sum = addSaturating(h.count, count), addSaturating(h.sum, sum)
}

// span returns the first and last position with counts. There must be one. The last may be greater, if the values there were
// subtracted.
func (h *Histogram) span() (first, last int) {
	if h.packed != nil {
		gap, _ := binary.Uvarint(h.packed)
		return int(gap), position(h.most)
	}
	first = -1
	h.each(func(p int, _ uint64) bool {
		if first < 0 {
			first = p
		}
		last = p
		return true
	})
	return first, last
}

// each calls do for every position with counts, ascending, until it returns false.
func (h *Histogram) each(do func(p int, n uint64) bool) {
	for i, n := range h.counts {
		if n != 0 && !do(h.first+i, n) {
			return
		}
	}
	p := 0
	for b := h.packed; len(b) > 0; p++ {
		var gap, n uint64
		takeUvarint(&b, &gap)
		takeUvarint(&b, &n)
		p += int(gap)
		if !do(p, n) {
			return
		}
	}
}

// Count returns the number of values.
func (h *Histogram) Count() uint64 { return h.count }

// Sum returns the sum of all values, at most 2^64-1.
func (h *Histogram) Sum() uint64 { return h.sum }

// Min returns the smallest value, or 0 if there is none.
func (h *Histogram) Min() uint64 { return h.least }

// Max returns the greatest value, or 0 if there is none.
func (h *Histogram) Max() uint64 { return h.most }

// Quantile returns the value of nearest rank, within 1%: the smallest value such that a share of q (0 to 1) of all
// values is no greater than it. Without values it returns 0.
func (h *Histogram) Quantile(q float64) uint64 {
	rank := uint64(1)
	if r := math.Ceil(q * float64(h.count)); r >= float64(h.count) {
		rank = h.count
	} else if r > 1 {
		rank = uint64(r)
	}
	switch {
	case rank <= 1:
		return h.least
	case rank == h.count:
		return h.most
	case rank <= h.zeros:
		return 0
	}
	value, seen := h.most, h.zeros
	h.each(func(p int, n uint64) bool {
		seen = addSaturating(seen, n)
		if seen < rank {
			return true
		}
		first, last := positionRange(p)
		value = min(max(first+(last-first)/2, h.least), h.most)
		return false
	})
	return value
}

// CountAtOrBelow returns the number of values up to v. If v is above 101, it counts the values up to the end of v's
// bucket, at most 1.1% above v.
func (h *Histogram) CountAtOrBelow(v uint64) uint64 {
	if v >= h.most {
		return h.count
	}
	n := h.zeros
	if v == 0 {
		return n
	}
	end := position(v)
	h.each(func(p int, c uint64) bool {
		if p > end {
			return false
		}
		n = addSaturating(n, c)
		return true
	})
	return n
}

// ZeroCount returns the number of values that are 0. Buckets do not include them.
func (h *Histogram) ZeroCount() uint64 { return h.zeros }

// Buckets yields the buckets that have counts, in ascending order: the OpenTelemetry index i of the bucket that holds
// the values above 2^(i/64) up to and including 2^((i+1)/64), and its count. In a Prometheus native histogram of
// schema 6, that bucket has the index i+1.
func (h *Histogram) Buckets() iter.Seq2[int, uint64] {
	return func(yield func(int, uint64) bool) {
		h.each(func(p int, n uint64) bool { return yield(p-1, n) })
	}
}

// Compact frees the memory that only a growing histogram needs.
func (h *Histogram) Compact() {
	if len(h.counts) == 0 {
		h.counts = nil
		return
	}
	h.packed = fitted(h.appendPairs(nil))
	h.counts, h.first = nil, 0
}

// unpack undoes Compact.
func (h *Histogram) unpack() {
	first, last := h.span()
	counts := make([]uint64, last-first+1)
	h.each(func(p int, n uint64) bool {
		counts[p-first] = n
		return true
	})
	h.counts, h.first, h.packed = counts, first, nil
}

// Clone returns a copy that shares nothing with h.
func (h *Histogram) Clone() *Histogram {
	c := *h
	c.counts = slices.Clone(h.counts)
	c.packed = slices.Clone(h.packed)
	return &c
}
