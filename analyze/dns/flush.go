package dns

import (
	"strconv"

	"pktvisor/analyze"
	"pktvisor/dnswire"
	"pktvisor/metric"
	"pktvisor/sketch"
)

// FlushCounts adds the counters and histograms to the bucket's section.
func (a *Analyzer) FlushCounts(s *metric.Section, second int64) {
	m := metric.Of[Metrics](s)
	a.sumCells()
	st := a.streams.Stats()
	gaps := st.Gaps + st.Lost + st.Evicted
	a.counters.Gaps += metric.Counter(gaps - a.gaps)
	a.gaps = gaps
	m.Rate.Add(second, uint64(a.counters.Total))
	metric.AddCounters(&m.Counters, &a.counters)
	for i := range a.micros {
		m.latencies(analyze.Direction(i)).AddDense(&a.micros[i])
		a.micros[i].Reset()
	}
	m.Ratio.AddDense(&a.ratio)
	a.ratio.Reset()
	m.ResponseSize.AddDense(&a.responseSize)
	a.responseSize.Reset()
}

// FlushKeys adds the tallies to the bucket's section.
func (a *Analyzer) FlushKeys(s *metric.Section, all bool) {
	m := metric.Of[Metrics](s)
	a.markSlow(a.cfg.Slow.thresholds(m))
	if all || a.names.full() {
		entries := a.names.tally.Entries()
		for i := range entries {
			a.flushName(m, &entries[i])
		}
		a.names.reset()
	}
	if all || a.ecs.Full(keysPerMessage) {
		entries := a.ecs.Entries()
		for i := range entries {
			a.key = entries[i].prefix.AppendTo(a.key[:0])
			m.TopECS.Add(a.key, uint64(entries[i].n))
		}
		a.ecs.Reset()
	}
	if all {
		a.flushSmall(m)
	}
}

// flushSmall adds the tables of few distinct values to the sketches.
func (a *Analyzer) flushSmall(m *Metrics) {
	a.qtypes.flush(func(v uint16, n uint32) { m.TopQtype.Add([]byte(dnswire.TypeName(v)), uint64(n)) })
	a.rcodes.flush(func(v uint16, n uint32) { m.TopRcode.Add([]byte(rcodeName(v)), uint64(n)) })
	a.opcodes.flush(func(v uint16, n uint32) { m.TopOpcode.Add([]byte(dnswire.OpcodeName(uint8(v))), uint64(n)) })
	a.udp.flush(func(v uint16, n uint32) {
		a.key = strconv.AppendUint(a.key[:0], uint64(v), 10)
		m.TopUDPPorts.Add(a.key, uint64(n))
	})
}

// rcodeName is the API's name of an rcode: SERVFAIL is spelt as the original spelt it.
func rcodeName(rcode uint16) string {
	if rcode == rcodeServFail {
		return "SRVFAIL"
	}
	return dnswire.RcodeName(rcode)
}

// markSlow counts the slow ones among the transactions since the last flush, at their names.
func (a *Analyzer) markSlow(limits [analyze.NumDirections]uint64) {
	entries := a.names.tally.Entries()
	for _, x := range a.answered {
		if uint64(x.micros) < limits[x.direction] {
			continue
		}
		if x.direction == analyze.Ingress {
			entries[x.entry].slowIn++
		} else {
			entries[x.entry].slowOut++
		}
	}
	a.answered = a.answered[:0]
}

// flushName adds what was counted at a name to the sketches.
func (a *Analyzer) flushName(m *Metrics, e *nameEntry) {
	wire := a.names.name(e)
	if e.messages > 0 {
		suffix, cut := dnswire.Qname2(wire)
		a.key = dnswire.AppendSuffix(a.key[:0], suffix, cut)
		m.TopQname2.Add(a.key, uint64(e.messages))
		if suffix, cut := dnswire.Qname3(wire); suffix != nil {
			a.key = dnswire.AppendSuffix(a.key[:0], suffix, cut)
			m.TopQname3.Add(a.key, uint64(e.messages))
		}
	}
	a.key = dnswire.AppendName(a.key[:0], wire)
	if e.messages > 0 {
		m.Qnames.Add(a.key)
	}
	key := sketch.Prepare(a.key)
	add := func(t *metric.Top, n uint32) {
		if n > 0 {
			t.AddPrepared(key, uint64(n))
		}
	}
	add(&m.TopNXDomain, e.outcomes[nxDomain])
	add(&m.TopServFail, e.outcomes[servFail])
	add(&m.TopRefused, e.outcomes[refused])
	add(&m.TopNoData, e.outcomes[noData])
	add(&m.TopNoError, e.outcomes[noError]+e.outcomes[noData])
	add(&m.TopTimeout, e.timeouts)
	add(&m.SlowIn, e.slowIn)
	add(&m.SlowOut, e.slowOut)
	m.TopResponseBytes.AddPrepared(key, e.bytes)
}

// smallTally counts values of a small range in an array.
type smallTally struct {
	counts  []uint32
	touched []uint16 // the values that were counted, in the order in which they came
}

func newSmallTally(size int) smallTally { return smallTally{counts: make([]uint32, size)} }

func (t *smallTally) add(v uint16) {
	if t.counts[v] == 0 {
		t.touched = append(t.touched, v)
	}
	t.counts[v]++
}

// flush calls f with each value and its count, and forgets them.
func (t *smallTally) flush(f func(v uint16, n uint32)) {
	for _, v := range t.touched {
		f(v, t.counts[v])
		t.counts[v] = 0
	}
	t.touched = t.touched[:0]
}
