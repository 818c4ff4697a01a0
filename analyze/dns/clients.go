package dns

import (
	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/dnswire"
	"pktvisor/sketch"
)

// client holds the counts of a client since the last flush. It fills one line of the CPU's cache.
//
// The client of a message is the sender of a query or the receiver of a response. These are the clients of the host and those
// of messages without direction. What the host asks others does not count: its direction is out.
type client struct {
	addr      decode.Addr
	messages  uint32 // queries
	timeouts  uint32
	nxDomain  uint32       // responses
	asked     sketch.Asked // over UDP
	responses uint64       // bytes over UDP, see amount
}

// clients is the tally of clients. It is nil if no metric needs them.
type clients struct {
	*analyze.Tally[client]
	prefixes *analyze.Tally[client] // during a flush: the sums by prefix
	addrs    []decode.Addr          // of waiting queries that are older than the last flush, by their position
}

func newClients(s sizes, w wanted) clients {
	if !w.anyClient() {
		return clients{}
	}
	return clients{Tally: analyze.NewTally[client](s.clients), prefixes: analyze.NewTally[client](s.clients)}
}

// full reports whether the tally may lack space for the clients of the given number of groups.
func (c *clients) full(groups int) bool { return c.Tally != nil && c.Tally.Full(groups*spareNames) }

// reserve makes space for the addresses of n waiting queries.
func (c *clients) reserve(n int) {
	if c.Tally != nil && len(c.addrs) < n {
		c.addrs = append(make([]decode.Addr, 0, n), c.addrs...)[:n]
	}
}

// prefixLen returns the number of bits of the prefix by which a client is summed up.
func prefixLen(a decode.Addr) int {
	if a.Is4() {
		return 24
	}
	return 48
}

// prefixOf returns the address with all bits behind the client's prefix cleared.
func prefixOf(a decode.Addr) decode.Addr {
	if a.Is4() {
		return decode.Addr{Hi: a.Hi, Lo: a.Lo &^ 0xff}
	}
	return decode.Addr{Hi: a.Hi &^ 0xffff}
}

// client returns the entry of a client, and its position.
func (a *Analyzer) client(addr decode.Addr) (*client, uint32) {
	e, at, fresh := a.clients.At(a.cfg.Seed.Addr(addr))
	if fresh {
		e.addr = addr
	}
	return e, at
}

// asks counts a query at its client and returns the position of the client. It returns 0 if there is no tally of clients.
func (a *Analyzer) asks(m *Message) uint32 {
	if a.clients.Tally == nil || m.Direction == analyze.Egress {
		return 0
	}
	e, at := a.client(m.Src)
	e.messages++
	if m.Proto == decode.ProtoUDP {
		e.asked.Query(uint64(m.Size), m.SrcPort, m.TTL)
	} else {
		e.asked.Flags |= sketch.AskedTCP
	}
	return at
}

// clientOf returns the entry of the client that sent the waiting query q, whose direction is not out.
func (a *Analyzer) clientOf(q *waiting) *client {
	if q.gen == a.gen {
		return &a.clients.Entries()[q.client]
	}
	e, _ := a.client(a.clients.addrs[a.xacts.position(q)])
	return e
}

// countAnswer counts a response at the client that sent the query q, and at its name, which has the given position if it is
// known, and its type.
func (a *Analyzer) countAnswer(m *Message, q *waiting, name uint32, known bool) {
	if a.clients.Tally != nil {
		a.clientOf(q).answered(m)
	}
	if known {
		qtype := uint16(q.question >> 16)
		if m.HasQuestion {
			qtype = m.QType
		}
		a.amounts.answered(m, qtype, name)
	}
}

// countUnpaired does the same for a response that no query waits for. name is the position of its name, if it has a question.
// If it comes to the host, it is not an answer to a client of the host. Only its bytes count, because the host may be the
// victim of an attack.
func (a *Analyzer) countUnpaired(m *Message, name uint32) {
	if a.clients.Tally != nil {
		e, _ := a.client(m.Dst)
		if m.Direction != analyze.Ingress {
			e.answered(m)
		} else if m.Proto == decode.ProtoUDP {
			e.responses += uint64(m.Size)
		}
	}
	if m.NameHash != 0 {
		a.amounts.answered(m, m.QType, name)
	}
}

// correctUnpaired corrects what countUnpaired has counted for the response r, when its query m comes. name is the position of
// the query's name, if it has a question.
func (a *Analyzer) correctUnpaired(m *Message, r *waiting, name uint32) {
	udp := m.Proto == decode.ProtoUDP
	switch {
	case m.Direction == analyze.Egress && udp: // the host asked: take the bytes back
		if a.clients.Tally != nil {
			e, _ := a.client(m.Src)
			e.responses -= uint64(r.size)
		}
		if r.nameHash != 0 && m.NameHash != 0 {
			a.amounts.add(m.QType, name, -uint64(r.size))
		}
	case m.Direction != analyze.Egress:
		if analyze.Direction(r.direction) == analyze.Ingress && outcome(r.flags&earlyOutcome) == nxDomain && a.clients.Tally != nil {
			e, _ := a.client(m.Src)
			e.nxDomain++
		}
		if r.nameHash == 0 && m.NameHash != 0 && udp {
			a.amounts.add(m.QType, name, uint64(r.size))
		}
	}
}

// answered counts a response at its client.
func (e *client) answered(m *Message) {
	if m.outcome() == nxDomain {
		e.nxDomain++
	}
	if m.Proto == decode.ProtoUDP {
		e.responses += uint64(m.Size)
		if m.Has(dnswire.FlagTC) {
			e.asked.Truncated++
		}
	}
}
