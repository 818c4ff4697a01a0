package dns

import (
	"pktvisor/analyze"
	"pktvisor/dnswire"
)

// query counts the name of a query and lets it wait for its response.
func (a *Analyzer) query(m *Message) {
	pairs := !m.isMulticast() && !m.isOneWay() // other queries have responses from any host, mostly by multicast, or none
	var q *waiting
	var slot uint64
	if pairs { // before the look-up of the name, because this may flush the names
		if q, slot = a.xacts.first(m.Key); q != nil && !a.isFor(q, m) {
			q, slot = a.waiting(m)
		}
	}
	var at uint32
	if m.HasQuestion {
		var e *nameEntry
		e, at = a.names.at(m.NameHash, m.Name())
		e.messages++
	}
	client := uint32(0)
	if m.Direction != analyze.Egress {
		client = a.asks(m, at)
		if a.clients.Tally != nil {
			a.countClient(m, at)
		}
	}
	if !pairs {
		return
	}
	if q != nil || m.Time < a.newestAnswer && a.wasAnswered(m) {
		a.counters.Repeats++
		return
	}
	q = a.xacts.add(slot, m.Key, m.NameHash, m.question(), m.Time)
	q.entry, q.gen = at, a.names.tally.Generation()
	q.size, q.directionLg, q.flags, q.client = m.Size, directionLg(m.Direction, a.sample.lg), 0, uint16(client)
	if a.early.mayHave(m.Key) {
		a.answerEarly(m, at)
	}
}

// response counts a response at its name and pairs it with its query.
func (a *Analyzer) response(m *Message) {
	q, slot := a.xacts.first(m.Key)
	if q != nil && !a.isFor(q, m) {
		q, slot = a.waiting(m)
	}
	if q == nil || q.time-m.Time > maxSkew {
		a.unpaired(m)
		return
	}

	at, known := q.entry, q.gen == a.names.tally.Generation() && q.nameHash != 0
	if !known {
		name, hash := m.Name(), m.NameHash
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
		a.ratio.Record(uint64(m.Size) * 1000 / uint64(q.size))
	}
	direction := q.direction()
	if direction != analyze.Egress && m != &a.reply {
		a.countAnswer(m, q, at)
	}
	a.answers[direction]++
	micros := uint64(max(m.Time-q.time, 0)) / 1000
	a.micros[direction].Record(micros)
	if known {
		a.names.tally.Entries()[at].response(m)
		if a.marksSlow[direction] {
			a.answered = append(a.answered, newAnswered(at, direction, micros))
		}
	}
	a.remember(q, m)
	a.xacts.remove(slot)
}

// isFor reports whether q waits for the message, or whether the message repeats q. Both have the same addresses, ports,
// transport and ID.
func (a *Analyzer) isFor(q *waiting, m *Message) bool {
	return q.matches(m.NameHash, m.question()) && m.Time-q.time <= a.xacts.timeout
}

// waiting returns the query that waits for the message, or that the message repeats, and its slot. If there is none, it returns
// nil and a slot for [transactions.add]. It gives up the overdue queries that it finds. There may be several, because a message
// whose question cannot be read matches all of them.
func (a *Analyzer) waiting(m *Message) (q *waiting, slot uint64) {
	for {
		q, slot = a.xacts.find(m.Key, m.NameHash, m.question())
		if q == nil || a.isFor(q, m) {
			return q, slot
		}
		a.reserve()
		a.expired(q, false)
		a.xacts.remove(slot)
	}
}

// wasAnswered reports whether a query was already answered. It is for a query that comes after later messages in the capture.
// Such a query was sent again or captured twice.
func (a *Analyzer) wasAnswered(m *Message) bool {
	x, _ := a.recent.find(m.Key, answeredQuestion(m.NameHash, m.question(), m.Proto))
	return x != nil && x.time >= m.Time && x.time-m.Time <= a.xacts.timeout
}

// response counts a response at its name.
func (e *nameEntry) response(m *Message) {
	e.bytes += uint64(m.Size)
	if m.HasQuestion {
		e.messages++
	}
	e.outcomes[m.outcome()]++
}

// expired counts a query that got no response.
func (a *Analyzer) expired(q *waiting, evicted bool) {
	c := &a.counters
	if q.flags&queryRejected != 0 {
		a.rejected--
		return
	}
	if evicted {
		c.Evicted++
		return
	}
	c.Timeouts++
	switch q.direction() {
	case analyze.Ingress:
		c.InTimeouts++
	case analyze.Egress:
		c.OutTimeouts++
	}
	if lg, sampled := q.lg(); sampled && a.clients.Tally != nil && q.direction() != analyze.Egress {
		if n := a.sample.times(lg); n > 0 {
			a.clientOf(q).counts[clientTimeout] += n
		}
	}
	if q.gen == a.names.tally.Generation() && q.nameHash != 0 {
		a.names.tally.Entries()[q.entry].timeouts++
	} else if name := a.xacts.names.get(q.name); len(name) > 0 {
		e, _ := a.names.at(q.nameHash, name)
		e.timeouts++
	}
}

// saveNames saves the names of the waiting queries before the names' tally is emptied. Each name is saved at most once. Most
// names are never saved, because their queries are answered before the next flush.
func (a *Analyzer) saveNames() {
	t, gen := a.xacts, a.names.tally.Generation()
	for i := t.newest(); i != none && t.queries[i].gen == gen; i = t.queries[i].older {
		if q := &t.queries[i]; q.nameHash != 0 {
			q.name = t.names.put(a.names.name(&a.names.tally.Entries()[q.entry]))
		}
	}
}
