package reassemble

import "pktvisor/decode"

const (
	// maxStreamPieces bounds what one direction of a connection may hold back: the blocks of
	// six messages of the largest size, or as many segments out of order.
	maxStreamPieces = 256
	// minStreamPieces is what one message of the largest size needs.
	minStreamPieces = maxMessage/blockSize + 2
	// maxAhead is how far a segment may lie from the expected one, in bytes, to belong to
	// the same connection.
	maxAhead = 4 << 20
	// holeTimeout is how long a missing segment is waited for, in nanoseconds, before it is
	// taken as lost by the capture: longer than TCP's first retransmissions take.
	holeTimeout = 3e9
	// finTimeout is the same where the stream was closed behind the missing segment: a sender
	// that still had to send it again would seldom have closed. It is longer than segments
	// overtake each other.
	finTimeout = 100e6

	maxMessage = 2 + 65535 // with its length
)

// StreamsConfig bounds Streams, which allocate MaxBytes and about 220 bytes a flow at once.
// Zero means the default.
type StreamsConfig struct {
	MaxFlows  int   // directions of connections followed at once; 16384
	MaxBytes  int   // held back for messages that are not whole, in bytes; 8 MiB, at least 192 KiB
	IdleNanos int64 // after which a direction is forgotten; 30 s
}

// Streams reassembles DNS messages from TCP (RFC 1035, section 4.2.2; RFC 7766). The two
// directions of a connection are followed apart.
//
// What arrives out of order is held back until what is missing comes. It is given up as lost
// by the capture when the other side has acknowledged it, after 3 s, behind FIN, or when more
// is held back than a stream may.
//
// A direction whose SYN was seen starts with a message. One that was joined in the middle, or
// lost its place because the capture lost segments, is picked up at a segment that looks like
// the start of a message: a length, and a DNS header and question that could be. A segment in
// the middle of a message can look like that, with a chance of about one in a few thousand for
// random bytes; then lengths follow that are none, and the search starts again. A message
// that starts amid a segment is not found by it.
//
// For each segment call [Streams.Add], and then [Streams.Next] until it reports false, before
// the payload's memory is used again. A message that lies whole in one segment, in order, is
// not copied.
type Streams struct {
	flows lru[stream]
	syns  lru[synSeen] // apart, so that a flood of SYNs does not push out streams
	pool  pool
	limit int // pieces of a stream
	idle  int64
	holes int // streams with a hole
	out   []byte
	stats StreamsStats

	// The segment being worked on: its stream, or 0; what of its bytes was not looked at yet,
	// the first being the stream's next; and whether the capture cut off the bytes behind them.
	cur  uint32
	rest []byte
	cut  bool
}

// StreamsStats counts since the start.
type StreamsStats struct {
	Messages uint64
	Gaps     uint64 // places in streams where bytes were missing for good
	Lost     uint64 // streams that went on with what cannot be a message
	Expired  uint64 // streams never closed and idle
	Evicted  uint64 // streams given up for others, amid a message
	Open     int    // streams now, with those that were closed within the idle time
}

type synSeen struct {
	next uint32
	time int64
}

// stream is a direction of a connection: its pieces from base on, of which the first have
// bytes, up to the piece tail, are without a hole.
type stream struct {
	list
	tail uint32
	base uint32 // the sequence number of the message being waited for
	have uint32
	end  uint32 // the sequence number of FIN, with fin
	fin  bool
	time int64 // of the newest packet

	holed bool  // there are pieces behind a hole
	lost  bool  // the other side acknowledged what is missing: it will not come again
	hole  int64 // since when there is a hole
}

func (st *stream) next() uint32 { return st.base + st.have }

// closed reports whether all is there up to FIN.
func (st *stream) closed() bool { return st.fin && int32(st.next()-st.end) >= 0 }

