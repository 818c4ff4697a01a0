package reassemble

import "pktvisor/decode"

const (
	// maxStreamPieces bounds what one direction of a connection may hold back: the blocks of six messages of the
	// largest size, or as many segments out of order.
	maxStreamPieces = 256
	// minStreamPieces is the number of pieces that one message of the largest size needs.
	minStreamPieces = maxMessage/blockSize + 2
	// maxAhead is how far a segment may be from the expected one, in bytes, and still belong to the same
	// connection.
	maxAhead = 4 << 20
	// holeTimeout is how long a stream waits for a missing segment, in nanoseconds, before the segment counts as
	// lost by the capture. It is longer than TCP's first retransmissions take.
	holeTimeout = 3e9
	// lostTimeout is the same if the other side has acknowledged the missing bytes. It is longer than the delay
	// by which segments overtake each other on their way to the capture.
	lostTimeout = 100e6
	// endTimeout is the default for how long a message whose header has arrived waits for its end.
	endTimeout = 1e9
	// maxOld is the greatest age of a message, in nanoseconds, that [Streams.Oldest] accounts for.
	maxOld = holeTimeout + endTimeout
	// maxBack is how far the packets' clock may go back, in nanoseconds, before it counts as set back. It is more
	// than the disorder of frames.
	maxBack = 60e9

	maxMessage = 2 + 65535 // including the length field
)

// StreamsConfig bounds Streams, which allocates MaxBytes and about 250 bytes a flow at once. Zero means the default.
type StreamsConfig struct {
	MaxFlows  int   // directions of connections that are followed at once; 16384
	MaxBytes  int   // held back for messages that are not whole, in bytes; 8 MiB, at least 192 KiB
	IdleNanos int64 // idle time after which a direction is forgotten; 30 s
	WaitNanos int64 // how long a message whose header has arrived waits for its end; 1 s
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
	// Bytes are the message without its length field, as far as it was captured: Size bytes, or fewer but at
	// least a header. They are valid during the call.
	Bytes []byte
}

// Streams reassembles DNS messages from TCP (RFC 1035, section 4.2.2; RFC 7766). It follows the two directions of a
// connection separately.
//
// Each message whose header was captured is returned once. It is returned whole if possible. Otherwise its captured
// part is returned: when the capture has cut a segment, when a missing segment is given up, when its stream ends, or
// when its end does not come within the waiting time. Then the stream continues after the message, at the place that
// its length gives, and ignores bytes of the message that come later.
//
// Segments that arrive out of order are held back until the missing bytes come. A missing segment is given up as lost
// by the capture 3 s after it became the first one missing, soon after the other side has acknowledged it, or when
// the stream would hold back more than it may.
//
// A direction whose SYN was seen starts with a message. Two kinds of stream have no such start: one that was joined
// in the middle, and one that has lost its place because the start of a message was not captured. They continue at a
// segment that looks like the start of a message: a length, and a plausible DNS header and question. A segment in the
// middle of a message can look like that. For random bytes the chance is about one in a few thousand. Invalid lengths
// then follow, and the search starts again. The search does not find a message that starts in the middle of a
// segment.
//
// A message that is whole in one segment, in order, is not copied.
type Streams struct {
	cfg   StreamsConfig
	flows lru[stream]
	syns  lru[synSeen] // a separate table, so that a flood of SYNs does not evict streams
	pool  pool
	limit int   // pieces of a stream
	holes int   // streams with a hole
	now   int64 // the packets' clock
	time  int64 // of the current segment
	out   []byte
	msg   Message
	stats StreamsStats
}

// The queues of streams that wait.
const (
	queueEnd  = 1 + iota // for the end of a message whose header has arrived
	queueHole            // for a segment before those that have arrived
	queueLost            // for the same, acknowledged by the other side
)

// StreamsStats counts since the start.
type StreamsStats struct {
	Incomplete uint64 // messages returned without their end
	Gaps       uint64 // places in streams where bytes never came, perhaps including the start of a message
	Lost       uint64 // streams that continued with bytes that cannot be a message
	Evicted    uint64 // streams evicted for others in the middle of a message
}

type synSeen struct {
	next uint32
	time int64
}

