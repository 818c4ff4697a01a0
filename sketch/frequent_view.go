package sketch

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
)

// FrequentView is a frequent-items sketch in its binary form, checked and ready to be merged. It refers to the bytes that
// it was opened with, and reuses its memory for the next ones.
type FrequentView struct {
	total, offset uint64
	weights, keys []byte
	rows          []viewRow
	covered       []uint64 // nil, or for each row
	absent        uint64   // covered for all rows
	whole         *Frequent
	thinned       thinned
}

// viewRow is a key: its hash, and where it ends. It begins after the end of the row before and four bytes of length.
type viewRow struct{ hash, end uint32 }

// Scratch is memory that any number of views use, one after the other.
type Scratch struct{ index []uint32 }

// Open checks b and bounds as [Frequent.UnmarshalBounds] does, for a sketch of the given number of slots, and keeps them.
// They must not change while the view is used. The error is a [*DecodeError]; the view is then empty.
func (v *FrequentView) Open(b, bounds []byte, slots int, scratch *Scratch) error {
	*v = FrequentView{rows: v.rows[:0], covered: v.covered[:0]}
	var in frequentReader
	reason := in.open(b, bounds)
	if reason == "" {
		limits := Frequent{lgSlots: lgOf(slots)}
		if in.n > limits.Capacity() || len(in.keys)-4*in.n > limits.keyLimit() {
			return v.openWhole(b, bounds, slots)
		}
		v.total, v.offset, v.absent = in.total, in.offset, in.bounds.least
		v.weights, v.keys = in.weights, in.keys
		reason = v.read(&in, scratch)
	}
	if reason != "" {
		*v = FrequentView{rows: v.rows[:0], covered: v.covered[:0]}
		return frequentError(reason)
	}
	return nil
}

// openWhole is for more keys than the sketch holds, which it purges while they are read.
func (v *FrequentView) openWhole(b, bounds []byte, slots int) error {
	whole := NewFrequent(slots)
	if err := whole.UnmarshalBounds(b, bounds); err != nil {
		return err
	}
	v.whole = whole
	return nil
}

// read reads all keys. It returns what is wrong, or "".
func (v *FrequentView) read(in *frequentReader, scratch *Scratch) string {
	index := scratch.indexFor(in.n)
	mask := uint32(len(index) - 1)
	for in.more() {
		if reason := in.next(); reason != "" {
			return reason
		}
		hash := uint32(maphash.Bytes(tableSeed, in.key))
		slot := hash & mask
		for ; index[slot] != 0; slot = (slot + 1) & mask {
			if (index[slot]^hash)&^placeMask != 0 {
				continue
			}
			if at := int(index[slot]&placeMask) - 1; v.rows[at].hash == hash && bytes.Equal(v.key(at), in.key) {
				return reasonTwice
			}
		}
		index[slot] = slotOf(hash, len(v.rows))
		v.rows = append(v.rows, viewRow{hash, uint32(len(v.keys) - len(in.keys))})
		if in.bounds.each {
			v.covered = append(v.covered, in.cover-in.bounds.least)
		}
	}
	return in.close()
}

// indexFor returns an index of zeros for n keys.
func (s *Scratch) indexFor(n int) []uint32 {
	size := 1 << bits.Len(uint(2*n|15))
	if len(s.index) < size {
		s.index = make([]uint32, size)
		return s.index
	}
	index := s.index[:size]
	clear(index)
	return index
}

// key returns the key of a row.
func (v *FrequentView) key(i int) []byte {
	start := uint32(4)
	if i > 0 {
		start += v.rows[i-1].end
	}
	return v.keys[start:v.rows[i].end]
}

// MergeView does what Merge does, for the sketch that v has open. It does not change v.
func (f *Frequent) MergeView(v *FrequentView) {
	if v.whole != nil {
		f.Merge(v.whole)
		return
	}
	f.total = addWeight(f.total, v.total)
	f.offset = addWeight(f.offset, v.offset)
	f.thinned.add(v.thinned.by)
	absent := v.absent
	if len(f.entries) == 0 { // then all keys are those of v
		f.covered, f.absent, absent = f.covered[:0], 0, 0
		defer func() { f.absent = v.absent }()
		if n := len(v.rows); n > 0 && n <= f.Capacity() {
			f.presize(n, min(len(v.keys), f.keyLimit()))
		}
	}
	for first := 0; first < len(v.rows); first += touchRows {
		end := min(first+touchRows, len(v.rows))
		if len(f.index) >= touchFrom {
			var at [touchRows]uint32
			for i, row := range v.rows[first:end] {
				at[i%touchRows] = row.hash
			}
			f.touch(at[:end-first])
		}
		for i := first; i < end; i++ {
			cover := absent
			if len(v.covered) > 0 {
				cover += v.covered[i]
			}
			f.addCovered(v.key(i), v.rows[i].hash, binary.LittleEndian.Uint64(v.weights[8*i:]), cover)
		}
	}
}
