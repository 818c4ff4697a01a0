package sketch

import (
	"encoding/binary"
	"hash/maphash"
)

// The frequent-items sketch's binary form (org.apache.datasketches.frequencies, PreambleUtil,
// with ArrayOfStringsSerDe), little endian:
//
//	byte 0  preamble in 64-bit words: 1 empty, 4 otherwise     8   number of keys, 32 bits
//	byte 1  serial version, 1                                  16  total weight
//	byte 2  family, 10                                         24  offset (the error)
//	byte 3  log2 of the most slots                             32  weights, 64 bits each
//	byte 4  log2 of the slots in use                               then keys, each after its
//	byte 5  flags: 5 if empty                                      length in 32 bits
const (
	frequentVersion = 1
	frequentFamily  = 10
	frequentEmpty   = 5 // C++ and Java use different bits: both are written, and either is accepted
	frequentPre     = 32
)

// AppendBinary appends f as a DataSketches frequent-items sketch of strings: 32 bytes, and for each key 12 bytes and
// the key, in order of arrival. Other libraries treat keys as UTF-8.
func (f *Frequent) AppendBinary(dst []byte) []byte {
	if f.total == 0 {
		return append(dst, 1, frequentVersion, frequentFamily, f.lg(), minLgSlots, frequentEmpty, 0, 0)
	}
	lgCur := min(max(minLgSlots, tableLg(len(f.entries))), f.lg())
	dst = append(dst, 4, frequentVersion, frequentFamily, f.lg(), lgCur, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(f.entries)))
	dst = binary.LittleEndian.AppendUint64(dst, f.total)
	dst = binary.LittleEndian.AppendUint64(dst, f.offset)
	for _, e := range f.entries {
		dst = binary.LittleEndian.AppendUint64(dst, e.weight)
	}
	for i := range f.entries {
		key := f.key(i)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(key)))
		dst = append(dst, key...)
	}
	return dst
}

// UnmarshalBinary replaces f by the frequent-items sketch of strings in b. f keeps its own number of slots, whatever
// b says. If b has more keys than these can hold, f purges them, and the error says so. The error is a
// [*DecodeError].
func (f *Frequent) UnmarshalBinary(b []byte) error {
	if len(b) < 8 {
		return frequentError(reasonShort)
	}
	if b[1] != frequentVersion || b[2] != frequentFamily {
		return frequentError(reasonHeader)
	}
	nf := Frequent{lgSlots: f.lgSlots}
	if b[0] == 1 && b[5]&frequentEmpty != 0 {
		if len(b) > 8 {
			return frequentError(reasonTrailing)
		}
		*f = nf
		return nil
	}
	if b[0] != 4 || b[5]&frequentEmpty != 0 {
		return frequentError(reasonHeader)
	}
	if len(b) < frequentPre {
		return frequentError(reasonShort)
	}
	n := uint64(binary.LittleEndian.Uint32(b[8:]))
	nf.total = binary.LittleEndian.Uint64(b[16:])
	nf.offset = binary.LittleEndian.Uint64(b[24:])
	if nf.total == 0 || nf.total > maxWeight || nf.offset > nf.total {
		return frequentError(reasonCount)
	}
	if uint64(len(b)-frequentPre) < 12*n {
		return frequentError(reasonShort)
	}
	nf.presize(int(n), len(b)-frequentPre-12*int(n))
	if reason := nf.readKeys(b[frequentPre:][:8*n], b[frequentPre+8*n:]); reason != "" {
		return frequentError(reason)
	}
	*f = nf
	return nil
}

func frequentError(reason string) error { return &DecodeError{"frequent", reason} }

// presize allocates space for n keys of size bytes in all, as far as f may hold them.
func (f *Frequent) presize(n, size int) {
	n = min(n, 3<<f.lg()/4)
	f.entries = make([]entry, 0, n+1)
	f.keys = make([]byte, 0, min(size, f.keyLimit()+MaxKeyLen))
	f.buildIndex(n)
}

// readKeys adds the keys with their weights. It returns what is wrong, or "".
func (f *Frequent) readKeys(weights, keys []byte) string {
	// A valid stream has no more than this: a purge or a Trim takes from the weights, in all, at least what it
	// adds to the offset. For saturated sketches the sums do not hold.
	room := f.total - f.offset
	saturated := f.total == maxWeight
	purged := false
	for ; len(weights) > 0; weights = weights[8:] {
		w := binary.LittleEndian.Uint64(weights)
		if w == 0 || w > maxWeight || w > room && !saturated {
			return reasonCount
		}
		room -= w
		if len(keys) < 4 {
			return reasonShort
		}
		n := binary.LittleEndian.Uint32(keys)
		keys = keys[4:]
		if uint64(n) > uint64(len(keys)) {
			return reasonShort
		}
		if n > MaxKeyLen {
			return "a key is too long"
		}
		key := keys[:n]
		keys = keys[n:]
		before := len(f.entries)
		f.add(key, uint32(maphash.Bytes(tableSeed, key)), w)
		purged = purged || len(f.entries) < before
		if !purged && len(f.entries) == before {
			return "a key occurs twice"
		}
	}
	if len(keys) > 0 {
		return reasonTrailing
	}
	return ""
}
