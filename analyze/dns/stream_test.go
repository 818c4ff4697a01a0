package dns

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"pktvisor/analyze"
	"pktvisor/internal/testkit"
)

func samplerOf(percent int) *analyze.Sampler { return analyze.NewSampler(percent) }

// stream is one direction of a TCP connection.
type stream struct {
	l        *lab
	src, dst netip.AddrPort
	seq      uint32
}

// stream opens one direction of a connection with a SYN.
func (l *lab) stream(src, dst netip.AddrPort) *stream {
	s := &stream{l, src, dst, 4_294_967_000} // sequence numbers that soon wrap around
	s.send(testkit.TCPSyn, s.seq, nil)
	s.seq++
	return s
}

func (s *stream) send(flags uint8, seq uint32, payload []byte) {
	p := testkit.Packet{
		Src: s.src.Addr(), Dst: s.dst.Addr(), Proto: testkit.ProtoTCP, SrcPort: s.src.Port(), DstPort: s.dst.Port(),
		Seq: seq, Flags: flags, Payload: payload,
	}
	s.l.frame(p.AppendFrame(nil))
}

// data sends bytes of the stream.
func (s *stream) data(b []byte) {
	s.send(testkit.TCPAck|testkit.TCPPsh, s.seq, b)
	s.seq += uint32(len(b))
}

// segment sends messages in one segment.
func (s *stream) segment(msgs ...[]byte) { s.data(framed(msgs...)) }

// framed returns messages with their lengths before them (RFC 1035, section 4.2.2).
func framed(msgs ...[]byte) []byte {
	var b []byte
	for _, m := range msgs {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(m))), m...)
	}
	return b
}

// big makes a response of n bytes.
func big(id uint16, n int) []byte {
	b := withCount(response(id, 0, "big.example"), 1, 2)
	b = append(b, 0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 0)
	rest := n - len(b) - 2
	b = binary.BigEndian.AppendUint16(b, uint16(rest))
	return append(b, make([]byte, rest)...)
}

// TestTCP: two queries and their responses count the same, however TCP splits, reorders or repeats them.
func TestTCP(t *testing.T) {
	queries := framed(query(1, "a.example"), query(2, "b.example"))
	answers := framed(response(1, 0, "a.example"), response(2, 3, "b.example"))
	want := values{
		"wire_packets.total": 4, "wire_packets.queries": 2, "wire_packets.replies": 2, "wire_packets.tcp": 4, "wire_packets.ipv4": 4,
		"wire_packets.in": 2, "wire_packets.out": 2, "wire_packets.noerror": 1, "wire_packets.nxdomain": 1, "deep_samples": 4,
		"xact.counts.total": 2, "xact.in.total": 2,
	}
	for _, c := range []struct {
		name string
		send func(s *stream, b []byte)
	}{
		{"several in a segment", func(s *stream, b []byte) { s.data(b) }},
		{"a byte a segment", func(s *stream, b []byte) {
			for i := range b {
				s.data(b[i : i+1])
			}
		}},
		{"split in the length", func(s *stream, b []byte) { s.data(b[:1]); s.data(b[1:]) }},
		{"split in a name", func(s *stream, b []byte) { s.data(b[:20]); s.data(b[20:40]); s.data(b[40:]) }},
		{"out of order", func(s *stream, b []byte) {
			start := s.seq
			s.seq += 10
			s.data(b[10:])
			s.send(testkit.TCPAck, start, b[:10])
		}},
		{"backwards", func(s *stream, b []byte) {
			start := s.seq
			for i := len(b) - 1; i >= 0; i-- {
				s.send(testkit.TCPAck, start+uint32(i), b[i:i+1])
			}
		}},
		{"sent twice", func(s *stream, b []byte) {
			start := s.seq
			s.data(b)
			s.send(testkit.TCPAck, start, b)
			s.send(testkit.TCPAck, start+5, b[5:20])
		}},
		{"overlapping", func(s *stream, b []byte) {
			start := s.seq
			s.data(b[:30])
			s.send(testkit.TCPAck, start+10, b[10:])
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, nil)
			c.send(l.stream(farClient, hostServer), queries)
			c.send(l.stream(hostServer, farClient), answers)
			m := l.want(want)
			l.wantRows("top_nxdomain", &m.TopNXDomain, values{"b.example": 1})
		})
	}
}

