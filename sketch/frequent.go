package sketch

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"iter"
	"math"
	"math/bits"
	"slices"

	"pktvisor/internal/memory"
)

const (
	// MaxKeyLen is the length in bytes at which Frequent cuts a key. Keys that are equal up to there are one key.
	// A domain name in presentation form has at most 1004 bytes.
	MaxKeyLen = 1024

	// DefaultSlots is the default number of slots of a Frequent.
	DefaultSlots = 1 << defaultLgSlots

	defaultLgSlots = 13
	minLgSlots     = 3
	maxLgSlots     = 20

	// The sketch also purges when the keys have more bytes than this for each slot, so that an attacker's long
	// keys cannot take more memory than ordinary ones.
	keyBytesPerSlot = 64

	// Weights saturate here: other libraries hold them in a signed 64-bit integer.
	maxWeight = math.MaxInt64
)

// tableSeed keys the index tables, so that an attacker cannot craft keys that collide in them. It decides only where
// an entry is found, never what a sketch returns: entries are in the order of their arrival, and a purge depends on
// weights alone.
var tableSeed = maphash.MakeSeed()

// Bounds are what a value is at least and at most. They are equal while a sketch is exact.
type Bounds struct{ Lower, Upper uint64 }

// Row is a key of a [Frequent] with the bounds of its true weight.
type Row struct {
	Key   string
	Lower uint64 // the key's weight is at least this
	Upper uint64 // and at most this; equal to Lower while the sketch is exact
}

// Frequent finds the heaviest keys of a stream: an Apache DataSketches frequent-items sketch (Misra-Gries with a
// purge of the lighter half).
//
// It is exact while there are no more than three quarters as many keys as slots: [Frequent.Capacity]. Beyond that,
// for every key, held or not: lower bound ≤ true weight ≤ lower bound + [Frequent.MaxError]. A key that is not held
// has the lower bound 0. MaxError is at most the total weight divided by 0.375 times the slots (1/3072 with 8192),
// unless the keys average more than 85 bytes: at 64 bytes a slot it purges early. Show Lower, and rank by it: the
// Lower of a key seen once is at most 1.
//
// For a key that is held, the upper bound can be lower: see cover.go. [Frequent.Trim] costs the keys that it keeps
// nothing, and sketches that were trimmed and merged have upper bounds near their lower ones.
//
// Memory: 152 bytes empty; 27 to 37 bytes and the key itself for each key, with up to four times as much allocated
// ahead; at most 6145 keys and 512 KiB of them with 8192 slots. Compacted, 16 bytes and the key. A merge of sketches
// that were trimmed takes 8 bytes a key more.
type Frequent struct {
	entries []entry  // in order of arrival
	keys    []byte   // the entries' keys, one after the other
	index   []uint32 // open addressing over entry.hash, see slotOf; nil after Compact
	covered []uint64 // see cover.go; none, or one for each entry
	absent  uint64   // see cover.go
	total   uint64
	offset  uint64
	asked   *askedRows // of an Amplification: one for each entry
	thinned thinned
	lgSlots uint8 // 0: defaultLgSlots
}

// entry is a key and its lower bound. The key's bytes are between the end of the entry before and its own end.
type entry struct {
	weight uint64
	hash   uint32
	end    uint32
}

// NewFrequent returns an empty sketch of at most slots slots: a power of two from 8 to 2^20. Other numbers are raised
// to the next power of two within that range. 0 means [DefaultSlots].
func NewFrequent(slots int) *Frequent { return &Frequent{lgSlots: lgOf(slots)} }

// lgOf returns log2 of the slots that [NewFrequent] makes.
func lgOf(slots int) uint8 {
	if slots <= 0 {
		return defaultLgSlots
	}
	return uint8(min(max(bits.Len(uint(slots-1)), minLgSlots), maxLgSlots))
}

func (f *Frequent) lg() uint8 {
	if f.lgSlots == 0 {
		return defaultLgSlots
	}
	return f.lgSlots
}

// keyLimit returns the bytes of keys that f may hold.
func (f *Frequent) keyLimit() int { return max(keyBytesPerSlot<<f.lg(), 2*MaxKeyLen) }

