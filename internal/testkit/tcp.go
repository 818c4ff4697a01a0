package testkit

// maxTCPFrames is an upper bound of the frames in a TCP conversation: 6 for its start and end, and in each direction
// 4 random cuts, 7 full segments, one segment sent again and an ACK.
const maxTCPFrames = 48

const maxSegment = 1380

// tcpScript is a TCP conversation while it is made. It is reused for the next one.
type tcpScript struct {
	e        endpoints
	isn      [2]uint32 // next sequence number of the client, the server
	queries  []dnsFacts
	replies  []dnsFacts
	stream   []byte // the bytes that one side sends
	ends     []int  // the offsets where its messages end
	segments []segment
	order    []int // the order in which the segments are sent
	arrived  []bool
}

// segment is a part of a stream, and the time when it was first sent.
type segment struct {
	off, n int
	at     int64
}

// tcpConversation makes a connection: handshake, queries sent back to back with their responses, and close. Now and
// then it is reset or left open.
func (g *generator) tcpConversation(at int64) {
	s := &g.tcp
	s.e = g.endpoints()
	s.isn = [2]uint32{g.rng.Uint32(), g.rng.Uint32()}
	rtt := g.micros(5000)
	g.tcpFrame(at, false, TCPSyn, nil)
	g.tcpFrame(at+rtt, true, TCPSyn|TCPAck, nil)
	g.tcpFrame(at+2*rtt, false, TCPAck, nil)
	at += 2*rtt + g.micros(100)

	s.queries, s.replies = s.queries[:0], s.replies[:0]
	n := 1
	if g.rng.IntN(3) == 0 {
		n = 2 + g.rng.IntN(5)
	}
	id := s.e.id
	for range n {
		q := g.query(&s.e)
		q.noReply = g.chance(g.cfg.UnansweredShare)
		s.queries = append(s.queries, q)
		s.e.id += 257
	}
	s.e.id = id
	at = g.tcpStream(at, false, s.queries)
	g.tcpFrame(at, true, TCPAck, nil)

	for _, q := range s.queries {
		if !q.noReply {
			s.replies = append(s.replies, g.response(q))
		}
	}
	if len(s.replies) > 1 && g.rng.IntN(3) == 0 { // responses may come in any order, RFC 7766 section 7
		last := len(s.replies) - 1
		s.replies[0], s.replies[last] = s.replies[last], s.replies[0]
	}
	if len(s.replies) > 0 {
		at = g.tcpStream(at+g.latency(s.e.in), true, s.replies)
		g.tcpFrame(at, false, TCPAck, nil)
	}
	switch g.rng.IntN(10) {
	case 0: // left open
	case 1:
		g.tcpFrame(at+g.micros(500), false, TCPRst|TCPAck, nil)
	default:
		g.tcpFrame(at+rtt, false, TCPFin|TCPAck, nil)
		g.tcpFrame(at+2*rtt, true, TCPFin|TCPAck, nil)
		g.tcpFrame(at+3*rtt, false, TCPAck, nil)
	}
}

