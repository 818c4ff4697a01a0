package dns

import (
	"pktvisor/analyze"
	"pktvisor/dnswire"
	"pktvisor/metric"
	"pktvisor/sketch"
)

// amount has the bytes of messages over UDP since the last flush. If a response is taken back after a flush, responses is
// less than 0 in two's complement.
type amount struct{ queries, responses uint64 }

// amounts has the bytes of queries to the host and of their responses, by type and by name, and those of responses to the
// host that it did not ask for. What has no question does not count. A table is nil if it is not wanted. The tally of types
// knows which types have an amount.
type amounts struct {
	names []amount // by the position of the name
	types *[maxValues]amount
}

func newAmounts(s sizes, w wanted) (t amounts) {
	if w.ampNames {
		t.names = make([]amount, s.names)
	}
	if w.ampTypes {
		t.types = new([maxValues]amount)
	}
	return t
}

// asked counts the bytes of a query at its type, and at its name with the given position.
func (t *amounts) asked(qtype uint16, name, bytes uint32) {
	if t.names != nil {
		t.names[name].queries += uint64(bytes)
	}
	if t.types != nil {
		t.types[qtype].queries += uint64(bytes)
	}
}

// answered counts the bytes of a response at its type, and at its name with the given position.
func (t *amounts) answered(qtype uint16, name uint32, bytes uint64) {
	if t.names != nil {
		t.names[name].responses += bytes
	}
	if t.types != nil {
		t.types[qtype].responses += bytes
	}
}

// responded returns the bytes of responses, which are not less than 0.
func responded(n uint64) uint64 { return uint64(max(int64(n), 0)) }

// flushAmpPrefix adds the prefixes of clients to their table.
func (a *Analyzer) flushAmpPrefix(keys analyze.Keys, prefixes []client) {
	weights, positions := a.batch.weights[:0], a.batch.positions[:0]
	for i := range prefixes {
		c := &prefixes[i]
		if n := responded(c.responses) << a.sample.lg; n|c.asked.Bytes|uint64(c.asked.Flags)|uint64(c.asked.Truncated) != 0 {
			weights, positions = append(weights, n), append(positions, uint16(i))
		}
	}
	a.addAmplified(keys, func(m *Metrics) *metric.Amplification { return &m.TopAmpPrefix }, weights, positions,
		func(i uint16) sketch.Asked { return prefixes[i].asked },
		func(dst []byte, i uint16) []byte { return appendPrefix(dst, prefixes[i].addr) })
}

// flushAmpQname adds the names to their table.
func (a *Analyzer) flushAmpQname(keys analyze.Keys) {
	entries := a.names.tally.Entries()
	amounts := a.amounts.names[:len(entries)]
	weights, positions, end := a.batch.weights[:len(amounts)], a.batch.positions[:len(amounts)], 0
	for i := range amounts {
		n := responded(amounts[i].responses) << a.sample.lg
		weights[end], positions[end] = n, uint16(i)
		end += hasWeight(n) | hasWeight(amounts[i].queries)
	}
	weights, positions = weights[:end], positions[:end]
	a.addAmplified(keys, func(m *Metrics) *metric.Amplification { return &m.TopAmpQname }, weights, positions,
		func(i uint16) sketch.Asked { return sketch.Asked{Bytes: amounts[i].queries} },
		func(dst []byte, i uint16) []byte { return dnswire.AppendName(dst, a.names.name(&entries[i])) })
	clear(amounts)
}

// flushAmpQtype adds the types to their table. The tally of types must not be empty yet.
func (a *Analyzer) flushAmpQtype(keys analyze.Keys) {
	types := a.amounts.types
	weights, positions := a.batch.weights[:0], a.batch.positions[:0]
	for _, v := range a.qtypes.values {
		if n := responded(types[v].responses) << a.sample.lg; n|types[v].queries != 0 {
			weights, positions = append(weights, n), append(positions, v)
		}
	}
	a.addAmplified(keys, func(m *Metrics) *metric.Amplification { return &m.TopAmpQtype }, weights, positions,
		func(v uint16) sketch.Asked { return sketch.Asked{Bytes: types[v].queries} },
		func(dst []byte, v uint16) []byte { return append(dst, dnswire.TypeName(v)...) })
	for _, v := range a.qtypes.values {
		types[v] = amount{}
	}
}

// addAmplified adds keys to a table, in parts, as addWeighted does. weights has the bytes that the responses to each key stand for, and
// positions what is passed to the functions, which return what was counted of the queries of a key, and its name. What queries have in
// common, and their number, stays what was counted.
func (a *Analyzer) addAmplified(
	keys analyze.Keys, top func(m *Metrics) *metric.Amplification, weights []uint64, positions []uint16, asked func(i uint16) sketch.Asked, name func(dst []byte, i uint16) []byte,
) {
	b, lg := &a.batch, a.sample.lg
	t := top(metric.Of[Metrics](keys.Lock()))
	if by := a.sample.thinning(a.sample.response, weights); by.Each > 0 {
		queries := a.sample.thinning(a.sample.query, nil)
		for _, i := range positions {
			known := asked(i)
			queries.Weight += known.Bytes << lg
		}
		t.Sampled(by, queries)
	}
	sieve := t.Shed(weights, func(i int) uint64 { return asked(positions[i]).Bytes << lg })
	keys.Unlock()
	for i := 0; i < len(weights); {
		b.text = b.text[:0]
		rows := b.rows[0][:0]
		for ; i < len(weights) && len(rows) < batchSize; i++ {
			if !sieve.Passes(weights[i]) {
				continue
			}
			text := name(b.text, positions[i])
			b.names[len(rows)] = sketch.Prepare(text[len(b.text):])
			b.text = text
			b.asked[len(rows)] = asked(positions[i])
			b.asked[len(rows)].Bytes <<= lg
			rows = append(rows, sketch.Weighted{Weight: weights[i], Key: uint32(len(rows))})
		}
		t := top(metric.Of[Metrics](keys.Lock()))
		for k := range rows {
			t.AddPrepared(b.names[k], rows[k].Weight, &b.asked[k])
		}
		keys.Unlock()
	}
}
