package sketch

import (
	"encoding/binary"
	"hash/maphash"
	"math"
)

// AppendBinary appends the keys and their bytes of responses in the form of [Frequent.AppendBinary]. Unlike there, a weight may
// be 0, also that of all keys.
func (a *Amplification) AppendBinary(dst []byte) []byte { return a.f.AppendBinary(dst) }

// AppendQueries appends the rest, for [Amplification.UnmarshalBinary]: the length of what [Frequent.AppendBounds] appends and
// those bytes, then the most bytes of queries that a key may have lost, and for each key, in order: the flags in a byte, the
// bytes of queries that were counted and those that may be missing, the number of queries, the number of truncated responses, and
// if there are queries, the port in two bytes, little endian, and the TTL in a byte. The other numbers are varints.
func (a *Amplification) AppendQueries(dst []byte) []byte {
	bounds := a.f.AppendBounds(nil)
	dst = binary.AppendUvarint(dst, uint64(len(bounds)))
	dst = append(dst, bounds...)
	dst = binary.AppendUvarint(dst, a.f.asked.lost)
	for i := range a.f.asked.rows {
		row := &a.f.asked.rows[i]
		dst = append(dst, byte(row.Flags))
		for _, n := range [...]uint64{row.Bytes, row.missing, uint64(row.Queries), uint64(row.Truncated)} {
			dst = binary.AppendUvarint(dst, n)
		}
		if row.Queries > 0 {
			dst = binary.LittleEndian.AppendUint16(dst, row.Port)
			dst = append(dst, row.TTL)
		}
	}
	return dst
}

// UnmarshalBinary replaces a by the sketch in b and queries, which AppendBinary and AppendQueries wrote. a keeps its own
// number of slots, and purges what they cannot hold. The error is a [*DecodeError], and a is then as it was.
func (a *Amplification) UnmarshalBinary(b, queries []byte) error {
	read := NewAmplification(1 << a.f.lg())
	if err := read.Load(b, queries); err != nil {
		return err
	}
	*a = *read
	return nil
}

// Load is like UnmarshalBinary, but reuses the memory of a. After an error, a is empty.
func (a *Amplification) Load(b, queries []byte) error {
	a.Reset()
	if reason := a.load(b, queries); reason != "" {
		a.Reset()
		return &DecodeError{"amplification", reason}
	}
	return nil
}

const reasonQueries = "the queries do not fit the keys"

// load reads into an empty sketch. It returns what is wrong, or "".
func (a *Amplification) load(b, queries []byte) string {
	var n uint64
	if !takeUvarint(&queries, &n) || n > uint64(len(queries)) {
		return reasonQueries
	}
	bounds, queries := queries[:n], queries[n:]
	in := frequentReader{zeros: true}
	if reason := in.open(b, bounds); reason != "" {
		return reason
	}
	f := &a.f
	if !takeUvarint(&queries, &f.asked.lost) || f.asked.lost > maxWeight {
		return reasonQueries
	}
	f.total, f.offset = in.total, in.offset
	if in.n > 0 {
		f.presize(in.n, len(in.keys)-4*in.n)
	}
	first, purged := f.asked.lost, false
	for in.more() {
		if reason := in.next(); reason != "" {
			return reason
		}
		var row askedRow
		if !row.take(&queries, first) {
			return reasonQueries
		}
		before := len(f.entries)
		a.add(in.key, uint32(maphash.Bytes(tableSeed, in.key)), in.weight, in.cover-in.bounds.least, &row.Asked, first-row.missing)
		purged = purged || len(f.entries) < before
		if !purged && len(f.entries) == before {
			return reasonTwice
		}
	}
	if len(queries) > 0 {
		return reasonTrailing
	}
	f.absent = in.bounds.least
	return in.close()
}

// take reads a row from the front of b. Its missing bytes are at most lost. It returns false if there is no whole row.
func (r *askedRow) take(b *[]byte, lost uint64) bool {
	if len(*b) == 0 || AskedFlags((*b)[0])&^allAskedFlags != 0 {
		return false
	}
	r.Flags, *b = AskedFlags((*b)[0]), (*b)[1:]
	var queries, truncated uint64
	if !takeUvarint(b, &r.Bytes) || !takeUvarint(b, &r.missing) || !takeUvarint(b, &queries) || !takeUvarint(b, &truncated) ||
		r.Bytes > maxWeight || r.missing > lost || queries > math.MaxUint32 || truncated > math.MaxUint32 {
		return false
	}
	r.Queries, r.Truncated = uint32(queries), uint32(truncated)
	if queries == 0 {
		return true
	}
	if len(*b) < 3 {
		return false
	}
	r.Port, r.TTL, *b = binary.LittleEndian.Uint16(*b), (*b)[2], (*b)[3:]
	return true
}
