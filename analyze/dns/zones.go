package dns

import (
	"math"

	"pktvisor/dnswire"
	"pktvisor/metric"
	"pktvisor/psl"
)

// The tables of distinct names. Each name in a question is an item of the zone that it is strictly below.
const (
	zoneRegistered = iota // the zones are registered domains
	zone2                 // the last two labels
	zone3                 // the last three labels
	zoneBits              // registered domains, and the weight of a name is its information
	numZones
)

// zoneTables are these tables: the path of the metric, and the table.
var zoneTables = [numZones]struct {
	path  string
	table func(m *Metrics) *metric.Distinct
}{
	zoneRegistered: {"top_zones", func(m *Metrics) *metric.Distinct { return &m.TopZones }},
	zone2:          {"top_zones2", func(m *Metrics) *metric.Distinct { return &m.TopZones2 }},
	zone3:          {"top_zones3", func(m *Metrics) *metric.Distinct { return &m.TopZones3 }},
	zoneBits:       {"top_zone_bits", func(m *Metrics) *metric.Distinct { return &m.TopZoneBits }},
}

// zones finds the names of a flush that belong in the samples of the tables. Most names do not, once a minute has more names
// than a sample: they cost a comparison a table.
type zones struct {
	wanted [numZones]bool
	any    bool
	list   *psl.List
	tables [numZones]zoneRows
	text   []byte // the keys of the rows
	key    []byte // see dotted
}

// zoneRows are the names of a batch for one table.
type zoneRows struct {
	threshold uint64
	// limits are the zones with a limit of their own, by the hash of a dot and the zone. Without them, every name of a flood
	// below one zone would be looked up.
	limits  [maxLimits]zoneLimit
	limited int
	passed  uint64 // the weight of the names without a row
	rows    [batchSize]zoneRow
	n       int
}

// maxLimits is the number of limits that a flush knows. Names below other zones are looked up.
const maxLimits = 64

type zoneLimit struct{ hash, limit uint64 }

// zoneRow is a name for a table: its hash and weight, and its zone, up to end in the text.
type zoneRow struct{ hash, weight, start, end uint32 }

func newZones(w wanted) zones {
	z := zones{wanted: w.zones, any: w.anyZone()}
	if z.any {
		z.text = make([]byte, 0, numZones*batchSize*maxText)
		z.key = make([]byte, 0, 2*maxText) // hashSuffix needs space behind a key
	}
	return z
}

// beginZones reads the thresholds of the tables.
func (a *Analyzer) beginZones(m *Metrics) {
	z := &a.zones
	z.list = a.cfg.Suffixes.List()
	for i := range z.tables {
		if !z.wanted[i] {
			continue
		}
		rows, table := &z.tables[i], zoneTables[i].table(m)
		rows.threshold, rows.limited = table.Threshold(), 0
		table.Limited(func(key []byte, limit uint64) {
			if rows.limited == maxLimits {
				return
			}
			rows.limits[rows.limited] = zoneLimit{a.hashSuffix(z.dotted(key)), limit}
			rows.limited++
		})
	}
}

// dotted returns a zone with a dot before it, as in the tables of suffixes. It is valid until the next call.
func (z *zones) dotted(zone []byte) []byte {
	z.key = z.key[:0]
	if len(zone) == 0 || zone[0] != '.' {
		z.key = append(z.key, '.')
	}
	z.key = append(z.key, zone...)
	return z.key
}

// passes reports whether a name with the given pair hash and weight may be in the sample, if it is in a zone with one of the given
// hashes.
func (r *zoneRows) passes(hash uint32, weight, suffix2, suffix3 uint64) bool {
	limit := r.threshold
	for i := range r.limits[:r.limited] {
		if l := &r.limits[i%maxLimits]; l.hash == suffix2 || l.hash == suffix3 {
			limit = min(limit, l.limit)
		}
	}
	if uint64(hash) < weight*limit {
		return true
	}
	r.passed += weight
	return false
}

