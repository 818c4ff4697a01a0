package sketch

import (
	"hash/maphash"
	"math/bits"

	"pktvisor/internal/memory"
)

const (
	// maxLgPairs is log2 of the most slots of a Spread: the index of pairs uses 16 bits of a hash.
	maxLgPairs = 15
	// MaxItemWeight is where the weight of an item saturates.
	MaxItemWeight = 1 << 16
	// everything is a threshold that all pairs of weight 1 or more are below.
	everything = 1 << 32
	// fullShare is the reciprocal of the share of the sample that each of the greatest keys keeps, whatever the others do. With
	// it, at least 256 of 6144 pairs are a great key's. Its value is then known within 12.5% at 95%, and smaller keys share the rest.
	fullShare = 24
)

// Spread finds the keys with the most distinct items: the zones with the most distinct names, say. Items may have weights,
// and then a key's value is the sum of the weights of its distinct items.
//
// It keeps a coordinated sample of the pairs of a key and an item: those whose rank, a fixed hash of the pair divided by the
// weight, is below a threshold (Cohen, "Coordinated Sampling", 2014; theta sketches of Apache DataSketches are the case of one
// key and no weights). All sketches sample the same pairs, so a merge is the sample of the union: what several hosts saw
// counts once. A pair that is not sampled costs one comparison.
//
// It is exact while there are no more pairs than [Spread.Capacity]. Then the keys with the most pairs get a threshold of their
// own, which is as high as the capacity allows, and not so low that they keep less than a 24th of it. Then the common
// threshold falls. So one key with nearly all the pairs, as in an attack, does not displace the others.
//
// The bounds of a value are those of a sampled sum at 95%, each: see [Spread.Bounds]. They hold for keys whose hashes are not
// chosen. The hash is fixed, since hosts must agree on it. A sender that chooses items by their hashes can hide a
// key, can make it seem greater, up to all weights added, and can lower the common threshold, which hides small keys.
//
// Memory: 168 bytes empty; 20 to 44 bytes a pair and 32 and the key itself for each key, at most as many pairs as slots
// and 32 bytes of key text a slot.
// Compacted, 12 bytes a pair, 24 and the key itself for each key.
type Spread struct {
	keys      []spreadKey  // in order of arrival
	text      []byte       // the keys, one after the other
	pairs     []spreadPair // some of them may no longer be below their threshold
	spare     []spreadPair // memory for settle
	ranks     []uint32     // memory for nthRank
	keyIndex  []uint32     // open addressing, see slotOf; nil after Compact
	pairIndex []uint32
	added     uint64 // the weight of all items that were added, distinct or not
	above     uint64 // everything minus the common threshold
	most      uint32 // the most pairs of a key since pairs were left out, 0 before
	lgSlots   uint8  // 0: defaultLgSlots
}

// spreadKey is a key. Its bytes are between the end of the key before and its own end.
type spreadKey struct {
	limit uint64 // the ranks of its pairs are below
	hash  uint32
	end   uint32
	n     uint32 // its pairs when they were last grouped
}

type spreadPair struct{ hash, weight, key uint32 }

// rank returns the rank of the pair.
func (p *spreadPair) rank() uint64 {
	if p.weight == 1 {
		return uint64(p.hash)
	}
	return uint64(p.hash / p.weight)
}

// NewSpread returns an empty sketch of at most slots slots: a power of two from 8 to 2^15. Other numbers are raised to the
// next power of two within that range. 0 means [DefaultSlots].
func NewSpread(slots int) *Spread { return &Spread{lgSlots: min(lgOf(slots), maxLgPairs)} }

// Resize changes the number of slots. If s has more pairs than fit, the next pair that is added makes it lower its thresholds.
func (s *Spread) Resize(slots int) { s.lgSlots = min(lgOf(slots), maxLgPairs) }

func (s *Spread) lg() uint8 {
	if s.lgSlots == 0 {
		return defaultLgSlots
	}
	return s.lgSlots
}

// Capacity returns the number of pairs up to which s is exact.
func (s *Spread) Capacity() int { return 3 << s.lg() / 4 }

// textLimit returns the bytes of keys that s may hold.
func (s *Spread) textLimit() int { return max(keyBytesPerSlot/2<<s.lg(), 2*MaxKeyLen) }

// Threshold returns the common threshold. An item of weight w whose [PairHash] is w times the threshold or more changes only
// [Spread.Added]. The threshold never rises.
func (s *Spread) Threshold() uint64 { return everything - s.above }

// Added returns the weight of all items that were added, distinct or not, at most 2^63-1.
func (s *Spread) Added() uint64 { return s.added }

