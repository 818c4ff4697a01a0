package sketch

import (
	"encoding/binary"
	"slices"
)

// The bounds of a key that is held.
//
// The offset of a Frequent is the most by which a lower bound may be too small, for any key. Most of it comes from
// trimming, and that part concerns only keys that were dropped: a trimmed sketch holds the exact weights of the keys
// that it kept. So each key that is held has a covered part of the offset, and
//
//	lower ≤ true weight ≤ lower + offset - covered
//
// For a key that is not held, true weight ≤ offset. This is how the two stay true:
//
//   - A purge takes the median from all lower bounds, and adds it to the offset only.
//   - A trim raises the offset to the greatest upper bound that it drops, and the covered part of all other keys by the
//     same amount.
//   - In a merge, the offsets add up. A key's covered part is the sum of those in the sketches that hold the key: the
//     other sketches may have dropped it.
//   - A key that was not held before has nothing covered.
//
// A trim adds to absent, which counts for each key that is held. Only when a key is added later, which absent does not
// concern, does it become part of covered.

// cover returns the part of the offset that is covered for entry i.
func (f *Frequent) cover(i int) uint64 {
	if len(f.covered) == 0 {
		return f.absent
	}
	return addWeight(f.absent, f.covered[i])
}

// upper returns the upper bound of entry i.
func (f *Frequent) upper(i int) uint64 {
	if f.offset == maxWeight { // saturated: the sum of the covered parts is compared with nothing
		return maxWeight
	}
	return addWeight(f.entries[i].weight, f.offset-min(f.cover(i), f.offset))
}

// addCovered adds a key's weight, and what another sketch has covered for it.
func (f *Frequent) addCovered(key []byte, hash uint32, weight, cover uint64) {
	at, slot := f.find(key, hash)
	if at < 0 {
		f.insert(key, hash, slot, weight, cover)
		return
	}
	f.entries[at].weight = addWeight(f.entries[at].weight, weight)
	if cover > 0 {
		f.makeCovered(len(f.entries))
		f.covered[at] = addWeight(f.covered[at], cover)
	}
}

// makeCovered makes covered for the first n entries, if it does not exist yet.
func (f *Frequent) makeCovered(n int) {
	if len(f.covered) > 0 {
		return
	}
	if cap(f.covered) < max(n, 1) {
		f.covered = make([]uint64, n, max(n, cap(f.entries)))
		return
	}
	f.covered = f.covered[:n]
	clear(f.covered)
}

// coverLast sets the covered part of the newest entry. What absent says about the others becomes part of theirs.
func (f *Frequent) coverLast(cover uint64) {
	f.makeCovered(len(f.entries) - 1)
	if f.absent > 0 {
		for i := range f.covered {
			f.covered[i] = addWeight(f.covered[i], f.absent)
		}
		f.absent = 0
	}
	f.covered = append(f.covered, cover)
}

// Trim keeps the n heaviest keys, those that Top returns, and compacts. The bounds of the remaining keys do not change.
// The error rises to the greatest upper bound of a dropped key.
func (f *Frequent) Trim(n int) {
	if n = max(n, 0); n < len(f.entries) {
		*f = *f.Trimmed(n)
		return
	}
	f.Compact()
}

// Trimmed returns a copy that shares nothing with f and holds the n heaviest keys. It is compact: see [Frequent.Trim].
func (f *Frequent) Trimmed(n int) *Frequent {
	n = min(max(n, 0), len(f.entries))
	few := &Frequent{lgSlots: f.lgSlots, total: f.total, offset: f.offset, absent: f.absent, asked: f.asked.empty(n), thinned: f.thinned}
	c := f.lighter(len(f.entries) - n)
	size := 0
	for i := range f.entries {
		if f.entries[i].weight >= c.weight {
			size += len(f.key(i)) // a few more than are kept
		}
	}
	if n > 0 {
		few.entries, few.keys = make([]entry, 0, n), make([]byte, 0, size)
		if len(f.covered) > 0 {
			few.covered = make([]uint64, 0, n)
		}
	}
	for i, e := range f.entries {
		if c.drops(i, e.weight) {
			few.offset = max(few.offset, f.upper(i))
			if f.asked != nil {
				few.asked.lost = max(few.asked.lost, f.asked.rows[i].upper())
			}
			continue
		}
		few.keys = append(few.keys, f.key(i)...)
		few.entries = append(few.entries, entry{e.weight, e.hash, uint32(len(few.keys))})
		if len(f.covered) > 0 {
			few.covered = append(few.covered, f.covered[i])
		}
		if f.asked != nil {
			few.asked.rows = append(few.asked.rows, f.asked.rows[i])
		}
	}
	few.absent = addWeight(few.absent, few.offset-f.offset)
	return few
}

