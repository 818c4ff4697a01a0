package dns

import (
	"math"
	"slices"
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
		for part := range slices.Chunk(a.names.tally.Entries(), batchSize) {
			a.flushNames(m, part)
		}
		a.saveNames()
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
	a.qtypes.flush(func(v uint16, n uint64) { m.TopQtype.Add([]byte(dnswire.TypeName(v)), n) })
	a.rcodes.flush(func(v uint16, n uint64) { m.TopRcode.Add([]byte(rcodeName(v)), n) })
	a.opcodes.flush(func(v uint16, n uint64) { m.TopOpcode.Add([]byte(dnswire.OpcodeName(uint8(v))), n) })
	a.udp.flush(func(v uint16, n uint64) {
		a.key = strconv.AppendUint(a.key[:0], uint64(v), 10)
		m.TopUDPPorts.Add(a.key, n)
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

// batchSize is how many names are added to the sketches together.
const (
	batchSize = 256
	maxText   = 4 * dnswire.MaxName // bytes of a name as text, at most
)

// batch are names on their way into the sketches: all of them into the first, then all into the next,
// so that one sketch at a time is in the CPU's cache.
type batch struct {
	text                 []byte
	names                [batchSize]sketch.Prepared
	qname2, qname3       [batchSize]sketch.Prepared
	messages2, messages3 [batchSize]uint64
	weights              [batchSize]uint64
}

// flushNames adds what was counted at at most batchSize names to the sketches.
func (a *Analyzer) flushNames(m *Metrics, entries []nameEntry) {
	b := &a.batch
	b.text = slices.Grow(b.text[:0], len(entries)*maxText) // so that it does not move
	names := b.names[:len(entries)]
	for i := range entries {
		e := &entries[i]
		at := len(b.text)
		text, qname2, qname3 := dnswire.AppendNames(b.text, a.names.name(e))
		b.text = text
		name := text[at:]
		names[i] = sketch.Prepare(name)
		b.qname2[i] = sketch.Prepare(name[qname2:])
		b.messages2[i], b.messages3[i] = uint64(e.messages), 0
		if qname3 >= 0 {
			b.qname3[i], b.messages3[i] = sketch.Prepare(name[qname3:]), uint64(e.messages)
		}
		if e.messages > 0 {
			m.Qnames.Add(name)
		}
	}
	m.TopQname2.AddBatch(b.qname2[:len(names)], b.messages2[:])
	m.TopQname3.AddBatch(b.qname3[:len(names)], b.messages3[:])
	for _, column := range []struct {
		top    *metric.Top
		weight func(e *nameEntry) uint64
	}{
		{&m.TopNXDomain, func(e *nameEntry) uint64 { return uint64(e.outcomes[nxDomain]) }},
		{&m.TopServFail, func(e *nameEntry) uint64 { return uint64(e.outcomes[servFail]) }},
		{&m.TopRefused, func(e *nameEntry) uint64 { return uint64(e.outcomes[refused]) }},
		{&m.TopNoData, func(e *nameEntry) uint64 { return uint64(e.outcomes[noData]) }},
		{&m.TopNoError, func(e *nameEntry) uint64 { return uint64(e.outcomes[noError]) + uint64(e.outcomes[noData]) }},
		{&m.TopTimeout, func(e *nameEntry) uint64 { return uint64(e.timeouts) }},
		{&m.SlowIn, func(e *nameEntry) uint64 { return uint64(e.slowIn) }},
		{&m.SlowOut, func(e *nameEntry) uint64 { return uint64(e.slowOut) }},
		{&m.TopResponseBytes, func(e *nameEntry) uint64 { return e.bytes }},
	} {
		for i := range entries {
			b.weights[i] = column.weight(&entries[i])
		}
		column.top.AddBatch(names, b.weights[:])
	}
}

// smallTally counts values of a small range in an array: the low bytes of the counts, which fit into
// the CPU's cache, apart from the rest of them.
type smallTally struct {
	low     []uint8
	high    []uint32 // in 256s
	touched []uint16 // the values that were counted, in the order in which they came
}

func newSmallTally(size int) smallTally {
	return smallTally{low: make([]uint8, size), high: make([]uint32, size)}
}

func (t *smallTally) add(v uint16) {
	n := t.low[v]
	t.low[v] = n + 1
	if n == 0 && t.high[v] == 0 {
		t.touched = append(t.touched, v)
	} else if n == math.MaxUint8 {
		t.high[v]++
	}
}

// flush calls f with each value and its count, and forgets them.
func (t *smallTally) flush(f func(v uint16, n uint64)) {
	for _, v := range t.touched {
		f(v, uint64(t.high[v])<<8|uint64(t.low[v]))
		t.low[v], t.high[v] = 0, 0
	}
	t.touched = t.touched[:0]
}
