package reassemble

import (
	"testing"

	"pktvisor/decode"
)

const ms = int64(1e6)

// TestHolesAge: two segments are lost before a FIN, and each is sent again one time-out after the other.
func TestHolesAge(t *testing.T) {
	for _, rto := range []int64{200 * ms, 1000 * ms, 2900 * ms} {
		s, c := collectStreams(StreamsConfig{WaitNanos: 60e9}), newSender(1, 0)
		m := query(1, 5000)
		b := framed(m)
		c.add(s, 0, decode.TCPSyn, nil)
		c.add(s, 1, 0, b[:1000])
		c.add(s, 2001, 0, b[2000:3000])
		c.add(s, 4001, decode.TCPFin, b[4000:])
		for _, at := range []int{1000, 3000} {
			for range 5 {
				c.p.Time += rto / 5
				wantMessages(t, "while it waits", s.tick(c.p.Time))
			}
			got := c.add(s, uint32(1+at), 0, b[at:at+1000])
			if at == 3000 {
				wantMessages(t, "sent again", got, m)
			}
		}
		if st := s.Stats(); st.Gaps+st.Incomplete != 0 || s.holes != 0 {
			t.Errorf("%+v", st)
		}
	}
}

// TestHolesAgeAmidMessages is the same with holes that cover the starts of messages.
func TestHolesAgeAmidMessages(t *testing.T) {
	s, c := collectStreams(StreamsConfig{}), newSender(1, 0)
	c.add(s, 0, decode.TCPSyn, nil)
	m := func(id int) []byte { return query(id, 98) }
	c.add(s, 101, 0, framed(m(2)))
	c.add(s, 301, decode.TCPFin, framed(m(4)))
	c.p.Time = 2900 * ms
	wantMessages(t, "still", s.tick(c.p.Time))
	wantMessages(t, "the first", c.add(s, 1, 0, framed(m(1))), m(1), m(2))
	c.p.Time += 2900 * ms
	wantMessages(t, "still", s.tick(c.p.Time))
	wantMessages(t, "the other", c.add(s, 201, 0, framed(m(3))), m(3), m(4))
}

// TestEarly: the captured part of a message counts a second after its start, and does not count again when its end comes.
func TestEarly(t *testing.T) {
	s, c := collectStreams(StreamsConfig{}), newSender(1, 0)
	m, next := query(1, 600), query(2, 50)
	b := framed(m, next)
	c.p.Time = 500 * ms
	c.add(s, 0, decode.TCPSyn, nil)
	c.add(s, 1, 0, b[:100])
	if got := s.Oldest(900 * ms); got != 500*ms {
		t.Errorf("the oldest time is %d", got)
	}
	wantMessages(t, "in time", s.tick(1500*ms))
	wantMessages(t, "after a second", s.tick(1501*ms), m[:98])
	if s.times[0] != 500*ms || s.sizes[0] != 600 || s.Oldest(1501*ms) != 1501*ms {
		t.Errorf("at %d, %d bytes", s.times[0], s.sizes[0])
	}
	c.p.Time = 1600 * ms
	wantMessages(t, "its end, and the next", c.add(s, 101, 0, b[100:]), next)
	wantMessages(t, "again", c.add(s, 1, 0, b))
	if st := s.Stats(); st.Incomplete != 1 || st.Gaps != 0 || len(s.times) != 2 {
		t.Errorf("%+v", st)
	}
}

// TestSynAgain: a SYN on an open stream is a repetition of that stream's SYN. On a closed stream it opens another,
// whatever its sequence number.
func TestSynAgain(t *testing.T) {
	q := query(1, 40)
	client, server := newSender(4000, 0), newSender(53, 0)
	server.p.Src, server.p.Dst, server.p.DstPort = client.p.Dst, client.p.Src, 4000
	for name, end := range map[string]func(s *collector){
		"FIN": func(s *collector) { client.add(s, 143, decode.TCPFin, nil); server.add(s, 943, decode.TCPFin, nil) },
		"FIN with data": func(s *collector) {
			client.add(s, 101, decode.TCPFin, framed(q))
			server.add(s, 901, decode.TCPFin, framed(q))
		},
		"RST by the client, the server's FIN not captured": func(s *collector) { client.add(s, 143, decode.TCPRst, nil) },
		"RST by the server":         func(s *collector) { server.add(s, 943, decode.TCPRst, nil) },
		"only the client's FIN":     func(s *collector) { client.add(s, 143, decode.TCPFin, nil) },
		"FIN behind a lost segment": func(s *collector) { client.add(s, 200, decode.TCPFin, nil); server.add(s, 1000, decode.TCPFin, nil) },
	} {
		s := collectStreams(StreamsConfig{})
		for range 3 {
			client.p.TCPFlags = 0
			open := func() {
				syn := client.p
				syn.Seq, syn.TCPFlags, syn.PayloadLen, syn.CapLen = 100, decode.TCPSyn, 0, 0
				s.Add(&syn, nil, 0)
				server.add(s, 900, decode.TCPSyn, nil)
			}
			open()
			wantMessages(t, name+": query", client.add(s, 101, 0, framed(q)), q)
			wantMessages(t, name+": response", server.add(s, 901, 0, framed(q)), q)
			client.add(s, 100, decode.TCPSyn, nil) // sent again, with and without ACK
			wantMessages(t, name+": sent again", client.add(s, 101, 0, framed(q)))
			end(s)
		}
		if len(s.times) != 6 {
			t.Errorf("%s: %d messages", name, len(s.times))
		}
	}
}