// cut says which entries to drop: those lighter than weight, and of this weight the listed ones, in ascending order.
type cut struct {
	weight uint64
	ties   []tie
}

// tie is an entry of equal weight, with the first bytes of its key.
type tie struct {
	prefix uint64
	at     int32
}

// drops reports whether to drop the entry at i. It must be called for all entries in their order.
func (c *cut) drops(i int, weight uint64) bool {
	if len(c.ties) > 0 && c.ties[0].at == int32(i) {
		c.ties = c.ties[1:]
		return true
	}
	return weight < c.weight
}

// lighter returns the cut that drops the n lightest entries, of equal ones the last by key.
func (f *Frequent) lighter(n int) cut {
	if n == 0 {
		return cut{}
	}
	c := cut{weight: f.nthWeight(n - 1)}
	lighter, equal := 0, 0
	for i := range f.entries {
		switch w := f.entries[i].weight; {
		case w < c.weight:
			lighter++
		case w == c.weight:
			equal++
		}
	}
	kept := equal - (n - lighter)
	if kept == 0 {
		c.weight++
		return c
	}
	c.ties = make([]tie, 0, equal)
	for i := range f.entries {
		if f.entries[i].weight == c.weight {
			c.ties = append(c.ties, tie{prefix(f.key(i)), int32(i)})
		}
	}
	f.selectFirst(c.ties, kept)
	c.ties = c.ties[kept:]
	slices.SortFunc(c.ties, func(a, b tie) int { return int(a.at - b.at) })
	return c
}

// selectFirst moves the n ties that are first by key to the front. n is at least 1. The first n are a heap with the last of
// them on top, so that most of the others are compared once.
func (f *Frequent) selectFirst(ties []tie, n int) {
	heap := ties[:n]
	for i := n/2 - 1; i >= 0; i-- {
		f.sink(heap, i)
	}
	for i := n; i < len(ties); i++ {
		if f.first(ties[i], heap[0]) {
			ties[i], heap[0] = heap[0], ties[i]
			f.sink(heap, 0)
		}
	}
}

// sink restores the heap below position i.
func (f *Frequent) sink(heap []tie, i int) {
	for child := 2*i + 1; child < len(heap); child = 2*i + 1 {
		if child+1 < len(heap) && f.first(heap[child], heap[child+1]) {
			child++
		}
		if !f.first(heap[i], heap[child]) {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}

// first reports whether a is before b by key.
func (f *Frequent) first(a, b tie) bool {
	if a.prefix != b.prefix {
		return a.prefix < b.prefix
	}
	return f.compare(a.at, b.at) < 0
}

// prefix returns the first eight bytes of a key as a number. Numbers are in the order of the keys, but may be equal.
func prefix(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var b [8]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}

// AppendBounds appends what the DataSketches form lacks: the covered parts, for [Frequent.UnmarshalBounds]. The first
// varint is the least of them. If they differ, it is followed by the rest of each, in the order of the keys. AppendBounds
// appends nothing if nothing is covered.
func (f *Frequent) AppendBounds(dst []byte) []byte {
	if len(f.entries) == 0 || f.absent == 0 && len(f.covered) == 0 {
		return dst
	}
	least, most := uint64(maxWeight), uint64(0)
	for i := range f.entries {
		c := min(f.cover(i), f.offset)
		least, most = min(least, c), max(most, c)
	}
	if most == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, least)
	if least == most {
		return dst
	}
	for i := range f.entries {
		dst = binary.AppendUvarint(dst, min(f.cover(i), f.offset)-least)
	}
	return dst
}

// bounds reads what AppendBounds appended.
type bounds struct {
	rest   []byte
	least  uint64
	offset uint64 // of the sketch: no key may have more covered
	each   bool   // a varint for each key follows
}

const reasonBounds = "the bounds do not fit the keys"

// open begins to read b, for a sketch of the given offset. An empty b says that nothing is covered.
func (b *bounds) open(data []byte, offset uint64) bool {
	*b = bounds{rest: data, offset: offset}
	if len(data) == 0 {
		return true
	}
	if !takeUvarint(&b.rest, &b.least) || b.least > offset {
		return false
	}
	b.each = len(b.rest) > 0
	return true
}

// next reads the covered part of the next key.
func (b *bounds) next(cover *uint64) bool {
	if !b.each {
		*cover = b.least
		return true
	}
	if !takeUvarint(&b.rest, cover) || *cover > b.offset-b.least {
		return false
	}
	*cover += b.least
	return true
}
