package geo

import (
	"encoding/binary"
	"errors"
)

// The types of values in a database's data section ("MaxMind DB File Format Specification", version 2.0).
const (
	kindExtended = 0
	kindPointer  = 1
	kindString   = 2
	kindUint16   = 5
	kindUint32   = 6
	kindMap      = 7
	kindUint64   = 9
	kindArray    = 11
	kindBool     = 14
	kindLast     = 15
)

// maxSteps bounds the values that are read to make one name. A City record with names in eight languages has about
// 150.
const maxSteps = 4096

var (
	errDamaged = errors.New("its records are damaged")
	errTooMany = errors.New("a record has too many values")
)

// record reads one record of a data section, in at most maxSteps steps, whatever the bytes are. It checks that each
// length ends within the section, and that no pointer leads to another pointer. It does not allocate.
type record struct {
	b     []byte // the data section
	steps int    // values read so far
}

// value is the head of a value. For a map or an array, size is the number of entries. For anything else it is the
// length of the content in bytes.
type value struct {
	kind      byte
	off, size int // off is where the content starts
}

// inline reads the head of the value at off, which may be a pointer.
func (r *record) inline(off int) (value, error) {
	if r.steps++; r.steps > maxSteps {
		return value{}, errTooMany
	}
	if off < 0 || off >= len(r.b) {
		return value{}, errDamaged
	}
	v := value{kind: r.b[off] >> 5, size: int(r.b[off] & 31), off: off + 1}
	if v.kind == kindPointer {
		v.size = v.size>>3 + 1 // the remaining bits belong to the pointer
		return v, r.within(v)
	}
	if v.kind == kindExtended {
		if v.off >= len(r.b) {
			return value{}, errDamaged
		}
		v.kind = r.b[v.off] + 7
		v.off++
		if v.kind <= kindMap || v.kind > kindLast {
			return value{}, errDamaged
		}
	}
	if v.size >= 29 {
		n := v.size - 28 // bytes of length
		if len(r.b)-v.off < n {
			return value{}, errDamaged
		}
		var long [4]byte
		copy(long[4-n:], r.b[v.off:v.off+n])
		v.size = int(binary.BigEndian.Uint32(long[:])) + [...]int{29, 285, 65821}[n-1]
		v.off += n
	}
	return v, r.within(v)
}

// within checks that the content may be in the section. An entry of a map or an array has at least one byte.
func (r *record) within(v value) error {
	if v.kind != kindBool && v.size > len(r.b)-v.off {
		return errDamaged
	}
	return nil
}

// value reads the head of the value at off, or of the value that a pointer there leads to.
func (r *record) value(off int) (value, error) {
	v, err := r.inline(off)
	if err != nil || v.kind != kindPointer {
		return v, err
	}
	var to [8]byte
	copy(to[8-v.size:], r.b[v.off:v.off+v.size])
	target := binary.BigEndian.Uint64(to[:])
	if v.size < 4 {
		target |= uint64(r.b[off]&7) << (8 * v.size)
		target += [...]uint64{0, 2048, 526336}[v.size-1]
	}
	if target >= uint64(len(r.b)) {
		return value{}, errDamaged
	}
	if v, err = r.inline(int(target)); err == nil && v.kind == kindPointer {
		err = errDamaged
	}
	return v, err
}

// skip returns the offset that follows the value at off.
func (r *record) skip(off int) (int, error) {
	for pending := 1; pending > 0; pending-- {
		v, err := r.inline(off)
		if err != nil {
			return 0, err
		}
		off = v.off
		switch v.kind {
		case kindMap:
			pending += 2 * v.size
		case kindArray:
			pending += v.size
		case kindBool: // the size is the value
		default:
			off += v.size
		}
		if pending-1 > len(r.b)-off {
			return 0, errDamaged
		}
	}
	return off, nil
}

// each calls visit with every key of the map at off, and the offset of its value. A value that is not a map has no keys.
func (r *record) each(off int, visit func(key []byte, at int) error) error {
	m, err := r.value(off)
	if err != nil || m.kind != kindMap {
		return err
	}
	at := m.off
	for range m.size {
		key, err := r.text(at)
		if err != nil {
			return err
		}
		if at, err = r.skip(at); err != nil {
			return err
		}
		if err = visit(key, at); err != nil {
			return err
		}
		if at, err = r.skip(at); err != nil {
			return err
		}
	}
	return nil
}

// text returns the start of the string at off, at most maxName bytes, as a part of the section. It returns nil for
// anything else.
func (r *record) text(off int) ([]byte, error) {
	v, err := r.value(off)
	if err != nil || v.kind != kindString {
		return nil, err
	}
	return r.b[v.off : v.off+min(v.size, maxName)], nil
}

// number returns the unsigned integer at off, or 0 for anything else.
func (r *record) number(off int) (uint64, error) {
	v, err := r.value(off)
	if err != nil || v.kind != kindUint16 && v.kind != kindUint32 && v.kind != kindUint64 {
		return 0, err
	}
	if v.size > 8 {
		return 0, errDamaged
	}
	var n [8]byte
	copy(n[8-v.size:], r.b[v.off:v.off+v.size])
	return binary.BigEndian.Uint64(n[:]), nil
}

// first returns the offset of the first element of the array at off. For a value that is not an array it returns off.
// ok is false for an empty array.
func (r *record) first(off int) (at int, ok bool, err error) {
	v, err := r.value(off)
	if err != nil || v.kind != kindArray {
		return off, err == nil, err
	}
	return v.off, v.size > 0, nil
}
