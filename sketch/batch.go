package sketch

import (
	"hash/maphash"
	"math/bits"
	"slices"

	"pktvisor/internal/memory"
)

// The functions below add many keys at once, to one sketch or to several.

// Prepared is a key that was hashed once, to be added to several sketches. It is valid as long as the key's bytes
// are.
type Prepared struct {
	key  []byte
	hash uint32
}

// Prepare hashes a key.
func Prepare(key []byte) Prepared {
	key = key[:min(len(key), MaxKeyLen)]
	return Prepared{key, uint32(maphash.Bytes(tableSeed, key))}
}

// AddPrepared does what Add does, for a key that was hashed before.
func (f *Frequent) AddPrepared(p Prepared, weight uint64) {
	if weight > 0 {
		f.total = addWeight(f.total, weight)
		f.add(p.key, p.hash, weight)
	}
}

// Hashed is the [Hash] of a key.
type Hashed struct{ h1, h2 uint64 }

// HashKey hashes a key for [Distinct.AddHashed].
func HashKey(key []byte) Hashed {
	h1, h2 := Hash(key)
	return Hashed{h1, h2}
}

// Pair returns the hash of the key for [Spread.AddPair], if the key depends on the item that is counted: a zone and a name in it.
func (h Hashed) Pair() uint32 { return uint32(h.h1 >> 32) }

// AddHashed counts keys by their hashes.
func (d *Distinct) AddHashed(keys []Hashed) {
	for i := range keys {
		d.AddHash(keys[i].h1, keys[i].h2)
	}
}

// AddWords counts keys by their hashes of [HashWord]. The lower bits of a hash are for the register, and the upper ones for its value.
func (d *Distinct) AddWords(hashes []uint64) {
	for i, h := range hashes {
		if d.regs == nil || d.packed { // until there are many keys
			for _, h := range hashes[i:] {
				d.AddHash(h, h)
			}
			return
		}
		value := byte(min(bits.LeadingZeros64(h), maxRegister-1) + 1)
		if at := &d.regs[h&uint64(len(d.regs)-1)]; *at < value {
			*at = value
		}
	}
}

// Weighted is the index of a key and a weight.
type Weighted struct {
	Weight uint64
	Key    uint32
}

// AddBatch calls AddPrepared for each of the rows, whose indexes refer to keys. To add keys to several sketches, add
// them in batches: this keeps one sketch at a time in the CPU's cache.
func (f *Frequent) AddBatch(keys []Prepared, rows []Weighted) {
	if len(f.index) >= touchFrom {
		for part := range slices.Chunk(rows, touchRows) {
			var at [touchRows]uint32
			for i := range part {
				at[i%touchRows] = keys[part[i].Key].hash
			}
			f.touch(at[:len(part)])
			f.addRows(keys, part)
		}
		return
	}
	f.addRows(keys, rows)
}

func (f *Frequent) addRows(keys []Prepared, rows []Weighted) {
	for i := range rows {
		if w := rows[i].Weight; w > 0 {
			key := &keys[rows[i].Key]
			f.total = addWeight(f.total, w)
			f.add(key.key, key.hash, w)
		}
	}
}

const (
	touchFrom = 1 << 11 // slots of the index; a smaller sketch is in the CPU's cache anyway
	touchRows = 64
)

// touch loads the memory that adding keys with the given hashes, at most touchRows, will read: the index for all of them,
// then the entries, then the keys. These loads do not depend on each other, so the CPU has many cache misses under way at
// a time. Key by key, each would wait for three misses in turn. It overwrites the hashes.
func (f *Frequent) touch(at []uint32) {
	if len(f.keys) == 0 { // a purge has just removed everything
		return
	}
	mask := uint32(len(f.index) - 1)
	for i, hash := range at {
		at[i] = f.index[hash&mask] & placeMask
	}
	for i, place := range at { // for an empty slot of the index, any entry will do
		at[i] = f.entries[max(place, 1)-1].end
	}
	var sum byte
	for _, end := range at {
		sum += f.keys[max(end, 1)-1]
	}
	memory.KeepLoad(uint64(sum))
}

// Sieve says which keys of a batch are heavy enough to be added: see [Frequent.Shed]. With the zero value, all keys
// that have a weight pass.
type Sieve struct {
	light uint64 // lighter keys do not pass; keys of this weight pass
	spare int    // only while spare is above 0
}

