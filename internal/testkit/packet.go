package testkit

import (
	"encoding/binary"
	"net/netip"
)

// The IP protocol numbers and TCP flags that [Packet] knows.
const (
	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58

	TCPFin = 0x01
	TCPSyn = 0x02
	TCPRst = 0x04
	TCPPsh = 0x08
	TCPAck = 0x10
)

// Packet describes an IP packet to build. The functions that append it fill in lengths and checksums.
type Packet struct {
	VLAN     []uint16 // tags, outermost first; the outer of two tags is an 802.1ad tag
	Src, Dst netip.Addr
	Proto    uint8
	// SrcPort and DstPort are for UDP and TCP; Seq, Ack and Flags for TCP.
	SrcPort, DstPort uint16
	Seq, Ack         uint32
	Flags            uint8
	// Payload follows the UDP or TCP header, or the IP header for other protocols.
	Payload []byte
}

const (
	etherTypeIPv4  = 0x0800
	etherTypeARP   = 0x0806
	etherTypeVLAN  = 0x8100
	etherTypeIPv6  = 0x86dd
	etherTypeSVLAN = 0x88a8
)

// AppendFrame appends the packet as an Ethernet frame, without padding or FCS.
func (p *Packet) AppendFrame(b []byte) []byte {
	t := uint16(etherTypeIPv4)
	if p.Src.Is6() {
		t = etherTypeIPv6
	}
	return p.AppendIP(appendEthernet(b, p.VLAN, t))
}

func appendEthernet(b []byte, vlans []uint16, etherType uint16) []byte {
	b = append(b, 0x02, 0, 0, 0, 0, 0x01, 0x02, 0, 0, 0, 0, 0x02)
	for i, id := range vlans {
		tag := uint16(etherTypeVLAN)
		if i == 0 && len(vlans) > 1 {
			tag = etherTypeSVLAN
		}
		b = binary.BigEndian.AppendUint16(b, tag)
		b = binary.BigEndian.AppendUint16(b, id)
	}
	return binary.BigEndian.AppendUint16(b, etherType)
}

// AppendIP appends the packet from its IP header on.
func (p *Packet) AppendIP(b []byte) []byte {
	l4 := len(p.Payload)
	switch p.Proto {
	case ProtoUDP:
		l4 += 8
	case ProtoTCP:
		l4 += 20
	}
	var pseudo uint64 // the checksum's pseudo header, RFC 9293 section 3.1 and RFC 8200 section 8.1
	if p.Src.Is4() {
		start := len(b)
		src, dst := p.Src.As4(), p.Dst.As4()
		b = append(b, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, p.Proto, 0, 0)
		b = append(append(b, src[:]...), dst[:]...)
		h := b[start:]
		binary.BigEndian.PutUint16(h[2:], uint16(20+l4))
		binary.BigEndian.PutUint16(h[10:], ^fold(sum(h)))
		pseudo = sum(h[12:20])
	} else {
		start := len(b)
		src, dst := p.Src.As16(), p.Dst.As16()
		b = append(b, 0x60, 0, 0, 0, byte(l4>>8), byte(l4), p.Proto, 64)
		b = append(append(b, src[:]...), dst[:]...)
		pseudo = sum(b[start+8 : start+40])
	}
	return p.appendL4(b, pseudo+uint64(l4)+uint64(p.Proto))
}

func (p *Packet) appendL4(b []byte, pseudo uint64) []byte {
	start := len(b)
	check := 0 // offset of the checksum
	switch p.Proto {
	case ProtoUDP:
		n := uint16(8 + len(p.Payload))
		b = append(b, byte(p.SrcPort>>8), byte(p.SrcPort), byte(p.DstPort>>8), byte(p.DstPort), byte(n>>8), byte(n), 0, 0)
		check = 6
	case ProtoTCP:
		b = binary.BigEndian.AppendUint16(b, p.SrcPort)
		b = binary.BigEndian.AppendUint16(b, p.DstPort)
		b = binary.BigEndian.AppendUint32(b, p.Seq)
		b = binary.BigEndian.AppendUint32(b, p.Ack)
		b = append(b, 0x50, p.Flags, 0xff, 0xff, 0, 0, 0, 0)
		check = 16
	case ProtoICMPv6:
		check = 2
	case ProtoICMP:
		check, pseudo = 2, 0
	default:
		return append(b, p.Payload...)
	}
	b = append(b, p.Payload...)
	l4 := b[start:]
	if len(l4) < check+2 {
		return b
	}
	c := ^fold(pseudo + sum(l4))
	if c == 0 && p.Proto == ProtoUDP {
		c = 0xffff // zero would mean no checksum, RFC 768
	}
	binary.BigEndian.PutUint16(l4[check:], c)
	return b
}

// sum adds b up as big-endian 16-bit words, four bytes at a time (RFC 1071).
func sum(b []byte) uint64 {
	var s uint64
	for ; len(b) >= 4; b = b[4:] {
		s += uint64(binary.BigEndian.Uint32(b))
	}
	if len(b) >= 2 {
		s += uint64(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	return s
}

func fold(s uint64) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// AppendARP appends an Ethernet frame with an ARP request for the IPv4 address dst (RFC 826).
func AppendARP(b []byte, src, dst netip.Addr) []byte {
	b = appendEthernet(b, nil, etherTypeARP)
	b = append(b, 0, 1, 8, 0, 6, 4, 0, 1, 0x02, 0, 0, 0, 0, 0x02)
	s, d := src.As4(), dst.As4()
	b = append(b, s[:]...)
	b = append(b, 0, 0, 0, 0, 0, 0)
	return append(b, d[:]...)
}

// AppendName appends a domain name in wire form, uncompressed. The name is in dotted form
// without escapes; "" is the root.
func AppendName(b []byte, name string) []byte {
	for len(name) > 0 {
		label := name
		if i := indexDot(name); i >= 0 {
			label, name = name[:i], name[i+1:]
		} else {
			name = ""
		}
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0)
}

func indexDot(s string) int {
	for i := range len(s) {
		if s[i] == '.' {
			return i
		}
	}
	return -1
}

// The flag bits of a DNS header's second word (RFC 1035 section 4.1.1, RFC 4035 section 3).
const (
	DNSResponse = 0x8000
	DNSAA       = 0x0400
	DNSTC       = 0x0200
	DNSRD       = 0x0100
	DNSRA       = 0x0080
	DNSAD       = 0x0020
	DNSCD       = 0x0010
)

// AppendDNS appends a DNS message with a header and one question of class IN. flags is the header's second word: the
// flag bits above, the opcode and the rcode.
func AppendDNS(b []byte, id, flags uint16, name string, qtype uint16) []byte {
	b = append(b, byte(id>>8), byte(id), byte(flags>>8), byte(flags), 0, 1, 0, 0, 0, 0, 0, 0)
	b = AppendName(b, name)
	return append(b, byte(qtype>>8), byte(qtype), 0, 1)
}