// TestTCPBig: a message of the maximum length counts whole, in segments.
func TestTCPBig(t *testing.T) {
	l := newLab(t, nil)
	l.stream(farClient, hostServer).segment(query(1, "big.example"))
	s := l.stream(hostServer, farClient)
	for part := range slices.Chunk(framed(big(1, 65_535)), 1400) {
		s.data(part)
	}
	m := l.flush()
	if m.Xacts != 1 || m.ResponseSize.Max() != 65_535 || m.Malformed != 0 || m.Gaps != 0 {
		t.Errorf("%d transactions, %d bytes, %d malformed, %d gaps", m.Xacts, m.ResponseSize.Max(), m.Malformed, m.Gaps)
	}
	l.wantRows("top_response_bytes", &m.TopResponseBytes, values{"big.example": 65_535})
}

// TestTCPGap: missing bytes of a stream count as a gap, and the messages after the gap count.
func TestTCPGap(t *testing.T) {
	l := newLab(t, nil)
	s := l.stream(farClient, hostServer)
	s.segment(query(1, "a.example"))
	s.seq += 100
	s.segment(query(2, "b.example"))
	l.at(10 * second)
	s.segment(query(3, "c.example"))
	if m := l.flush(); m.Gaps != 1 || m.Queries != 3 {
		t.Errorf("%d gaps, %d queries; want 1 and 3", m.Gaps, m.Queries)
	}
}

// TestTCPApart: a query over UDP is not paired with a response over TCP.
func TestTCPApart(t *testing.T) {
	l := newLab(t, nil)
	l.frame(udp(farClient, hostServer, query(1, "a.example")))
	l.stream(hostServer, farClient).segment(response(1, 0, "a.example"))
	if m := l.settle().flush(); m.Xacts != 0 || m.Orphans != 1 || l.Open() != 1 {
		t.Errorf("%d transactions, %d orphans, %d open", m.Xacts, m.Orphans, l.Open())
	}
}

// fragments cuts an IPv4 frame into fragments of n bytes of payload, a multiple of 8.
func fragments(frame []byte, id uint16, n int) [][]byte {
	const ip = 14
	var all [][]byte
	payload := frame[ip+20:]
	for off := 0; off < len(payload); off += n {
		part := payload[off:min(off+n, len(payload))]
		f := append(slices.Clone(frame[:ip+20]), part...)
		binary.BigEndian.PutUint16(f[ip+2:], uint16(20+len(part)))
		binary.BigEndian.PutUint16(f[ip+4:], id)
		v := uint16(off / 8)
		if off+len(part) < len(payload) {
			v |= 0x2000
		}
		binary.BigEndian.PutUint16(f[ip+6:], v)
		all = append(all, f)
	}
	return all
}

// TestFragments: a datagram in fragments counts once, whatever the order of the fragments is.
func TestFragments(t *testing.T) {
	want := values{
		"wire_packets.total": 2, "wire_packets.queries": 1, "wire_packets.replies": 1, "wire_packets.udp": 2, "wire_packets.ipv4": 2,
		"wire_packets.in": 1, "wire_packets.out": 1, "wire_packets.noerror": 1, "deep_samples": 2, "xact.counts.total": 1, "xact.in.total": 1,
	}
	parts := fragments(udp(hostServer, farClient, big(1, 4000)), 77, 1480)
	for name, order := range map[string][]int{"in order": {0, 1, 2}, "backwards": {2, 1, 0}, "one twice": {0, 1, 1, 2}} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, nil).frame(udp(farClient, hostServer, query(1, "big.example")))
			for _, i := range order {
				l.frame(parts[i])
			}
			if m := l.want(want); m.ResponseSize.Max() != 4000 {
				t.Errorf("size %d, want 4000", m.ResponseSize.Max())
			}
		})
	}
	t.Run("one is missing", func(t *testing.T) {
		l := newLab(t, nil).frame(parts[0]).frame(parts[2])
		l.want()
	})
	t.Run("another port", func(t *testing.T) {
		l := newLab(t, nil)
		for _, f := range fragments(udp(endpoint("192.0.2.53:54"), farClient, big(1, 4000)), 77, 1480) {
			l.frame(f)
		}
		l.want()
	})
}

