package dns

import (
	"pktvisor/analyze"
	"pktvisor/dnswire"
	"pktvisor/metric"
)

// A capture may hold a response before its query, because each queue of a network card and each interface of a pcapng file
// is written at its own time. So a response without a query waits for one, in a table like that of the queries.
const (
	// earlyWait is the time that a response waits, in nanoseconds of the packets' clock.
	earlyWait = 1e9
	// maxSkew is the maximum time in nanoseconds by which the timestamp of a query may be later than that of its response.
	// The clocks of queues differ by less. If the query is later by more, it is another query with the same ID.
	maxSkew = 10e6
)

// The flags of a response that waits for its query. The lower bits are its outcome.
const (
	earlyOutcome   = numOutcomes - 1
	earlyAA        = 1 << 3
	earlyAD        = 1 << 4
	earlyCD        = 1 << 5
	earlyMulticast = 1 << 6 // a response of multicast DNS, which is never an orphan
)

// unpaired handles a response for which no query waits. It is a repeated response to a query that was answered, or its query
// may still come.
func (a *Analyzer) unpaired(m *Message) {
	var at uint32
	if m.NameHash != 0 {
		var e *nameEntry
		e, at = a.names.at(m.NameHash, m.Name())
		e.response(m)
	}
	if m.isMulticast() {
		return
	}
	question := answeredQuestion(m.NameHash, m.question(), m.Proto)
	if x, number := a.recent.find(m.Key, question); x != nil && max(m.Time-x.time, x.time-m.Time) <= a.xacts.timeout {
		a.countRepeats(x.question == transferred, 1)
		if m.Direction != analyze.Ingress { // otherwise, the host asked
			a.countUnpaired(m, at)
		}
		if x.question == transferred {
			a.recent.renew(number, m.Time)
		}
		return
	}
	sampled := a.countUnpaired(m, at)
	r, slot := a.early.find(m.Key, m.NameHash, m.question())
	if r != nil {
		r.gen++
		return
	}
	r = a.early.add(slot, m.Key, m.NameHash, m.question(), m.Time)
	r.size, r.directionLg, r.gen, r.client = m.Size, directionLg(m.Direction, a.sample.lg), 0, 0
	if !sampled {
		r.client = notSampled
	}
	r.flags = uint8(m.outcome())
	if m.Has(dnswire.FlagAA) {
		r.flags |= earlyAA
	}
	if m.Has(dnswire.FlagAD) {
		r.flags |= earlyAD
	}
	if m.Has(dnswire.FlagCD) {
		r.flags |= earlyCD
	}
	if m.SrcPort == portMDNS || m.SrcPort == portLLMNR {
		r.flags |= earlyMulticast
	}
}

// countRepeats counts n further responses to a query that was answered.
func (a *Analyzer) countRepeats(transfer bool, n uint32) {
	if transfer {
		a.counters.TransferMessages += metric.Counter(n)
	} else {
		a.counters.ResponseRepeats += metric.Counter(n)
	}
}

// answerEarly pairs a waiting query with the response that came before it, if there is one. It handles the response again, at
// the response's own time. If the query has a question, entry is the position of its name.
func (a *Analyzer) answerEarly(m *Message, entry uint32) {
	r, slot := a.early.find(m.Key, m.NameHash, m.question())
	if r == nil {
		return
	}
	if took := r.time - m.Time; took < -maxSkew || took > a.xacts.timeout {
		return
	}
	reply, more, rejected := a.earlyReply(m, r), r.gen, r.flags&earlyRejected != 0
	if !rejected {
		if r.nameHash != 0 && m.NameHash != 0 {
			// The response was counted at its name when it came.
			reply.cell = uint8(asked)
			a.names.tally.Entries()[entry].bytes -= uint64(r.size)
		}
		a.correctUnpaired(m, r, entry)
	}
	a.early.remove(slot)
	if rejected {
		a.rejectResponse(reply)
	} else {
		a.response(reply)
	}
	a.countRepeats(answeredQuestion(m.NameHash, m.question(), m.Proto) == transferred, more)
}

// earlyReply returns the message by which an early response ends the wait of the query m.
func (a *Analyzer) earlyReply(m *Message, r *waiting) *Message {
	reply := &a.reply
	reply.Carrier = m.Carrier
	reply.Time = r.time
	reply.Key, reply.NameHash, reply.QType, reply.QClass = m.Key, m.NameHash, m.QType, m.QClass
	reply.Flags, reply.Size, reply.cell = r.headerFlags(), r.size, r.flags&earlyOutcome
	return reply
}

// headerFlags returns those header flags of an early response that transactions count.
func (q *waiting) headerFlags() (f dnswire.Flags) {
	if q.flags&earlyAA != 0 {
		f |= dnswire.FlagAA
	}
	if q.flags&earlyAD != 0 {
		f |= dnswire.FlagAD
	}
	if q.flags&earlyCD != 0 {
		f |= dnswire.FlagCD
	}
	return f
}

// orphaned counts a response whose query has not come, and all its repeats. The host is the server of a response that it sent.
func (a *Analyzer) orphaned(r *waiting, _ bool) {
	if r.flags&earlyMulticast != 0 {
		return
	}
	n := metric.Counter(1 + uint64(r.gen))
	if r.flags&earlyRejected != 0 {
		n--
	}
	a.counters.Orphans += n
	switch r.direction() {
	case analyze.Egress:
		a.counters.InOrphans += n
	case analyze.Ingress:
		a.counters.OutOrphans += n
	}
}