// Add counts key with weight. A weight of 0 does nothing. Key is copied.
func (f *Frequent) Add(key []byte, weight uint64) {
	f.AddPrepared(Prepare(key), weight)
}

// Capacity returns the number of keys up to which f is exact.
func (f *Frequent) Capacity() int { return 3 << f.lg() / 4 }

// addWeight returns a+b, at most maxWeight.
func addWeight(a, b uint64) uint64 { return min(addSaturating(a, b), maxWeight) }

func (f *Frequent) add(key []byte, hash uint32, weight uint64) {
	at, slot := f.find(key, hash)
	if at >= 0 {
		f.entries[at].weight = addWeight(f.entries[at].weight, weight)
		return
	}
	f.insert(key, hash, slot, weight, 0)
}

// insert adds a key that f does not hold. slot is its slot of the index, cover what is covered of the offset.
func (f *Frequent) insert(key []byte, hash, slot uint32, weight, cover uint64) {
	f.grow(len(key))
	f.keys = append(f.keys, key...)
	f.entries = append(f.entries, entry{min(weight, maxWeight), hash, uint32(len(f.keys))})
	f.index[slot] = slotOf(hash, len(f.entries)-1)
	if f.absent|cover != 0 || len(f.covered) > 0 {
		f.coverLast(cover)
	}
	if f.asked != nil {
		f.asked.rows = append(f.asked.rows, f.asked.next)
	}
	for crowded(len(f.entries), len(f.index)) || len(f.keys) > f.keyLimit() {
		if len(f.index) < 2<<f.lg() && len(f.keys) <= f.keyLimit() {
			f.index = memory.Make[uint32](2 * len(f.index))
			f.fillIndex()
		} else {
			f.purge()
		}
	}
}

// grow makes space for one more key of the given length. It allocates four times as much as before, or twice if there
// is much already. append would move the keys of a growing sketch a dozen times, each time to memory that was never
// touched before.
func (f *Frequent) grow(keyLen int) {
	if n := len(f.entries); n == cap(f.entries) {
		f.entries = grown(f.entries, max(min(3*n, f.Capacity()+1-n), 8))
	}
	if n := len(f.keys); n+keyLen > cap(f.keys) {
		more := n
		if n <= 32<<10 {
			more = 3 * n
		}
		f.keys = grown(f.keys, max(min(more, f.keyLimit()-n), keyLen, 128))
	}
}

// grown returns s with capacity for n more. Unlike slices.Grow, it does not touch the new memory.
func grown[T any](s []T, n int) []T {
	to := make([]T, len(s), len(s)+n)
	copy(to, s)
	return to
}

// reserve allocates space for as many keys as f may hold at once.
func (f *Frequent) reserve() {
	if n := f.Capacity() + 1; cap(f.entries) < n {
		f.entries = grown(f.entries, n-len(f.entries))
	}
	if len(f.index) < 2<<f.lg() {
		f.index = memory.Make[uint32](2 << f.lg())
		f.fillIndex()
	}
}

// crowded reports whether n entries are too many for an index of the given size, which has two places a slot. At
// three eighths full, a search takes two probes to find that a key is absent.
func crowded(n, size int) bool { return 8*n > 3*size }

// placeBits is enough for the place of any entry plus 1.
const (
	placeBits = maxLgSlots
	placeMask = 1<<placeBits - 1
)

// slotOf returns the content of an index slot: the entry's place plus 1 (0 is free) and, above it, the top bits of
// the key's hash. With these bits, a search for an absent key, as most are, need not look at the entries.
func slotOf(hash uint32, place int) uint32 { return hash&^placeMask | uint32(place+1) }

// find returns the place of key's entry, or -1 and the free slot of the index where key belongs.
func (f *Frequent) find(key []byte, hash uint32) (at int, slot uint32) {
	if f.index == nil {
		f.buildIndex(len(f.entries))
	}
	index := f.index
	mask := uint32(len(index) - 1)
	for slot = hash & mask; int(slot) < len(index); slot = (slot + 1) & mask {
		v := index[slot]
		if v == 0 {
			break
		}
		if (v^hash)&^placeMask != 0 {
			continue
		}
		at := int(v&placeMask) - 1
		if f.entries[at].hash == hash && string(f.key(at)) == string(key) {
			return at, slot
		}
	}
	return -1, slot
}