// NewStreams returns Streams within cfg's bounds.
func NewStreams(cfg StreamsConfig) *Streams {
	if cfg.MaxFlows <= 0 {
		cfg.MaxFlows = 16384
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 8 << 20
	}
	if cfg.IdleNanos <= 0 {
		cfg.IdleNanos = 30e9
	}
	s := &Streams{
		flows: newLRU[stream](cfg.MaxFlows),
		syns:  newLRU[synSeen](cfg.MaxFlows),
		pool:  newPool(max(cfg.MaxBytes, 192<<10) - maxMessage),
		idle:  cfg.IdleNanos,
		out:   make([]byte, maxMessage),
	}
	s.limit = max(min(maxStreamPieces, s.pool.left()/4), minStreamPieces)
	return s
}

// Stats returns the counters.
func (s *Streams) Stats() StreamsStats {
	st := s.stats
	st.Open = s.flows.count
	return st
}

// Add takes the TCP segment p, whose captured bytes are payload. Packets of other protocols
// and those without [decode.FlagL4] are ignored.
func (s *Streams) Add(p *decode.Packet, payload []byte) {
	for s.cur != 0 { // the caller left messages behind
		s.Next()
	}
	const control = decode.TCPSyn | decode.TCPFin | decode.TCPRst
	if p.Proto != decode.ProtoTCP || p.Flags&decode.FlagL4 == 0 {
		return
	}
	if s.holes > 0 && p.TCPFlags&decode.TCPAck != 0 {
		s.acknowledged(p)
	}
	if len(payload) == 0 && p.TCPFlags&control == 0 {
		return
	}
	s.expire(p.Time)
	k := key{p.Src, p.Dst, uint64(p.SrcPort)<<16 | uint64(p.DstPort)}
	i := s.flows.find(k)
	if p.TCPFlags&decode.TCPRst != 0 {
		s.forget(k, i)
		return
	}
	seq := p.Seq
	if p.TCPFlags&decode.TCPSyn != 0 {
		seq++
		if i != 0 && s.flows.val(i).next()-seq <= maxMessage {
			return // sent again, perhaps without the data of fast open
		}
		s.forget(k, i)
		i = 0
		s.syn(k, seq, p.Time)
	}
	fin := p.TCPFlags&decode.TCPFin != 0
	switch {
	case len(payload) > 0:
		i = s.stream(k, i, seq, payload, p.Time)
	case !fin:
		return
	case i == 0:
		s.forget(k, i)
	}
	if i == 0 {
		return
	}
	if st := s.flows.val(i); fin && !st.fin {
		st.fin, st.end = true, seq+p.PayloadLen
	}
	s.segment(i, seq, payload, p)
}

// acknowledged looks whether p acknowledges what is missing from the other direction.
func (s *Streams) acknowledged(p *decode.Packet) {
	i := s.flows.find(key{p.Dst, p.Src, uint64(p.DstPort)<<16 | uint64(p.SrcPort)})
	if i == 0 {
		return
	}
	if st := s.flows.val(i); st.holed && int32(p.Ack-st.next()) > 0 {
		st.lost = true
	}
}

// syn notes where k's stream will start.
func (s *Streams) syn(k key, next uint32, now int64) {
	if s.syns.full() {
		s.syns.remove(s.syns.oldest)
	}
	*s.syns.val(s.syns.insert(k)) = synSeen{next, now}
}

// stream returns the stream that a segment of k belongs to, which is i where that is not 0.
// It returns 0 where the segment gives no hold to start at.
func (s *Streams) stream(k key, i, seq uint32, payload []byte, now int64) uint32 {
	if i != 0 {
		st := s.flows.val(i)
		if d := int32(seq - st.next()); -maxAhead < d && d < maxAhead && !(st.closed() && d > 0) {
			return i
		}
		// Another connection, whose SYN was not seen.
		s.forget(k, i)
	}
	next := seq
	if j := s.syns.find(k); j != 0 && seq-s.syns.val(j).next < maxAhead {
		next = s.syns.val(j).next
		s.syns.remove(j)
	} else if !plausible(payload) {
		return 0
	}
	if s.flows.full() {
		s.evictOther(0)
	}
	i = s.flows.insert(k)
	st := s.flows.val(i)
	st.base, st.time = next, now
	return i
}

