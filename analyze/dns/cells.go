package dns

import (
	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/dnswire"
	"pktvisor/metric"
)

// outcome is what a message says of its question.
type outcome uint8

// The outcomes: a query, and what a response can say.
const (
	asked outcome = iota
	otherRcode
	servFail
	nxDomain
	refused
	noError
	noData   // NOERROR, but no answer where one was asked for
	referral // NOERROR and no answer, but the servers of a zone that are to be asked instead

	numOutcomes = 8
)

// The index of a cell is the direction, a bit for IPv6, one for TCP and the outcome. A message adds to one cell, and the flush
// makes the counters from the cells. Branches on direction, version and outcome would be mispredicted too often.
const (
	numCells = 1 << 7 // a power of two, so that no index has to be checked
	cellIPv6 = 2 << 3
	cellTCP  = 1 << 3
)

var protocolCell = [256]uint8{decode.ProtoTCP: cellTCP}

// cellOf returns the index of a message's cell.
func cellOf(d analyze.Direction, version, proto uint8, o outcome) uint8 {
	return uint8(d)<<5 | version&2<<3 | protocolCell[proto] | uint8(o)
}

// outcomes are those of responses, by whether they leave a question unanswered and by the rcode.
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
	// No answers, opcode QUERY, and not truncated.
	unanswered := one(m.ANCount()|uint16(m.Flags&(dnswire.FlagTC|dnswire.MaskOpcode)) == 0)
	return outcomes[unanswered&1][min(m.ExtRcode, numOutcomes-1)]
}

// withoutData returns the outcome of the response in b, which has no answers, but authority records.
//
// A NODATA response has an SOA record there, beside NS records or not (types 1 and 2 of RFC 2308, section 2.2), or
// neither (type 3). A referral has NS records and no SOA record, and is not authoritative (RFC 1034, section
// 4.3.2). Where the capture has cut the records and holds no SOA record, the response is neither of the two.
func (m *Message) withoutData(b []byte) outcome {
	if m.Has(dnswire.FlagAA) {
		return noData
	}
	ns, soa, status := m.Authority(b)
	switch {
	case soa:
		return noData
	case m.Cut && status != dnswire.OK:
		return noError // an SOA record may be what was cut
	case ns:
		return referral
	}
	return noData
}

// one is 1 if b, else 0; it compiles to no branch.
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
		n := metric.Counter(x)
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
