package dns

import (
	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/dnswire"
	"pktvisor/internal/seedhash"
	"pktvisor/reassemble"
)

// The times that reassembly waits, in nanoseconds.
const (
	streamIdle = 120e9
	// maxWait is the maximum time that a message whose header was captured waits for its other pieces. The time is shorter
	// if a query waits for less than twice maxWait.
	maxWait = 1e9
)

// ReaderConfig holds the settings of a [Reader].
type ReaderConfig struct {
	// Seed is for the hashes in the messages. All policies that take the messages use the same seed.
	Seed *seedhash.Seed
	// Ports are the ports on which the reader looks for DNS.
	Ports []uint16
	// Timeout is the shortest time that a query waits for its response in any policy, in nanoseconds.
	Timeout int64
	// Take takes the messages.
	Take Messages
	// Scale changes the sizes of reassembly: see [analyze.Scaled].
	Scale int
}

// Reader finds the DNS messages in the packets of one shard. It reassembles fragments and TCP streams, reads each message
// once for all policies, and delivers the messages in groups.
//
// Messages are in the order of the packets that complete them. A reader delivers all messages that the packets of a call
// complete during that call.
type Reader struct {
	seed      *seedhash.Seed
	ports     portSet
	take      Messages
	known     knownNames
	group     [analyze.GroupSize]Message
	n         uint // messages in group
	streams   *reassemble.Streams
	fragments *reassemble.Fragments
	unread    Unread // without the counts of streams and fragments
	whole     analyze.Packet

	packet     uint8 // see [Message.Packet]
	signatures bool  // whether to look for them
}

// Unread counts what came on a DNS port since the start and could not be read or reassembled.
type Unread struct {
	NotDNS, HeaderCut                         uint64
	Gaps, TCPIncomplete, TCPEvicted           uint64
	FragIncomplete, FragHeadless, FragEvicted uint64
}

// NewReader makes a reader.
func NewReader(cfg ReaderConfig) *Reader {
	r := &Reader{seed: cfg.Seed, ports: newPortSet(cfg.Ports), take: cfg.Take, packet: NoPacket}
	wait := max(min(maxWait, cfg.Timeout/2), 1)
	flows, streamBytes, fragmentBytes := readerSizes(cfg.Scale)
	r.streams = reassemble.NewStreams(reassemble.StreamsConfig{
		MaxFlows: flows, MaxBytes: streamBytes, IdleNanos: streamIdle, WaitNanos: wait, Message: r.streamed,
	})
	r.fragments = reassemble.NewFragments(reassemble.FragmentsConfig{
		MaxBytes: fragmentBytes, WaitNanos: wait, Datagram: r.datagram,
	})
	return r
}

// LookForSignatures makes the reader look for signatures in the answer sections of responses. This is a walk through the answers,
// so it is for readers whose messages go through a filter that needs it.
func (r *Reader) LookForSignatures(on bool) { r.signatures = on }

// Packets reads the messages of a group of packets.
// It is not inlined, because its loop needs all registers.
//
//go:noinline
func (r *Reader) Packets(group []analyze.Packet) {
	for i := range group {
		p := &group[i]
		r.packet = uint8(i)
		switch {
		case p.Flags&(decode.FlagL4|decode.FlagFragment) != decode.FlagL4:
			if p.Flags&decode.FlagFragment != 0 {
				r.fragment(p)
			}
		case !r.ports.hasAny(p.SrcPort, p.DstPort):
		case p.Proto == decode.ProtoUDP:
			r.udp(p, false)
		default:
			r.streams.Add(&p.Packet, p.Content(), uint8(p.Direction))
		}
	}
	r.packet = NoPacket
	r.hand()
}

// Tick delivers the captured part of each message whose other pieces are overdue at the given time (nanoseconds since the
// Unix epoch).
func (r *Reader) Tick(now int64) {
	r.fragments.Tick(now)
	r.streams.Tick(now)
	r.hand()
}

// Finish delivers the captured part of all messages that still wait for other pieces, and forgets all streams and fragments.
func (r *Reader) Finish() {
	r.fragments.Finish()
	r.streams.Finish()
	r.hand()
}

// Oldest returns a time, at most now. No message whose pieces still wait is older.
func (r *Reader) Oldest(now int64) int64 { return min(r.fragments.Oldest(now), r.streams.Oldest(now)) }

