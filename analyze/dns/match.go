package dns

import (
	"encoding/binary"
	"math/bits"

	"pktvisor/analyze"
	"pktvisor/dnswire"
)

// transactionKey sets the client's port, and the hash of what a query and its response have in
// common but the question, as seen from the client. It swaps the sides of a response without a
// branch: which comes next cannot be foreseen.
func (a *Analyzer) transactionKey(m *message) {
	seed, p := a.cfg.Seed, m.packet
	response := uint64(m.Flags >> 15)
	hi, lo := (p.Src.Hi^p.Dst.Hi)&-response, (p.Src.Lo^p.Dst.Lo)&-response
	ports := bits.RotateLeft32(uint32(p.SrcPort)<<16|uint32(p.DstPort), int(response*16))
	m.client = uint16(ports >> 16)
	m.key = seed.Again(seed.Words5(p.Src.Lo^lo, p.Dst.Lo^lo, p.Src.Hi^hi, p.Dst.Hi^hi, uint64(ports)<<32|uint64(p.Proto)<<16|uint64(m.ID)))
}

// hashName returns the hash of a message's qname.
func (a *Analyzer) hashName(m *message) uint64 {
	if name := m.Name(); len(name) > dnswire.HeadLen {
		return a.cfg.Seed.Bytes(name)
	}
	head := m.Head()
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(head[8*i:]) }
	return a.cfg.Seed.Words(word(0), word(1), word(2), word(3))
}

// query counts the name of a query and lets it wait for its response.
func (a *Analyzer) query(m *message) {
	p := m.packet
	pairs := !isMulticast(p) && !m.oneWay() // else who knows answers, and mostly to everybody, or nobody
	var q *waiting
	var slot uint64
	if pairs { // before the names, which this may flush
		if q, slot = a.xacts.first(m.key); q != nil && !a.isFor(q, m) {
			q, slot = a.waiting(m)
		}
	}
	var at uint32
	if m.HasQuestion {
		var e *nameEntry
		e, at = a.names.at(m.nameHash, m.Name())
		e.messages++
	}
	if !pairs {
		return
	}
	if q != nil || p.Time < a.newestAnswer && a.wasAnswered(m) {
		a.counters.Repeats++
		return
	}
	q = a.xacts.add(slot, m.key, m.nameHash, m.question(), p.Time)
	q.entry, q.gen = at, a.names.tally.Generation()
	q.size, q.direction = m.size, uint8(p.Direction)
	if a.early.mayHave(m.key) {
		a.answerEarly(m, at)
	}
}

// opcodeDSO is that of DNS Stateful Operations.
const opcodeDSO = 6

// oneWay reports whether a query is a unidirectional message of DNS Stateful Operations, which nobody answers
// (RFC 8490, section 5.4).
func (m *message) oneWay() bool { return m.ID == 0 && m.Opcode == opcodeDSO }

// response counts the name and the rcode of a response, and pairs it with its query.
func (a *Analyzer) response(m *message) {
	p := m.packet
	q, slot := a.xacts.first(m.key)
	if q != nil && !a.isFor(q, m) {
		q, slot = a.waiting(m)
	}
	if q == nil || q.time-p.Time > maxSkew {
		a.unasked(m)
		return
	}

	at, known := q.entry, q.gen == a.names.tally.Generation() && q.nameHash != 0
	if !known {
		name, hash := m.Name(), m.nameHash
		if hash == 0 {
			name, hash = a.xacts.names.get(q.name), q.nameHash
		}
		if len(name) > 0 {
			_, at = a.names.at(hash, name)
			known = true
		}
	}
	c := &a.counters
	if m.Has(dnswire.FlagAD) {
		c.XactAD++
	}
	if m.Has(dnswire.FlagAA) {
		c.XactAA++
	}
	if m.Has(dnswire.FlagCD) {
		c.XactCD++
	}
	if q.size > 0 {
		a.ratio.Record(uint64(m.size) * 1000 / uint64(q.size))
	}
	direction := analyze.Direction(q.direction)
	a.answers[direction]++
	micros := uint64(max(p.Time-q.time, 0)) / 1000
	a.micros[direction].Record(micros)
	if known {
		a.names.tally.Entries()[at].response(m)
		if direction != analyze.Unknown {
			a.answered = append(a.answered, newAnswered(at, direction, micros))
		}
	}
	if a.recent.ring == nil {
		a.recent.start()
	}
	a.recent.add(m.key, answeredQuestion(q.nameHash, q.question, p), p.Time)
	a.newestAnswer = max(a.newestAnswer, p.Time)
	a.xacts.remove(slot)
}