// TestCutFragments: if the capture has cut the first fragment, its header and question count. The size is the one that the
// datagram's header claims, and the datagram counts once.
func TestCutFragments(t *testing.T) {
	l := newLab(t, nil).frame(udp(farClient, hostServer, query(1, "big.example")))
	for _, f := range fragments(udp(hostServer, farClient, big(1, 4000)), 77, 1480) {
		l.cut(f, 96)
	}
	m := l.want(values{
		"wire_packets.total": 2, "wire_packets.queries": 1, "wire_packets.replies": 1, "wire_packets.udp": 2, "wire_packets.ipv4": 2,
		"wire_packets.in": 1, "wire_packets.out": 1, "wire_packets.noerror": 1, "deep_samples": 2, "xact.counts.total": 1, "xact.in.total": 1,
		"fragments.incomplete": 1,
	})
	if m.ResponseSize.Max() != 4000 {
		t.Errorf("size %d, want 4000", m.ResponseSize.Max())
	}
}

// started is a way to capture only the start of a message: 96 bytes, or one fragment, of a response of n bytes.
var started = map[string]func(l *lab, n int){
	"first fragment": func(l *lab, n int) {
		l.frame(fragments(udp(hostServer, farClient, big(1, n)), 77, 1480)[0])
	},
	"first fragment, cut": func(l *lab, n int) {
		l.cut(fragments(udp(hostServer, farClient, big(1, n)), 77, 1480)[0], 96)
	},
	"first IPv6 fragment": func(l *lab, n int) { l.frame(fragments6(17, udpPart(n), 1, 17)[0]) },
	"first IPv6 fragment with options": func(l *lab, n int) {
		l.frame(fragments6(60, append([]byte{17, 0, 1, 4, 0, 0, 0, 0}, udpPart(n)...), 1, 60)[0])
	},
	"first segment": func(l *lab, n int) { l.stream(hostServer, farClient).data(framed(big(1, n))[:1400]) },
	"segment, cut": func(l *lab, n int) {
		s := l.stream(hostServer, farClient)
		p := testkit.Packet{Src: s.src.Addr(), Dst: s.dst.Addr(), Proto: testkit.ProtoTCP, SrcPort: 53, DstPort: s.dst.Port(), Seq: s.seq, Flags: testkit.TCPAck, Payload: framed(big(1, n))[:1400]}
		l.cut(p.AppendFrame(nil), 96)
	},
	"first fragment of a segment": func(l *lab, n int) {
		s := l.stream(hostServer, farClient)
		p := testkit.Packet{Src: s.src.Addr(), Dst: s.dst.Addr(), Proto: testkit.ProtoTCP, SrcPort: 53, DstPort: s.dst.Port(), Seq: s.seq, Flags: testkit.TCPAck, Payload: framed(big(1, n))}
		l.frame(fragments(p.AppendFrame(nil), 78, 1000)[0])
	},
}

// udpPart returns the UDP datagram of a response of n bytes over IPv6.
func udpPart(n int) []byte { return udp(host6, far6, big(1, n))[14+40:] }

// fragments6 cuts the payload of an IPv6 packet into two fragments with the given next headers.
func fragments6(first uint8, part []byte, id uint32, later uint8) (all [][]byte) {
	const ip, cut = 14, 1232
	head := udp(host6, far6, nil)[:ip+40]
	for i, b := range [][]byte{part[:cut], part[cut:]} {
		f := slices.Clone(head)
		f[ip+6] = 44
		binary.BigEndian.PutUint16(f[ip+4:], uint16(8+len(b)))
		f = append(f, []uint8{first, later}[i], 0)
		f = binary.BigEndian.AppendUint16(f, uint16(i*cut|(1-i)))
		f = binary.BigEndian.AppendUint32(f, id)
		all = append(all, append(f, b...))
	}
	return all
}