// PairHash returns the hash by which the pair of a key and an item is sampled. item is a fixed hash of the item.
func PairHash(key []byte, item uint64) uint32 {
	h, _ := Hash(key)
	return PairOf(h, item)
}

// PairOf returns the [PairHash] of a key whose first [Hash] is known.
func PairOf(keyHash, item uint64) uint32 { return uint32(finalMix(keyHash^item) >> 32) }

// Add adds an item to a key. item is a hash of the item that is the same on all hosts, such as the first of [Hash]. The same
// item must always have the same weight; if not, the greatest counts. A weight of 0 does nothing. Key is copied, and cut at
// [MaxKeyLen].
func (s *Spread) Add(key []byte, item uint64, weight uint32) {
	s.AddPair(key, PairHash(key, item), weight)
}

// AddPair is like Add for a pair whose hash is known. A sketch must get all its pairs with the same kind of hash.
func (s *Spread) AddPair(key []byte, hash, weight uint32) {
	weight = min(weight, MaxItemWeight)
	s.added = addWeight(s.added, uint64(weight))
	if uint64(hash) >= uint64(weight)*s.Threshold() {
		return
	}
	key = key[:min(len(key), MaxKeyLen)]
	s.insert(s.keyFor(key, uint32(maphash.Bytes(tableSeed, key))), hash, weight)
	if len(s.pairs) > 1<<s.lg() || len(s.text) > s.textLimit() {
		s.settle(s.Capacity(), s.textLimit())
	}
}

// Limit returns the threshold of a key: that of its own, or the common one. It is like [Spread.Threshold], for the items of the
// key.
func (s *Spread) Limit(key []byte) uint64 {
	if len(s.keys) > 0 && len(s.keyIndex) > 0 {
		key = key[:min(len(key), MaxKeyLen)]
		if at, _ := s.findKey(key, uint32(maphash.Bytes(tableSeed, key))); at >= 0 {
			return min(s.Threshold(), s.keys[at].limit)
		}
	}
	return s.Threshold()
}

// Lower lowers the common threshold of an empty sketch to the given one, or leaves it as it is if it is lower. A sketch that is to be
// merged into another need not have the pairs that the other leaves out.
func (s *Spread) Lower(threshold uint64) {
	s.above = max(s.above, everything-min(threshold, everything))
}

// Pass counts items of the given weight that are not below the threshold.
func (s *Spread) Pass(weight uint64) { s.added = addWeight(s.added, weight) }

// keyFor returns the number of a key, which it enters if s lacks it.
func (s *Spread) keyFor(key []byte, hash uint32) uint32 {
	if 2*(len(s.keys)+1) > len(s.keyIndex) {
		s.indexKeys(2 * (len(s.keys) + 1))
	}
	at, slot := s.findKey(key, hash)
	if at >= 0 {
		return uint32(at)
	}
	if n := len(s.text); n+len(key) > cap(s.text) {
		s.text = grown(s.text, max(n, len(key), 128))
	}
	if n := len(s.keys); n == cap(s.keys) {
		s.keys = grown(s.keys, max(n, 8))
	}
	s.text = append(s.text, key...)
	s.keyIndex[slot] = slotOf(hash, len(s.keys))
	s.keys = append(s.keys, spreadKey{limit: everything, hash: hash, end: uint32(len(s.text))})
	return uint32(len(s.keys) - 1)
}

// findKey returns the number of a key, or -1 and the free slot of the index where it belongs.
func (s *Spread) findKey(key []byte, hash uint32) (at int, slot uint32) {
	mask := uint32(len(s.keyIndex) - 1)
	for slot = hash & mask; ; slot = (slot + 1) & mask {
		v := s.keyIndex[slot]
		if v == 0 {
			return -1, slot
		}
		if (v^hash)&^placeMask != 0 {
			continue
		}
		if at := int(v&placeMask) - 1; s.keys[at].hash == hash && string(s.key(at)) == string(key) {
			return at, slot
		}
	}
}

// key returns a key by its number.
func (s *Spread) key(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = s.keys[i-1].end
	}
	return s.text[start:s.keys[i].end]
}

