package dns

import (
	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/sketch"
)

// pairs samples the pairs of a client, or of its prefix, and a name that it has asked for. Each table has a sketch here, which is
// merged into that of the bucket at a flush. After a flush, only pairs that the bucket's sketch would take are sampled. So most
// pairs cost a comparison, and there is no list of them.
//
// What is sampled is decided by fixed hashes, on which all hosts agree. That of a name is computed once until the next flush.
type pairs struct {
	wanted bool
	client pairSample
	prefix pairSample
	names  []uint64 // the hashes of names, by position; 0 if not computed yet
	minute int64    // of the last tick
}

// pairSample has the pairs of one table since the last flush. Without a sketch, it takes none.
type pairSample struct {
	sketch *sketch.Spread
	below  uint64 // pairs with greater hashes are not sampled
	passed uint64 // the number of pairs that were not sampled
	limits [numLimits]keyLimit
}

// keyLimit says from which hash on the sketch takes no more pairs of a key, as 2^32 minus that. It belongs to one of the keys whose hashes
// have the same upper bits. Without it, each name of a client with very many names would be looked up.
type keyLimit struct {
	key   uint64
	above uint32
}

const numLimits = 256

const allPairs = 1 << 32 // greater than all hashes of pairs

func newPairs(s sizes, w wanted) (p pairs) {
	if !w.pairs() {
		return p
	}
	p = pairs{wanted: true, names: make([]uint64, s.names)}
	if w.clientNames {
		p.client.sketch = sketch.NewSpread(clientPairSlots)
	}
	if w.prefixNames {
		p.prefix.sketch = sketch.NewSpread(prefixPairSlots)
	}
	p.restart()
	return p
}

// The sizes of the sketches: those of the tables. While only a sample of the messages counts, they are smaller, because to keep a sample of
// pairs takes time for each pair in it.
const (
	clientPairSlots  = 4096
	prefixPairSlots  = 4096
	sampledPairSlots = 1024
)

// resize chooses the size of the sketches by whether all messages count.
func (p *pairs) resize(all bool) {
	client, prefix := clientPairSlots, prefixPairSlots
	if !all {
		client, prefix = sampledPairSlots, sampledPairSlots
	}
	if p.client.sketch != nil {
		p.client.sketch.Resize(client)
	}
	if p.prefix.sketch != nil {
		p.prefix.sketch.Resize(prefix)
	}
}

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
			s.below, s.limits = allPairs, [numLimits]keyLimit{}
		}
	}
}

// resetNames forgets the hashes of the first n names, when their tally is emptied.
func (p *pairs) resetNames(n int) {
	if p.names != nil {
		clear(p.names[:n])
	}
}

// countClient counts the client of a query among the distinct clients, while only a sample of the messages counts, and with the name that it
// has asked for, which has a position in its tally.
func (a *Analyzer) countClient(m *Message, name uint32) {
	key := sketch.HashWords(m.Src.Hi, m.Src.Lo, 0)
	if !a.sample.all() && a.clients.seen.wanted {
		a.clients.seen.see(m.Src, key)
	}
	if a.pairs.wanted && m.HasQuestion {
		a.pair(m.Src, key, name)
	}
}

// pair counts that a client has asked for a name. key is the hash of its address.
func (a *Analyzer) pair(addr decode.Addr, key uint64, name uint32) {
	p := &a.pairs
	item := p.names[name]
	if item == 0 {
		item = a.hashPairName(name)
	}
	prefix := prefixOf(addr)
	if hash := sketch.ItemOf(key, item); uint64(hash) < p.client.below {
		p.client.add(a, addr, key, hash, appendAddr)
	} else {
		p.client.passed++
	}
	key = sketch.HashWords(prefix.Hi, prefix.Lo, 1)
	if hash := sketch.ItemOf(key, item); uint64(hash) < p.prefix.below {
		p.prefix.add(a, prefix, key, hash, appendPrefix)
	} else {
		p.prefix.passed++
	}
}

// hashPairName computes the fixed hash of a name in wire form.
func (a *Analyzer) hashPairName(name uint32) uint64 {
	hash := sketch.HashItem(a.names.name(&a.names.tally.Entries()[name]))
	a.pairs.names[name] = hash
	return hash
}

// add adds a pair to the sample. text appends the name of the key, which has the given hash.
func (s *pairSample) add(a *Analyzer, addr decode.Addr, key uint64, hash uint32, text func(dst []byte, addr decode.Addr) []byte) {
	limit := &s.limits[key>>56]
	if limit.key == key && uint64(hash) >= allPairs-uint64(limit.above) {
		s.passed++
		return
	}
	bound := s.sketch.AddLimited(text(a.batch.text[:0], addr), hash)
	s.below = s.sketch.Threshold()
	*limit = keyLimit{key, uint32(allPairs - bound)}
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
	s.limits = [numLimits]keyLimit{}
}