// segment puts a segment's bytes where they belong in stream i, and makes it the current one.
func (s *Streams) segment(i, seq uint32, payload []byte, p *decode.Packet) {
	st := s.flows.val(i)
	st.time = p.Time
	s.flows.touch(i)
	s.cur = i
	next := st.next()
	if d := int32(next - seq); d > 0 { // seen before, or a keep-alive's byte
		payload, seq = payload[min(int(d), len(payload)):], next
	}
	if len(payload) == 0 {
		return
	}
	if seq == next {
		s.cut = p.CapLen < p.PayloadLen
		if st.first == 0 {
			s.rest = payload
			return
		}
	}
	s.store(i, seq, payload)
}

// store keeps bytes that cannot be given out yet.
func (s *Streams) store(i, seq uint32, b []byte) {
	for s.pool.left() < len(b)/blockSize+2 && s.evictOther(i) {
	}
	st := s.flows.val(i)
	inOrder := seq == st.next()
	_, fits := s.pool.insert(&st.list, st.tail, seq, b, inOrder, s.limit)
	s.extend(st)
	switch {
	case !st.holed && !fits:
		s.lose(i)
	case st.holed && (!fits || !inOrder && (st.lost || st.time-st.hole > holeTimeout)):
		s.resync(i)
	}
}

// extend counts in the pieces that now join on to the bytes without a hole, and sees whether
// there are others.
func (s *Streams) extend(st *stream) {
	c := st.first
	if st.tail != 0 {
		st.have = s.pool.pieces[st.tail].end() - st.base
		c = s.pool.pieces[st.tail].next
	}
	for c != 0 && s.pool.pieces[c].pos == st.next() {
		st.have += uint32(s.pool.pieces[c].n)
		st.tail = c
		c = s.pool.pieces[c].next
	}
	switch {
	case c != 0 && !st.holed:
		st.holed, st.lost, st.hole = true, false, st.time
		s.holes++
	case c == 0 && st.holed:
		st.holed = false
		s.holes--
	}
}

// resync gives up what is missing from stream i, and goes on at the next segment kept that
// looks like the start of a message.
func (s *Streams) resync(i uint32) {
	st := s.flows.val(i)
	s.stats.Gaps++
	for st.tail != 0 {
		last := st.first == st.tail
		s.pool.pop(&st.list)
		if last {
			st.tail = 0
		}
	}
	for st.first != 0 {
		c := &s.pool.pieces[st.first]
		if c.start && plausible(s.pool.bytes(st.first)) {
			st.base, st.have = c.pos, 0
			st.hole, st.lost = st.time, false // if there is another hole
			s.extend(st)
			return
		}
		s.pool.pop(&st.list)
	}
	s.drop(i)
}

// Next returns the next DNS message, without its length, that became whole with the segment
// last added. It is valid until the next call of Next or Add.
func (s *Streams) Next() (msg []byte, ok bool) {
	for s.cur != 0 {
		st := s.flows.val(s.cur)
		if s.rest != nil {
			if msg, ok := s.nextWhole(st); ok {
				return msg, true
			}
		} else if msg, ok := s.nextKept(st); ok {
			return msg, true
		}
	}
	return nil, false
}

// nextWhole takes a message from the segment itself; what is left over goes into the stream.
func (s *Streams) nextWhole(st *stream) (msg []byte, ok bool) {
	b := s.rest
	if len(b) >= 2 {
		n := int(be16(b))
		if n < minMessage {
			s.lose(s.cur)
			return nil, false
		}
		if len(b) >= 2+n {
			s.rest = b[2+n:]
			st.base += uint32(2 + n)
			s.stats.Messages++
			return b[2 : 2+n : 2+n], true
		}
	}
	s.rest = nil
	if len(b) > 0 {
		s.store(s.cur, st.base, b)
	}
	return nil, false
}

