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
	// lostTimeout is the same where the other side has acknowledged what is missing. It is
	// longer than segments overtake each other on their way to the capture.
	lostTimeout = 100e6
	// endTimeout is how long a message whose header is there waits for its end, unless
	// configured otherwise.
	endTimeout = 1e9
	// maxOld is how old a message can be, in nanoseconds, before [Streams.Oldest] no longer
	// answers for it.
	maxOld = holeTimeout + endTimeout
	// maxBack is how far the packets' time may go back, in nanoseconds, until the clock must
	// have been set back: more than frames are out of order.
	maxBack = 60e9

	maxMessage = 2 + 65535 // with its length
)

// StreamsConfig bounds Streams, which allocate MaxBytes and about 250 bytes a flow at once.
// Zero means the default.
type StreamsConfig struct {
	MaxFlows  int   // directions of connections followed at once; 16384
	MaxBytes  int   // held back for messages that are not whole, in bytes; 8 MiB, at least 192 KiB
	IdleNanos int64 // after which a direction is forgotten; 30 s
	WaitNanos int64 // how long a message whose header is there waits for its end; 1 s
	// Message is called with each message. It must not call the Streams.
	Message func(m *Message)
}

// Message is a DNS message that came over TCP.
type Message struct {
	Src, Dst         decode.Addr
	SrcPort, DstPort uint16
	Version          uint8 // of IP
	Tag              uint8 // see [Streams.Add]
	Time             int64 // when the first byte of its length was captured
	Size             uint32
	// Bytes are the message without its length, as far as they were captured: Size bytes, or
	// fewer and at least a header. They are valid during the call.
	Bytes []byte
}

// Streams reassembles DNS messages from TCP (RFC 1035, section 4.2.2; RFC 7766). The two
// directions of a connection are followed apart.
//
// Each message whose header was captured comes out once. It comes out whole if it can. It
// comes out by what there is if the capture has cut a segment, if a missing segment was given
// up, if its stream ends, or if its end does not come within the time to wait. Then the stream
// goes on behind it, where its length says, and bytes of it that come later are ignored.
//
// What arrives out of order is held back until what is missing comes. A missing segment is
// given up as lost by the capture after 3 s since it was the first that was missing, soon after
// the other side has acknowledged it, or when more is held back than a stream may.
//
// A direction whose SYN was seen starts with a message. One that was joined in the middle, or
// has lost its place because the start of a message was not captured, is picked up at a segment
// that looks like the start of one: a length, and a DNS header and question that could be. A
// segment in the middle of a message can look like that, with a chance of about one in a few
// thousand for random bytes; then lengths follow that are none, and the search starts again. A
// message that starts amid a segment is not found by it.
//
// A message that lies whole in one segment, in order, is not copied.
type Streams struct {
	cfg   StreamsConfig
	flows lru[stream]
	syns  lru[synSeen] // apart, so that a flood of SYNs does not push out streams
	pool  pool
	limit int   // pieces of a stream
	holes int   // streams with a hole
	now   int64 // the packets' time
	time  int64 // of the segment being worked on
	out   []byte
	msg   Message
	stats StreamsStats
}

// The queues of streams that wait.
const (
	queueEnd  = 1 + iota // for the end of a message whose header is there
	queueHole            // for a segment before those that are there
	queueLost            // for the same, acknowledged by the other side
)

// StreamsStats counts since the start.
type StreamsStats struct {
	Incomplete uint64 // messages given out without their end
	Gaps       uint64 // places in streams where bytes were missing for good and with them, perhaps, the start of a message
	Lost       uint64 // streams that went on with what cannot be a message
	Evicted    uint64 // streams given up for others, amid a message
}

type synSeen struct {
	next uint32
	time int64
}

// stream is a direction of a connection: its pieces from base on, of which the first have
// bytes, up to the piece tail, are without a hole. A void piece is always the last of these.
type stream struct {
	list
	tail  uint32
	base  uint32 // the sequence number of the next message; adrift, from where on one is looked for
	have  uint32
	start uint32 // the sequence number where it was picked up
	end   uint32 // that of FIN, with fin
	await uint32 // what it waits for, in its queue: the sequence number of a message, or of the end of a hole
	time  int64  // of the newest packet
	held  int64  // since when it has had pieces

	version, tag uint8
	joined       bool // its SYN was not seen
	fin          bool
	over         bool // the other side has reset the connection
	adrift       bool // where the next message starts is not known
	holed        bool // there are pieces behind a hole
	lost         bool // the other side acknowledged what is missing: it will not come again
	halved       bool // adrift, the last segment was a single byte: half
	half         uint8
}

