package decode

import "pktvisor/linktype"

// Multipliers: odd, without a pattern.
const (
	spreadHi = 0xd6e8feb86659fd93
	spreadLo = 0x9e3779b97f4a7c15
)

// AddrSum is the sum of two addresses. Their order does not matter.
type AddrSum uint64

// Spread mixes the sum. All its bits are mixed, and the highest ones best.
func (s AddrSum) Spread() uint32 { return uint32(s * spreadLo >> 32) }

// Spread returns a number by which packets are distributed to workers. It is the same for both directions between two
// addresses, whatever their ports, for every fragment of a datagram, and in every process. It takes fewer
// instructions than [Packet.PairHash], because only the shares must be even: pairs with the same sum may go to the
// same worker. An attacker can make it collide, so no table may rely on it.
func (p *Packet) Spread() uint32 { return addrSum(p.Src, p.Dst).Spread() }

// addrSum adds the lower 32 bits of two IPv4 addresses: see [EthernetIP.Sum4].
func addrSum(a, b Addr) AddrSum {
	return AddrSum((a.Hi+b.Hi)*spreadHi + a.Lo - mapped4 + b.Lo - mapped4)
}

// Spread returns [Packet.Spread] for the packet in a frame, mostly without decoding it, and 0 if there is none. If an
// IP header is damaged after its addresses, it may return any number.
func (d *Decoder) Spread(frame []byte, wireLen uint32, link linktype.Type) uint32 {
	if d.Decap {
		var p Packet
		if d.DecodeAny(&p, frame, wireLen, link, 0); p.Kind != KindIP {
			return 0
		}
		return p.Spread()
	}
	src, dst, ok := d.Addrs(frame, wireLen, link)
	if !ok {
		return 0
	}
	return addrSum(src, dst).Spread()
}

// Addrs returns the addresses of the outermost IP header of a frame, mostly without decoding it, and whether there is
// one. If the header is damaged after them, it may return the bytes that are there.
func (*Decoder) Addrs(frame []byte, wireLen uint32, link linktype.Type) (src, dst Addr, ok bool) {
	const ip4Len, ip6Len = 20, 40
	switch net, off, _ := find(frame, wireLen, link); {
	case net == netIPv4 && len(frame) >= off+ip4Len:
		return AddrFrom4(be32(frame[off+12:])), AddrFrom4(be32(frame[off+16:])), true
	case net == netIPv6 && len(frame) >= off+ip6Len:
		return AddrFrom16((*[16]byte)(frame[off+8:])), AddrFrom16((*[16]byte)(frame[off+24:])), true
	}
	return Addr{}, Addr{}, false
}

// EthernetIP is the start of an Ethernet frame that is long enough for both IP headers. If IP follows Ethernet's
// header directly, as it mostly does, its methods give everything that [Packet.Spread] needs, in as few instructions
// as possible.
type EthernetIP [14 + 40]byte

// Is4 reports whether Ethernet carries IPv4.
func (b *EthernetIP) Is4() bool { return be16(b[12:]) == etherTypeIPv4 }

// Is6 reports whether Ethernet carries IPv6.
func (b *EthernetIP) Is6() bool { return be16(b[12:]) == etherTypeIPv6 }

// Sum4 returns the sum of the addresses. Is4 must be true.
func (b *EthernetIP) Sum4() AddrSum { return AddrSum(be32(b[26:])) + AddrSum(be32(b[30:])) }

// Sum6 returns the sum of the addresses. Is6 must be true.
func (b *EthernetIP) Sum6() AddrSum {
	return AddrSum((be64(b[22:])+be64(b[38:]))*spreadHi + be64(b[30:]) - mapped4 + be64(b[46:]) - mapped4)
}
