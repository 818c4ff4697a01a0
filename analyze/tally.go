package analyze

import (
	"reflect"

	"pktvisor/internal/memory"
)

// Tally is an exact table from keys to entries of type E. It holds what a shard has counted since its last flush, in one
// entry for each distinct key. It has a fixed size, and allocates nothing after [NewTally].
//
// The tally recognises a key by its 64-bit hash alone. It stores 48 bits of the hash, and the slot gives the rest. The hash
// has a new secret seed in each process, so an attacker cannot choose two keys with the same hash. By chance, one key in
// 10^14 has the hash of another among the 32,768 keys of a full table.
//
// The entries are in the order in which their keys came, so a flush does not depend on the seed.
type Tally[E any] struct {
	slots   []uint64 // 48 bits of the hash, then the entry's position + 1; 0 in a free slot
	entries []E
	mask    uint64
	gen     uint32
}

const positionMask = 1<<16 - 1

// NewTally makes a tally for at most size keys. The size is a power of two up to 32,768, or 0: then the
// tally is always full.
func NewTally[E any](size int) *Tally[E] {
	return &Tally[E]{slots: memory.Make[uint64](2 * size), mask: uint64(2*size - 1), entries: make([]E, 0, size)}
}

// TallyBytes returns the number of bytes that a tally of the given size takes.
func TallyBytes[E any](size int) int64 {
	return int64(size) * (2*8 + int64(reflect.TypeFor[E]().Size()))
}

// At returns the entry of the key with the given hash, and its position. If fresh is true, the entry is new: it has the
// zero value, and the caller completes it. The tally must not be full.
func (t *Tally[E]) At(hash uint64) (e *E, position uint32, fresh bool) {
	tag := hash &^ positionMask
	for i := hash & t.mask; ; i = (i + 1) & t.mask {
		slot := t.slots[i]
		if p := (slot ^ tag) - 1; p < positionMask { // the upper bits are those of the tag, and the lower bits are not 0
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

// Find returns the entry of the key with the given hash, or nil if the tally lacks it.
func (t *Tally[E]) Find(hash uint64) *E {
	tag := hash &^ positionMask
	for i := hash & t.mask; t.slots[i] != 0; i = (i + 1) & t.mask {
		if p := (t.slots[i] ^ tag) - 1; p < positionMask {
			return &t.entries[p]
		}
	}
	return nil
}

// Prefetch reads the slot where At will look first. Pass the result to [memory.KeepLoad]. If Prefetch is called for several
// keys before At is called for the first, the CPU loads their slots at the same time, so the cache misses do not wait for
// each other.
func (t *Tally[E]) Prefetch(hash uint64) uint64 { return t.slots[hash&t.mask] }

// Generation returns a number that changes whenever the positions that At returned become invalid.
func (t *Tally[E]) Generation() uint32 { return t.gen }

// Entries returns the entries in the order in which their keys came.
func (t *Tally[E]) Entries() []E { return t.entries }

// Full reports whether the tally has space for fewer than spare more keys.
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
