package dns

import (
	"math/bits"

	"pktvisor/analyze"
	"pktvisor/dnswire"
)

// key hashes what a query and its response have in common but the question, as seen from the client.
func (a *Analyzer) transactionKey(p *analyze.Packet, response bool) uint64 {
	seed := a.cfg.Seed
	client, server := seed.Addr(p.Src), seed.Addr(p.Dst)
	clientPort, serverPort := p.SrcPort, p.DstPort
	if response {
		client, server = server, client
		clientPort, serverPort = serverPort, clientPort
	}
	rest := uint64(clientPort)<<48 | uint64(serverPort)<<32 | uint64(p.Proto)<<16 | uint64(a.msg.ID)
	return seed.Mix(client^bits.RotateLeft64(server, 31), rest)
}

// query counts the name of a query and lets it wait for its response.
func (a *Analyzer) query(p *analyze.Packet, size uint32) {
	m := &a.msg
	var nameHash uint64
	var at uint32
	if m.HasQuestion {
		nameHash = a.cfg.Seed.Bytes(m.Name())
		var e *nameEntry
		e, at = a.names.at(nameHash, m.Name())
		e.messages++
	}
	if isMulticast(p) {
		return // whoever knows answers, and mostly to everybody: there is no one to pair with
	}
	key := a.transactionKey(p, false)
	if i := a.xacts.find(key, nameHash, m.QType, m.QClass); i != none {
		if p.Time-a.xacts.queries[i].time <= a.xacts.timeout {
			a.counters.Repeats++
			return
		}
		a.xacts.expire(i, false)
	}
	q := a.xacts.add(key, p.Time, m.Name())
	q.nameHash, q.qtype, q.qclass = nameHash, m.QType, m.QClass
	q.entry, q.gen = at, a.names.tally.Generation()
	q.size, q.direction = size, uint8(p.Direction)
}

// response counts the name and the rcode of a response, and pairs it with its query.
func (a *Analyzer) response(p *analyze.Packet, size uint32) {
	m, c := &a.msg, &a.counters
	a.responseSize.Record(uint64(size))
	var nameHash uint64
	if m.HasQuestion {
		nameHash = a.cfg.Seed.Bytes(m.Name())
	}
	i := a.xacts.find(a.transactionKey(p, true), nameHash, m.QType, m.QClass)
	if i != none && p.Time-a.xacts.queries[i].time > a.xacts.timeout {
		a.xacts.expire(i, false)
		i = none
	}
	if i == none {
		if !isMulticast(p) && p.SrcPort != portMDNS && p.SrcPort != portLLMNR {
			a.orphan(p)
		}
		if nameHash != 0 {
			e, _ := a.names.at(nameHash, m.Name())
			a.countResponse(e, size)
		}
		return
	}

	q := &a.xacts.queries[i]
	at, known := q.entry, q.gen == a.names.tally.Generation() && q.nameHash != 0
	if !known {
		name := m.Name()
		if nameHash == 0 {
			name, nameHash = a.xacts.names.get(q.name), q.nameHash
		}
		if len(name) > 0 {
			_, at = a.names.at(nameHash, name)
			known = true
		}
	}
	c.Xacts++
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
		a.ratio.Record(uint64(size) * 1000 / uint64(q.size))
	}
	direction := analyze.Direction(q.direction)
	switch direction {
	case analyze.Ingress:
		c.InTotal++
	case analyze.Egress:
		c.OutTotal++
	}
	micros := uint64(max(p.Time-q.time, 0)) / 1000
	a.micros[direction].Record(micros)
	if known {
		a.countResponse(&a.names.tally.Entries()[at], size)
		if direction != analyze.Unknown {
			a.answered = append(a.answered, answered{entry: at, micros: uint32(micros), direction: direction})
		}
	}
	a.xacts.remove(i)
}

// countResponse counts a response at its name.
func (a *Analyzer) countResponse(e *nameEntry, size uint32) {
	e.bytes += uint64(size)
	if a.msg.HasQuestion {
		e.messages++
	}
	switch a.msg.ExtRcode {
	case 0:
		e.noError++
		if a.noData() {
			e.noData++
		}
	case rcodeServFail:
		e.servFail++
	case rcodeNXDomain:
		e.nxDomain++
	case rcodeRefused:
		e.refused++
	}
}

// orphan counts a response without a query. The host is its server where it comes from the host.
func (a *Analyzer) orphan(p *analyze.Packet) {
	a.counters.Orphans++
	switch p.Direction {
	case analyze.Egress:
		a.counters.InOrphans++
	case analyze.Ingress:
		a.counters.OutOrphans++
	}
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
	name := a.xacts.names.get(q.name)
	if len(name) > 0 {
		e, _ := a.names.at(q.nameHash, name)
		e.timeouts++
	}
}

// isMulticast tells whether the packet goes to a multicast address (RFC 1112, RFC 4291 section 2.7).
func isMulticast(p *analyze.Packet) bool {
	if p.Version == 4 {
		return uint32(p.Dst.Lo)>>28 == 0xe
	}
	return p.Dst.Hi>>56 == 0xff
}