// Passes reports whether the next key of the batch, which has the given weight, is to be added.
func (s *Sieve) Passes(weight uint64) bool {
	if weight > s.light {
		return true
	}
	if weight < s.light || s.spare == 0 {
		return false
	}
	s.spare--
	return true
}

// Shed decides which keys of a big batch are too light to be added, whether f holds them or not, and accounts for
// them. weights are those of the whole batch, one for each distinct key; zeros are allowed. The caller then calls
// Passes once for each of the weights, in order, and adds the keys that pass. If there are no more keys than
// [Frequent.Capacity], all of them pass and f does not change.
//
// A batch that exceeds the capacity cannot be added exactly anyway: its light keys would be added and soon purged,
// with a greater error. Shed lets keys pass for three eighths of the capacity, and a few of a flood of equal weights.
// (With half of the capacity the error is the same; with a quarter it is greater.) Each other key loses its weight,
// which is at most t, and the error grows by t. The total counts the lost weight. It is at least t times half the
// capacity, as with a purge, so the bound of the error holds.
func (f *Frequent) Shed(weights []uint64) Sieve {
	if len(weights) <= f.Capacity() {
		return Sieve{}
	}
	var counts [weightClasses]uint32
	for _, w := range weights {
		counts[weightClass(w)]++
	}
	if len(weights)-int(counts[0]) <= f.Capacity() {
		return Sieve{}
	}
	half := f.Capacity() / 2
	class := weightClasses - 1
	for pass := int(counts[class]); pass <= half*3/4; pass += int(counts[class]) {
		class--
	}
	if class < exactClasses {
		return f.shedExactly(&counts, class)
	}
	for limit := heaviestOf(class); ; {
		t, pass, lost := lightest(weights, limit)
		spare := 0
		if few := half / 16; pass < few {
			for _, w := range weights {
				if w == t && pass+spare < few {
					spare++
					lost -= min(t, lost)
				}
			}
		}
		if t <= lost/uint64(half) {
			return f.leaveOut(t, lost, spare)
		}
		// For a smaller t, less weight may be lost than is lost here. Halving it, at least, bounds the number
		// of rounds, whatever weights an attacker chooses.
		limit = min(lost/uint64(half), t/2)
	}
}

// shedExactly finishes Shed if the greatest weight that may be left out has a class of its own. The numbers of the weights
// then say all that there is to know.
func (f *Frequent) shedExactly(counts *[weightClasses]uint32, class int) Sieve {
	half := f.Capacity() / 2
	for {
		for class > 0 && counts[class] == 0 {
			class--
		}
		pass, lost := 0, uint64(0)
		for w, n := range counts[:class+1] {
			lost += uint64(w) * uint64(n)
		}
		for _, n := range counts[class+1:] {
			pass += int(n)
		}
		t := uint64(class)
		spare := min(max(half/16-pass, 0), int(counts[class]))
		lost -= min(t*uint64(spare), lost)
		if t <= lost/uint64(half) {
			return f.leaveOut(t, lost, spare)
		}
		class = int(min(lost/uint64(half), t/2))
	}
}

// leaveOut accounts for a batch in which keys of at most the given weight are left out, except for a few of just this weight.
func (f *Frequent) leaveOut(weight, lost uint64, spare int) Sieve {
	f.reserve()
	f.total = addWeight(f.total, lost)
	f.offset = addWeight(f.offset, weight)
	return Sieve{weight, spare}
}

// lightest returns the greatest of the weights up to limit, the number of weights beyond it, and the sum of the
// others.
func lightest(weights []uint64, limit uint64) (greatest uint64, beyond int, sum uint64) {
	var high, carry uint64
	for _, w := range weights {
		if w > limit {
			beyond++
			continue
		}
		sum, carry = bits.Add64(sum, w, 0)
		high += carry
		greatest = max(greatest, w)
	}
	if high > 0 {
		sum = maxWeight
	}
	return greatest, beyond, min(sum, maxWeight)
}

// weightClasses is the number of classes of weights: one for each weight below 64, and 32 for each power of two
// above.
const weightClasses = (64-6)*32 + 64

// exactClasses is the number of classes that have only one weight each: that of their number.
const exactClasses = 64

// weightClass returns the class of a weight. A greater weight never has a smaller class.
func weightClass(w uint64) int {
	shift := max(bits.Len64(w)-6, 0)
	return shift*32 + int(w>>shift)
}

// heaviestOf returns the greatest weight of a class.
func heaviestOf(class int) uint64 {
	shift := max(class/32-1, 0)
	return uint64(class-shift*32+1)<<shift - 1
}