// TestStarted: if only the start of a response was captured, the response counts once and is paired with its query, however late
// it came within the timeout. It has the time of its start. This holds in a live capture and at the end of a file.
func TestStarted(t *testing.T) {
	for name, start := range started {
		for _, timeout := range []int64{5 * second, 2 * second, 500 * ms} {
			for _, end := range []string{"time", "end of file", "restart"} {
				l := newLab(t, func(c *Config) { c.Timeout = timeout })
				l.now = 900 * ms
				for _, client := range []struct{ src, dst netip.AddrPort }{{farClient, hostServer}, {far6, host6}} {
					l.frame(udp(client.src, client.dst, query(1, "big.example")))
					l.stream(client.src, client.dst).segment(query(1, "big.example"))
				}
				at := l.now + timeout - 50*ms
				l.at(at)
				start(l, 2900)
				switch end {
				case "time":
					l.at(60 * second)
				case "end of file":
					l.Tick(l.now + 100*ms) // after the timeout of the query
					l.Finish()
				default:
					l.Restart()
				}
				m := l.flush()
				if m.Replies != 1 || m.Xacts != 1 || m.Orphans != 0 || m.InMicros.Max() != uint64(timeout-50*ms)/1000 || m.ResponseSize.Max() != 2900 {
					t.Errorf("%s, %s, timeout %d ms: %d replies, %d transactions, %d orphans, %d us, %d bytes", name, end, timeout/ms,
						m.Replies, m.Xacts, m.Orphans, m.InMicros.Max(), m.ResponseSize.Max())
				}
				wantTimeouts, wantOpen := uint64(3), uint64(0)
				if end == "restart" {
					wantTimeouts, wantOpen = 0, 3
				}
				if uint64(m.Timeouts) != wantTimeouts || uint64(m.Open) != wantOpen {
					t.Errorf("%s, %s, timeout %d ms: %d timeouts, %d open", name, end, timeout/ms, m.Timeouts, m.Open)
				}
				if m.TCPIncomplete+m.FragIncomplete == 0 || m.Gaps != 0 {
					t.Errorf("%s: %d and %d incomplete, %d gaps", name, m.TCPIncomplete, m.FragIncomplete, m.Gaps)
				}
			}
		}
	}
}

// TestLateRest: when a message was counted by its start, the rest of it does not count again.
func TestLateRest(t *testing.T) {
	parts := fragments(udp(hostServer, farClient, big(1, 2900)), 77, 1480)
	l := newLab(t, nil).frame(udp(farClient, hostServer, query(1, "big.example"))).frame(parts[0])
	l.at(3 * second).frame(parts[1])
	s := l.stream(hostServer, farClient)
	b := framed(big(2, 2900), response(3, 0, "a.example"))
	s.data(b[:1400])
	l.at(6 * second)
	s.data(b[1400:])
	if m := l.flush(); m.Replies != 3 || m.UDP != 2 || m.TCP != 2 || m.FragIncomplete != 1 || m.TCPIncomplete != 1 {
		t.Errorf("%d replies, %d over UDP, %d over TCP", m.Replies, m.UDP, m.TCP)
	}
}

// TestSameIdentification: several datagrams with the same identification all count, whether they are complete or not.
func TestSameIdentification(t *testing.T) {
	l := newLab(t, nil)
	for id := range uint16(3) {
		l.frame(udp(farClient, hostServer, query(id, "big.example")))
		l.frame(fragments(udp(hostServer, farClient, big(id, 2900)), 77, 1480)[0])
	}
	for id := range uint16(3) {
		l.frame(udp(farClient, hostServer, query(id, "b.example")))
		for _, f := range fragments(udp(hostServer, farClient, append(response(id, 0, "b.example"), make([]byte, 2000)...)), 77, 1480) {
			l.frame(f)
		}
	}
	l.Finish()
	if m := l.flush(); m.Xacts != 6 || m.Replies != 6 || m.FragIncomplete != 3 {
		t.Errorf("%d transactions, %d replies, %d incomplete", m.Xacts, m.Replies, m.FragIncomplete)
	}
}

