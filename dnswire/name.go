package dnswire

import "encoding/binary"

// maxHops bounds the pointers followed in one name. A name has at most 127 labels, and only an attacker sends more
// pointers than labels.
const maxHops = 127

// lower8 lower-cases the ASCII letters among eight bytes. It sets a byte's top bit in ge if its low seven bits are at
// least 'A', and in gt if they are beyond 'Z'. So the two differ for letters. Bytes that are not ASCII are masked
// out. The bit between upper and lower case, 0x20, is that top bit shifted down by two.
func lower8(x uint64) uint64 {
	const each = 0x0101010101010101
	low7 := x & (0x7f * each)
	ge := low7 + (0x80-'A')*each
	gt := low7 + (0x7f-'Z')*each
	return x | ((ge^gt)&^x&(0x80*each))>>2
}

// HeadLen is the length of [Message.Head].
const HeadLen = 32

// keep masks the first n of HeadLen bytes: take HeadLen bytes of it from offset HeadLen - n.
var keep = func() (mask [2 * HeadLen]byte) {
	for i := range HeadLen {
		mask[i] = 0xff
	}
	return mask
}()

// lowerHead copies the first n bytes of src to dst, lower-cased, and fills dst with zeros up to HeadLen. It does the
// same steps for every n: the lengths of names cannot be predicted, and a mispredicted branch costs more than the
// copying.
func lowerHead(dst *[MaxName + 1]byte, src *[HeadLen]byte, n int) {
	mask := (*[HeadLen]byte)(keep[uint(HeadLen-n)%HeadLen:])
	lowerWord(dst, src, mask, 0)
	lowerWord(dst, src, mask, 8)
	lowerWord(dst, src, mask, 16)
	lowerWord(dst, src, mask, 24)
}

func lowerWord(dst *[MaxName + 1]byte, src, mask *[HeadLen]byte, at int) {
	x := lower8(binary.LittleEndian.Uint64(src[at:])) & binary.LittleEndian.Uint64(mask[at:])
	binary.LittleEndian.PutUint64(dst[at:], x)
}

// lowerCopy copies the n bytes of b at off to dst, lower-cased, 8 at a time. There must be at least 7 bytes before
// off, and n must be from 1 to MaxName. The bytes of dst beyond n are undefined.
func lowerCopy(dst *[MaxName + 1]byte, b []byte, off, n int) {
	// Copy the last eight bytes first, as they may begin before off.
	last := lower8(binary.LittleEndian.Uint64(b[off+n-8 : off+n]))
	if n < 8 {
		binary.LittleEndian.PutUint64(dst[:], last>>(uint(8-n)*8&63))
		return
	}
	src := b[off : off+n]
	for i := 0; i+8 <= len(src); i += 8 {
		binary.LittleEndian.PutUint64(dst[i:i+8], lower8(binary.LittleEndian.Uint64(src[i:i+8])))
	}
	binary.LittleEndian.PutUint64(dst[n-8:n], last)
}

// ReadName reads the name at off in message b into dst: expanded, lower-cased, n bytes long including the root's zero
// byte. The bytes of dst beyond n are undefined. next is the offset in b that follows the name. Every pointer (RFC
// 1035, section 4.1.4) must point to before the part of the name that it ends, as in BIND. ReadName does not check
// that it points to the start of a label. n and next are 0 unless the Status is [OK].
func ReadName(dst *[MaxName + 1]byte, b []byte, off int) (n, next int, st Status) {
	start := off // of the part being read
	for hops := 0; ; {
		if uint(off) >= uint(len(b)) {
			return 0, 0, Cut
		}
		c := int(b[off])
		switch {
		case c == 0:
			dst[n] = 0
			n++
			if hops == 0 {
				next = off + 1
			}
			for i := 0; i < n; i += 8 {
				p := dst[i : i+8]
				binary.LittleEndian.PutUint64(p, lower8(binary.LittleEndian.Uint64(p)))
			}
			return n, next, OK
		case c <= maxLabel:
			if n+c+1 > MaxName-1 { // the root's byte must still fit
				return 0, 0, Malformed
			}
			if len(b)-off < c+1 {
				return 0, 0, Cut
			}
			copy(dst[n:], b[off:off+c+1])
			n += c + 1
			off += c + 1
		case c >= 0xc0:
			if len(b)-off < 2 {
				return 0, 0, Cut
			}
			if hops == 0 {
				next = off + 2
			}
			to := (c&0x3f)<<8 | int(b[off+1])
			if hops++; to >= start || hops > maxHops {
				return 0, 0, Malformed
			}
			off, start = to, to
		default:
			return 0, 0, Malformed
		}
	}
}

// skipName returns the offset that follows the name at off. It does not follow pointers.
func skipName(b []byte, off int) (next int, st Status) {
	for limit := off + MaxName; off < len(b); {
		c := int(b[off])
		switch {
		case c == 0:
			return off + 1, OK
		case c >= 0xc0:
			if len(b)-off < 2 {
				return 0, Cut
			}
			return off + 2, OK
		case c > maxLabel:
			return 0, Malformed
		}
		if off += c + 1; off >= limit {
			return 0, Malformed
		}
	}
	return 0, Cut
}

// How AppendName writes a byte.
const (
	plain     = iota
	backslash // \c
	decimal   // \DDD
)

// escapes follows BIND and its dig. Characters that have a meaning in a zone file get a backslash. White space,
// control characters and bytes that are not ASCII become decimal.
var escapes = func() (t [256]uint8) {
	for c := range t {
		if c <= ' ' || c >= 0x7f {
			t[c] = decimal
		}
	}
	for _, c := range []byte(`.\"();@$`) {
		t[c] = backslash
	}
	return t
}()