// TestHalfALength: a message is found in the middle of a connection, even if the first byte of its length came alone.
func TestHalfALength(t *testing.T) {
	s, c := collectStreams(StreamsConfig{}), newSender(1, 0)
	b := framed(query(1, 50))
	c.add(s, 1000, 0, b[:1])
	wantMessages(t, "the rest", c.add(s, 1001, 0, b[1:]), b[2:])
	wantMessages(t, "the next", c.add(s, 1052, 0, b), b[2:])
}

// TestCutOutOfOrder: bytes that the capture cut off keep their place in the stream, in any order.
func TestCutOutOfOrder(t *testing.T) {
	s, c := collectStreams(StreamsConfig{}), newSender(1, 0)
	m := func(id int) []byte { return query(id, 300) }
	c.add(s, 0, decode.TCPSyn, nil)
	c.addCut(s, 303, 0, framed(m(2)), 40)
	c.addCut(s, 605, 0, framed(m(3)), 40)
	wantMessages(t, "the first", c.addCut(s, 1, 0, framed(m(1)), 40), m(1)[:38], m(2)[:38], m(3)[:38])
	// If a message starts among the bytes cut off, this is a gap.
	wantMessages(t, "cut", c.addCut(s, 907, 0, framed(m(4), m(5)), 40), m(4)[:38])
	wantMessages(t, "after it", c.add(s, 907+604, 0, framed(m(6))), m(6))
	if st := s.Stats(); st.Gaps != 1 || st.Incomplete != 4 || s.pool.used != 0 {
		t.Errorf("%+v", st)
	}
}

// TestSteps bounds the cost of any order of tiny segments and fragments: each steps over at most as many pieces as a
// stream or a datagram may have.
func TestSteps(t *testing.T) {
	const n = 8000
	for name, place := range map[string]func(i int) int{
		"forwards":  func(i int) int { return 2 * i },
		"backwards": func(i int) int { return 2 * (n - i) },
		"scattered": func(i int) int { return i * 4099 % n * 2 },
		"inwards":   func(i int) int { return 2*n*(i&1) + (1-2*(i&1))*i },
	} {
		s, c := collectStreams(StreamsConfig{}), newSender(1, 0)
		c.add(s, 0, decode.TCPSyn, nil)
		f := collectFragments(1 << 20)
		for i := range n {
			before := s.pool.steps
			c.add(s, uint32(100+place(i)), 0, []byte{0xee})
			if steps := s.pool.steps - before; steps > 2*maxStreamPieces {
				t.Fatalf("%s: %d steps for a segment", name, steps)
			}
			if s.pool.used > maxStreamPieces {
				t.Fatalf("%s: %d pieces", name, s.pool.used)
			}
			before = f.pool.steps
			p := fragment(4, 1, 8+place(i)%4000*8, true, make([]byte, 8))
			f.add(&p, make([]byte, 8))
			if steps := f.pool.steps - before; steps > maxFragmentPieces {
				t.Fatalf("%s: %d steps for a fragment", name, steps)
			}
		}
	}
}

// TestChains: keys that differ in fields that an attacker can choose do not make longer hash chains than others.
func TestChains(t *testing.T) {
	for name, of := range map[string]func(i int) key{
		"ports":     func(i int) key { return key{decode.AddrFrom4(1), decode.AddrFrom4(2), uint64(i)<<16 | 53} },
		"addresses": func(i int) key { return key{decode.AddrFrom4(uint32(i)), decode.AddrFrom4(2), 53} },
		"powers":    func(i int) key { return key{decode.Addr{Hi: uint64(i) << 40}, decode.Addr{Lo: uint64(i) << 14}, 53} },
	} {
		const n = 1 << 14
		l := newLRU[int](n)
		for i := range n {
			l.insert(of(i))
		}
		longest := 0
		for _, i := range l.heads {
			length := 0
			for ; i != 0; i = l.nodes[i].chain {
				length++
			}
			longest = max(longest, length)
		}
		if longest > 16 { // by the Poisson distribution with mean 1, the chance is below one in 10^9
			t.Errorf("%s: a chain of %d", name, longest)
		}
	}
}
