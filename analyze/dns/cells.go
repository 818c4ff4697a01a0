package dns

import (
	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/dnswire"
	"pktvisor/metric"
)

// outcome says whether a message is a query or how it answers its question.
type outcome uint8

// The outcomes.
const (
	asked outcome = iota // a query
	otherRcode
	servFail
	nxDomain
	refused
	noError
	noData   // NOERROR, but without an answer to the question
	referral // NOERROR without an answer, but with the servers of a zone to ask instead

	numOutcomes = 8
)

// The index of a cell has the direction in its upper bits, then a bit for IPv6, a bit for TCP, and the outcome. A message adds
// to one cell, and the flush makes the counters from the cells. Branches on direction, version and outcome would be
// mispredicted too often.
const (
	numCells = 1 << 7 // a power of two, so that no index needs a bounds check
	cellIPv6 = 2 << 3
	cellTCP  = 1 << 3
)

var protocolCell = [256]uint8{decode.ProtoTCP: cellTCP}

// cellOf returns the index of a message's cell.
func cellOf(d analyze.Direction, version, proto uint8, o outcome) uint8 {
	return uint8(d)<<5 | version&2<<3 | protocolCell[proto] | uint8(o)
}

// outcomes are the outcomes of responses. The first index is 1 if the response has no answer to a question, and the second is
// the rcode.
var outcomes = [2][numOutcomes]outcome{
	{
		0: noError, 1: otherRcode, rcodeServFail: servFail, rcodeNXDomain: nxDomain,
		4: otherRcode, rcodeRefused: refused, 6: otherRcode, 7: otherRcode,
	},
	{
		0: noData, 1: otherRcode, rcodeServFail: servFail, rcodeNXDomain: nxDomain,
		4: otherRcode, rcodeRefused: refused, 6: otherRcode, 7: otherRcode,
	},
}

// outcomeOf returns the outcome of a response that was read.
func (m *Message) outcomeOf() outcome {
	// The response has no answers, has opcode QUERY, and is not truncated.
	unanswered := one(m.ANCount()|uint16(m.Flags&(dnswire.FlagTC|dnswire.MaskOpcode)) == 0)
	return outcomes[unanswered&1][min(m.ExtRcode, numOutcomes-1)]
}

// withoutData returns the outcome of the response in b, which has authority records but no answers.
//
// The authority records of a NODATA response include an SOA record, with or without NS records (types 1 and 2 of RFC 2308,
// section 2.2), or neither SOA nor NS records (type 3). A referral has NS records and no SOA record, and is not
// authoritative (RFC 1034, section 4.3.2). If the capture has cut the records and holds no SOA record, the response counts
// as neither.
func (m *Message) withoutData(b []byte) outcome {
	if m.Has(dnswire.FlagAA) {
		return noData
	}
	ns, soa, status := m.Authority(b)
	switch {
	case soa:
		return noData
	case m.Cut && status != dnswire.OK:
		return noError // the missing part may have an SOA record
	case ns:
		return referral
	}
	return noData
}

// one returns 1 for true and 0 for false. It compiles to no branch.
func one(b bool) (n metric.Counter) {
	if b {
		n = 1
	}
	return n
}

// sumCells adds the cells to the counters.
func (a *Analyzer) sumCells() {
	c := &a.counters
	for i, x := range a.cells {
		c.addCell(i, metric.Counter(x))
	}
	clear(a.cells[:])
	for d, n := range a.answers {
		c.Xacts += metric.Counter(n)
		switch analyze.Direction(d) {
		case analyze.Ingress:
			c.InTotal += metric.Counter(n)
		case analyze.Egress:
			c.OutTotal += metric.Counter(n)
		}
	}
	clear(a.answers[:])
}

// addCell counts n messages of the cell with the given index.
func (c *Counters) addCell(i int, n metric.Counter) {
	c.Total += n
	if i&cellTCP != 0 {
		c.TCP += n
	} else {
		c.UDP += n
	}
	if i&cellIPv6 != 0 {
		c.IPv6 += n
	} else {
		c.IPv4 += n
	}
	switch analyze.Direction(i >> 5) {
	case analyze.Ingress:
		c.In += n
	case analyze.Egress:
		c.Out += n
	default:
		c.UnknownDir += n
	}
	c.addOutcome(outcome(i%numOutcomes), n)
}

// addOutcome counts n messages with the given outcome.
func (c *Counters) addOutcome(o outcome, n metric.Counter) {
	if o == asked {
		c.Queries += n
		return
	}
	c.Replies += n
	switch o {
	case noData:
		c.NoError += n
		c.NoData += n
	case referral:
		c.NoError += n
		c.Referrals += n
	case noError:
		c.NoError += n
	case servFail:
		c.ServFail += n
	case nxDomain:
		c.NXDomain += n
	case refused:
		c.Refused += n
	default:
		c.OtherRcode += n
	}
}
