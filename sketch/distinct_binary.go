package sketch

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// The HLL sketch's binary form (org.apache.datasketches.hll, PreambleUtil), little endian:
//
//	byte 0  preamble in 32-bit words: 2 list, 3 set, 10 HLL     byte 4  log2 of the table size
//	byte 1  serial version, 1                                   byte 5  flags
//	byte 2  family, 7                                           byte 6  list: count; HLL: base
//	byte 3  lgK                                                 byte 7  mode | register type << 2
//
// A list's coupons start at byte 8; a set's count is at 8, its coupons at 12. HLL: 8 HIP
// accumulator, 16 and 24 sums of 2^-register (below 32; the others), 32 registers at the base,
// 36 exceptions, 40 registers, then the exceptions as coupons.
const (
	hllVersion = 1
	hllFamily  = 7

	hllFlagEmpty      = 4
	hllFlagCompact    = 8
	hllFlagOutOfOrder = 16

	hllModeList = 0
	hllModeSet  = 1
	hllModeHLL  = 2

	hllType4 = 0
	hllType6 = 1
	hllType8 = 2

	hllListStart = 8
	hllSetStart  = 12
	hllRegsStart = 40

	hllListMax  = 7 // coupons; with one more it is a set
	hllListLg   = 3
	hllSetMinLg = 5
)

// AppendBinary appends d as a DataSketches HLL_4 sketch in compact form: 8 bytes empty, about 4
// bytes a key up to 1536 keys, about 8.3 kB beyond. Equal sets of keys give equal bytes.
func (d *Distinct) AppendBinary(dst []byte) []byte {
	if d.regs == nil {
		return d.appendCouponForm(dst)
	}
	counts := d.histogram()
	base := leastRegister(&counts)
	var sums [2]float64
	for v, n := range counts {
		sums[v/32] += math.Ldexp(float64(n), -v)
	}
	escaped := d.coupons
	if !d.packed {
		escaped = appendEscaped(nil, d.regs, base)
	}
	lgAux := uint8(0)
	if len(escaped) > 0 {
		lgAux = max(2, tableLg(len(escaped)))
	}
	dst = append(dst, 10, hllVersion, hllFamily, d.k(), lgAux, hllFlagCompact|hllFlagOutOfOrder, base, hllModeHLL)
	dst = binary.LittleEndian.AppendUint64(dst, 0) // no HIP accumulator: out of order
	dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(sums[0]))
	dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(sums[1]))
	dst = binary.LittleEndian.AppendUint32(dst, counts[base])
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(escaped)))
	if d.packed {
		dst = append(dst, d.regs...)
	} else {
		dst = appendNibbles(dst, d.regs, base)
	}
	for _, c := range escaped {
		dst = binary.LittleEndian.AppendUint32(dst, c)
	}
	return dst
}

func (d *Distinct) appendCouponForm(dst []byte) []byte {
	if d.n <= hllListMax {
		flags := byte(hllFlagCompact)
		if d.n == 0 {
			flags |= hllFlagEmpty
		}
		dst = append(dst, 2, hllVersion, hllFamily, d.k(), hllListLg, flags, byte(d.n), hllModeList)
	} else {
		lg := max(hllSetMinLg, tableLg(int(d.n)))
		dst = append(dst, 3, hllVersion, hllFamily, d.k(), lg, hllFlagCompact, 0, hllModeSet)
		dst = binary.LittleEndian.AppendUint32(dst, d.n)
	}
	coupons := d.coupons
	if !d.packed {
		coupons = d.appendCoupons(nil)
	}
	for _, c := range coupons {
		dst = binary.LittleEndian.AppendUint32(dst, c)
	}
	return dst
}

// tableLg returns log2 of the smallest table of the other libraries that holds n at a load of 3/4.
func tableLg(n int) uint8 {
	lg := bits.Len(uint(max(n, 1) - 1))
	if 4*n > 3<<lg {
		lg++
	}
	return uint8(lg)
}

// UnmarshalBinary replaces d by the HLL sketch in b: compact HLL_4, HLL_6 or HLL_8 of any lgK, as the DataSketches
// libraries write it. A sketch of more than 2^14 registers is folded to 2^14. The error is a [*DecodeError].
func (d *Distinct) UnmarshalBinary(b []byte) error {
	var nd Distinct
	if err := nd.Borrow(b); err != nil {
		return err
	}
	if nd.packed {
		nd.regs = slices.Clone(nd.regs)
	}
	*d = nd
	return nil
}