// AppendName appends the name, given in wire form without pointers, in presentation form (RFC 1035, section 5.1)
// without a trailing dot. The root is ".". The escapes are those that dig prints: a backslash before . \ " ( ) ; @ $
// within a label, and \DDD, three decimal digits, for bytes that are not printable ASCII and for the space. It
// appends at most 4 × [MaxName] bytes. If the bytes are not a whole name in wire form, it prints the part that is.
func AppendName(dst, wire []byte) []byte {
	if len(wire) > 0 && wire[0] == 0 {
		return append(dst, '.')
	}
	for first := true; len(wire) > 0; first = false {
		c := int(wire[0])
		if c == 0 || c > maxLabel || c >= len(wire) {
			break
		}
		if !first {
			dst = append(dst, '.')
		}
		for _, x := range wire[1 : c+1] {
			switch escapes[x] {
			case plain:
				dst = append(dst, x)
			case backslash:
				dst = append(dst, '\\', x)
			default:
				dst = append(dst, '\\', '0'+x/100, '0'+x/10%10, '0'+x%10)
			}
		}
		wire = wire[c+1:]
	}
	return dst
}

// AppendNames appends a name as [AppendName] does. It also returns the offsets, counted from the old end of dst,
// where [Qname2] and [Qname3] begin: the last two and three labels, with a leading dot if labels were cut off. For
// www.example.com this is ".example.com", and for example.com the whole name. qname3 is -1 if there is no qname3.
func AppendNames(dst, wire []byte) (text []byte, qname2, qname3 int) {
	old := len(dst)
	if len(wire) < 2 {
		return AppendName(dst, wire), 0, -1
	}
	dst = append(dst, wire[1:len(wire)-1]...)
	name := dst[old:]
	var dots [MaxName / 2]uint8 // offsets of the length bytes
	labels := 1
	for at := int(wire[0]); at < len(name) && labels < len(dots); labels++ {
		n := int(name[at])
		name[at] = '-'
		dots[labels] = uint8(at)
		at += n + 1
	}
	if !isPlain(name) {
		return appendEscaped(dst[:old], wire)
	}
	for _, at := range dots[1:labels] {
		name[at] = '.'
	}
	return dst, int(dots[max(labels-2, 0)]), qname3At(labels, int(dots[max(labels-3, 0)]))
}

// isPlain reports whether no byte of a name needs an escape. It looks at eight bytes at a time, of which nearly all are lower-case
// letters, digits and hyphens.
func isPlain(name []byte) bool {
	for ; len(name) >= 8; name = name[8:] {
		const each = 0x0101010101010101
		x := binary.LittleEndian.Uint64(name)
		low7 := x & (0x7f * each)
		// As in lower8, a byte's top bit is set where it is in the range. Of the bytes less '-' only 0 has none.
		letters := (low7 + (0x80-'a')*each) ^ (low7 + (0x7f-'z')*each)
		digits := (low7 + (0x80-'0')*each) ^ (low7 + (0x7f-'9')*each)
		others := (low7 ^ '-'*each) + 0x7f*each
		if (letters|digits|^others)&^x&(0x80*each) != 0x80*each && !arePlain(name[:8]) {
			return false
		}
	}
	return arePlain(name)
}

// arePlain is isPlain for any bytes, one by one.
func arePlain(name []byte) bool {
	escaped := uint8(plain)
	for _, c := range name {
		escaped |= escapes[c]
	}
	return escaped == plain
}

// qname3At returns the offset of the qname3 of a name with the given number of labels, or -1 if there is none. at is
// the offset of the third last label.
func qname3At(labels, at int) int {
	if labels < 3 {
		return -1
	}
	return at
}

// appendEscaped is AppendNames for a name that needs escapes.
func appendEscaped(dst, wire []byte) (text []byte, qname2, qname3 int) {
	old, labels := len(dst), Labels(wire)
	suffix2, _ := Qname2(wire)
	suffix3, _ := Qname3(wire)
	dst = AppendName(dst, wire)
	tail := AppendName(dst, suffix2)
	if labels > 2 {
		qname2 = 2*len(dst) - len(tail) - 1 - old
	}
	if labels > 3 {
		tail = AppendName(dst, suffix3)
		qname3 = 2*len(dst) - len(tail) - 1 - old
	}
	return dst, qname2, qname3At(labels, qname3)
}

// Labels counts the labels of a name in wire form, without the root's.
func Labels(wire []byte) int {
	n := 0
	for off := 0; off < len(wire) && wire[off] != 0; off += int(wire[off]) + 1 {
		n++
	}
	return n
}

// Qname2 returns the last two labels of a name in wire form, as a part of it, and reports whether labels before them
// were cut off. It returns a name of fewer labels whole: a single label or the root is its own qname2.
func Qname2(wire []byte) (suffix []byte, cut bool) { return tail(wire, Labels(wire)-2) }

// Qname3 returns the last three labels of a name in wire form, as a part of it, and reports whether labels before
// them were cut off. It is nil for a name of fewer labels, which has no qname3.
func Qname3(wire []byte) (suffix []byte, cut bool) {
	n := Labels(wire)
	if n < 3 {
		return nil, false
	}
	return tail(wire, n-3)
}

// tail cuts the first n labels off a name, and reports whether there were any to cut.
func tail(wire []byte, n int) (suffix []byte, cut bool) {
	off := 0
	for i := 0; i < n; i++ {
		off += int(wire[off]) + 1
	}
	if off > len(wire) {
		off = len(wire)
	}
	return wire[off:], n > 0
}
