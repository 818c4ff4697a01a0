package dns

import (
	"bytes"

	"pktvisor/analyze"
	"pktvisor/dnswire"
	"pktvisor/metric"
	"pktvisor/sketch"
)

// The rule for folding: see docs/decisions/0030-folded-names.md.
const (
	// foldFrom is the number of distinct names below a zone in a minute from which its light names are folded. The smaller tables of
	// names hold as many keys.
	foldFrom = 3072
	// lightMessages is the number of messages, and of timeouts, since the last flush up to which a name is light.
	lightMessages = 8
	// foldFor is how long a zone stays folded after the last flush that found it to have so many names, in nanoseconds.
	// After a minute begins, its samples take a while to find it again.
	foldFor = 90e9
	// maxFolds is the number of zones that are folded at once.
	maxFolds = 16
)

// folds are the zones whose light names count as one, "*.zone", in the tables of whole names.
type folds struct {
	wanted bool
	zones  [maxFolds]foldZone
	n      int
	heavy  [2 * maxFolds]heavyZone
	heavyN int
	text   []byte // the zones of heavy
}

// foldZone is a zone and what its light names had since the last flush.
type foldZone struct {
	key    []byte // "*.zone"
	hash   uint64 // of the suffix, which is the key without the asterisk
	labels int
	until  int64
	names  uint32
	sums   [numColumns]uint64
}

// heavyZone is a zone with very many names in the minute. Its text begins with a dot.
type heavyZone struct {
	start, end   int
	labels       int
	lower, upper uint64
}

func newFolds(w wanted) folds {
	f := folds{wanted: w.folds()}
	if f.wanted {
		f.text = make([]byte, 0, len(f.heavy)*(maxText+2))
		for i := range f.zones {
			f.zones[i].key = make([]byte, 0, 2*maxText)
		}
	}
	return f
}

// foldNames finds the zones to fold, and replaces their light names in the tables of whole names by one key each.
func (a *Analyzer) foldNames(keys analyze.Keys, entries []nameEntry) {
	f := &a.folds
	if !f.wanted {
		return
	}
	f.findHeavy(metric.Of[Metrics](keys.Lock()))
	keys.Unlock()
	a.chooseFolds()
	if f.n == 0 {
		return
	}
	b := &a.batch
	for i := range f.zones[:f.n] {
		z := &f.zones[i]
		z.names, z.sums = 0, [numColumns]uint64{}
		s := &b.qname2
		if z.labels == 3 {
			s = &b.qname3
		}
		if x := s.tally.Find(z.hash); x != nil {
			x.fold = uint8(i + 1)
		}
	}
	suffixes2, suffixes3 := b.qname2.tally.Entries(), b.qname3.tally.Entries()
	for i := range entries {
		fold := uint8(0)
		if at := b.qname3.at[i]; at != noSuffix {
			fold = suffixes3[at].fold
		}
		if at := b.qname2.at[i]; fold == 0 && at != noSuffix {
			fold = suffixes2[at].fold
		}
		if e := &entries[i]; fold > 0 && e.messages <= lightMessages && e.timeouts <= lightMessages {
			f.zones[fold-1].take(e)
		}
	}
	m := metric.Of[Metrics](keys.Lock())
	for i := range f.zones[:f.n] {
		z := &f.zones[i]
		key := sketch.Prepare(z.key)
		for c := range columns {
			columns[c].top(m).AddPrepared(key, z.sums[c])
		}
	}
	keys.Unlock()
}

// take moves the weights of a name to the zone. The name keeps its messages, which count at its suffixes.
func (z *foldZone) take(e *nameEntry) {
	for c := range columns {
		z.sums[c] += columns[c].weight(e)
	}
	z.names++
	e.outcomes, e.slowIn, e.slowOut, e.timeouts, e.bytes = [numOutcomes]uint32{}, 0, 0, 0, 0
}

// findHeavy reads the zones with very many names from the tables of distinct names.
func (f *folds) findHeavy(m *Metrics) {
	f.heavyN, f.text = 0, f.text[:0]
	add := func(zone []byte, lower, upper uint64) {
		labels := labelsOf(zone)
		if f.heavyN == len(f.heavy) || labels != 2 && labels != 3 || len(zone) > maxText {
			return
		}
		start := len(f.text)
		if zone[0] != '.' {
			f.text = append(f.text, '.')
		}
		f.text = append(f.text, zone...)
		f.heavy[f.heavyN] = heavyZone{start, len(f.text), labels, lower, upper}
		f.heavyN++
	}
	m.TopZones.Heavy(foldFrom, add)
	registered := f.heavyN
	m.TopZones3.Heavy(foldFrom, func(zone []byte, lower, upper uint64) {
		for _, r := range f.heavy[:registered] { // not a public suffix, and not the registered domain itself
			if domain := f.text[r.start:r.end]; len(zone) > len(domain) && bytes.HasSuffix(zone, domain) {
				add(zone, lower, upper)
				return
			}
		}
	})
	// What is below a heavy zone of three labels does not make the registered domain heavy.
	for i := range f.heavy[:registered] {
		r := &f.heavy[i]
		for _, z := range f.heavy[registered:f.heavyN] {
			if bytes.HasSuffix(f.text[z.start:z.end], f.text[r.start:r.end]) {
				r.lower -= min(z.upper, r.lower)
			}
		}
	}
}

// labelsOf returns the number of labels of a zone as text, with or without a dot before it.
func labelsOf(zone []byte) int {
	n := 0
	for i := 0; i < len(zone); i++ {
		switch {
		case zone[i] == '\\':
			i++ // a digit of \DDD is not a dot either
		case zone[i] == '.' && i > 0:
			n++
		}
	}
	return n + 1
}

// chooseFolds ends the folding of zones that have not been heavy for a while, and begins that of others.
func (a *Analyzer) chooseFolds() {
	f, kept := &a.folds, 0
	for i := range f.zones[:f.n] {
		// The time goes back when a recording starts again.
		if until := f.zones[i].until; a.now <= until && until <= a.now+foldFor {
			f.zones[kept], f.zones[i] = f.zones[i], f.zones[kept]
			kept++
		}
	}
	f.n = kept
	for i := range f.heavy[:f.heavyN] {
		h := &f.heavy[i]
		if h.lower < foldFrom {
			continue
		}
		hash := a.hashSuffix(a.zones.dotted(f.text[h.start:h.end]))
		at := 0
		for at < f.n && f.zones[at].hash != hash {
			at++
		}
		if at == maxFolds {
			continue
		}
		z := &f.zones[at]
		if at == f.n {
			f.n++
			z.key = append(append(z.key[:0], '*'), f.text[h.start:h.end]...)
			z.hash, z.labels = hash, h.labels
		}
		z.until = a.now + foldFor
	}
}

// appendKey appends a name as the tables of whole names have it. That is its text, but a first label that is an asterisk has a
// backslash before it (RFC 1035, section 5.1): without, it stands for a folded zone.
func appendKey(dst, wire []byte) []byte {
	if len(wire) > 2 && wire[0] == 1 && wire[1] == '*' {
		dst = append(dst, '\\')
	}
	return dnswire.AppendName(dst, wire)
}