// count makes the rows of a name. The name is in wire form and as text, whose last two and three labels begin at qname2 and qname3
// and have the given hashes.
func (z *zones) count(wire, text []byte, qname2, qname3 int, hash uint32, hash2, hash3 uint64) {
	if qname2 == 0 { // one or two labels: not below a zone
		return
	}
	if qname3 <= 0 {
		hash3 = 0
	}
	if z.wanted[zone2] && z.tables[zone2].passes(hash, 1, hash2, hash2) {
		z.tables[zone2].add(z, text[qname2:], hash, 1)
	}
	if qname3 > 0 && z.wanted[zone3] && z.tables[zone3].passes(hash, 1, hash3, hash3) {
		z.tables[zone3].add(z, text[qname3:], hash, 1)
	}
	registered := z.wanted[zoneRegistered] && z.tables[zoneRegistered].passes(hash, 1, hash2, hash3)
	carries := z.wanted[zoneBits] && z.tables[zoneBits].passes(hash, maxInformation(wire), hash2, hash3)
	if !registered && !carries {
		return
	}
	at := z.list.Registered(wire)
	if at <= 0 {
		return
	}
	var domain [maxText]byte
	key := dnswire.AppendName(domain[:0], wire[at:])
	if registered {
		z.tables[zoneRegistered].add(z, key, hash, 1)
	}
	if carries {
		z.tables[zoneBits].add(z, key, hash, information(wire[:at]))
	}
}

// add makes a row.
func (r *zoneRows) add(z *zones, key []byte, hash, weight uint32) {
	start := uint32(len(z.text))
	z.text = append(z.text, key...)
	r.rows[r.n%batchSize] = zoneRow{hash, weight, start, uint32(len(z.text))}
	r.n++
}

// addTo adds the rows to the tables.
func (z *zones) addTo(m *Metrics) {
	if !z.any {
		return
	}
	for i := range z.tables {
		if !z.wanted[i] {
			continue
		}
		rows, table := &z.tables[i], zoneTables[i].table(m)
		for k := range rows.rows[:rows.n] {
			row := &rows.rows[k]
			table.AddPair(z.text[row.start:row.end], row.hash, row.weight)
		}
		table.Pass(rows.passed)
		rows.threshold, rows.passed, rows.n = table.Threshold(), 0, 0
	}
	z.text = z.text[:0]
}

// information returns the information in the labels of a name in bits, at least 1: the Shannon entropy of their bytes, by their own
// frequencies, times their number (Born and Gustafson, "Detecting DNS tunnels using character frequency analysis", 2010, compare
// frequencies in this way; Paxson et al., "Practical comprehensive bounds on surreptitious communication over DNS", 2013, bound a
// domain's information by that of its distinct names).
//
// A word has little of it: mail has 8 bits, static-assets 42. An encoded packet in a name of 200 bytes has about 900. labels are in wire form, without the
// root label.
func information(labels []byte) uint32 {
	var counts [256]uint8
	n := 0
	for at := 0; at < len(labels); {
		end := at + 1 + int(labels[at])
		for _, c := range labels[at+1 : min(end, len(labels))] {
			counts[c]++
			n++
		}
		at = end
	}
	bits := plogp[n]
	for at := 0; at < len(labels); {
		end := at + 1 + int(labels[at])
		for _, c := range labels[at+1 : min(end, len(labels))] {
			bits -= plogp[counts[c]]
			counts[c] = 0
		}
		at = end
	}
	return max(uint32(bits>>16), 1)
}

// maxInformation returns the most that information returns for a part of a name.
func maxInformation(wire []byte) uint64 { return uint64(max(plogp[len(wire)]>>16, 1)) }

// plogp has n log2 n, in units of 2^-16. Integers give the same weight to a name on all hosts.
var plogp = func() (table [256]int64) {
	for n := 2; n < len(table); n++ {
		table[n] = int64(math.Round(float64(n) * math.Log2(float64(n)) * (1 << 16)))
	}
	return table
}()
