package reassemble

import (
	"encoding/binary"
	"testing"

	"pktvisor/decode"
)

// checkPool fails the test if pieces are lost or held twice, lists are out of order, or bytes are miscounted.
func checkPool(t *testing.T, b *pool, lists func(yield func(*list))) {
	t.Helper()
	used := 0
	lists(func(l *list) {
		n := 0
		for i := l.first; i != 0; i = b.pieces[i].next {
			c := &b.pieces[i]
			n++
			if n > l.count || c.n == 0 || int(c.off)+int(c.n) > blockSize {
				t.Fatalf("piece %d: %+v of %d", n, c, l.count)
			}
			if c.next != 0 && int32(b.pieces[c.next].pos-c.end()) < 0 {
				t.Fatalf("%+v overlaps %+v", c, b.pieces[c.next])
			}
		}
		if n != l.count {
			t.Fatalf("%d pieces, counted %d", n, l.count)
		}
		used += n
	})
	if used != b.used || b.used >= len(b.pieces) {
		t.Fatalf("%d pieces in lists, %d used of %d", used, b.used, len(b.pieces))
	}
}

// FuzzStreams reads its input as segments: 8 bytes of header, then the payload.
func FuzzStreams(f *testing.F) {
	seg := func(port, flags byte, seq uint32, time byte, b []byte) []byte {
		h := []byte{port, flags, 0, 0, 0, 0, time, byte(len(b))}
		binary.BigEndian.PutUint32(h[2:], seq)
		return append(h, b...)
	}
	q := framed(query(1, 40))
	f.Add(append(seg(1, 2, 0, 0, nil), seg(1, 0, 1, 0, q)...))
	f.Add(append(seg(1, 0, 0, 0, q[:20]), seg(1, 1, 20, 0, q[20:])...))
	f.Add(append(append(seg(1, 2, 0, 0, nil), seg(1, 0, 43, 0, q)...), seg(1, 1, 85, 200, q)...))
	f.Add(append(seg(1, 0, ^uint32(20), 0, q[:20]), seg(1, 0, 0, 0, q)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := NewStreams(StreamsConfig{MaxFlows: 3, MaxBytes: 1, Message: func(m *Message) {
			if len(m.Bytes) < minMessage || len(m.Bytes) > int(m.Size) {
				t.Fatalf("%d bytes of a message of %d", len(m.Bytes), m.Size)
			}
		}})
		p := decode.Packet{Proto: decode.ProtoTCP, Flags: decode.FlagL4}
		for len(b) >= 8 {
			p.SrcPort, p.TCPFlags, p.Seq = uint16(b[0]&7), b[1]&7, binary.BigEndian.Uint32(b[2:])
			if b[1]&8 != 0 {
				p.Seq = uint32(int32(p.Seq) >> 16)
			}
			p.SrcPort, p.DstPort = p.SrcPort&3, p.SrcPort>>2
			p.Ack, p.TCPFlags = p.Seq+uint32(b[6]), p.TCPFlags|decode.TCPAck
			p.Time += int64(b[6]) * 50e6
			n := min(int(b[7]), len(b)-8)
			p.PayloadLen = uint32(b[7])
			payload := b[8 : 8+n]
			if b[1]&16 != 0 { // a large segment
				payload = append(payload[:n:n], make([]byte, 4000)...)
				p.PayloadLen += 4000
			}
			p.CapLen = uint32(len(payload))
			b = b[8+n:]
			s.Add(&p, payload, 0)
			if b0 := p.SrcPort; b0 == 3 {
				s.Tick(p.Time)
			}
			holes := 0
			checkPool(t, &s.pool, func(yield func(*list)) {
				for i := s.flows.oldest; i != 0; i = s.flows.nodes[i].newer {
					st := s.flows.val(i)
					yield(&st.list)
					if st.holed {
						holes++
					}
					if held := st.tail == 0 && st.first != 0 || st.tail != 0 && s.pool.pieces[st.tail].next != 0; held != st.holed {
						t.Fatalf("%+v has a hole: %v", st, held)
					}
					have := uint32(0)
					if st.tail != 0 {
						have = s.pool.pieces[st.tail].end() - st.base
					}
					if have != st.have || st.first != 0 && st.have != 0 && s.pool.pieces[st.first].pos != st.base {
						t.Fatalf("%+v has %d bytes", st, have)
					}
				}
			})
			if holes != s.holes {
				t.Fatalf("%d streams with holes, counted %d", holes, s.holes)
			}
		}
		if s.flows.count > 3 {
			t.Fatalf("%d streams", s.flows.count)
		}
	})
}

// FuzzFragments reads its input as fragments: 6 bytes of header, then the payload.
func FuzzFragments(f *testing.F) {
	d := udpOf(48)
	f.Add(append(append([]byte{4, 1, 0, 0, 24, 0}, d[:24]...), append([]byte{4, 0, 0, 3, 24, 0}, d[24:]...)...))
	f.Add(append(append([]byte{6, 1, 0, 0, 24, 0}, d[:24]...), append([]byte{6, 0, 0, 2, 24, 0}, d[24:]...)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		frags := collectFragments(1)
		for len(b) >= 6 {
			n := min(int(b[4]), len(b)-6)
			data := b[6 : 6+n]
			if b[1]&2 != 0 {
				data = append(data[:n:n], make([]byte, 4096)...)
			}
			p := fragment(4+b[0]&2, uint32(b[0]>>2), int(binary.BigEndian.Uint16(b[2:]))&0x1fff*8, b[1]&1 != 0, data)
			p.Time = int64(b[5]) * 1e9
			b = b[6+n:]
			if out, ok := frags.add(&p, data); ok {
				if len(out) == 0 || len(out) > maxDatagram {
					t.Fatalf("a datagram of %d bytes", len(out))
				}
				p.Reassembled(out, len(out))
				if int(p.Payload+p.CapLen) > len(out) {
					t.Fatalf("%+v of %d bytes", p, len(out))
				}
			}
			checkPool(t, &frags.pool, func(yield func(*list)) {
				for i := frags.table.oldest; i != 0; i = frags.table.nodes[i].newer {
					yield(&frags.table.val(i).list)
				}
			})
		}
	})
}