// Unread returns how much could not be read since the start.
func (r *Reader) Unread() Unread {
	u, s, f := r.unread, r.streams.Stats(), r.fragments.Stats()
	u.Gaps, u.TCPIncomplete, u.TCPEvicted = s.Gaps+s.Lost+s.Evicted, s.Incomplete, s.Evicted
	u.FragIncomplete, u.FragHeadless, u.FragEvicted = f.Incomplete, f.Headless, f.Evicted
	return u
}

// hand delivers the messages of the group. It is not inlined, so that the compiler inlines what is done for each message.
//
//go:noinline
func (r *Reader) hand() {
	if r.n > 0 {
		r.take.Messages(r.group[:r.n])
		r.n = 0
	}
}

// udp reads the message of a UDP datagram.
func (r *Reader) udp(p *analyze.Packet, reassembled bool) {
	m := &r.group[r.n%analyze.GroupSize]
	m.Time, m.Src, m.Dst, m.SrcPort, m.DstPort = p.Time, p.Src, p.Dst, p.SrcPort, p.DstPort
	m.Proto, m.Version, m.Direction, m.Reassembled = decode.ProtoUDP, p.Version, p.Direction, reassembled
	m.TTL, m.Packet = p.TTL, r.packet
	if r.read(m, p.Content(), p.PayloadLen) {
		r.keep()
	} else {
		r.short(p.PayloadLen)
	}
}

// streamed reads a message that came over TCP. It has the time of its first byte.
func (r *Reader) streamed(s *reassemble.Message) {
	m := &r.group[r.n%analyze.GroupSize]
	m.Carrier = Carrier{
		Time: s.Time, Src: s.Src, Dst: s.Dst, SrcPort: s.SrcPort, DstPort: s.DstPort,
		Proto: decode.ProtoTCP, Version: s.Version, Direction: analyze.Direction(s.Tag), Reassembled: true,
	}
	m.TTL, m.Packet = 0, r.packet
	if r.read(m, s.Bytes, s.Size) { // always true, because a stream emits at least a whole header
		r.keep()
	}
}

// keep keeps the message that was read. If the group is then full, keep delivers it, so that there is space for the next
// message.
func (r *Reader) keep() {
	if r.n++; r.n == analyze.GroupSize {
		r.hand()
	}
}

// short counts a payload of the given size that was captured without a whole DNS header.
func (r *Reader) short(size uint32) {
	switch {
	case size >= dnswire.HeaderLen:
		r.unread.HeaderCut++
	case size > 0:
		r.unread.NotDNS++
	}
}

// fragment passes a fragment to the reassembly, unless its datagram cannot be DNS.
func (r *Reader) fragment(p *analyze.Packet) {
	switch {
	case p.Version == 4 && p.FragProto != decode.ProtoUDP && p.FragProto != decode.ProtoTCP && p.FragProto != protoAH:
	case p.Flags&decode.FlagLaterFragment == 0 && r.isOther(p):
		r.fragments.Ignore(&p.Packet, p.Frame)
	default:
		r.fragments.Add(&p.Packet, p.Frame, uint8(p.Direction))
	}
}

// protoAH is the number of the authentication header. TCP or UDP may follow it (RFC 4302).
const protoAH = 51

// isOther reports whether a first fragment shows that its datagram is not DNS.
func (r *Reader) isOther(p *analyze.Packet) bool {
	switch {
	case p.Flags&decode.FlagL4Malformed != 0:
		return false // the rest of its headers is in the next fragment, or the capture cut them off
	case p.Proto == decode.ProtoUDP || p.Proto == decode.ProtoTCP:
		return !r.ports.hasAny(p.SrcPort, p.DstPort)
	}
	return true
}

// datagram reads the captured part of a datagram that came in fragments. It treats the datagram as one packet that came at the
// time of the first fragment.
func (r *Reader) datagram(d *reassemble.Datagram) {
	p := &r.whole
	p.Packet = decode.Packet{Time: d.Time, Src: d.Src, Dst: d.Dst, Version: d.Version, Proto: d.Proto}
	p.Packet.Reassembled(d.Bytes, d.Size)
	p.Direction, p.Frame = analyze.Direction(d.Tag), d.Bytes
	switch {
	case p.Flags&(decode.FlagL4|decode.FlagFragment) != decode.FlagL4 || !r.ports.hasAny(p.SrcPort, p.DstPort):
	case p.Proto == decode.ProtoUDP:
		r.udp(p, true)
	default:
		segment := p.Packet
		r.streams.Add(&segment, p.Content(), d.Tag)
	}
}