// tcpStream sends messages, each after its length (RFC 1035 section 4.2.2), in segments that are cut anywhere. It
// records when the first byte of each message's length was first sent, also in queryAt if the message is a query. It
// returns a time after the last frame.
func (g *generator) tcpStream(at int64, fromServer bool, msgs []dnsFacts) int64 {
	s := &g.tcp
	s.stream, s.ends = s.stream[:0], s.ends[:0]
	for i := range msgs {
		start := len(s.stream)
		s.stream = g.appendMessage(append(s.stream, 0, 0), &msgs[i])
		s.stream[start], s.stream[start+1] = byte(msgs[i].bytes>>8), byte(msgs[i].bytes)
		s.ends = append(s.ends, len(s.stream))
	}
	g.cut()
	complete := 0 // messages
	side := 0
	if fromServer {
		side = 1
	}
	base := s.isn[side]
	for _, i := range s.order {
		seg := s.segments[i]
		if !s.arrived[i] {
			s.arrived[i], s.segments[i].at = true, at
		}
		s.isn[side] = base + uint32(seg.off)
		f := g.tcpFrame(at, fromServer, TCPAck|TCPPsh, s.stream[seg.off:seg.off+seg.n])
		for have := s.prefix(); complete < len(msgs) && s.ends[complete] <= have; complete++ {
			m := &msgs[complete]
			m.at = s.sent(s.ends[complete] - 2 - int(m.bytes))
			if m.reply {
				m.queryAt = g.queriedAt(m.id)
			} else {
				m.queryAt = m.at
			}
			f.note.dns = append(f.note.dns, *m)
		}
		at += g.micros(80)
	}
	s.isn[side] = base + uint32(len(s.stream))
	return at
}

// sent returns when the byte at an offset was first sent.
func (s *tcpScript) sent(off int) int64 {
	for _, seg := range s.segments {
		if off < seg.off+seg.n {
			return seg.at
		}
	}
	return 0
}

// queriedAt returns when the query with an ID began.
func (g *generator) queriedAt(id uint16) int64 {
	for i := range g.tcp.queries {
		if q := &g.tcp.queries[i]; q.id == id {
			return q.queryAt
		}
	}
	return 0
}

// cut divides the stream into segments and decides the order in which they are sent.
func (g *generator) cut() {
	s := &g.tcp
	s.segments, s.order, s.arrived = s.segments[:0], s.order[:0], s.arrived[:0]
	for off, cuts := 0, 0; off < len(s.stream); {
		n := min(len(s.stream)-off, maxSegment)
		if cuts < 4 && n > 2 && g.rng.IntN(4) == 0 {
			n = 1 + g.rng.IntN(n-1)
			cuts++
		}
		s.order = append(s.order, len(s.segments))
		s.segments = append(s.segments, segment{off: off, n: n})
		s.arrived = append(s.arrived, false)
		off += n
	}
	if n := len(s.order); n > 1 && g.chance(g.cfg.TCPDisorderShare) {
		i := g.rng.IntN(n - 1)
		s.order[i], s.order[i+1] = s.order[i+1], s.order[i]
	}
	if g.chance(g.cfg.TCPDisorderShare) {
		s.order = append(s.order, g.rng.IntN(len(s.segments)))
	}
}

// prefix returns how many bytes from the stream's start have arrived without a gap.
func (s *tcpScript) prefix() int {
	n := 0
	for i, ok := range s.arrived {
		if !ok {
			break
		}
		n = s.segments[i].off + s.segments[i].n
	}
	return n
}

// tcpFrame sends a segment of one side. It advances the sequence number for SYN and FIN. The caller advances it for
// the payload.
func (g *generator) tcpFrame(at int64, fromServer bool, flags uint8, payload []byte) *frame {
	s := &g.tcp
	p := Packet{Src: s.e.client, Dst: s.e.server, Proto: ProtoTCP, SrcPort: s.e.clientPort, DstPort: 53,
		Seq: s.isn[0], Ack: s.isn[1], Flags: flags, Payload: payload}
	own := &s.isn[0]
	if fromServer {
		p.Src, p.Dst, p.SrcPort, p.DstPort, p.Seq, p.Ack = p.Dst, p.Src, p.DstPort, p.SrcPort, p.Ack, p.Seq
		own = &s.isn[1]
	}
	if flags&TCPAck == 0 {
		p.Ack = 0
	}
	f := g.push(at)
	f.b = p.AppendFrame(f.b)
	f.note = note{v6: s.e.v6(), proto: ProtoTCP, flags: flags, dir: s.e.direction(fromServer), peer: s.e.peer, dns: f.note.dns}
	if flags&(TCPSyn|TCPFin) != 0 {
		*own++
	}
	return f
}
