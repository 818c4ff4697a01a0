package testkit

import (
	"bytes"
	"encoding/binary"
	"slices"

	"pktvisor/linktype"
)

// ipCaptures has headers of IP, fragments, and tunnels.
func ipCaptures() []synthetic {
	frames := func(packets [][]byte) []byte {
		var out [][]byte
		for _, ip := range packets {
			out = append(out, inEthernet(ip))
		}
		return capturePcap(false, linktype.Ethernet, out...)
	}
	return []synthetic{
		{name: "ipv4-headers.pcap", bytes: capturePcap(false, linktype.Ethernet, ipv4Headers()...)},
		{name: "ipv6-extensions.pcap", bytes: frames(ipv6Extensions())},
		{name: "fragments-ipv4.pcap", bytes: frames(fragmented(false, fragments4))},
		{name: "fragments-ipv6.pcap", bytes: frames(fragmented(true, fragments6))},
		{name: "icmp-errors.pcap", bytes: frames(icmpErrors())},
		{name: "tunnels.pcap", bytes: frames(tunnelled()), decap: true},
	}
}

// checksum4 fills in the checksum of an IPv4 header.
func checksum4(ip []byte) []byte {
	n := int(ip[0]&15) * 4
	ip[10], ip[11] = 0, 0
	binary.BigEndian.PutUint16(ip[10:], ^fold(sum(ip[:n])))
	return ip
}

// ip4 returns an IPv4 packet between the client and the server with any protocol, whose header is part of the payload.
func ip4(proto byte, payload []byte) []byte {
	ip := (&Packet{Src: client4, Dst: server4, Proto: 253, Payload: payload}).AppendIP(nil)
	ip[9] = proto
	return checksum4(ip)
}

// ip6 returns an IPv6 packet between the client and the server with any next header.
func ip6(next byte, parts ...[]byte) []byte {
	payload := slices.Concat(parts...)
	b := append([]byte{0x60, 0, 0, 0}, be16(len(payload))...)
	src, dst := client6.As16(), server6.As16()
	return slices.Concat(b, []byte{next, 64}, src[:], dst[:], payload)
}

// udp returns a UDP datagram without checksum.
func udp(src, dst int, payload []byte) []byte {
	return slices.Concat(be16(src), be16(dst), be16(8+len(payload)), []byte{0, 0}, payload)
}

// ipv4Headers has Ethernet frames whose IPv4 headers are unusual, or wrong.
func ipv4Headers() [][]byte {
	query := func(id uint16) []byte {
		return datagram(false, false, 40000+id, AppendDNS(nil, id, DNSRD, "www.example.com", typeA))
	}
	options := query(1)
	options = slices.Concat(options[:20], []byte{7, 7, 4, 0, 0, 0, 0, 1}, options[20:]) // record route, padding
	options[0] = 0x47
	binary.BigEndian.PutUint16(options[2:], uint16(len(options)))
	long := query(2) // the total length of a frame that segmentation offload has still to cut
	long[2], long[3] = 0, 0
	version, short, cut := query(3), query(4), query(5)
	version[0], short[0] = 0x55, 0x44
	df := query(6)
	df[6], df[8] = 0, 1 // may be fragmented; the last hop
	sctp, esp, unknown := ip4(132, make([]byte, 12)), ip4(50, make([]byte, 24)), ip4(253, make([]byte, 8))
	cutUDP, cutTCP := ip4(ProtoUDP, udp(40005, 53, nil)), (&Packet{Src: client4, Dst: server4, Proto: ProtoTCP, SrcPort: 1, DstPort: 53, Flags: TCPSyn}).AppendIP(nil)
	cutUDP = cutUDP[:24] // a UDP header of four bytes
	binary.BigEndian.PutUint16(cutUDP[2:], 24)
	var frames [][]byte
	for _, ip := range [][]byte{checksum4(options), checksum4(long), checksum4(df), sctp, esp, unknown, checksum4(cutUDP), query(7)} {
		frames = append(frames, inEthernet(ip))
	}
	frames = append(frames, ethernet(be16(etherTypeIPv4), version), ethernet(be16(etherTypeIPv4), checksum4(short)))
	frames = append(frames, inEthernet(cut[:19]), inEthernet(cutTCP[:30]))
	return append(frames, inEthernet(datagram(false, true, 40001, response(1, 0, "www.example.com", typeA))))
}

