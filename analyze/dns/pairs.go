package dns

import (
	"pktvisor/analyze"
	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/sketch"
)

// pairs samples the pairs of a client, or of its prefix, and a name that it has asked for. Each table has a sketch here, which is
// merged into that of the bucket at a flush. After a flush, only pairs that the bucket's sketch would take are sampled. So most
// pairs cost a comparison, and there is no list of them.
//
// What is sampled is decided by fixed hashes, on which all hosts agree. Those of names and clients are computed once for each,
// and not for each pair.
type pairs struct {
	wanted  bool
	client  pairSample
	prefix  pairSample
	names   []uint64  // the hashes of names, by position; 0 if not computed yet
	clients []pairKey // by position
	minute  int64     // of the last tick
}

// pairSample has the pairs of one table since the last flush. Without a sketch, it takes none.
type pairSample struct {
	sketch *sketch.Spread
	below  uint64 // pairs with greater hashes are not sampled
	passed uint64 // the number of pairs that were not sampled
}

// pairKey has the hashes of a client and of its prefix, for [sketch.ItemOf]. Both are 0 if not computed yet. The others say from
// which hash on the tables take no more pairs, as 2^32 minus that.
type pairKey struct {
	client, prefix           uint64
	clientAbove, prefixAbove uint32
}

const allPairs = 1 << 32 // greater than all hashes of pairs

func newPairs(s sizes, w wanted) (p pairs) {
	if !w.pairs() {
		return p
	}
	p = pairs{wanted: true, names: make([]uint64, s.names), clients: make([]pairKey, s.clients)}
	if w.clientNames {
		p.client.sketch = sketch.NewSpread(clientPairSlots)
	}
	if w.prefixNames {
		p.prefix.sketch = sketch.NewSpread(prefixPairSlots)
	}
	p.restart()
	return p
}

// The sizes of the sketches: those of the tables.
const (
	clientPairSlots = 4096
	prefixPairSlots = 4096
)

// tick sets the time. The tables of a new minute are empty, and take all pairs.
func (p *pairs) tick(now int64) {
	if m := now / (minute.Seconds * 1e9); p.wanted && m != p.minute {
		p.minute = m
		p.restart()
	}
}

// restart begins to sample all pairs.
func (p *pairs) restart() {
	for _, s := range []*pairSample{&p.client, &p.prefix} {
		if s.sketch != nil && s.sketch.Added() == 0 { // otherwise, what was flushed is in the same tables
			s.sketch.Reset()
			s.below = allPairs
		}
	}
}

// resetNames forgets the hashes of the first n names, when their tally is emptied.
func (p *pairs) resetNames(n int) {
	if p.names != nil {
		clear(p.names[:n])
	}
}

// resetClients forgets the hashes of the first n clients, when their tally is emptied.
func (p *pairs) resetClients(n int) {
	if p.clients != nil {
		clear(p.clients[:n])
	}
}

// pair counts that a client has asked for a name. Both are positions in their tallies.
func (a *Analyzer) pair(at, name uint32) {
	p := &a.pairs
	key, item := &p.clients[at], p.names[name]
	if item == 0 {
		item = a.hashPairName(name)
	}
	if key.client|key.prefix == 0 {
		a.hashPairClient(at)
	}
	if hash := sketch.ItemOf(key.client, item); uint64(hash) < p.client.below {
		key.clientAbove = p.client.add(a, at, hash, key.clientAbove, (*client).appendAddr)
	} else {
		p.client.passed++
	}
	if hash := sketch.ItemOf(key.prefix, item); uint64(hash) < p.prefix.below {
		key.prefixAbove = p.prefix.add(a, at, hash, key.prefixAbove, (*client).appendNet)
	} else {
		p.prefix.passed++
	}
}

// hashPairName computes the fixed hash of a name in wire form.
func (a *Analyzer) hashPairName(name uint32) uint64 {
	hash := a.blind.Word(sketch.HashItem(a.names.name(&a.names.tally.Entries()[name])))
	a.pairs.names[name] = hash
	return hash
}

// hashPairClient computes the fixed hashes of a client and its prefix.
func (a *Analyzer) hashPairClient(at uint32) {
	addr := a.clients.Entries()[at].addr
	prefix, key := prefixOf(addr), &a.pairs.clients[at]
	key.client = a.blind.Word(sketch.HashWords(addr.Hi, addr.Lo, 0))
	key.prefix = a.blind.Word(sketch.HashWords(prefix.Hi, prefix.Lo, 1))
}

// add adds a pair to the sample. above is what is known of the pairs of the same key: see pairKey. add returns what is known then.
func (s *pairSample) add(a *Analyzer, at, hash, above uint32, text func(c *client, dst []byte) []byte) uint32 {
	if s.passed++; uint64(hash) >= allPairs-uint64(above) {
		return above
	}
	s.passed--
	bound := s.sketch.AddLimited(text(&a.clients.Entries()[at], a.batch.text[:0]), hash)
	s.below = s.sketch.Threshold()
	return uint32(allPairs - bound)
}

// flushPairs merges the samples into the tables of distinct names by client and by prefix.
func (a *Analyzer) flushPairs(keys analyze.Keys) {
	a.pairs.client.flush(keys, func(m *Metrics) *metric.Distinct { return &m.TopClientNames })
	a.pairs.prefix.flush(keys, func(m *Metrics) *metric.Distinct { return &m.TopClientPrefixNames })
}

// flush merges the sample into a table. From then on, the sample has what the table would take.
func (s *pairSample) flush(keys analyze.Keys, table func(m *Metrics) *metric.Distinct) {
	if s.sketch == nil || s.sketch.Added() == 0 && s.passed == 0 {
		return
	}
	s.sketch.Pass(s.passed)
	s.passed = 0
	t := table(metric.Of[Metrics](keys.Lock()))
	t.Merge(&metric.Distinct{Spread: s.sketch})
	s.below = t.Threshold()
	keys.Unlock()
	s.sketch.Reset()
	s.sketch.Lower(s.below)
}