// Borrow is like UnmarshalBinary, but d may refer to b from then on, and reuses its own memory. Until b changes, d may be
// read, and merged into others. After an error, d is empty.
func (d *Distinct) Borrow(b []byte) error {
	nd := Distinct{coupons: d.coupons[:0]}
	reason := nd.read(b)
	if reason != "" {
		*d = Distinct{coupons: nd.coupons[:0]}
		return distinctError(reason)
	}
	*d = nd
	return nil
}

// read reads b into an empty sketch. It returns what is wrong, or "".
func (d *Distinct) read(b []byte) string {
	if len(b) < hllListStart {
		return reasonShort
	}
	if b[1] != hllVersion || b[2] != hllFamily {
		return reasonHeader
	}
	if b[3] < minLgK || b[3] > 21 {
		return "lgK outside 4 to 21"
	}
	mode, kind := b[7]&3, b[7]>>2&3
	compact := b[5]&hllFlagCompact != 0
	switch {
	case mode == hllModeHLL && b[0] == 10 && (kind == hllType6 || kind == hllType8 || kind == hllType4 && compact):
		return d.readRegisters(b, kind)
	case mode == hllModeList && b[0] == 2 && compact:
		return d.readCoupons(b, b[hllListStart:], int(b[6]), hllListMax)
	case mode == hllModeSet && b[0] == 3 && compact:
		if len(b) < hllSetStart {
			return reasonShort
		}
		n := binary.LittleEndian.Uint32(b[8:])
		return d.readCoupons(b, b[hllSetStart:], int(min(n, math.MaxInt32)), couponLimit(b[3]))
	}
	return reasonHeader
}

func distinctError(reason string) error { return &DecodeError{"distinct", reason} }

// readCoupons reads the n coupons in list, which should hold no more than limit. It returns what is wrong, or "".
func (d *Distinct) readCoupons(b, list []byte, n, limit int) string {
	if n > limit {
		return "more coupons than the form holds"
	}
	if len(list) < 4*n {
		return reasonShort
	}
	if len(list) > 4*n {
		return reasonTrailing
	}
	d.setLgK(b[3])
	sorted := true
	for last := uint32(0); len(list) > 0; list = list[4:] {
		c := binary.LittleEndian.Uint32(list)
		if c>>couponBits == 0 {
			return "a coupon has no value"
		}
		sorted = sorted && c > last
		last = c
		d.coupons = append(d.coupons, c)
	}
	if !sorted {
		slices.Sort(d.coupons)
		d.coupons = slices.Compact(d.coupons)
	}
	d.n, d.packed = uint32(len(d.coupons)), len(d.coupons) > 0
	if n := int(d.n); n > couponLimit(d.k()) { // from a sketch of more registers
		d.promote()
	}
	return ""
}

func (d *Distinct) setLgK(lgK uint8) {
	if lgK < maxLgK {
		d.lgK = lgK
	}
}

// readRegisters reads the registers of the given kind in b. It returns what is wrong, or "".
func (d *Distinct) readRegisters(b []byte, kind byte) string {
	if len(b) < hllRegsStart {
		return reasonShort
	}
	k := 1 << b[3]
	exceptions := uint32(0)
	size := k
	switch kind {
	case hllType4:
		size = k / 2
		exceptions = binary.LittleEndian.Uint32(b[36:])
	case hllType6:
		size = k*3/4 + 1
	}
	if exceptions > uint32(k) {
		return "more exceptions than registers"
	}
	body := b[hllRegsStart:]
	switch whole := size + 4*int(exceptions); {
	case len(body) < whole:
		return reasonShort
	case len(body) > whole:
		return reasonTrailing
	}
	d.setLgK(b[3])
	if kind == hllType4 && b[3] <= maxLgK && b[6] <= maxRegister-nibbleEscape {
		if reason, done := d.borrowNibbles(body[:size], body[size:], b[6]); done {
			return reason
		}
		d.coupons = d.coupons[:0]
	}
	d.regs = make([]byte, 1<<d.k())
	if kind == hllType4 {
		return d.readNibbles(body[:size], body[size:], b[6])
	}
	for i := range k {
		var v byte
		if kind == hllType8 {
			v = body[i]
		} else {
			v = byte(binary.LittleEndian.Uint16(body[i*6/8:])>>(i*6%8)) & maxRegister
		}
		if v > maxRegister {
			return "a register is out of range"
		}
		slot := i & (len(d.regs) - 1)
		d.regs[slot] = max(d.regs[slot], v)
	}
	return d.checkRegisters()
}