// TestFragments6: the first fragment gives the protocol of a datagram, whatever the others name (RFC 8200, section 4.5).
func TestFragments6(t *testing.T) {
	options := []byte{17, 0, 1, 4, 0, 0, 0, 0}
	for _, c := range []struct {
		name         string
		first, later uint8
		part         []byte
	}{
		{"UDP", 17, 17, udpPart(2000)},
		{"options", 60, 60, append(slices.Clone(options), udpPart(2000)...)},
		{"options, the later one says no next header", 60, 59, append(slices.Clone(options), udpPart(2000)...)},
		{"UDP, the later one says TCP", 17, 6, udpPart(2000)},
		{"authentication", 51, 51, append([]byte{17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, udpPart(2000)...)},
	} {
		for _, order := range [][]int{{0, 1}, {1, 0}} {
			l := newLab(t, nil).frame(udp(far6, host6, query(1, "big.example")))
			parts := fragments6(c.first, c.part, 9, c.later)
			l.frame(parts[order[0]]).frame(parts[order[1]])
			if m := l.flush(); m.Xacts != 1 || m.UDP != 2 || m.FragIncomplete+m.FragHeadless != 0 || m.ResponseSize.Max() != 2000 {
				t.Errorf("%s, %d: %d transactions, %d over UDP", c.name, order, m.Xacts, m.UDP)
			}
		}
	}
}

// TestFragmentedTCP: a segment in fragments is reassembled and read at its place in the stream.
func TestFragmentedTCP(t *testing.T) {
	l := newLab(t, nil)
	s := l.stream(hostServer, farClient)
	b := framed(big(1, 4000), response(2, 0, "b.example"))
	for off := 0; off < len(b); off += 1400 {
		p := testkit.Packet{Src: s.src.Addr(), Dst: s.dst.Addr(), Proto: testkit.ProtoTCP, SrcPort: 53, DstPort: s.dst.Port(), Seq: s.seq + uint32(off),
			Flags: testkit.TCPAck, Payload: b[off:min(off+1400, len(b))]}
		parts := fragments(p.AppendFrame(nil), uint16(off), 600)
		slices.Reverse(parts)
		for _, f := range parts {
			l.frame(f)
		}
	}
	if m := l.flush(); m.TCP != 2 || m.Replies != 2 || m.TCPIncomplete+m.Gaps+m.FragIncomplete != 0 || m.ResponseSize.Max() != 4000 {
		t.Errorf("%d messages, %d incomplete, %d gaps", m.TCP, m.TCPIncomplete, m.Gaps)
	}
}

// TestOtherFragments: datagrams that are not DNS are neither kept nor counted. Datagrams without a first fragment count as
// headless, because it is not known whether they are DNS.
func TestOtherFragments(t *testing.T) {
	l := newLab(t, nil)
	for id := range uint16(10) {
		l.frame(fragments(udp(endpoint("192.0.2.53:54"), farClient, big(1, 2900)), id, 1480)[0])
		l.frame(fragments(udp(hostServer, farClient, big(1, 2900)), 100+id, 1480)[1])
	}
	l.at(40 * second)
	l.want(values{"fragments.headless": 10})
}

// TestRestart: when a recording starts again, its messages are new traffic.
func TestRestart(t *testing.T) {
	l := newLab(t, nil)
	for range 3 {
		c, s := l.stream(farClient, hostServer), l.stream(hostServer, farClient)
		c.segment(query(1, "a.example"))
		s.segment(response(1, 0, "a.example"))
		l.frame(udp(farClient, hostServer, query(9, "silent.example")))
		l.Restart()
	}
	if m := l.flush(); m.Xacts != 3 || m.TCP != 6 || m.Open != 3 || m.Repeats != 0 {
		t.Errorf("%d transactions, %d over TCP, %d open, %d repeats", m.Xacts, m.TCP, m.Open, m.Repeats)
	}
}
