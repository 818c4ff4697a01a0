package dns

import (
	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/metric"
	"pktvisor/reassemble"
)

// startReassembly makes the reassemblers of messages. They wait for missing pieces for less time than a query waits for
// its response.
func (a *Analyzer) startReassembly() {
	wait := max(min(maxWait, a.cfg.Timeout/2), 1)
	a.streams = reassemble.NewStreams(reassemble.StreamsConfig{
		MaxFlows: streamFlows, MaxBytes: streamBytes, IdleNanos: streamIdle, WaitNanos: wait, Message: a.streamed,
	})
	a.fragments = reassemble.NewFragments(reassemble.FragmentsConfig{
		MaxBytes: fragmentBytes, WaitNanos: wait, Datagram: a.datagram,
	})
}

// streamed counts a message that came over TCP. It has the time of its first byte.
func (a *Analyzer) streamed(m *reassemble.Message) {
	p := &a.carrier
	p.Packet = decode.Packet{
		Time: m.Time, Src: m.Src, Dst: m.Dst, SrcPort: m.SrcPort, DstPort: m.DstPort,
		Flags: decode.FlagL4, Version: m.Version, Proto: decode.ProtoTCP,
	}
	p.Direction = analyze.Direction(m.Tag)
	a.room()
	a.message(p, m.Bytes, m.Size)
}

// fragment puts a fragment in its place, unless its datagram cannot be DNS.
func (a *Analyzer) fragment(p *analyze.Packet) {
	switch {
	case p.Version == 4 && p.FragProto != decode.ProtoUDP && p.FragProto != decode.ProtoTCP && p.FragProto != protoAH:
	case p.Flags&decode.FlagLaterFragment == 0 && a.isOther(p):
		a.fragments.Ignore(&p.Packet, p.Frame)
	default:
		a.fragments.Add(&p.Packet, p.Frame, uint8(p.Direction))
	}
}

// protoAH is the number of the authentication header, behind which there may be TCP or UDP (RFC 4302).
const protoAH = 51

// isOther reports whether a first fragment says that its datagram is not DNS.
func (a *Analyzer) isOther(p *analyze.Packet) bool {
	switch {
	case p.Flags&decode.FlagL4Malformed != 0:
		return false // its headers go on in the next fragment, or were cut off by the capture
	case p.Proto == decode.ProtoUDP || p.Proto == decode.ProtoTCP:
		return !a.ports.any(p.SrcPort, p.DstPort)
	}
	return true
}

// datagram counts the captured part of a datagram that came in fragments, as if it had come in one packet, at the time
// of the first fragment.
func (a *Analyzer) datagram(d *reassemble.Datagram) {
	p := &a.carrier
	p.Packet = decode.Packet{Time: d.Time, Src: d.Src, Dst: d.Dst, Version: d.Version, Proto: d.Proto}
	p.Packet.Reassembled(d.Bytes, d.Size)
	p.Direction, p.Frame = analyze.Direction(d.Tag), d.Bytes
	switch {
	case p.Flags&(decode.FlagL4|decode.FlagFragment) != decode.FlagL4 || !a.ports.any(p.SrcPort, p.DstPort):
	case p.Proto == decode.ProtoUDP:
		a.room()
		a.message(p, p.Content(), p.PayloadLen)
	default:
		segment := p.Packet
		a.streams.Add(&segment, p.Content(), d.Tag)
	}
}

// given is what reassembly gave up since the start.
type given struct{ gaps, tcpIncomplete, tcpEvicted, incomplete, headless, evicted uint64 }

// countGiven adds to the counters what reassembly has given up since the last flush.
func (a *Analyzer) countGiven() {
	st, f, last := a.streams.Stats(), a.fragments.Stats(), a.given
	now := given{
		gaps: st.Gaps + st.Lost + st.Evicted, tcpIncomplete: st.Incomplete, tcpEvicted: st.Evicted,
		incomplete: f.Incomplete, headless: f.Headless, evicted: f.Evicted,
	}
	c := &a.counters
	c.Gaps += metric.Counter(now.gaps - last.gaps)
	c.TCPIncomplete += metric.Counter(now.tcpIncomplete - last.tcpIncomplete)
	c.TCPEvicted += metric.Counter(now.tcpEvicted - last.tcpEvicted)
	c.FragIncomplete += metric.Counter(now.incomplete - last.incomplete)
	c.FragHeadless += metric.Counter(now.headless - last.headless)
	c.FragEvicted += metric.Counter(now.evicted - last.evicted)
	a.given = now
}
