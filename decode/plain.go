package decode

import "encoding/binary"

// plainUDP decodes the kind of frame that is most common on a DNS server, and gives up on everything else: a UDP
// datagram in Ethernet and IPv4 without options and fragments, or in IPv6 without extension headers, whose lengths
// agree. It sets the same fields as DecodeAny, in half the instructions.
//
// It is not inlined, so that DecodePlain is inlined into the loops that call it. It compares
// fields without swapping their bytes, and sets every field of p by itself, where most constants take one store. Both save
// instructions for every packet.
//
//go:noinline
func (p *Packet) plainUDP(frame []byte, wireLen uint32, time int64) bool {
	const ethernetLen, ip4Len, ip6Len, udpLen = 14, 20, 40, 8
	if len(frame) < ethernetLen+ip4Len+udpLen {
		return false
	}
	var head *[udpLen]byte
	payload, room := 0, 0 // the payload's offset; the bytes of UDP according to the IP header
	switch b := frame[ethernetLen : ethernetLen+ip4Len+udpLen]; binary.LittleEndian.Uint16(frame[12:]) {
	case etherTypeIPv4>>8 | etherTypeIPv4&0xff<<8:
		// Version and header length in one byte; more fragments and the offset; the protocol.
		if b[0] != 0x45 || binary.LittleEndian.Uint16(b[6:])&0xff3f != 0 || b[9] != ProtoUDP {
			return false
		}
		p.Src = Addr{0, mapped4 | uint64(binary.BigEndian.Uint32(b[12:]))}
		p.Dst = Addr{0, mapped4 | uint64(binary.BigEndian.Uint32(b[16:]))}
		p.Flags, p.Kind, p.Version, p.Proto = FlagL4, KindIP, 4, ProtoUDP
		p.TCPFlags, p.FragProto, p.FragMore, p.TTL = 0, 0, false, b[8]
		head = (*[udpLen]byte)(b[ip4Len:])
		payload, room = ethernetLen+ip4Len+udpLen, int(binary.BigEndian.Uint16(b[2:]))-ip4Len
	case etherTypeIPv6>>8 | etherTypeIPv6&0xff<<8:
		if len(frame) < ethernetLen+ip6Len+udpLen || b[0]>>4 != 6 || b[6] != ProtoUDP {
			return false
		}
		b := (*[ip6Len + udpLen]byte)(frame[ethernetLen:])
		p.Src = Addr{binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])}
		p.Dst = Addr{binary.BigEndian.Uint64(b[24:]), binary.BigEndian.Uint64(b[32:])}
		p.Flags, p.Kind, p.Version, p.Proto = FlagL4, KindIP, 6, ProtoUDP
		p.TCPFlags, p.FragProto, p.FragMore, p.TTL = 0, 0, false, b[7]
		head = (*[udpLen]byte)(b[ip6Len:])
		payload, room = ethernetLen+ip6Len+udpLen, int(binary.BigEndian.Uint16(b[4:]))
	default:
		return false
	}
	udp := binary.BigEndian.Uint64(head[:]) // ports, length, checksum
	n := int(uint16(udp >> 16))
	if n < udpLen || n > room {
		return false
	}
	n -= udpLen
	p.Time, p.WireLen = time, wireLen
	p.SrcPort, p.DstPort = uint16(udp>>48), uint16(udp>>32)
	p.FragOffset, p.EtherType = 0, 0
	p.Payload, p.CapLen, p.PayloadLen = uint32(payload), uint32(min(n, len(frame)-payload)), uint32(n)
	p.Seq, p.Ack, p.FragID = 0, 0, 0
	return true
}
