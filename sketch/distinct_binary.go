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
	if len(b) < hllListStart {
		return distinctError(reasonShort)
	}
	if b[1] != hllVersion || b[2] != hllFamily {
		return distinctError(reasonHeader)
	}
	if b[3] < minLgK || b[3] > 21 {
		return distinctError("lgK outside 4 to 21")
	}
	var nd Distinct
	var reason string
	mode, kind := b[7]&3, b[7]>>2&3
	compact := b[5]&hllFlagCompact != 0
	switch {
	case mode == hllModeHLL && b[0] == 10 && (kind == hllType6 || kind == hllType8 || kind == hllType4 && compact):
		reason = nd.readRegisters(b, kind)
	case mode == hllModeList && b[0] == 2 && compact:
		reason = nd.readCoupons(b, b[hllListStart:], int(b[6]), hllListMax)
	case mode == hllModeSet && b[0] == 3 && compact:
		if len(b) < hllSetStart {
			return distinctError(reasonShort)
		}
		n := binary.LittleEndian.Uint32(b[8:])
		reason = nd.readCoupons(b, b[hllSetStart:], int(n), couponLimit(b[3]))
	default:
		reason = reasonHeader
	}
	if reason != "" {
		return distinctError(reason)
	}
	*d = nd
	return nil
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
	for ; len(list) > 0; list = list[4:] {
		c := binary.LittleEndian.Uint32(list)
		if c>>couponBits == 0 {
			return "a coupon has no value"
		}
		d.addCoupon(c)
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
		return "the exceptions do not fit the registers"
	}
	slots := make([]uint32, 0, escaped)
	for ; len(exceptions) > 0; exceptions = exceptions[4:] {
		c := binary.LittleEndian.Uint32(exceptions)
		at, v := int(c&couponMask), byte(c>>couponBits)
		if at >= 2*len(nibbles) || nibbles[at/2]>>(at%2*4)&15 != nibbleEscape || v < base+nibbleEscape {
			return "the exceptions do not fit the registers"
		}
		slots = append(slots, c&couponMask)
		slot := at & (len(d.regs) - 1)
		d.regs[slot] = max(d.regs[slot], v)
	}
	slices.Sort(slots)
	if len(slices.Compact(slots)) != escaped {
		return "the exceptions do not fit the registers"
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
	return "the registers hold no key"
}
