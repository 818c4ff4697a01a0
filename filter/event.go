package filter

import (
	"slices"
	"strconv"
	"strings"

	"pktvisor/analyze"
	"pktvisor/analyze/dns"
	"pktvisor/decode"
	"pktvisor/linktype"
)

// result is the result of a condition. All conditions together have the least of their results.
type result int8

const (
	no      result = iota - 1
	unknown        // the condition is about something that the event does not have
	yes
)

func resultOf(holds bool) result {
	if holds {
		return yes
	}
	return no
}

// event is a packet or a message, and what the conditions need to know of it.
type event struct {
	sieve *Sieve
	// message is nil for a packet.
	message *dns.Message
	lists   []int32 // of names that the message's name matches

	// packet is the packet, or that which completed the message. It is nil if there is none.
	packet    *analyze.Packet
	link      linktype.Type
	proto     uint8
	direction analyze.Direction
	// client and server of a message, and the direction of its transaction.
	client, server decode.Addr
	xact           analyze.Direction
	// remote is the address of the other side if the host is the one side.
	remote    decode.Addr
	hasRemote bool

	// paired says that the query of a response waits, and latency is the time since then, in nanoseconds.
	paired  bool
	latency int64
}

// ofMessage makes the event that of a message.
func (x *event) ofMessage(m *dns.Message) {
	s := x.sieve
	x.message, x.proto, x.direction, x.packet = m, m.Proto, m.Direction, nil
	if int(m.Packet) < len(s.packets) {
		x.packet, x.link = &s.packets[m.Packet], s.linkOf(int(m.Packet))
	}
	x.lists = nil
	if m.HasQuestion {
		x.lists = s.listsOf(m)
	}
	x.client, x.server, x.xact = m.Src, m.Dst, m.Direction
	if m.Response() {
		x.client, x.server = m.Dst, m.Src
		switch {
		case m.Direction == analyze.Egress:
			x.xact = analyze.Ingress
		case m.Direction == analyze.Ingress && s.hosts.Direction(x.client, x.server) == analyze.Egress:
			x.xact = analyze.Egress
		}
	}
	x.hasRemote = x.xact != analyze.Unknown
	if x.remote = x.client; x.xact == analyze.Egress {
		x.remote = x.server
	}
}

// ofPacket makes the event that of a packet of the group.
func (x *event) ofPacket(i int) {
	p := &x.sieve.packets[i]
	x.packet, x.link, x.proto, x.direction = p, x.sieve.linkOf(i), p.Proto, p.Direction
	x.hasRemote = p.Direction != analyze.Unknown
	if x.remote = p.Src; p.Direction == analyze.Egress {
		x.remote = p.Dst
	}
}

func (s *Sieve) linkOf(i int) linktype.Type {
	if i < len(s.links) {
		return s.links[i]
	}
	return linktype.Ethernet
}

// eval returns the result of all conditions of a nested filter.
func (n *node) eval(x *event) result {
	r := n.evalBoth(x)
	if r == no {
		return no
	}
	return min(r, n.evalRest(x))
}

// evalBoth returns the result of the conditions that a query and its response have in common.
func (n *node) evalBoth(x *event) result {
	r := yes
	if n.given&ofQuestion != 0 {
		if r = n.question(x); r == no {
			return no
		}
	}
	if n.given&keyTransport != 0 && !(n.udp && x.proto == decode.ProtoUDP || n.tcp && x.proto == decode.ProtoTCP) {
		return no
	}
	if n.given&keyXact != 0 && !n.xactDirections[x.xact] {
		return no
	}
	if n.given&keyClient != 0 && !within(&n.clients, x.client) {
		return no
	}
	if n.given&keyServer != 0 && !within(&n.servers, x.server) {
		return no
	}
	if n.given&ofRemote != 0 && !n.located(x) {
		return no
	}
	for i := range n.both {
		r = min(r, -n.both[i].eval(x))
	}
	return r
}

// question returns the result of the conditions on the question. A response without one may still belong to a query that has one.
func (n *node) question(x *event) result {
	if m := x.message; !m.HasQuestion {
		if m.Response() {
			return unknown
		}
		return no
	}
	return resultOf((n.qname < 0 || slices.Contains(x.lists, n.qname)) && (n.suffix < 0 || slices.Contains(x.lists, n.suffix)) &&
		(n.given&keyQtype == 0 || has(n.qtypes, x.message.QType)))
}

// located reports whether the remote address meets the conditions on its place and network. Without a remote address or without a
// Locator, it does not.
func (n *node) located(x *event) bool {
	if !x.hasRemote || n.locate == nil {
		return false
	}
	l := x.sieve.locate(n.locate, x.remote)
	return (n.given&keyPlace == 0 || beginsWithAny(l.place, n.places)) &&
		(n.given&keyASN == 0 || n.hasNetwork(l.network)) &&
		(n.given&keyUnknownPlace == 0 || l.place == "") &&
		(n.given&keyUnknownASN == 0 || l.network == "")
}

// hasNetwork reports whether the list of networks has that with the given name, which begins with its number.
func (n *node) hasNetwork(name string) bool {
	digits, _, _ := strings.Cut(name, "/")
	number, err := strconv.ParseUint(digits, 10, 32)
	return err == nil && has(n.asns, uint32(number))
}

// evalRest returns the result of the other conditions.
func (n *node) evalRest(x *event) result {
	r := yes
	if n.given&keyDirection != 0 && !n.directions[x.direction] {
		return no
	}
	if n.given&keyFrame != 0 {
		r = n.evalFrame(x)
	}
	if n.given&(ofMessages&^ofBoth) != 0 {
		r = min(r, n.evalMessage(x))
	}
	for i := range n.rest {
		if r == no {
			return no
		}
		r = min(r, -n.rest[i].eval(x))
	}
	return r
}

// evalFrame returns the result of a BPF expression. A message that no packet of the group has completed has no frame.
func (n *node) evalFrame(x *event) result {
	if x.packet == nil {
		return unknown
	}
	p := n.frame.program(x.link)
	return resultOf(p != nil && p.Match(x.packet.Frame, x.packet.WireLen))
}

// evalMessage returns the result of the conditions that differ between a query and its response.
func (n *node) evalMessage(x *event) result {
	m := x.message
	response := m.Response()
	if n.given&keyQueries != 0 && response || n.given&keyResponses != 0 && !response {
		return no
	}
	const ofResponses = keyRcode | keyNotRcode | keySigned | keyAnswers | keySlower
	if n.given&ofResponses == 0 {
		return yes
	}
	if !response {
		return unknown
	}
	if n.given&keyRcode != 0 && !has(n.rcodes, m.ExtRcode) || n.given&keyNotRcode != 0 && has(n.notRcodes, m.ExtRcode) ||
		n.given&keySigned != 0 && !m.Signed || n.given&keyAnswers != 0 && m.ANCount() != n.answers {
		return no
	}
	if n.given&keySlower == 0 {
		return yes
	}
	if !x.paired {
		return unknown
	}
	return resultOf(x.latency >= int64(n.slower))
}
