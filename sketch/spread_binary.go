package sketch

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
)

// The binary form of a Spread. Numbers are unsigned varints (LEB128):
//
//	1 byte   version, 1
//	1 byte   1 if all weights are 1, otherwise 0
//	varint   weight of all items that were added
//	varint   2^32 minus the common threshold
//	varint   number of keys
//	for each key: varint length, the key, varint number of pairs, varint 2^32 minus its limit
//	for each key, for each of its pairs in ascending order: 4 bytes hash, little endian
//	unless all weights are 1, in the same order: varint weight
const (
	spreadVersion = 1
	spreadUnit    = 1

	// maxPairs is the most that a sketch holds between two calls.
	maxPairs = 1 << maxLgPairs
)

// AppendBinary appends the binary form of s: some ten bytes, and for each key the key, three to seven bytes and four for each
// pair. Keys are in order of arrival.
func (s *Spread) AppendBinary(dst []byte) []byte {
	pairs := s.livePairs()
	unit := byte(spreadUnit)
	for i := range pairs {
		if pairs[i].weight != 1 {
			unit = 0
		}
	}
	dst = append(dst, spreadVersion, unit)
	dst = binary.AppendUvarint(dst, s.added)
	dst = binary.AppendUvarint(dst, s.above)
	keys := 0
	for i := range pairs {
		if i == 0 || pairs[i].key != pairs[i-1].key {
			keys++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(keys))
	for first := 0; first < len(pairs); {
		k, end := pairs[first].key, first+1
		for end < len(pairs) && pairs[end].key == k {
			end++
		}
		key := s.key(int(k))
		dst = append(binary.AppendUvarint(dst, uint64(len(key))), key...)
		dst = binary.AppendUvarint(dst, uint64(end-first))
		dst = binary.AppendUvarint(dst, everything-s.keys[k].limit)
		first = end
	}
	for i := range pairs {
		dst = binary.LittleEndian.AppendUint32(dst, pairs[i].hash)
	}
	if unit == 0 {
		for i := range pairs {
			dst = binary.AppendUvarint(dst, uint64(pairs[i].weight))
		}
	}
	return dst
}

// livePairs returns the pairs below their thresholds, by key and hash.
func (s *Spread) livePairs() []spreadPair {
	live, threshold := make([]spreadPair, 0, len(s.pairs)), s.Threshold()
	for _, p := range s.pairs {
		if uint64(p.hash) < uint64(p.weight)*min(threshold, s.keys[p.key].limit) {
			live = append(live, p)
		}
	}
	slices.SortFunc(live, func(a, b spreadPair) int {
		x, y := uint64(a.key)<<32|uint64(a.hash), uint64(b.key)<<32|uint64(b.hash)
		if x < y {
			return -1
		} else if x > y {
			return 1
		}
		return 0
	})
	return live
}

// UnmarshalBinary replaces s by the sketch in b. s keeps its own number of slots, and lowers thresholds if b has more pairs.
// The error is a [*DecodeError].
func (s *Spread) UnmarshalBinary(b []byte) error {
	var v SpreadView
	if reason := v.open(b, new(Scratch)); reason != "" {
		return spreadError(reason)
	}
	*s = Spread{lgSlots: s.lgSlots}
	s.MergeView(&v)
	return nil
}

// SpreadView is a [Spread] in its binary form, checked and ready to be merged. It refers to the bytes that it was opened with,
// and reuses its memory for the next ones.
type SpreadView struct {
	text         []byte
	added, above uint64
	keys         []viewKey
	pairs        []spreadPair // their key is not set
	whole        *Spread      // what is merged instead
}

// viewKey is a key of a view: where it is, its limit, and where its pairs end.
type viewKey struct {
	limit            uint64
	hash             uint32
	start, end, last uint32
}

// Open checks b, for a sketch of the given number of slots, and keeps it. It must not change while the view is used. The error is
// a [*DecodeError]; the view is then empty.
func (v *SpreadView) Open(b []byte, slots int, scratch *Scratch) error {
	if reason := v.open(b, scratch); reason != "" {
		*v = SpreadView{keys: v.keys[:0], pairs: v.pairs[:0]}
		return spreadError(reason)
	}
	text := 0
	for i := range v.keys {
		text += int(v.keys[i].end - v.keys[i].start)
	}
	if s := NewSpread(slots); len(v.pairs) > 1<<s.lg() || text > s.textLimit() { // it lowers thresholds while it is read
		s.MergeView(v)
		v.whole = s
	}
	return nil
}

func spreadError(reason string) error { return &DecodeError{"spread", reason} }

func (v *SpreadView) open(b []byte, scratch *Scratch) string {
	*v = SpreadView{text: b, keys: v.keys[:0], pairs: v.pairs[:0]}
	if len(b) < 2 {
		return reasonShort
	}
	if b[0] != spreadVersion || b[1] > spreadUnit {
		return reasonHeader
	}
	in := varints{b: b, at: 2}
	var keys uint64
	if !in.next(&v.added) || !in.next(&v.above) || !in.next(&keys) {
		return reasonShort
	}
	if v.added > maxWeight || v.above > everything {
		return reasonCount
	}
	if keys > maxPairs {
		return reasonCount
	}
	if reason := v.readKeys(&in, int(keys), scratch); reason != "" {
		return reason
	}
	return v.readPairs(&in, b[1] == spreadUnit)
}

// readKeys reads the keys, and checks that none occurs twice.
func (v *SpreadView) readKeys(in *varints, keys int, scratch *Scratch) string {
	index := scratch.indexFor(keys)
	mask := uint32(len(index) - 1)
	pairs := uint64(0)
	for range keys {
		var size, n, below uint64
		if !in.next(&size) || size > uint64(len(in.b)-in.at) {
			return reasonShort
		}
		if size > MaxKeyLen {
			return "a key is too long"
		}
		start := in.at
		in.at += int(size)
		key := in.b[start:in.at]
		if !in.next(&n) || !in.next(&below) {
			return reasonShort
		}
		if pairs += n; n == 0 || n > maxPairs || pairs > maxPairs || below > everything {
			return reasonCount
		}
		hash := uint32(maphash.Bytes(tableSeed, key))
		slot := hash & mask
		for ; index[slot] != 0; slot = (slot + 1) & mask {
			if (index[slot]^hash)&^placeMask != 0 {
				continue
			}
			if k := &v.keys[index[slot]&placeMask-1]; k.hash == hash && string(v.text[k.start:k.end]) == string(key) {
				return reasonTwice
			}
		}
		index[slot] = slotOf(hash, len(v.keys))
		v.keys = append(v.keys, viewKey{everything - below, hash, uint32(start), uint32(start) + uint32(size), uint32(pairs)})
	}
	return ""
}

// readPairs reads the pairs, and checks that each is below its thresholds and that there is nothing else.
func (v *SpreadView) readPairs(in *varints, unit bool) string {
	n := 0
	if len(v.keys) > 0 {
		n = int(v.keys[len(v.keys)-1].last)
	}
	if 4*n > len(in.b)-in.at {
		return reasonShort
	}
	hashes := in.b[in.at:]
	in.at += 4 * n
	room := v.added
	first, threshold := uint32(0), everything-v.above
	for i := range v.keys {
		k := &v.keys[i]
		limit := min(k.limit, threshold)
		for at := first; at < k.last; at++ {
			p := spreadPair{hash: binary.LittleEndian.Uint32(hashes[4*at:]), weight: 1}
			if at > first && p.hash <= v.pairs[at-1].hash {
				return "hashes are not in ascending order"
			}
			if !unit {
				var weight uint64
				if !in.next(&weight) {
					return reasonShort
				}
				if weight == 0 || weight > MaxItemWeight {
					return reasonCount
				}
				p.weight = uint32(weight)
			}
			if uint64(p.hash) >= uint64(p.weight)*limit {
				return "a pair is not below its threshold"
			}
			if uint64(p.weight) > room && v.added < maxWeight {
				return reasonCount
			}
			room -= min(room, uint64(p.weight))
			v.pairs = append(v.pairs, p)
		}
		first = k.last
	}
	if in.at < len(in.b) {
		return reasonTrailing
	}
	return ""
}

// varints reads numbers from b.
type varints struct {
	b  []byte
	at int
}

// next reads a number. It returns false if there is no whole one.
func (in *varints) next(v *uint64) bool {
	x, n := binary.Uvarint(in.b[in.at:])
	if n <= 0 {
		return false
	}
	*v, in.at = x, in.at+n
	return true
}

// MergeView does what Merge does, for the sketch that v has open. It does not change v.
func (s *Spread) MergeView(v *SpreadView) {
	if v.whole != nil {
		s.Merge(v.whole)
		return
	}
	s.added = addWeight(s.added, v.added)
	s.above = max(s.above, v.above)
	first := uint32(0)
	for i := range v.keys {
		k := &v.keys[i]
		s.mergeKey(v.text[k.start:k.end], k.hash, k.limit, v.pairs[first:k.last])
		first = k.last
	}
}