func (st *stream) next() uint32 { return st.base + st.have }

// closed reports whether all is there up to FIN.
func (st *stream) closed() bool { return st.fin && int32(st.next()-st.end) >= 0 }

// opens reports whether a SYN, behind which the stream starts at seq, is the one that has
// opened the stream, and was sent again. After FIN or RST it opens another connection, whatever
// its sequence number (RFC 9293, section 3.6.1).
func (st *stream) opens(seq uint32) bool {
	if st.fin || st.over {
		return false
	}
	return st.start == seq || st.joined && st.start-seq <= maxMessage
}

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
	if cfg.WaitNanos <= 0 {
		cfg.WaitNanos = endTimeout
	}
	s := &Streams{
		cfg:   cfg,
		flows: newLRU[stream](cfg.MaxFlows),
		syns:  newLRU[synSeen](cfg.MaxFlows),
		pool:  newPool(max(cfg.MaxBytes, 192<<10) - maxMessage),
		out:   make([]byte, maxMessage),
	}
	s.limit = max(min(maxStreamPieces, s.pool.left()/4), minStreamPieces)
	return s
}

// Stats returns the counters.
func (s *Streams) Stats() StreamsStats { return s.stats }

// Add takes the TCP segment p, whose captured bytes are payload, and gives out the messages
// that become whole with it. Packets of other protocols and those without [decode.FlagL4] are
// ignored. The tag, whatever it means, comes with the messages of a stream that starts with p.
func (s *Streams) Add(p *decode.Packet, payload []byte, tag uint8) {
	const control = decode.TCPSyn | decode.TCPFin | decode.TCPRst
	if p.Proto != decode.ProtoTCP || p.Flags&decode.FlagL4 == 0 {
		return
	}
	s.clock(p.Time)
	s.time = p.Time
	if s.holes > 0 && p.TCPFlags&decode.TCPAck != 0 {
		s.acknowledged(p)
	}
	if p.PayloadLen == 0 && p.TCPFlags&control == 0 {
		return
	}
	s.expire()
	k := key{p.Src, p.Dst, uint64(p.SrcPort)<<16 | uint64(p.DstPort)}
	i := s.flows.find(k)
	if p.TCPFlags&decode.TCPRst != 0 {
		s.forget(k, i)
		if j := s.flows.find(reverse(p)); j != 0 {
			s.flows.val(j).over = true
		}
		return
	}
	seq := p.Seq
	if p.TCPFlags&decode.TCPSyn != 0 {
		seq++
		if i != 0 && s.flows.val(i).opens(seq) {
			return // perhaps without the data of fast open
		}
		s.syn(k, i, seq, p)
		i = 0
	}
	fin := p.TCPFlags&decode.TCPFin != 0
	switch {
	case p.PayloadLen > 0:
		i = s.stream(k, i, seq, p, payload, tag)
	case !fin:
		return
	case i == 0 || !s.near(i, seq):
		if j := s.syns.find(k); i == 0 && j != 0 && seq-s.syns.val(j).next-1 < maxAhead {
			s.stats.Gaps++ // nothing was captured of what the connection had
		}
		s.forget(k, i)
		return
	}
	if i == 0 {
		return
	}
	if st := s.flows.val(i); fin && !st.fin {
		st.fin, st.end = true, seq+p.PayloadLen
	}
	s.segment(i, seq, payload, p.PayloadLen-uint32(len(payload)))
}

// reverse is the key of the other direction.
func reverse(p *decode.Packet) key {
	return key{p.Dst, p.Src, uint64(p.DstPort)<<16 | uint64(p.SrcPort)}
}

// clock follows the packets' time, which goes back only where the clock was set back.
func (s *Streams) clock(now int64) {
	if now > s.now || now < s.now-maxBack {
		s.now = now
	}
}

// acknowledged sees whether p acknowledges what is missing from the other direction.
func (s *Streams) acknowledged(p *decode.Packet) {
	i := s.flows.find(reverse(p))
	if i == 0 {
		return
	}
	if st := s.flows.val(i); st.holed && !st.lost && int32(p.Ack-st.next()) > 0 {
		st.lost = true
		if s.flows.nodes[i].queue == queueHole {
			s.flows.enqueue(i, queueLost, s.now)
		}
	}
}