// insert enters a pair if it is below the threshold of its key.
func (s *Spread) insert(key, hash, weight uint32) {
	if uint64(hash) >= uint64(weight)*s.keys[key].limit {
		return
	}
	if 2*(len(s.pairs)+1) > len(s.pairIndex) {
		s.indexPairs(2 * (len(s.pairs) + 1))
	}
	mixed := mixPair(hash, s.keys[key].hash)
	mask := uint32(len(s.pairIndex) - 1)
	slot := mixed & mask
	for ; ; slot = (slot + 1) & mask {
		v := s.pairIndex[slot]
		if v == 0 {
			break
		}
		if (v^mixed)&^placeMask != 0 {
			continue
		}
		if p := &s.pairs[v&placeMask-1]; p.hash == hash && p.key == key {
			p.weight = max(p.weight, weight)
			return
		}
	}
	if n := len(s.pairs); n == cap(s.pairs) {
		s.pairs = grown(s.pairs, max(min(n, 1<<s.lg()+1-n), 8))
	}
	s.pairIndex[slot] = slotOf(mixed, len(s.pairs))
	s.pairs = append(s.pairs, spreadPair{hash, weight, key})
}

// mixPair mixes the hash of a pair with the secret hash of its key: a sender can choose the former.
func mixPair(hash, key uint32) uint32 {
	const odd = 0x9e3779b97f4a7c15
	hi, lo := bits.Mul64(uint64(hash)^couponKey, uint64(key)<<32|odd)
	x := hi ^ lo
	return uint32((x ^ x>>29) * odd >> 32)
}

// indexKeys makes an index for n/2 keys or more, and enters the present ones.
func (s *Spread) indexKeys(n int) {
	s.keyIndex = indexFor(s.keyIndex, n)
	mask := uint32(len(s.keyIndex) - 1)
	for i := range s.keys {
		hash := s.keys[i].hash
		slot := hash & mask
		for s.keyIndex[slot] != 0 {
			slot = (slot + 1) & mask
		}
		s.keyIndex[slot] = slotOf(hash, i)
	}
}

// indexPairs makes an index for n/2 pairs or more, and enters the present ones.
func (s *Spread) indexPairs(n int) {
	s.pairIndex = indexFor(s.pairIndex, n)
	mask := uint32(len(s.pairIndex) - 1)
	for i := range s.pairs {
		mixed := mixPair(s.pairs[i].hash, s.keys[s.pairs[i].key].hash)
		slot := mixed & mask
		for s.pairIndex[slot] != 0 {
			slot = (slot + 1) & mask
		}
		s.pairIndex[slot] = slotOf(mixed, i)
	}
}

// indexFor returns an index of n slots or more, all zero: index itself if it is large enough.
func indexFor(index []uint32, n int) []uint32 {
	if len(index) >= n {
		clear(index)
		return index
	}
	return memory.Make[uint32](1 << bits.Len(uint(max(n, 16)-1)))
}

// Merge adds the items of o. It does not change o.
func (s *Spread) Merge(o *Spread) {
	if s == o {
		s.added = addWeight(s.added, s.added)
		return
	}
	s.added = addWeight(s.added, o.added)
	s.above = max(s.above, o.above)
	first := 0
	for first < len(o.pairs) { // the pairs of a key are mostly together
		at, end := o.pairs[first].key, first+1
		for end < len(o.pairs) && o.pairs[end].key == at {
			end++
		}
		s.mergeKey(o.key(int(at)), o.keys[at].hash, o.keys[at].limit, o.pairs[first:end])
		first = end
	}
}

// mergeKey adds pairs of a key, whose ranks are below limit.
func (s *Spread) mergeKey(key []byte, hash uint32, limit uint64, pairs []spreadPair) {
	for len(pairs) > 0 {
		part := pairs[:min(len(pairs), max(1<<s.lg()/4, 1))]
		if len(s.pairs)+len(part) > 1<<s.lg() || len(s.text)+len(key) > s.textLimit() {
			s.settle(s.Capacity(), s.textLimit()-len(key))
		}
		at := s.keyFor(key, hash)
		s.keys[at].limit = min(s.keys[at].limit, limit)
		threshold := s.Threshold()
		for i := range part {
			if p := &part[i]; uint64(p.hash) < uint64(p.weight)*threshold {
				s.insert(at, p.hash, p.weight)
			}
		}
		pairs = pairs[len(part):]
	}
}

// Reset empties s, and keeps its memory.
func (s *Spread) Reset() {
	clear(s.keyIndex)
	clear(s.pairIndex)
	s.keys, s.text, s.pairs = s.keys[:0], s.text[:0], s.pairs[:0]
	s.added, s.above, s.most = 0, 0, 0
}

// Compact frees the memory that only a growing sketch needs.
func (s *Spread) Compact() {
	s.keys, s.text, s.pairs = fitted(s.keys), fitted(s.text), fitted(s.pairs)
	s.spare, s.ranks, s.keyIndex, s.pairIndex = nil, nil, nil, nil
}

// Clone returns a copy.
func (s *Spread) Clone() *Spread {
	c := *s
	c.Compact()
	return &c
}