// isFor reports whether q, of the message's addresses, ports, transport and ID, is the query that waits for it, or that it
// repeats.
func (a *Analyzer) isFor(q *waiting, m *message) bool {
	return q.matches(m.nameHash, m.question()) && m.packet.Time-q.time <= a.xacts.timeout
}

// waiting returns the query that waits for the message, or that the message repeats, and its slot, or nil and what
// [transactions.add] needs to know. It gives up those that it finds too late: a message whose question cannot be read finds
// one after the other.
func (a *Analyzer) waiting(m *message) (q *waiting, slot uint64) {
	for {
		q, slot = a.xacts.find(m.key, m.nameHash, m.question())
		if q == nil || a.isFor(q, m) {
			return q, slot
		}
		a.room()
		a.expired(q, false)
		a.xacts.remove(slot)
	}
}

// wasAnswered reports whether a query that comes after later messages is one that was answered, sent again or captured
// twice.
func (a *Analyzer) wasAnswered(m *message) bool {
	x, _ := a.recent.find(m.key, answeredQuestion(m.nameHash, m.question(), m.packet))
	return x != nil && x.time >= m.packet.Time && x.time-m.packet.Time <= a.xacts.timeout
}

// question returns type and class of the question.
func (m *message) question() uint32 { return uint32(m.QType)<<16 | uint32(m.QClass) }

// response counts a response at its name.
func (e *nameEntry) response(m *message) {
	e.bytes += uint64(m.size)
	if m.HasQuestion {
		e.messages++
	}
	e.outcomes[m.outcome%numOutcomes]++
}

// expired counts a query that got no response.
func (a *Analyzer) expired(q *waiting, evicted bool) {
	c := &a.counters
	if evicted {
		c.Evicted++
		return
	}
	c.Timeouts++
	switch analyze.Direction(q.direction) {
	case analyze.Ingress:
		c.InTimeouts++
	case analyze.Egress:
		c.OutTimeouts++
	}
	if q.gen == a.names.tally.Generation() && q.nameHash != 0 {
		a.names.tally.Entries()[q.entry].timeouts++
	} else if name := a.xacts.names.get(q.name); len(name) > 0 {
		e, _ := a.names.at(q.nameHash, name)
		e.timeouts++
	}
}

// saveNames keeps the names of the waiting queries, which the names' tally is about to forget. Each is
// saved once at most, and those that are answered before the next flush, which are most, never.
func (a *Analyzer) saveNames() {
	t, gen := a.xacts, a.names.tally.Generation()
	for i := t.newest(); i != none && t.queries[i].gen == gen; i = t.queries[i].older {
		if q := &t.queries[i]; q.nameHash != 0 {
			q.name = t.names.put(a.names.name(&a.names.tally.Entries()[q.entry]))
		}
	}
}

// isMulticast reports whether the packet goes to a multicast address (RFC 1112, RFC 4291 section 2.7).
func isMulticast(p *analyze.Packet) bool {
	// Without a branch on the version: both of these are hardly ever taken.
	return p.Dst.Hi>>56 == 0xff || p.Dst.Hi|(p.Dst.Lo>>28^(0xffff<<4|0xe)) == 0
}
