package otlp

import (
	"encoding/binary"
	"math"
)

// wire is a message in the wire format of Protocol Buffers (protobuf.dev, "Encoding") that grows at its end. A field with the
// value 0 is left out only by the methods that say so.
type wire []byte

// The wire types.
const (
	typeVarint = 0
	typeFixed  = 1 // 64 bits
	typeBytes  = 2
)

func (w *wire) tag(field int, typ uint64) {
	*w = binary.AppendUvarint(*w, uint64(field)<<3|typ)
}

// varint appends a field of type uint32, uint64, bool or enum, unless it is 0.
func (w *wire) varint(field int, v uint64) {
	if v != 0 {
		w.tag(field, typeVarint)
		*w = binary.AppendUvarint(*w, v)
	}
}

// sint appends a field of type sint32, unless it is 0.
func (w *wire) sint(field int, v int32) { w.varint(field, uint64(uint32(v<<1)^uint32(v>>31))) }

// fixed appends a field of type fixed64 or sfixed64, also if it is 0: a member of a oneof is there or not.
func (w *wire) fixed(field int, v uint64) {
	w.tag(field, typeFixed)
	*w = binary.LittleEndian.AppendUint64(*w, v)
}

// double appends a field of type double, also if it is 0.
func (w *wire) double(field int, v float64) { w.fixed(field, math.Float64bits(v)) }

// text appends a field of type string, unless it is empty. It must be valid UTF-8, or receivers refuse the whole message.
func (w *wire) text(field int, s string) {
	if s != "" {
		w.tag(field, typeBytes)
		*w = binary.AppendUvarint(*w, uint64(len(s)))
		*w = append(*w, s...)
	}
}

// message appends a field that is a message, or packed numbers. body appends the content, which may be empty.
func (w *wire) message(field int, body func()) {
	w.tag(field, typeBytes)
	start := len(*w)
	body()
	n := uint64(len(*w) - start)
	// The length comes first, and how many bytes it takes is known only now.
	var length [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(length[:], n)
	*w = append(*w, length[:size]...)
	copy((*w)[start+size:], (*w)[start:start+int(n)])
	copy((*w)[start:], length[:size])
}

// raw appends messages that are fields already.
func (w *wire) raw(fields wire) { *w = append(*w, fields...) }

// field is a field of a message that was received.
type field struct {
	number uint64
	value  uint64 // of a number
	bytes  []byte // of a text or a message
}

// next takes the field at the front of b. It reports false at the end, and for bytes that are not a message.
func next(b *[]byte) (f field, ok bool) {
	tag, n := binary.Uvarint(*b)
	if n <= 0 {
		return f, false
	}
	*b = (*b)[n:]
	f.number = tag >> 3
	skip := 0
	switch tag & 7 {
	case typeVarint:
		if f.value, n = binary.Uvarint(*b); n <= 0 {
			return f, false
		}
		skip = n
	case typeFixed:
		skip = 8
	case typeBytes:
		length, n := binary.Uvarint(*b)
		if n <= 0 || length > uint64(len(*b)-n) {
			return f, false
		}
		f.bytes = (*b)[n : n+int(length)]
		skip = n + int(length)
	case 5: // 32 bits
		skip = 4
	default:
		return f, false
	}
	if skip > len(*b) {
		return f, false
	}
	*b = (*b)[skip:]
	return f, true
}
