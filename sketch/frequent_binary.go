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
	if f.total == 0 && len(f.entries) == 0 {
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
func (f *Frequent) UnmarshalBinary(b []byte) error { return f.UnmarshalBounds(b, nil) }

// UnmarshalBounds is like UnmarshalBinary. It also reads what [Frequent.AppendBounds] appended. No bytes say that nothing
// is covered.
func (f *Frequent) UnmarshalBounds(b, bounds []byte) error {
	var in frequentReader
	if reason := in.open(b, bounds); reason != "" {
		return frequentError(reason)
	}
	nf := Frequent{lgSlots: f.lgSlots, total: in.total, offset: in.offset}
	if in.n > 0 {
		nf.presize(in.n, len(in.keys)-4*in.n)
	}
	purged := false
	for in.more() {
		if reason := in.next(); reason != "" {
			return frequentError(reason)
		}
		before := len(nf.entries)
		cover := in.cover - in.bounds.least // the rest becomes part of absent
		nf.addCovered(in.key, uint32(maphash.Bytes(tableSeed, in.key)), in.weight, cover)
		purged = purged || len(nf.entries) < before
		if !purged && len(nf.entries) == before {
			return frequentError(reasonTwice)
		}
	}
	if reason := in.close(); reason != "" {
		return frequentError(reason)
	}
	nf.absent = in.bounds.least
	*f = nf
	return nil
}

const reasonTwice = "a key occurs twice"

func frequentError(reason string) error { return &DecodeError{"frequent", reason} }

// presize allocates space for n keys of size bytes in all, as far as f may hold them.
func (f *Frequent) presize(n, size int) {
	n = min(n, 3<<f.lg()/4)
	if cap(f.entries) <= n {
		f.entries = make([]entry, 0, n+1)
	}
	if size = min(size, f.keyLimit()+MaxKeyLen); cap(f.keys) < size {
		f.keys = make([]byte, 0, size)
	}
	if crowded(n, len(f.index)) {
		f.buildIndex(n)
	}
}

// frequentReader reads the binary form key by key. Its methods return what is wrong, or "".
type frequentReader struct {
	total, offset uint64
	n             int    // keys that are left
	zeros         bool   // weights may be 0, as in an Amplification
	weights, keys []byte // of these
	bounds        bounds

	room      uint64 // the most that the weights of these may sum up to
	saturated bool

	// The key that was read last.
	key           []byte
	weight, cover uint64
}

// open reads everything before the keys.
func (r *frequentReader) open(b, bounds []byte) string {
	*r = frequentReader{zeros: r.zeros}
	if len(b) < 8 {
		return reasonShort
	}
	if b[1] != frequentVersion || b[2] != frequentFamily {
		return reasonHeader
	}
	if b[0] == 1 && b[5]&frequentEmpty != 0 {
		if len(b) > 8 || len(bounds) > 0 {
			return reasonTrailing
		}
		return ""
	}
	if b[0] != 4 || b[5]&frequentEmpty != 0 {
		return reasonHeader
	}
	if len(b) < frequentPre {
		return reasonShort
	}
	n := uint64(binary.LittleEndian.Uint32(b[8:]))
	r.total = binary.LittleEndian.Uint64(b[16:])
	r.offset = binary.LittleEndian.Uint64(b[24:])
	if r.total == 0 && !r.zeros || r.total > maxWeight || r.offset > r.total {
		return reasonCount
	}
	if uint64(len(b)-frequentPre) < 12*n {
		return reasonShort
	}
	if !r.bounds.open(bounds, r.offset) {
		return reasonBounds
	}
	r.n = int(n)
	r.weights, r.keys = b[frequentPre:][:8*n], b[frequentPre+8*n:]
	// A valid stream has no more than this: a purge or a Trim takes from the weights, in all, at least what it
	// adds to the offset. For saturated sketches the sums do not hold.
	r.room = r.total - r.offset
	r.saturated = r.total == maxWeight
	return ""
}

// more reports whether a key is left.
func (r *frequentReader) more() bool { return r.n > 0 }

// next reads a key.
func (r *frequentReader) next() string {
	r.n--
	w := binary.LittleEndian.Uint64(r.weights)
	r.weights = r.weights[8:]
	if w == 0 && !r.zeros || w > maxWeight || w > r.room && !r.saturated {
		return reasonCount
	}
	r.room -= w
	if len(r.keys) < 4 {
		return reasonShort
	}
	n := binary.LittleEndian.Uint32(r.keys)
	if uint64(n) > uint64(len(r.keys)-4) {
		return reasonShort
	}
	if n > MaxKeyLen {
		return "a key is too long"
	}
	r.weight, r.key, r.keys = w, r.keys[4:4+n], r.keys[4+n:]
	if !r.bounds.next(&r.cover) {
		return reasonBounds
	}
	return ""
}

// close checks that nothing follows the last key.
func (r *frequentReader) close() string {
	if len(r.keys) > 0 {
		return reasonTrailing
	}
	if len(r.bounds.rest) > 0 && r.bounds.each {
		return reasonBounds
	}
	return ""
}
