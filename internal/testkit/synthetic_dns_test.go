package testkit

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"pktvisor/linktype"
)

// tcpSide is one side of a TCP connection to port 53 that is being written.
type tcpSide struct {
	frames     *[][]byte
	fromServer bool
	v6         bool
	port       uint16
	seq, ack   uint32
}

// send appends a segment at an offset from the side's next sequence number, which it leaves alone.
func (s *tcpSide) send(off int, flags uint8, data []byte) {
	p := Packet{Src: client4, Dst: server4, Proto: ProtoTCP, SrcPort: s.port, DstPort: 53, Seq: s.seq + uint32(off), Ack: s.ack, Flags: flags, Payload: data}
	if s.v6 {
		p.Src, p.Dst = client6, server6
	}
	if s.fromServer {
		p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
	}
	*s.frames = append(*s.frames, p.AppendFrame(nil))
}

// data sends parts of the stream, in the order given, and moves on behind the furthest.
func (s *tcpSide) data(stream []byte, parts ...[2]int) {
	for _, p := range parts {
		s.send(p[0], TCPAck|TCPPsh, stream[p[0]:p[1]])
	}
	s.seq += uint32(len(stream))
}

// open starts a connection and returns its sides.
func open(frames *[][]byte, v6 bool, port uint16, isn uint32) (client, server *tcpSide) {
	client = &tcpSide{frames: frames, v6: v6, port: port, seq: isn}
	server = &tcpSide{frames: frames, v6: v6, port: port, seq: 7000, fromServer: true}
	client.send(0, TCPSyn, nil)
	client.seq++
	server.ack = client.seq
	server.send(0, TCPSyn|TCPAck, nil)
	server.seq++
	client.ack = server.seq
	client.send(0, TCPAck, nil)
	return client, server
}

// shut ends a connection.
func shut(client, server *tcpSide) {
	client.ack, server.ack = server.seq, client.seq
	client.send(0, TCPFin|TCPAck, nil)
	client.seq++
	server.ack = client.seq
	server.send(0, TCPFin|TCPAck, nil)
	server.seq++
	client.ack = server.seq
	client.send(0, TCPAck, nil)
}

// framed puts messages into a stream, each behind its length (RFC 1035, section 4.2.2).
func framed(messages ...[]byte) (stream []byte) {
	for _, m := range messages {
		stream = append(append(stream, be16(len(m))...), m...)
	}
	return stream
}

// tcpCaptures has DNS over TCP whose segments do not follow the messages.
func tcpCaptures() []synthetic {
	name := "www.example.com"
	query := func(id uint16) []byte { return AppendDNS(nil, id, DNSRD, name, typeA) }
	reply := func(id uint16) []byte { return response(id, 0, name, typeA) }
	q, r := framed(query(1)), framed(reply(1))
	whole := func(stream []byte) [2]int { return [2]int{0, len(stream)} }
	converse := func(talk func(port uint16, client, server *tcpSide), v6 bool, port uint16, isn uint32, frames *[][]byte) {
		client, server := open(frames, v6, port, isn)
		talk(port, client, server)
		shut(client, server)
	}
	var order, cut, lost [][]byte
	for i, talk := range []func(port uint16, client, server *tcpSide){
		func(_ uint16, client, server *tcpSide) { // out of order
			client.data(q, [2]int{20, len(q)}, [2]int{0, 20})
			server.data(r, [2]int{30, len(r)}, [2]int{10, 30}, [2]int{0, 10})
		},
		func(_ uint16, client, server *tcpSide) { // sent again
			client.data(q, whole(q), whole(q))
			server.data(r, [2]int{0, 25}, [2]int{0, 25}, [2]int{25, len(r)}, [2]int{25, len(r)})
		},
		func(_ uint16, client, server *tcpSide) { // overlapping
			client.data(q, [2]int{0, 20}, [2]int{10, 30}, [2]int{5, len(q)})
			server.data(r, [2]int{0, 30}, [2]int{20, len(r)})
		},
		func(_ uint16, client, server *tcpSide) { // a keep-alive
			client.data(q, whole(q))
			client.send(-1, TCPAck, []byte{0})
			server.data(r, whole(r))
		},
	} {
		converse(talk, i%2 == 1, 41000+uint16(i), 100_000, &order)
	}
	many := framed(query(1), query(2), query(3))
	replies := framed(reply(2), reply(1), reply(3))
	for i, talk := range []func(port uint16, client, server *tcpSide){
		func(_ uint16, client, server *tcpSide) { // the length apart, byte by byte
			client.data(q, [2]int{0, 1}, [2]int{1, 2}, [2]int{2, 3}, [2]int{3, len(q)})
			server.data(r, [2]int{0, 2}, [2]int{2, len(r)})
		},
		func(_ uint16, client, server *tcpSide) { // pipelined, in one segment
			client.data(many, whole(many))
			server.data(replies, whole(replies))
		},
		func(_ uint16, client, server *tcpSide) { // pipelined, cut within messages
			client.data(many, [2]int{0, 50}, [2]int{50, 51}, [2]int{51, len(many)})
			server.data(replies, [2]int{0, 60}, [2]int{60, len(replies)})
		},
	} {
		converse(talk, i%2 == 0, 42000+uint16(i), 0xffff_ffff-10, &cut) // sequence numbers start again at 0
	}
	client, server := open(&lost, false, 43000, 1) // a connection that is reset in the middle of a message
	client.data(q, [2]int{0, 20})
	server.ack = client.seq
	server.send(0, TCPRst|TCPAck, nil)
	client, server = open(&lost, false, 43001, 1) // the capture starts after the query
	lost = lost[:len(lost)-3]
	server.data(r, whole(r))
	client.data(q, whole(q))
	server.data(r, whole(r))
	shut(client, server)
	return []synthetic{
		{name: "tcp-order.pcap", bytes: capturePcap(false, linktype.Ethernet, order...)},
		{name: "tcp-cut.pcap", bytes: capturePcap(false, linktype.Ethernet, cut...)},
		{name: "tcp-part.pcap", bytes: capturePcap(false, linktype.Ethernet, lost...)},
	}
}

