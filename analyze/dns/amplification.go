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

// flushAmpPrefix adds the prefixes of clients to their table.
func (a *Analyzer) flushAmpPrefix(keys analyze.Keys, prefixes []client) {
	a.batch.addAmplified(keys, func(m *Metrics) *metric.Amplification { return &m.TopAmpPrefix }, len(prefixes),
		func(i int) (responses uint64, asked sketch.Asked) { return prefixes[i].responses, prefixes[i].asked },
		func(dst []byte, i int) []byte { return prefixes[i].appendPrefix(dst) })
}

// flushAmpQname adds the names to their table.
func (a *Analyzer) flushAmpQname(keys analyze.Keys) {
	entries := a.names.tally.Entries()
	amounts := a.amounts.names[:len(entries)]
	a.batch.addAmplified(keys, func(m *Metrics) *metric.Amplification { return &m.TopAmpQname }, len(amounts),
		func(i int) (responses uint64, asked sketch.Asked) {
			return amounts[i].responses, sketch.Asked{Bytes: amounts[i].queries}
		},
		func(dst []byte, i int) []byte {
			text, _, _ := dnswire.AppendNames(dst, a.names.name(&entries[i]))
			return text
		})
	clear(amounts)
}

// flushAmpQtype adds the types to their table. The tally of types must not be empty yet.
func (a *Analyzer) flushAmpQtype(keys analyze.Keys) {
	types, values := a.amounts.types, a.qtypes.values
	a.batch.addAmplified(keys, func(m *Metrics) *metric.Amplification { return &m.TopAmpQtype }, len(values),
		func(i int) (responses uint64, asked sketch.Asked) {
			return types[values[i]].responses, sketch.Asked{Bytes: types[values[i]].queries}
		},
		func(dst []byte, i int) []byte { return append(dst, dnswire.TypeName(values[i])...) })
	for _, v := range values {
		types[v] = amount{}
	}
}

// addAmplified adds n keys to a table, in parts, as addWeighted does. amount returns the bytes of the responses to a key and what is
// known of its queries.
func (b *batch) addAmplified(
	keys analyze.Keys, top func(m *Metrics) *metric.Amplification, n int, amount func(i int) (responses uint64, asked sketch.Asked), name func(dst []byte, i int) []byte,
) {
	weights, positions := b.weights[:0], b.positions[:0]
	for i := range n {
		responses, asked := amount(i)
		if int64(responses) < 0 {
			responses = 0
		}
		if responses|asked.Bytes|uint64(asked.Flags)|uint64(asked.Truncated) != 0 {
			weights, positions = append(weights, responses), append(positions, uint16(i))
		}
	}
	sieve := top(metric.Of[Metrics](keys.Lock())).Shed(weights, func(i int) uint64 {
		_, asked := amount(int(positions[i]))
		return asked.Bytes
	})
	keys.Unlock()
	for i := 0; i < len(weights); {
		b.text = b.text[:0]
		rows := b.rows[0][:0]
		for ; i < len(weights) && len(rows) < batchSize; i++ {
			if !sieve.Passes(weights[i]) {
				continue
			}
			text := name(b.text, int(positions[i]))
			b.names[len(rows)] = sketch.Prepare(text[len(b.text):])
			b.text = text
			_, b.asked[len(rows)] = amount(int(positions[i]))
			rows = append(rows, sketch.Weighted{Weight: weights[i], Key: uint32(len(rows))})
		}
		t := top(metric.Of[Metrics](keys.Lock()))
		for k := range rows {
			t.AddPrepared(b.names[k], rows[k].Weight, &b.asked[k])
		}
		keys.Unlock()
	}
}
