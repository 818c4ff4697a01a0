package dns

import (
	"encoding/binary"

	"pktvisor/analyze"
	"pktvisor/dnswire"
	"pktvisor/internal/memory"
	"pktvisor/metric"
	"pktvisor/sketch"
)

// suffixes are the counts of the names' last two or three labels during a flush. Its zero value counts nothing.
type suffixes struct {
	tally  *analyze.Tally[suffix]
	hashes [batchSize]uint64 // of the suffixes of a batch of names, 0 for a name without
	at     []uint16          // the position of each name's suffix in the tally, or noSuffix
}

// suffix holds the counts of the names with the same last labels.
type suffix struct {
	messages uint32
	name     uint32 // the position of the first of these names in the tally
	fold     uint8  // 1 plus the number of the folded zone, or 0
	limits   uint8  // 1 plus the number of the zone's limits in [zones], or 0
}

const noSuffix = 1<<16 - 1

func newSuffixes(names int) suffixes {
	return suffixes{tally: analyze.NewTally[suffix](names), at: make([]uint16, 0, names)}
}

// suffixBytes returns the memory of suffixes for the given number of names in bytes.
func suffixBytes(names int) int64 { return analyze.TallyBytes[suffix](names) + 2*int64(names) }

func (s *suffixes) reset() {
	if s.tally != nil {
		s.tally.Reset()
		s.at = s.at[:0]
	}
}

// countNames counts the names of questions as distinct names, at their suffixes and in their zones. It also finds the suffixes of the
// other names if names may be folded.
func (a *Analyzer) countNames(keys analyze.Keys, entries []nameEntry) {
	if a.zones.any {
		a.beginZones(metric.Of[Metrics](keys.Lock()), len(entries))
		keys.Unlock()
	}
	for first := 0; first < len(entries); first += batchSize {
		a.countBatch(entries[first:min(first+batchSize, len(entries))], uint32(first))
		metric.Of[Metrics](keys.Lock()).Qnames.AddHashed(a.batch.distinct)
		keys.Unlock()
	}
	if a.zones.any {
		a.flushZones(keys, entries)
	}
}

// countBatch counts at most batchSize names. first is the position of the first one in the tally.
func (a *Analyzer) countBatch(entries []nameEntry, first uint32) {
	b := &a.batch
	b.distinct = b.distinct[:0]
	hashed := b.wanted.qnames || a.zones.any
	for i := range entries {
		e := &entries[i]
		b.qname2.hashes[i%batchSize], b.qname3.hashes[i%batchSize] = 0, 0
		if e.messages == 0 && !a.folds.wanted {
			continue
		}
		wire := a.names.name(e)
		name, qname2, qname3 := dnswire.AppendNames(b.text[:0], wire)
		var hash2, hash3 uint64
		if b.qname2.tally != nil {
			hash2 = a.hashSuffix(name[qname2:])
		}
		if qname3 >= 0 && b.qname3.tally != nil {
			hash3 = a.hashSuffix(name[qname3:])
		}
		b.qname2.hashes[i%batchSize], b.qname3.hashes[i%batchSize] = hash2, hash3
		if e.messages == 0 || !hashed {
			continue
		}
		h := sketch.HashKey(name)
		if b.wanted.qnames {
			b.distinct = append(b.distinct, h)
		}
		if a.zones.any {
			a.zones.hash(int(first)+i, h.Pair(), e)
		}
	}
	b.qname2.count(entries, first)
	b.qname3.count(entries, first)
}

// hashSuffix hashes the last labels of a name as text. It hashes a short suffix together with zeros behind it. No name as
// text has a zero.
func (a *Analyzer) hashSuffix(text []byte) uint64 {
	const short = 32
	if len(text) > short || cap(text)-len(text) < short {
		return a.cfg.Seed.Bytes(text)
	}
	end := (*[short]byte)(text[len(text) : len(text)+short])
	*(*[16]byte)(end[:]), *(*[16]byte)(end[16:]) = [16]byte{}, [16]byte{} // the next name overwrites them
	word := func(i int) uint64 { return binary.LittleEndian.Uint64((*[short]byte)(text[:short])[8*i:]) }
	return a.cfg.Seed.Words(word(0), word(1), word(2), word(3))
}

// count counts the messages of at most batchSize names at their suffixes. first is the position of the first name in the tally of
// names. It loads all slots before it uses any, so that the CPU waits for several of them at the same time.
func (s *suffixes) count(entries []nameEntry, first uint32) {
	if s.tally == nil {
		return
	}
	var loaded uint64
	for i := range entries {
		loaded ^= s.tally.Prefetch(s.hashes[i%batchSize])
	}
	memory.KeepLoad(loaded)
	for i := range entries {
		hash := s.hashes[i%batchSize]
		if hash == 0 {
			s.at = append(s.at, noSuffix)
			continue
		}
		x, at, fresh := s.tally.At(hash)
		if fresh || x.messages == 0 {
			x.name = first + uint32(i)
		}
		x.messages += entries[i].messages
		s.at = append(s.at, uint16(at))
	}
}

// limits returns the limits of the suffix of name i: 1 plus their number in [zones], or 0.
func (s *suffixes) limits(i int) uint8 {
	if at := s.at[i]; at != noSuffix {
		return s.tally.Entries()[at].limits
	}
	return 0
}

// flushSuffixes adds the last two or three labels of the names to their table.
func (a *Analyzer) flushSuffixes(keys analyze.Keys, s *suffixes, labels int) {
	suffixes, entries, weights := s.tally.Entries(), a.names.tally.Entries(), a.batch.weights[:0]
	for i := range suffixes {
		weights = append(weights, uint64(suffixes[i].messages))
	}
	a.batch.addWeighted(keys, func(m *Metrics) *metric.Top { return m.suffixTop(labels) }, weights, sketch.Thinning{}, func(dst []byte, i int) (text []byte, key int) {
		text, qname2, qname3 := dnswire.AppendNames(dst, a.names.name(&entries[suffixes[i].name]))
		if labels == 3 {
			return text, qname3
		}
		return text, qname2
	})
}

// suffixTop returns the table of the last two or three labels.
func (m *Metrics) suffixTop(labels int) *metric.Top {
	if labels == 2 {
		return &m.TopQname2
	}
	return &m.TopQname3
}