// syn notes where k's stream will start, of which i was the one before.
func (s *Streams) syn(k key, i, next uint32, p *decode.Packet) {
	if j := s.syns.find(k); i == 0 && j != 0 && s.syns.val(j).next == next {
		return // sent again
	}
	s.forget(k, i)
	if p.TCPFlags&decode.TCPAck == 0 {
		// What the other side sent belongs to an earlier connection, whose end was not captured.
		if j := s.flows.find(reverse(p)); j != 0 {
			s.finish(j)
		}
	}
	if s.syns.full() {
		s.syns.remove(s.syns.oldest)
	}
	*s.syns.val(s.syns.insert(k)) = synSeen{next, p.Time}
}

// near reports whether a segment at seq can belong to stream i.
func (s *Streams) near(i, seq uint32) bool {
	st := s.flows.val(i)
	d := int32(seq - st.next())
	return -maxAhead < d && d < maxAhead && !(st.closed() && d > 0)
}

// stream returns the stream that a segment of k belongs to, which is i where that is not 0.
// It returns 0 where the segment gives no hold to start at.
func (s *Streams) stream(k key, i, seq uint32, p *decode.Packet, payload []byte, tag uint8) uint32 {
	if i != 0 {
		if s.near(i, seq) {
			return i
		}
		s.forget(k, i) // another connection, whose SYN was not seen
	}
	next, joined := seq, true
	if j := s.syns.find(k); j != 0 && seq-s.syns.val(j).next < maxAhead {
		next, joined = s.syns.val(j).next, false
		s.syns.remove(j)
	} else if !plausible(payload, p.PayloadLen) && (len(payload) != 1 || p.PayloadLen != 1) {
		return 0
	}
	if s.flows.full() {
		s.evictOther(0)
	}
	i = s.flows.insert(k)
	st := s.flows.val(i)
	st.base, st.start, st.joined, st.adrift = next, next, joined, joined
	st.version, st.tag = p.Version, tag
	return i
}

// Tick gives out the messages that have waited too long for their end at the given time, and
// gives up what has been missing for too long.
func (s *Streams) Tick(now int64) {
	s.clock(now)
	for i := s.flows.due(queueEnd, now, s.cfg.WaitNanos); i != 0; i = s.flows.due(queueEnd, now, s.cfg.WaitNanos) {
		s.endMessage(i)
		s.advance(i)
		s.settle(i)
	}
	for i := s.flows.due(queueHole, now, holeTimeout); i != 0; i = s.flows.due(queueHole, now, holeTimeout) {
		s.giveUp(i)
		s.settle(i)
	}
	for i := s.flows.due(queueLost, now, lostTimeout); i != 0; i = s.flows.due(queueLost, now, lostTimeout) {
		s.giveUp(i)
		s.settle(i)
	}
	s.expire()
}

// Oldest returns a time before that of every message that may still come out of what is held
// back, at the latest now and at the earliest 4 s before.
func (s *Streams) Oldest(now int64) int64 {
	oldest := now
	for q := queueEnd; q <= queueLost; q++ {
		for i := s.flows.queues[q].first; i != 0; i = s.flows.nodes[i].after {
			oldest = min(oldest, s.flows.val(i).held)
		}
	}
	return max(oldest, now-maxOld)
}

// Finish gives out what there is of all messages, and forgets all streams.
func (s *Streams) Finish() {
	for i := s.flows.oldest; i != 0; i = s.flows.oldest {
		s.finish(i)
	}
	for i := s.syns.oldest; i != 0; i = s.syns.oldest {
		s.syns.remove(i)
	}
}

func (s *Streams) expire() {
	for i := s.flows.oldest; i != 0 && s.now-s.flows.val(i).time > s.cfg.IdleNanos; i = s.flows.oldest {
		s.finish(i)
	}
	for i := s.syns.oldest; i != 0 && s.now-s.syns.val(i).time > s.cfg.IdleNanos; i = s.syns.oldest {
		s.syns.remove(i)
	}
}

// evictOther ends the oldest stream but keep, and reports whether there was one.
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
	s.finish(i)
	return true
}

// forget ends all that is known of k, whose stream is i.
func (s *Streams) forget(k key, i uint32) {
	if i != 0 {
		s.finish(i)
	}
	if j := s.syns.find(k); j != 0 {
		s.syns.remove(j)
	}
}

// finish gives out what stream i holds, and ends it.
func (s *Streams) finish(i uint32) {
	for s.flows.val(i).first != 0 {
		s.giveUp(i)
	}
	st := s.flows.val(i)
	if st.holed {
		s.holes--
	}
	if st.fin && !st.adrift && int32(st.end-st.base) > 0 {
		s.stats.Gaps++ // before FIN
	}
	s.flows.remove(i)
}
