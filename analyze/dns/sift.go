package dns

import "pktvisor/analyze"

// Verdict is what a filter says about a message: see docs/decisions/0047.
type Verdict uint8

// The verdicts.
const (
	// Passes means that the message counts.
	Passes Verdict = iota
	// Rejected means that the message does not count, but takes part in pairing: its counterpart may pass.
	Rejected
	// ByTransaction means that the message is a response, and that its transaction decides.
	ByTransaction
)

// Choice is a message of a group that concerns an analyzer, by its index, and what the filter says about it. A message without a
// choice does not concern the analyzer, and neither does its counterpart.
type Choice struct {
	Message uint8
	Verdict Verdict
}

// Decider decides about a response by its transaction.
type Decider interface {
	// Decide reports whether a response passes. paired reports whether its query waits, and latency is the time since that query
	// in nanoseconds.
	Decide(m *Message, paired bool, latency int64) bool
}

// The flags of waiting messages that were rejected.
const (
	queryRejected = 1 << 1
	earlyRejected = 1 << 7
)

// noClient is the position of the client of a rejected query. Its client is not counted, so it has no position.
const noClient = notSampled - 1

// Sift counts those messages of a group that were chosen, in the order of the choices. It replaces the verdict
// [ByTransaction] by another one.
//
// A rejected message takes part in pairing. A rejected query waits for its response, but is not a timeout. A rejected response
// ends the wait of its query, and is neither a transaction nor an orphan.
func (a *Analyzer) Sift(group []Message, choices []Choice, by Decider) {
	for i := 0; i < len(choices); {
		c := &choices[i]
		m := &group[c.Message]
		if c.Verdict == ByTransaction {
			c.Verdict = a.decide(m, by)
		}
		if c.Verdict == Rejected {
			a.reject(m)
			i++
			continue
		}
		// Messages that follow each other are counted together.
		first, n := int(c.Message), 1
		for i++; i < len(choices) && choices[i] == (Choice{uint8(first + n), Passes}); i++ {
			n++
		}
		a.Messages(group[first : first+n])
	}
}

// Offered implements [analyze.Sifted].
func (a *Analyzer) Offered(n uint64) { a.offered.Add(n) }

// decide asks the decider about a response. A response outside the deep sample has no transaction.
func (a *Analyzer) decide(m *Message, by Decider) Verdict {
	if !a.inSample(m) {
		return Rejected
	}
	q, _ := a.waitingFor(m)
	paired, latency := q != nil && q.time-m.Time <= maxSkew, int64(0)
	if paired {
		latency = max(m.Time-q.time, 0)
	}
	if by.Decide(m, paired, latency) {
		return Passes
	}
	return Rejected
}

// inSample reports whether a message is in the deep sample.
func (a *Analyzer) inSample(m *Message) bool {
	if a.cfg.Sampler.All() {
		return true
	}
	_, in, changed := a.cfg.Sampler.Pair(m.Src, m.Dst)
	if changed && m.Response() {
		q, _ := a.xacts.first(m.Key)
		in = q != nil
	}
	return in
}

// waitingFor returns the query that waits for the message, or that the message repeats, as [Analyzer.waiting] does.
func (a *Analyzer) waitingFor(m *Message) (q *waiting, slot uint64) {
	if q, slot = a.xacts.first(m.Key); q != nil && !a.isFor(q, m) {
		return a.waiting(m)
	}
	return q, slot
}

// reject lets a message that does not count take part in pairing.
func (a *Analyzer) reject(m *Message) {
	a.reserve()
	switch {
	case !a.inSample(m) || m.isMulticast():
	case m.Response():
		a.rejectResponse(m)
	case !m.isOneWay():
		a.rejectQuery(m)
	}
}

// rejectQuery lets a query wait for its response that does not count. Its response may.
func (a *Analyzer) rejectQuery(m *Message) {
	q, slot := a.waitingFor(m)
	if q != nil || m.Time < a.newestAnswer && a.wasAnswered(m) {
		return
	}
	var at uint32
	if m.HasQuestion {
		_, at = a.names.at(m.NameHash, m.Name())
	}
	client := uint16(noClient)
	if m.Direction != analyze.Egress && !a.sample.take() {
		client = notSampled
	}
	q = a.xacts.add(slot, m.Key, m.NameHash, m.question(), m.Time)
	q.entry, q.gen = at, a.names.tally.Generation()
	q.size, q.directionLg, q.flags, q.client = m.Size, directionLg(m.Direction, a.sample.lg), queryRejected, client
	a.rejected++
	if a.early.mayHave(m.Key) {
		a.answerEarly(m, at)
	}
}

// rejectResponse ends the wait of the query of a response that does not count.
func (a *Analyzer) rejectResponse(m *Message) {
	q, slot := a.waitingFor(m)
	if q != nil && q.time-m.Time <= maxSkew {
		a.remember(q, m)
		a.xacts.remove(slot)
		return
	}
	question := answeredQuestion(m.NameHash, m.question(), m.Proto)
	if x, number := a.recent.find(m.Key, question); x != nil && max(m.Time-x.time, x.time-m.Time) <= a.xacts.timeout {
		if x.question == transferred {
			a.recent.renew(number, m.Time)
		}
		return
	}
	// Its query may still come.
	r, slot := a.early.find(m.Key, m.NameHash, m.question())
	if r != nil {
		return
	}
	r = a.early.add(slot, m.Key, m.NameHash, m.question(), m.Time)
	r.size, r.directionLg, r.gen, r.client, r.flags = m.Size, directionLg(m.Direction, a.sample.lg), 0, notSampled, earlyRejected
}

// remember remembers that a query was answered, and forgets that it was rejected. It must leave its table then.
func (a *Analyzer) remember(q *waiting, m *Message) {
	if q.flags&queryRejected != 0 {
		a.rejected--
	}
	if a.recent.ring == nil {
		a.recent.start()
	}
	a.recent.add(m.Key, answeredQuestion(q.nameHash, q.question, m.Proto), m.Time)
	a.newestAnswer = max(a.newestAnswer, m.Time)
}
