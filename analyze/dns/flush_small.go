package dns

import (
	"strconv"

	"pktvisor/analyze"
	"pktvisor/dnswire"
	"pktvisor/metric"
	"pktvisor/sketch"
)

// flushECS adds the client subnets to their table.
func (a *Analyzer) flushECS(keys analyze.Keys) {
	entries, weights := a.ecs.Entries(), a.batch.weights[:0]
	for i := range entries {
		weights = append(weights, uint64(entries[i].n))
	}
	a.batch.addWeighted(keys, func(m *Metrics) *metric.Top { return &m.TopECS }, weights, sketch.Thinning{}, func(dst []byte, i int) ([]byte, int) {
		return entries[i].prefix.AppendTo(dst), 0
	})
	a.ecs.Reset()
}

// flushSmall adds the values of small ranges to their tables, as text.
func (a *Analyzer) flushSmall(keys analyze.Keys) {
	a.opcodes.addMany(0, a.opcode0)
	a.opcode0 = 0
	for _, t := range []struct {
		tally *smallTally
		top   func(m *Metrics) *metric.Top
		name  func(dst []byte, v uint16) []byte
	}{
		{&a.qtypes, func(m *Metrics) *metric.Top { return &m.TopQtype }, func(dst []byte, v uint16) []byte { return append(dst, dnswire.TypeName(v)...) }},
		{&a.rcodes, func(m *Metrics) *metric.Top { return &m.TopRcode }, func(dst []byte, v uint16) []byte { return append(dst, rcodeName(v)...) }},
		{&a.opcodes, func(m *Metrics) *metric.Top { return &m.TopOpcode }, func(dst []byte, v uint16) []byte { return append(dst, dnswire.OpcodeName(uint8(v))...) }},
		{&a.udp, func(m *Metrics) *metric.Top { return &m.TopUDPPorts }, func(dst []byte, v uint16) []byte { return strconv.AppendUint(dst, uint64(v), 10) }},
	} {
		if t.tally.low == nil {
			continue
		}
		weights := a.batch.weights[:0]
		for _, v := range t.tally.values {
			weights = append(weights, t.tally.count(v))
		}
		a.batch.addWeighted(keys, t.top, weights, sketch.Thinning{}, func(dst []byte, i int) ([]byte, int) {
			return t.name(dst, t.tally.values[i]), 0
		})
		t.tally.reset()
	}
}

// rcodeName returns the API's name of an rcode. SERVFAIL is spelt as in the original.
func rcodeName(rcode uint16) string {
	if rcode == rcodeServFail {
		return "SRVFAIL"
	}
	return dnswire.RcodeName(rcode)
}