// ipv6Extensions has IPv6 packets with extension headers, alone and in chains.
func ipv6Extensions() [][]byte {
	const hopByHop, routing, fragment, auth, none, destination, mobility = 0, 43, 44, 51, 59, 60, 135
	query := func(id uint16) []byte {
		return udp(40000+int(id), 53, AppendDNS(nil, id, DNSRD, "www.example.com", typeAAAA))
	}
	padded := func(next byte, n int) []byte { // an option header of n times eight bytes, filled with one PadN option
		return slices.Concat([]byte{next, byte(n - 1), 1, byte(8*n - 4)}, make([]byte, 8*n-4))
	}
	route := slices.Concat([]byte{ProtoUDP, 2, 4, 0, 0, 0, 0, 0}, make([]byte, 16)) // segment routing, no segments left
	packets := [][]byte{
		ip6(hopByHop, padded(ProtoUDP, 1), query(1)),
		ip6(destination, padded(ProtoUDP, 3), query(2)),
		ip6(routing, route, query(3)),
		ip6(hopByHop, padded(destination, 1), padded(ProtoUDP, 2), query(4)),
		ip6(fragment, []byte{ProtoUDP, 0, 0, 0, 0, 0, 0, 9}, query(5)), // an atomic fragment
		ip6(auth, []byte{ProtoUDP, 4, 0, 0}, make([]byte, 20), query(6)),
		ip6(hopByHop, padded(ProtoTCP, 1), be16(40007), be16(443), be32(1), be32(0), []byte{0x50, TCPSyn, 0xff, 0xff, 0, 0, 0, 0}),
		ip6(none),
		ip6(mobility, padded(none, 1)),
		ip6(hopByHop, padded(50, 1), make([]byte, 24)), // ESP
		ip6(hopByHop, padded(253, 1), make([]byte, 8)),
		ip6(ProtoUDP, query(8)),
	}
	for id := range uint16(6) {
		packets = append(packets, datagram(true, true, 40001+id, response(1+id, 0, "www.example.com", typeAAAA)))
	}
	return packets
}

// fragments4 cuts an IPv4 packet into fragments at places that are multiples of eight in its payload.
func fragments4(ip []byte, id int, cuts ...int) [][]byte {
	payload := ip[20:]
	cuts = append(append([]int{0}, cuts...), len(payload))
	var out [][]byte
	for i := range cuts[1:] {
		f := slices.Concat(ip[:20], payload[cuts[i]:cuts[i+1]])
		more := 0
		if cuts[i+1] < len(payload) {
			more = 1 << 13
		}
		binary.BigEndian.PutUint16(f[2:], uint16(len(f)))
		binary.BigEndian.PutUint16(f[4:], uint16(id))
		binary.BigEndian.PutUint16(f[6:], uint16(cuts[i]/8|more))
		out = append(out, checksum4(f))
	}
	return out
}

// fragments6 is fragments4 for an IPv6 packet.
func fragments6(ip []byte, id int, cuts ...int) [][]byte {
	payload := ip[40:]
	cuts = append(append([]int{0}, cuts...), len(payload))
	var out [][]byte
	for i := range cuts[1:] {
		more := 0
		if cuts[i+1] < len(payload) {
			more = 1
		}
		f := slices.Concat(ip[:40], []byte{ip[6], 0}, be16(cuts[i]|more), be32(uint32(id)), payload[cuts[i]:cuts[i+1]])
		binary.BigEndian.PutUint16(f[4:], uint16(len(f)-40))
		f[6] = 44
		out = append(out, f)
	}
	return out
}