// key returns the key of the entry at i.
func (f *Frequent) key(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = f.entries[i-1].end
	}
	return f.keys[start:f.entries[i].end]
}

// buildIndex makes the smallest index that can hold n entries, and enters the present ones.
func (f *Frequent) buildIndex(n int) {
	size := 2 << minLgSlots
	for crowded(n, size) {
		size *= 2
	}
	f.index = memory.Make[uint32](size)
	f.fillIndex()
}

// fillIndex enters all entries into an index of zeros.
func (f *Frequent) fillIndex() {
	index := f.index
	mask := uint32(len(index) - 1)
	for i := range f.entries {
		hash := f.entries[i].hash
		slot := hash & mask
		for index[slot] != 0 {
			slot = (slot + 1) & mask
		}
		index[slot] = slotOf(hash, i)
	}
}

// purge subtracts the median weight from all entries and drops those that have nothing left, at least half of them.
// It adds the subtracted weight to the error.
func (f *Frequent) purge() {
	median := f.nthWeight(len(f.entries) / 2)
	f.offset = addWeight(f.offset, median)
	n, end, start := 0, uint32(0), uint32(0)
	for i, e := range f.entries {
		if e.weight > median {
			end += uint32(copy(f.keys[end:], f.keys[start:e.end]))
			f.entries[n] = entry{e.weight - median, e.hash, end}
			if len(f.covered) > 0 {
				f.covered[n] = f.covered[i]
			}
			if f.asked != nil {
				f.asked.rows[n] = f.asked.rows[i]
			}
			n++
		} else if f.asked != nil {
			f.asked.drop(i)
		}
		start = e.end
	}
	if f.asked != nil {
		f.asked.rows = f.asked.rows[:n]
	}
	f.entries, f.keys = f.entries[:n], f.keys[:end]
	if len(f.covered) > 0 {
		f.covered = f.covered[:n]
	}
	clear(f.index)
	f.fillIndex()
}

// nthWeight returns the weight that has rank (from 0) among the entries, in ascending order. It is a radix selection,
// a byte at a time from the top, so that no choice of weights makes it slow.
func (f *Frequent) nthWeight(rank int) uint64 {
	// Most entries are light, so the answer is mostly among the smallest weights.
	var most, prefix, mask uint64
	var light [256]int
	for i := range f.entries {
		w := f.entries[i].weight
		most = max(most, w)
		light[min(w, 255)]++
	}
	below := 0
	for w, n := range light[:255] {
		if below += n; rank < below {
			return uint64(w)
		}
	}
	for shift := (bits.Len64(most|1) - 1) / 8 * 8; shift >= 0; shift -= 8 {
		var counts [256]int
		for i := range f.entries {
			if w := f.entries[i].weight; w&mask == prefix {
				counts[byte(w>>shift)]++
			}
		}
		b := 0
		for ; rank >= counts[b]; b++ {
			rank -= counts[b]
		}
		prefix |= uint64(b) << shift
		mask |= 255 << shift
	}
	return prefix
}

// Merge adds the stream that o summarised. It does not change o. The errors add up, and a purge
// may add to them.
func (f *Frequent) Merge(o *Frequent) {
	if f == o {
		o = o.Clone()
	}
	f.total = addWeight(f.total, o.total)
	f.offset = addWeight(f.offset, o.offset)
	f.thinned.add(o.thinned.by)
	if len(f.entries) == 0 && f.lg() >= o.lg() {
		f.entries, f.keys = append(f.entries[:0], o.entries...), append(f.keys[:0], o.keys...)
		f.covered, f.absent = append(f.covered[:0], o.covered...), o.absent
		if crowded(len(f.entries), len(f.index)) {
			f.index = nil // made when it is needed
		} else {
			f.fillIndex()
		}
		return
	}
	for i, e := range o.entries {
		f.addCovered(o.key(i), e.hash, e.weight, o.cover(i))
	}
}

// Total returns the weight of the whole stream, at most 2^63-1 like all weights.
func (f *Frequent) Total() uint64 { return f.total }

