package decode

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
)

// Addr is an IP address in a form without pointers, for map keys: the 128 bits of an IPv6 address, or an IPv4 address
// mapped into ::ffff:0:0/96. A mapped address in an IPv6 header is not distinguished from IPv4.
type Addr struct{ Hi, Lo uint64 }

const mapped4 = 0xffff << 32

// AddrFrom4 returns the IPv4 address whose four bytes, read big-endian, are v.
func AddrFrom4(v uint32) Addr { return Addr{0, mapped4 | uint64(v)} }

// AddrFrom16 returns the address of 16 bytes in network order.
func AddrFrom16(b *[16]byte) Addr {
	return Addr{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// AddrFromNetip converts a. The zone is lost, and the zero netip.Addr becomes "::".
func AddrFromNetip(a netip.Addr) Addr {
	if !a.IsValid() {
		return Addr{}
	}
	b := a.As16()
	return AddrFrom16(&b)
}

// Is4 reports whether a is an IPv4 address.
func (a Addr) Is4() bool { return a.Hi == 0 && a.Lo>>32 == 0xffff }

// Netip returns a as a netip.Addr. An IPv4 address is unmapped.
func (a Addr) Netip() netip.Addr {
	if a.Is4() {
		return netip.AddrFrom4([4]byte{byte(a.Lo >> 24), byte(a.Lo >> 16), byte(a.Lo >> 8), byte(a.Lo)})
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.Hi)
	binary.BigEndian.PutUint64(b[8:], a.Lo)
	return netip.AddrFrom16(b)
}

// MaxAddrText is the number of bytes that [Addr.AppendTo] needs: the longest text has 39, and its last group is
// written as eight bytes.
const MaxAddrText = 48

// digits are the texts that addresses are made of. With them, no text is built digit by digit, with a branch on the
// number of digits: a flush prints an address for each key.
var digits = func() (t struct {
	octets [256]uint32 // a decimal number and a dot, as bytes, the first one lowest
	length [256]uint8  // the lengths of octets
	hex    [256]uint16 // two hexadecimal digits
	// runs are where the longest run of zeros in an IPv6 address begins and ends (RFC 5952, section 4.2), indexed
	// by which of its eight groups are zero. The first group is the lowest bit.
	runs [256]struct{ start, end uint8 }
}) {
	const hex = "0123456789abcdef"
	for i := range 256 {
		text := strconv.Itoa(i) + "."
		for k := range text {
			t.octets[i] |= uint32(text[k]) << (8 * k)
		}
		t.length[i] = uint8(len(text))
		t.hex[i] = uint16(hex[i>>4]) | uint16(hex[i&15])<<8
		t.runs[i].start, t.runs[i].end = 8, 8
		longest := 1 // a single zero is not shortened
		for start := range 8 {
			n := bits.TrailingZeros8(^uint8(i >> start))
			if n = min(n, 8-start); n > longest {
				longest = n
				t.runs[i].start, t.runs[i].end = uint8(start), uint8(start+n)
			}
		}
	}
	return t
}()

// AppendTo appends a's text form to b: dotted, or as in RFC 5952.
func (a Addr) AppendTo(b []byte) []byte {
	at := len(b)
	b = slices.Grow(b, MaxAddrText)[:at+MaxAddrText]
	text := (*[MaxAddrText]byte)(b[at : at+MaxAddrText])
	if a.Is4() {
		return b[:at+appendIPv4(text, uint32(a.Lo))]
	}
	return b[:at+appendIPv6(text, a)]
}

func appendIPv4(text *[MaxAddrText]byte, v uint32) (n int) {
	for range 4 {
		octet := byte(v >> 24)
		binary.LittleEndian.PutUint32(text[n:n+4], digits.octets[octet])
		n += int(digits.length[octet])
		v <<= 8
	}
	return n - 1
}

func appendIPv6(text *[MaxAddrText]byte, a Addr) (n int) {
	zeros := uint8(0)
	for i := range 8 {
		if a.group(i) == 0 {
			zeros |= 1 << i
		}
	}
	run := digits.runs[zeros]
	for i := 0; i < 8; i++ {
		if i == int(run.start) {
			// The colon after the previous group, if any, is one of the two.
			if i == 0 {
				text[0] = ':'
				n = 1
			}
			text[n] = ':'
			n++
			if i = int(run.end); i == 8 {
				return n
			}
		}
		g := a.group(i)
		hex := uint64(digits.hex[g>>8]) | uint64(digits.hex[g&0xff])<<16 | ':'<<32
		leading := bits.LeadingZeros16(g|1) / 4
		binary.LittleEndian.PutUint64(text[n:n+8], hex>>(8*leading&63))
		n += 5 - leading
	}
	return n - 1
}

// group returns one of the eight groups of 16 bits of an IPv6 address.
func (a Addr) group(i int) uint16 {
	w := a.Hi
	if i >= 4 {
		w = a.Lo
	}
	return uint16(w >> (48 - 16*uint(i&3)))
}

// String returns a's text form. It allocates.
func (a Addr) String() string { return a.Netip().String() }

// PairHash hashes the two addresses, not the ports: the same for both directions, for every
// fragment of a datagram and in every process. An attacker can make it collide, so it only chooses
// samples, and no table may rest on it.
func (p *Packet) PairHash() uint32 { return p.Src.PairHash(p.Dst) }

// PairHash returns [Packet.PairHash] of a packet between two addresses. It multiplies them, as wyhash does
// (github.com/wangyi-fudan/wyhash), so that their order does not matter.
func (a Addr) PairHash(b Addr) uint32 {
	hi, lo := bits.Mul64(a.folded(), b.folded())
	return uint32((hi ^ lo) >> 32)
}

// folded returns a in 64 bits. Without the second multiplication, pairs of close addresses would hash by their sums.
func (a Addr) folded() uint64 {
	return (a.Hi*0xd6e8feb86659fd93 ^ a.Lo ^ 0x9e3779b97f4a7c15) * 0xd6e8feb86659fd93
}