// fragmented has responses in fragments that come in order, in reverse, mixed, twice, and not all.
func fragmented(v6 bool, cut func(ip []byte, id int, cuts ...int) [][]byte) [][]byte {
	long := func(id uint16) []byte { // a TXT response of some 400 bytes
		b := response(id, 0, "text.example.com", typeTXT)
		b = b[:len(b)-6]
		b = append(b, be16(361)...)
		b = append(b, 180)
		b = append(b, bytes.Repeat([]byte{'a'}, 180)...)
		b = append(b, 179)
		return datagram(v6, true, 40000+id, append(b, bytes.Repeat([]byte{'b'}, 179)...))
	}
	var packets [][]byte
	for id := range uint16(9) {
		packets = append(packets, datagram(v6, false, 40001+id, AppendDNS(nil, 1+id, DNSRD, "text.example.com", typeTXT)))
	}
	add := func(order []int, fragments [][]byte) {
		for _, i := range order {
			packets = append(packets, fragments[i])
		}
	}
	add([]int{0, 1, 2}, cut(long(1), 101, 128, 256))
	add([]int{2, 1, 0}, cut(long(2), 102, 128, 256))
	add([]int{1, 2, 0}, cut(long(3), 103, 8, 16))
	a, b := cut(long(4), 104, 160), cut(long(5), 105, 200)
	packets = append(packets, a[0], b[1], a[1], b[0])                    // of two datagrams, mixed
	add([]int{0, 0, 1, 1, 2}, cut(long(6), 106, 128, 256))               // each twice
	add([]int{0, 1, 2, 3, 4, 5}, cut(long(7), 107, 8, 64, 72, 128, 136)) // small ones
	add([]int{0, 2}, cut(long(8), 108, 128, 256))                        // the middle is missing
	add([]int{1, 2}, cut(long(9), 109, 128, 256))                        // the first is missing
	return packets
}

// icmpErrors has ICMP errors that quote DNS messages, which are no messages of their own.
func icmpErrors() [][]byte {
	packets := exchange(false, 1, 0, "www.example.com", typeA)
	quoted := packets[0]
	unreachable := append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, quoted...)
	packets = append(packets, (&Packet{Src: server4, Dst: client4, Proto: ProtoICMP, Payload: unreachable}).AppendIP(nil))
	packets = append(packets, (&Packet{Src: server4, Dst: client4, Proto: ProtoICMP, Payload: unreachable[:8+28]}).AppendIP(nil))
	six := exchange(true, 2, 0, "www.example.com", typeAAAA)
	packets = append(packets, six...)
	return append(packets, (&Packet{Src: server6, Dst: client6, Proto: ProtoICMPv6, Payload: append([]byte{1, 4, 0, 0, 0, 0, 0, 0}, six[0]...)}).AppendIP(nil))
}

// tunnelled has the conversation in tunnels of many kinds, a packet in each.
func tunnelled() [][]byte {
	const protoIPIP, protoIP6, protoGRE = 4, 41, 47
	proto := func(ip []byte) byte {
		if ip[0]>>4 == 6 {
			return protoIP6
		}
		return protoIPIP
	}
	wraps := []func(ip []byte) []byte{
		func(ip []byte) []byte { return ip4(proto(ip), ip) },
		func(ip []byte) []byte { return ip6(proto(ip), ip) },
		func(ip []byte) []byte { return ip4(protoGRE, slices.Concat([]byte{0, 0}, etherTypeOf(ip), ip)) },
		func(ip []byte) []byte { // with key and sequence number
			return ip4(protoGRE, slices.Concat([]byte{0x30, 0}, etherTypeOf(ip), be32(7), be32(1), ip))
		},
		func(ip []byte) []byte { return ip4(protoGRE, slices.Concat([]byte{0, 0, 0x65, 0x58}, inEthernet(ip))) }, // Ethernet in GRE
		func(ip []byte) []byte { // ERSPAN type II
			return ip4(protoGRE, slices.Concat([]byte{0x10, 0, 0x88, 0xbe}, be32(1), []byte{0x10, 7, 0, 1, 0, 0, 0, 1}, inEthernet(ip)))
		},
		func(ip []byte) []byte { // VXLAN
			return ip4(ProtoUDP, udp(50000, 4789, slices.Concat([]byte{8, 0, 0, 0, 0, 0, 42, 0}, inEthernet(ip))))
		},
		func(ip []byte) []byte { // Geneve, with an option
			return ip6(ProtoUDP, udp(50000, 6081, slices.Concat([]byte{2, 0, 0x65, 0x58, 0, 0, 42, 0}, []byte{1, 1, 1, 1, 0, 0, 0, 0}, inEthernet(ip))))
		},
		func(ip []byte) []byte { // GTP-U
			return ip4(ProtoUDP, udp(2152, 2152, slices.Concat([]byte{0x30, 0xff}, be16(len(ip)), be32(9), ip)))
		},
		func(ip []byte) []byte { return ip4(proto(ip), ip) },
		func(ip []byte) []byte { return ip4(protoIPIP, ip4(proto(ip), ip)) }, // two tunnels
	}
	var packets [][]byte
	for i, ip := range conversation() {
		packets = append(packets, wraps[i%len(wraps)](ip), wraps[(i+5)%len(wraps)](ip))
	}
	return append(packets, conversation()...) // and in none
}