// borrowNibbles keeps HLL_4 registers as they are, if they are in the form of [Distinct.Compact]: the base is the least
// register. Otherwise, which only damaged or hostile sketches are, it is not done. base plus any nibble is a valid
// register.
func (d *Distinct) borrowNibbles(nibbles, exceptions []byte, base uint8) (reason string, done bool) {
	if !hasZeroNibble(nibbles) {
		return "", false
	}
	escaped, some := 0, uint64(0)
	b := nibbles
	for ; len(b) >= 32; b = b[32:] { // four words at a time, because this is most of the work
		w, x := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
		y, z := binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])
		some |= w | x | y | z
		if w, x, y, z := fifteens(w), fifteens(x), fifteens(y), fifteens(z); w|x|y|z != 0 {
			escaped += bits.OnesCount64(w) + bits.OnesCount64(x) + bits.OnesCount64(y) + bits.OnesCount64(z)
		}
	}
	for ; len(b) >= 8; b = b[8:] {
		x := binary.LittleEndian.Uint64(b)
		some |= x
		escaped += bits.OnesCount64(fifteens(x))
	}
	if base == 0 && some == 0 {
		return reasonNoKey, true
	}
	if escaped != len(exceptions)/4 {
		return reasonExceptions, true
	}
	d.coupons = slices.Grow(d.coupons, escaped)
	sorted := true
	for last := int64(-1); len(exceptions) > 0; exceptions = exceptions[4:] {
		c := binary.LittleEndian.Uint32(exceptions)
		at := int(c & couponMask)
		if !isException(nibbles, c, base) {
			return reasonExceptions, true
		}
		sorted = sorted && int64(at) > last
		last = int64(at)
		d.coupons = append(d.coupons, c)
	}
	if !sorted {
		bySlot := func(a, b uint32) int { return int(a&couponMask) - int(b&couponMask) }
		slices.SortFunc(d.coupons, bySlot)
		for i, c := range d.coupons[1:] {
			if bySlot(c, d.coupons[i]) == 0 {
				return reasonExceptions, true
			}
		}
	}
	d.regs, d.base, d.packed = nibbles, base, true
	return "", true
}

// lowBits are the lowest bits of the nibbles of a word.
const lowBits = 0x1111111111111111

// fifteens returns the lowest bit of each nibble of x that is 15.
func fifteens(x uint64) uint64 {
	x &= x >> 1
	return x & (x >> 2) & lowBits
}

// hasZeroNibble reports whether any nibble in b is zero. The length of b is a multiple of 8.
func hasZeroNibble(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		x := binary.LittleEndian.Uint64(b)
		x |= x >> 1
		if (x|x>>2)&lowBits != lowBits {
			return true
		}
	}
	return false
}

// isException reports whether the coupon c fits an escaped nibble.
func isException(nibbles []byte, c uint32, base uint8) bool {
	at := int(c & couponMask)
	return at < 2*len(nibbles) && nibbles[at/2]>>(at%2*4)&15 == nibbleEscape && byte(c>>couponBits) >= base+nibbleEscape
}

const (
	reasonExceptions = "the exceptions do not fit the registers"
	reasonNoKey      = "the registers hold no key"
)

// readNibbles reads HLL_4 registers and their exceptions.
func (d *Distinct) readNibbles(nibbles, exceptions []byte, base uint8) string {
	if base > maxRegister {
		return "a register is out of range"
	}
	escaped := 0
	for i := range 2 * len(nibbles) {
		v := nibbles[i/2] >> (i % 2 * 4) & 15
		if v == nibbleEscape {
			escaped++
			continue
		}
		if base+v > maxRegister {
			return "a register is out of range"
		}
		slot := i & (len(d.regs) - 1)
		d.regs[slot] = max(d.regs[slot], base+v)
	}
	if escaped != len(exceptions)/4 {
		return reasonExceptions
	}
	slots := make([]uint32, 0, escaped)
	for ; len(exceptions) > 0; exceptions = exceptions[4:] {
		c := binary.LittleEndian.Uint32(exceptions)
		at, v := int(c&couponMask), byte(c>>couponBits)
		if !isException(nibbles, c, base) {
			return reasonExceptions
		}
		slots = append(slots, c&couponMask)
		slot := at & (len(d.regs) - 1)
		d.regs[slot] = max(d.regs[slot], v)
	}
	slices.Sort(slots)
	if len(slices.Compact(slots)) != escaped {
		return reasonExceptions
	}
	return d.checkRegisters()
}

// checkRegisters rejects registers that no stream produces: all zero, for which the estimate would not be a number.
func (d *Distinct) checkRegisters() string {
	for _, v := range d.regs {
		if v != 0 {
			return ""
		}
	}
	return reasonNoKey
}
