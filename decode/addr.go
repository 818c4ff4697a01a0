package decode

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// Addr is an IP address in a form without pointers, for map keys: the 128 bits of an IPv6
// address, or an IPv4 address mapped into ::ffff:0:0/96. An IPv6 header that names a mapped
// address is not told apart from IPv4.
type Addr struct{ Hi, Lo uint64 }

const mapped4 = 0xffff << 32

// AddrFrom4 returns the IPv4 address whose four bytes, read big-endian, are v.
func AddrFrom4(v uint32) Addr { return Addr{0, mapped4 | uint64(v)} }

// AddrFrom16 returns the address of 16 bytes in network order.
func AddrFrom16(b *[16]byte) Addr {
	return Addr{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// AddrFromNetip converts a; its zone is lost, and the zero netip.Addr becomes "::".
func AddrFromNetip(a netip.Addr) Addr {
	if !a.IsValid() {
		return Addr{}
	}
	b := a.As16()
	return AddrFrom16(&b)
}

// Is4 reports whether a is an IPv4 address.
func (a Addr) Is4() bool { return a.Hi == 0 && a.Lo>>32 == 0xffff }

// Netip returns a as a netip.Addr, IPv4 unmapped.
func (a Addr) Netip() netip.Addr {
	if a.Is4() {
		return netip.AddrFrom4([4]byte{byte(a.Lo >> 24), byte(a.Lo >> 16), byte(a.Lo >> 8), byte(a.Lo)})
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.Hi)
	binary.BigEndian.PutUint64(b[8:], a.Lo)
	return netip.AddrFrom16(b)
}

// AppendTo appends a's text form to b: dotted, or as RFC 5952 has it.
func (a Addr) AppendTo(b []byte) []byte { return a.Netip().AppendTo(b) }

// String returns a's text form. It allocates.
func (a Addr) String() string { return a.Netip().String() }

func (a Addr) hash() uint64 {
	hi, lo := bits.Mul64(a.Hi^0x9e3779b97f4a7c15, a.Lo^0xd6e8feb86659fd93)
	return hi ^ lo
}

// PairHash hashes the two addresses, not the ports: the same for both directions, for every
// fragment of a datagram and in every process. An attacker can make it collide, so it only
// spreads packets over shards and no table may rest on it.
func (p *Packet) PairHash() uint32 {
	h := p.Src.hash() + p.Dst.hash()
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return uint32(h >> 32)
}
