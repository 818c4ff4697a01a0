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
	counts    [numClientColumns]uint32
	asked     sketch.Asked // over UDP
	responses uint64       // bytes over UDP, see amount
}

// clients is the tally of clients. It is nil if no metric needs them.
type clients struct {
	*analyze.Tally[client]
	addrs []decode.Addr // of the clients of waiting queries, by the position of the query
	seen  seen

	// During a flush:
	prefixes *analyze.Tally[client] // the sums by prefix
	batch    lengthBatch
	counted  [2][2][]uint8 // the lengths that are wanted, by whether they are summed, and those of IPv4
}

func newClients(s sizes, w wanted) clients {
	if !w.anyClient() {
		return clients{}
	}
	c := clients{
		Tally: analyze.NewTally[client](s.clients), prefixes: analyze.NewTally[client](s.clients),
	}
	c.seen.wanted = w.networks || w.lengths != [numLengths]bool{}
	for i, wanted := range w.lengths {
		if list := &c.counted[one(lengths[i].summed)&1][one(lengths[i].is4)&1]; wanted {
			*list = append(*list, uint8(i))
		}
	}
	return c
}

// full reports whether the tally may lack space for the clients of the given number of groups.
func (c *clients) full(groups int) bool {
	return c.Tally != nil && (c.Tally.Full(groups*spareNames) || len(c.seen.addrs)+groups*analyze.GroupSize > maxSeen)
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

// clientSaved is the flag of a waiting query whose client's address was saved.
const clientSaved = 1

// saveClients saves the addresses of the clients of the waiting queries before the clients' tally is emptied. Each is saved at most
// once, and most are never saved, as with names.
func (a *Analyzer) saveClients() {
	c, t, all := &a.clients, a.xacts, a.clients.Entries()
	for i := t.newest(); i != none && t.queries[i].flags&clientSaved == 0; i = t.queries[i].older {
		q := &t.queries[i]
		q.flags |= clientSaved
		if int(i) >= len(c.addrs) {
			c.addrs = append(make([]decode.Addr, 0, cap(t.queries)), c.addrs...)[:cap(t.queries)]
		}
		if int(q.client) < len(all) {
			c.addrs[i] = all[q.client].addr
		}
	}
}

// clientOf returns the entry of the client of a waiting query that the host did not send.
func (a *Analyzer) clientOf(q *waiting) *client {
	if q.flags&clientSaved == 0 {
		return &a.clients.Entries()[q.client]
	}
	e, _ := a.client(a.clients.addrs[a.xacts.position(q)])
	return e
}

// client returns the entry of a client, and its position.
func (a *Analyzer) client(addr decode.Addr) (*client, uint32) {
	e, at, fresh := a.clients.At(a.cfg.Seed.Addr(addr))
	if fresh {
		e.addr = addr
	}
	return e, at
}

// asks counts a query to the host, or without direction, at its client and its type, and at its name, which has the given
// position. It returns the position of the client, or notSampled.
func (a *Analyzer) asks(m *Message, name uint32) (at uint32) {
	a.sample.query = max(a.sample.query, m.Size)
	if !a.sample.take() {
		return notSampled
	}
	udp := m.Proto == decode.ProtoUDP
	if udp && m.NameHash != 0 {
		a.amounts.asked(m.QType, name, m.Size)
	}
	if a.clients.Tally == nil {
		return 0
	}
	e, at := a.client(m.Src)
	e.counts[clientQueries]++
	if udp {
		e.asked.Query(uint64(m.Size), m.SrcPort, m.TTL)
	} else {
		e.asked.Flags |= sketch.AskedTCP
	}
	return at
}

// countAnswer counts a response at the client that sent the query q, at its type, and at its name, which has the given
// position.
func (a *Analyzer) countAnswer(m *Message, q *waiting, name uint32) {
	a.sample.response = max(a.sample.response, m.Size)
	lg, sampled := q.lg()
	if !sampled {
		return
	}
	n := a.sample.times(lg)
	if n == 0 {
		return
	}
	if m.Proto == decode.ProtoUDP && m.NameHash != 0 {
		a.amounts.answered(m.QType, name, uint64(n)*uint64(m.Size))
	}
	if a.clients.Tally == nil {
		return
	}
	if all := a.clients.Entries(); int(q.client) < len(all) && all[q.client].addr == m.Dst {
		all[q.client].answered(m, n)
		return
	}
	e, _ := a.client(m.Dst)
	e.answered(m, n)
}

// answered counts a response at its client n times.
func (e *client) answered(m *Message, n uint32) {
	if m.outcome() == nxDomain {
		e.counts[clientNXDomain] += n
	}
	if m.Proto == decode.ProtoUDP {
		e.responses += uint64(n) * uint64(m.Size)
		if m.Has(dnswire.FlagTC) {
			e.asked.Truncated++
		}
	}
}

// countUnpaired does what countAnswer does, for a response that no query waits for. If the response comes to the host, it does
// not answer a client of the host. Only its bytes count then, because the host may be the victim of an attack. It reports whether the response
// is in the sample.
func (a *Analyzer) countUnpaired(m *Message, name uint32) (sampled bool) {
	a.sample.response = max(a.sample.response, m.Size)
	if !a.sample.take() {
		return false
	}
	udp := m.Proto == decode.ProtoUDP
	if udp && m.NameHash != 0 {
		a.amounts.answered(m.QType, name, uint64(m.Size))
	}
	if a.clients.Tally == nil {
		return true
	}
	e, _ := a.client(m.Dst)
	if m.Direction != analyze.Ingress {
		e.answered(m, 1)
	} else if udp {
		e.responses += uint64(m.Size)
	}
	return true
}

// correctUnpaired corrects what countUnpaired has counted for the response r, when its query m comes. name is the position of
// the query's name. If the host has asked, the bytes of the response are taken back.
func (a *Analyzer) correctUnpaired(m *Message, r *waiting, name uint32) {
	lg, sampled := r.lg()
	if !sampled {
		return
	}
	n := a.sample.times(lg)
	if n == 0 {
		return
	}
	var e *client
	if a.clients.Tally != nil {
		e, _ = a.client(m.Src)
	}
	if m.Direction != analyze.Egress {
		if e != nil && r.direction() == analyze.Ingress && outcome(r.flags&earlyOutcome) == nxDomain {
			e.counts[clientNXDomain] += n
		}
		return
	}
	if m.Proto != decode.ProtoUDP {
		return
	}
	if e != nil {
		e.responses -= uint64(n) * uint64(r.size)
	}
	if r.nameHash != 0 && m.NameHash != 0 {
		a.amounts.answered(m.QType, name, -uint64(n)*uint64(r.size))
	}
}
