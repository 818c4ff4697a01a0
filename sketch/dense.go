package sketch

import "math/bits"

// DenseHistogram records values at the rate of packets: a few nanoseconds each and no allocation.
// It is a plain array of 16 KiB, of which only the cache lines of values that occur are touched.
// A shard keeps it, adds it to a [Histogram] now and then with [Histogram.AddDense], and resets
// it, before any bucket has counted 2^32 values.
type DenseHistogram struct {
	counts [numPositions]uint32
	zeros  uint64 // values of 0; the fields below do not know of them
	sum    uint64 // saturates
	max    uint64
	invMin uint64 // complement of the least value, so that 0 is the right start
}

// Record counts v.
func (d *DenseHistogram) Record(v uint64) {
	if v == 0 {
		d.zeros++
		return
	}
	d.counts[position(v)]++
	s, carry := bits.Add64(d.sum, v, 0)
	d.sum = s | -carry
	d.max = max(d.max, v)
	d.invMin = max(d.invMin, ^v)
}

// Empty reports whether nothing was recorded since the last Reset.
func (d *DenseHistogram) Empty() bool { return d.zeros == 0 && d.max == 0 }

// used returns the positions, from first up to but without end, that may have counts.
func (d *DenseHistogram) used() (first, end int) {
	if d.max == 0 {
		return 0, 0
	}
	return position(^d.invMin), position(d.max) + 1
}

// Reset empties d, touching only what was used.
func (d *DenseHistogram) Reset() {
	first, end := d.used()
	clear(d.counts[first:end])
	d.zeros, d.sum, d.max, d.invMin = 0, 0, 0, 0
}