// dnsCaptures has DNS messages that are unusual, and some that are wrong.
func dnsCaptures() []synthetic {
	var odd, malformed [][]byte
	add := func(frames *[][]byte, id uint16, fromServer bool, b []byte) {
		*frames = append(*frames, inEthernet(datagram(id%2 == 0, fromServer, 40000+id, b)))
	}
	pair := func(frames *[][]byte, id uint16, q, r []byte) {
		add(frames, id, false, q)
		add(frames, id, true, r)
	}
	plain := func(id uint16, name string, qtype uint16) {
		pair(&odd, id, AppendDNS(nil, id, DNSRD, name, qtype), response(id, 0, name, qtype))
	}
	plain(1, "", typeA)                                                                                                          // the root
	plain(2, "WwW.eXaMpLe.CoM", typeA)                                                                                           // mixed case
	plain(3, strings.Repeat("a", 63)+"."+strings.Repeat("b", 63)+"."+strings.Repeat("c", 63)+"."+strings.Repeat("d", 61), typeA) // 255 bytes
	plain(4, "_dns._udp.example.com", 33)
	plain(5, "xn--bcher-kva.example", 65)
	edns := func(id, flags uint16, version, extended byte, options []byte) []byte {
		b := AppendDNS(nil, id, flags, "www.example.com", typeA)
		b[11] = 1 // ARCOUNT
		return slices.Concat(b, []byte{0}, be16(typeOPT), be16(1232), []byte{extended, version, 0x80, 0}, be16(len(options)), options)
	}
	subnet := []byte{0, 8, 0, 7, 0, 1, 24, 0, 198, 51, 100}
	pair(&odd, 6, edns(6, DNSRD, 0, 0, subnet), edns(6, DNSResponse|DNSRD|DNSRA, 0, 0, subnet))
	pair(&odd, 7, edns(7, DNSRD, 0, 0, []byte{0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8}), edns(7, DNSResponse|DNSTC, 0, 0, nil)) // a cookie; truncated
	chaos := AppendDNS(nil, 8, DNSRD, "version.bind", typeTXT)
	chaos[len(chaos)-1] = 3
	refused := bytes.Clone(chaos)
	binary.BigEndian.PutUint16(refused[2:], DNSResponse|rcodeRefused)
	pair(&odd, 8, chaos, refused)
	const notify, update = 4 << 11, 5 << 11
	pair(&odd, 9, AppendDNS(nil, 9, notify|DNSAA, "example.com", typeSOA), AppendDNS(nil, 9, notify|DNSResponse|DNSAA, "example.com", typeSOA))
	pair(&odd, 10, AppendDNS(nil, 10, update, "example.com", typeSOA), AppendDNS(nil, 10, update|DNSResponse|rcodeRefused, "example.com", typeSOA))
	pair(&odd, 11, AppendDNS(nil, 11, DNSRD, "empty.example.com", typeMX), AppendDNS(nil, 11, DNSResponse|DNSRD|DNSRA, "empty.example.com", typeMX)) // NODATA
	add(&odd, 12, true, response(12, 0, "nobody-asked.example.com", typeA))
	add(&odd, 13, false, AppendDNS(nil, 13, DNSRD, "again.example.com", typeA))
	pair(&odd, 13, AppendDNS(nil, 13, DNSRD, "again.example.com", typeA), response(13, 0, "again.example.com", typeA))

	header := func(id, flags uint16, questions byte, rest ...byte) []byte {
		return append([]byte{byte(id >> 8), byte(id), byte(flags >> 8), byte(flags), 0, questions, 0, 0, 0, 0, 0, 0}, rest...)
	}
	pair(&malformed, 1, AppendDNS(nil, 1, DNSRD, "good.example.com", typeA), response(1, 0, "good.example.com", typeA))
	pair(&malformed, 3, header(3, DNSRD, 1), header(3, DNSResponse|1, 0))                           // the question is missing; FORMERR without one
	add(&malformed, 4, false, header(4, DNSRD, 1, 3, 'w', 'w'))                                     // cut within a label
	add(&malformed, 5, false, header(5, DNSRD, 1, 1, 'a', 0, 0))                                    // cut within the type
	add(&malformed, 6, false, header(6, DNSRD, 1, 0xc0, 12, 0, 1, 0, 1))                            // a pointer to itself
	add(&malformed, 7, false, header(7, DNSRD, 1, 0x80, 'a', 0, 0, 1, 0, 1))                        // an unknown kind of label
	add(&malformed, 9, false, append(AppendDNS(nil, 9, DNSRD, "junk.example.com", typeA), 1, 2, 3)) // bytes behind the end
	lies := AppendDNS(nil, 11, DNSResponse, "lies.example.com", typeA)
	lies[7] = 9 // answers that are not there
	pair(&malformed, 11, AppendDNS(nil, 11, DNSRD, "lies.example.com", typeA), lies)
	add(&malformed, 12, false, []byte("not DNS")) // too short for a header
	return []synthetic{
		{name: "dns-odd.pcap", bytes: capturePcap(false, linktype.Ethernet, odd...)},
		{name: "dns-malformed.pcap", bytes: capturePcap(false, linktype.Ethernet, malformed...)},
	}
}