// nextKept takes a message from what the stream kept. Where there is none, the work on the
// segment is done.
func (s *Streams) nextKept(st *stream) (msg []byte, ok bool) {
	if st.have >= 2 {
		b := s.pool.bytes(st.first)
		n := int(b[0]) << 8
		if len(b) > 1 {
			n |= int(b[1])
		} else {
			n |= int(s.pool.bytes(s.pool.pieces[st.first].next)[0])
		}
		if n < minMessage {
			s.lose(s.cur)
			return nil, false
		}
		if int(st.have) >= 2+n {
			s.take(st, s.out[:2+n])
			s.stats.Messages++
			return s.out[2 : 2+n : 2+n], true
		}
	}
	s.finish(st)
	return nil, false
}

// finish ends the work on a segment of st, the current stream, which has no whole message
// left, unless it finds that there is more behind a hole.
func (s *Streams) finish(st *stream) {
	switch {
	case st.holed:
		if s.cut || st.fin && (st.lost || st.time-st.hole > finTimeout) {
			s.cut = false
			s.resync(s.cur)
			return
		}
	case s.cut:
		s.stats.Gaps++
		s.drop(s.cur)
		return
	case st.closed():
		// Stay, so that a segment sent again is not taken for a new connection's.
		if st.have > 0 {
			s.stats.Gaps++
			s.pool.clear(&st.list)
			st.base, st.have, st.tail = st.next(), 0, 0
		}
	}
	s.cur, s.cut = 0, false
}

// take moves the first bytes of st to b.
func (s *Streams) take(st *stream, b []byte) {
	st.base += uint32(len(b))
	st.have -= uint32(len(b))
	for len(b) > 0 {
		c := &s.pool.pieces[st.first]
		n := copy(b, s.pool.bytes(st.first))
		b = b[n:]
		if n < int(c.n) {
			c.pos, c.off, c.n, c.start = c.pos+uint32(n), c.off+uint16(n), c.n-uint16(n), false
			break
		}
		if st.first == st.tail {
			st.tail = 0
		}
		s.pool.pop(&st.list)
	}
}

// lose drops a stream that cannot be DNS, or that has lost its place.
func (s *Streams) lose(i uint32) {
	s.stats.Lost++
	s.drop(i)
}

func (s *Streams) expire(now int64) {
	for i := s.flows.oldest; i != 0 && now-s.flows.val(i).time > s.idle; i = s.flows.oldest {
		if !s.flows.val(i).closed() {
			s.stats.Expired++
		}
		s.drop(i)
	}
	for i := s.syns.oldest; i != 0 && now-s.syns.val(i).time > s.idle; i = s.syns.oldest {
		s.syns.remove(i)
	}
}

// evictOther drops the oldest stream but keep, and reports whether there was one.
func (s *Streams) evictOther(keep uint32) bool {
	i := s.flows.oldest
	if i != 0 && i == keep {
		i = s.flows.nodes[i].newer
	}
	if i == 0 {
		return false
	}
	if s.flows.val(i).first != 0 {
		s.stats.Evicted++
	}
	s.drop(i)
	return true
}

// forget drops all that is known of k, whose stream is i.
func (s *Streams) forget(k key, i uint32) {
	if i != 0 {
		s.drop(i)
	}
	if j := s.syns.find(k); j != 0 {
		s.syns.remove(j)
	}
}

func (s *Streams) drop(i uint32) {
	if s.flows.val(i).holed {
		s.holes--
	}
	s.pool.clear(&s.flows.val(i).list)
	s.flows.remove(i)
	if s.cur == i {
		s.cur, s.rest, s.cut = 0, nil, false
	}
}
