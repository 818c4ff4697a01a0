package dns

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"pktvisor/analyze"
	"pktvisor/internal/testkit"
)

func samplerOf(percent int) analyze.Sampler { return analyze.NewSampler(percent) }

// stream is one direction of a TCP connection.
type stream struct {
	l        *lab
	src, dst netip.AddrPort
	seq      uint32
}

// stream opens a direction of a connection with its SYN.
func (l *lab) stream(src, dst netip.AddrPort) *stream {
	s := &stream{l, src, dst, 4_294_967_000} // about to wrap around
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

// framed puts its length before each message (RFC 1035, section 4.2.2).
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

// TestTCP checks that what TCP does with messages changes nothing of what is counted: two queries and
// their responses.
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

// TestTCPBig: a message as long as there can be one, in segments.
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

// TestTCPGap: bytes that the capture missed are said to be missing, and later messages are found again.
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

// TestTCPApart: a query over UDP is not answered over TCP.
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

// TestFragments: a datagram in fragments counts once, in whatever order they come.
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

// TestCutFragments: where the capture has cut the first fragment, its header and question count, with the
// size that the datagram says of itself; and the datagram counts once.
func TestCutFragments(t *testing.T) {
	l := newLab(t, nil).frame(udp(farClient, hostServer, query(1, "big.example")))
	for _, f := range fragments(udp(hostServer, farClient, big(1, 4000)), 77, 1480) {
		l.cut(f, 96)
	}
	m := l.want(values{
		"wire_packets.total": 2, "wire_packets.queries": 1, "wire_packets.replies": 1, "wire_packets.udp": 2, "wire_packets.ipv4": 2,
		"wire_packets.in": 1, "wire_packets.out": 1, "wire_packets.noerror": 1, "deep_samples": 2, "xact.counts.total": 1, "xact.in.total": 1,
	})
	if m.ResponseSize.Max() != 4000 {
		t.Errorf("size %d, want 4000", m.ResponseSize.Max())
	}
}