// stream is a direction of a connection: its pieces from base on. The pieces up to tail, which hold bytes, have no
// hole between them. If one of these is void, it is the last.
type stream struct {
	list
	tail  uint32
	base  uint32 // the sequence number of the next message; if adrift, where the search for one begins
	have  uint32
	start uint32 // the sequence number at which it was picked up
	end   uint32 // the sequence number of FIN, if fin is set
	await uint32 // what it waits for in its queue: the sequence number of a message, or of the end of a hole
	time  int64  // of the newest packet
	held  int64  // when it last began to hold pieces

	version, tag uint8
	joined       bool // its SYN was not seen
	fin          bool
	over         bool // the other side has reset the connection
	adrift       bool // it is not known where the next message starts
	holed        bool // there are pieces behind a hole
	lost         bool // the other side acknowledged the missing bytes, so they will not come again
	halved       bool // adrift, and the last segment was the single byte half
	half         uint8
}

func (st *stream) next() uint32 { return st.base + st.have }

// closed reports whether the stream has all bytes up to FIN.
func (st *stream) closed() bool { return st.fin && int32(st.next()-st.end) >= 0 }

// opens reports whether a SYN, after which the stream starts at seq, is a repetition of the one that opened the
// stream. After FIN or RST, a SYN opens another connection, whatever its sequence number (RFC 9293, section 3.6.1).
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

// Add takes the TCP segment p, whose captured bytes are payload, and returns the messages that it completes. It
// ignores packets of other protocols and those without [decode.FlagL4]. If a stream starts with p, its messages get
// the tag, which Streams does not interpret.
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
			return // the data of TCP Fast Open may be lost
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
			s.stats.Gaps++ // none of the connection's data was captured
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

// reverse returns the key of the other direction.
func reverse(p *decode.Packet) key {
	return key{p.Dst, p.Src, uint64(p.DstPort)<<16 | uint64(p.SrcPort)}
}

// clock follows the packets' clock. It goes back only if that clock was set back.
func (s *Streams) clock(now int64) {
	if now > s.now || now < s.now-maxBack {
		s.now = now
	}
}

// acknowledged notes whether p acknowledges bytes that are missing from the other direction.
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

// syn notes where k's stream will start. i is the stream before it.
func (s *Streams) syn(k key, i, next uint32, p *decode.Packet) {
	if j := s.syns.find(k); i == 0 && j != 0 && s.syns.val(j).next == next {
		return // sent again
	}
	s.forget(k, i)
	if p.TCPFlags&decode.TCPAck == 0 {
		// What the other side has sent belongs to an earlier connection, whose end was not captured.
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

// stream returns the stream that a segment of k belongs to. This is i unless i is 0. It returns 0 if a stream cannot
// start at the segment.
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

// Tick returns the messages that have waited too long for their end at the given time, and gives up bytes that have
// been missing for too long.
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

// Oldest returns a time before that of every message that the held bytes may still produce. It is at most now, and at
// least 4 s before.
func (s *Streams) Oldest(now int64) int64 {
	oldest := now
	for q := queueEnd; q <= queueLost; q++ {
		for i := s.flows.queues[q].first; i != 0; i = s.flows.nodes[i].after {
			oldest = min(oldest, s.flows.val(i).held)
		}
	}
	return max(oldest, now-maxOld)
}

// Finish returns the available part of every message, and forgets all streams.
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

// evictOther ends the oldest stream other than keep, and reports whether there was one.
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

// forget removes all that is known about k, whose stream is i.
func (s *Streams) forget(k key, i uint32) {
	if i != 0 {
		s.finish(i)
	}
	if j := s.syns.find(k); j != 0 {
		s.syns.remove(j)
	}
}

// finish returns the messages that stream i holds, and ends it.
func (s *Streams) finish(i uint32) {
	for s.flows.val(i).first != 0 {
		s.giveUp(i)
	}
	st := s.flows.val(i)
	if st.holed {
		s.holes--
	}
	if st.fin && !st.adrift && int32(st.end-st.base) > 0 {
		s.stats.Gaps++ // bytes before FIN are missing
	}
	s.flows.remove(i)
}