// MaxError returns the most by which a lower bound may be smaller than the true weight; 0 means exact. For a key that is
// held, [Frequent.Bounds] may say less.
func (f *Frequent) MaxError() uint64 { return f.offset }

// Len returns the number of keys held.
func (f *Frequent) Len() int { return len(f.entries) }

// Each yields all keys that are held with their bounds. A key is valid until the next one.
func (f *Frequent) Each() iter.Seq2[[]byte, Bounds] {
	return func(yield func([]byte, Bounds) bool) {
		for i, e := range f.entries {
			lower, upper := f.thinned.bounds(e.weight, f.upper(i))
			if !yield(f.key(i), Bounds{lower, upper}) {
				return
			}
		}
	}
}

// Bounds returns the bounds of key's true weight.
func (f *Frequent) Bounds(key []byte) (lower, upper uint64) {
	key = key[:min(len(key), MaxKeyLen)]
	hash := uint32(maphash.Bytes(tableSeed, key))
	if f.index == nil { // Compact removed it, and a reading method must not write
		for i, e := range f.entries {
			if e.hash == hash && string(f.key(i)) == string(key) {
				return f.thinned.bounds(e.weight, f.upper(i))
			}
		}
	} else if at, _ := f.find(key, hash); at >= 0 {
		return f.thinned.bounds(f.entries[at].weight, f.upper(at))
	}
	return f.thinned.bounds(0, f.offset)
}

// All yields every key held and its lower bound, in order of arrival. The key is valid until f changes, and the
// caller must not change it.
func (f *Frequent) All() iter.Seq2[[]byte, uint64] {
	return func(yield func([]byte, uint64) bool) {
		for i, e := range f.entries {
			if !yield(f.key(i), e.weight) {
				return
			}
		}
	}
}

// Top appends the n heaviest keys to dst, ordered by lower bound, and equal ones by key.
func (f *Frequent) Top(dst []Row, n int) []Row {
	var few [64]int32
	for _, i := range f.heaviest(few[:0], n) {
		dst = append(dst, f.row(int(i)))
	}
	return dst
}

// row returns the row of entry i.
func (f *Frequent) row(i int) Row {
	lower, upper := f.thinned.bounds(f.entries[i].weight, f.upper(i))
	return Row{string(f.key(i)), lower, upper}
}

// heaviest appends the places of the n heaviest keys to best, which is empty, in order. If n is at most the capacity of best,
// it allocates nothing.
func (f *Frequent) heaviest(best []int32, n int) []int32 {
	n = min(n, len(f.entries))
	if n <= 0 {
		return nil
	}
	if n > cap(best) {
		best = make([]int32, len(f.entries))
		for i := range best {
			best[i] = int32(i)
		}
		slices.SortFunc(best, f.compare)
		return best[:n]
	}
	for i := range f.entries {
		if len(best) == n && f.compare(int32(i), best[n-1]) > 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, int32(i), f.compare)
		best = slices.Insert(best[:min(len(best), n-1)], at, int32(i))
	}
	return best
}

// compare orders the places of entries: heaviest first, and equal ones by key.
func (f *Frequent) compare(a, b int32) int {
	if c := cmp.Compare(f.entries[b].weight, f.entries[a].weight); c != 0 {
		return c
	}
	return bytes.Compare(f.key(int(a)), f.key(int(b)))
}

// Compact frees the memory that only a growing sketch needs.
func (f *Frequent) Compact() {
	f.index = nil
	f.entries = fitted(f.entries)
	f.keys = fitted(f.keys)
	f.covered = fitted(f.covered)
}

// Reset empties f. It keeps the memory for the next stream.
func (f *Frequent) Reset() {
	clear(f.index)
	*f = Frequent{lgSlots: f.lgSlots, entries: f.entries[:0], keys: f.keys[:0], index: f.index, covered: f.covered[:0]}
}

// Clone returns a copy that shares nothing with f.
func (f *Frequent) Clone() *Frequent {
	c := *f
	c.entries = slices.Clone(f.entries)
	c.keys = slices.Clone(f.keys)
	c.index = slices.Clone(f.index)
	c.covered = slices.Clone(f.covered)
	return &c
}
