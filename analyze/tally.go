package analyze

import (
	"reflect"

	"pktvisor/internal/memory"
)

// Tally is an exact table from keys to entries of type E: what a shard counted since its last
// flush, one entry a distinct key. It has a fixed size and allocates nothing after its making.
//
// A key is known by its 64-bit hash alone, of which the table holds 48 bits beside the place. The
// hash is seeded anew in each process, so nobody can make two keys that share it; by chance, among
// the 32,768 keys of a full table, it happens to one key in 10^14.
//
// The entries lie in the order in which their keys came, so that a flush does not depend on the
// seed.
type Tally[E any] struct {
	slots   []uint64 // 48 bits of the hash, then the entry's position + 1; 0 is free
	entries []E
	mask    uint64
	gen     uint32
}

const positionMask = 1<<16 - 1

// NewTally makes a tally of at most size keys, a power of two up to 32,768.
func NewTally[E any](size int) *Tally[E] {
	return &Tally[E]{slots: memory.Make[uint64](2 * size), mask: uint64(2*size - 1), entries: make([]E, 0, size)}
}

// TallyBytes returns how many bytes a tally of the given size takes.
func TallyBytes[E any](size int) int64 {
	return int64(size) * (2*8 + int64(reflect.TypeFor[E]().Size()))
}

// At returns the entry of the key with the given hash and its position, and whether it is new: a
// zero value, which the caller completes. The tally must not be full.
func (t *Tally[E]) At(hash uint64) (e *E, position uint32, fresh bool) {
	tag := hash &^ positionMask
	for i := hash & t.mask; ; i = (i + 1) & t.mask {
		slot := t.slots[i]
		if p := (slot ^ tag) - 1; p < positionMask { // the upper bits are the tag's, and the lower not 0
			return &t.entries[p], uint32(p), false
		}
		if slot == 0 {
			n := len(t.entries)
			t.slots[i] = tag | uint64(n+1)
			t.entries = t.entries[:n+1]
			clear(t.entries[n:])
			return &t.entries[n], uint32(n), true
		}
	}
}

// Touch reads the place where At is about to look, and returns what is of no use but to [memory.Touched]. Where it
// is called for several keys first, these reads do not wait for each other: the CPU has many cache misses
// under way at a time.
func (t *Tally[E]) Touch(hash uint64) uint64 { return t.slots[hash&t.mask] }

// Generation changes whenever the positions that At returned become void.
func (t *Tally[E]) Generation() uint32 { return t.gen }

// Entries returns the entries in the order in which their keys came.
func (t *Tally[E]) Entries() []E { return t.entries }

// Full reports whether there is room for fewer than spare more keys.
func (t *Tally[E]) Full(spare int) bool { return len(t.entries)+spare > cap(t.entries) }

// Reset empties the tally.
func (t *Tally[E]) Reset() {
	if len(t.entries) == 0 {
		return
	}
	clear(t.slots)
	t.entries = t.entries[:0]
	t.gen++
}
