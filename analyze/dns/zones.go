package dns

import (
	"math"

	"pktvisor/analyze"
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
	hashes []uint32 // of the names in the tally, see [sketch.Hashed.Pair]
	items  uint64   // the names of questions, and the most information in all of them and in one
	bits   uint64
	most   uint64
	text   []byte // the keys of the rows
	key    []byte // see dotted
	// limits are those of zones with limits of their own. The suffix of such a zone has the number of its limits. Without
	// them, every name of a flood below one zone would be looked up.
	limits  [maxLimits][numZones]uint64
	limited int
	rows    int // names with rows that are not added yet
}

// zoneRows are the names of a batch for one table.
type zoneRows struct {
	threshold uint64
	passed    uint64 // the weight of the names without a row so far
	rows      [batchSize]zoneRow
	n         int
}

// maxLimits is the number of zones with limits that a flush knows. Names below other zones are looked up.
const maxLimits = 255

// zoneRow is a name for a table: its hash and weight, and its zone, up to end in the text.
type zoneRow struct{ hash, weight, start, end uint32 }

func newZones(s sizes, w wanted) zones {
	z := zones{wanted: w.zones, any: w.anyZone()}
	if z.any {
		z.hashes = make([]uint32, s.names)
		z.text = make([]byte, 0, numZones*batchSize*maxText)
		z.key = make([]byte, 0, 2*maxText) // hashSuffix needs space behind a key
	}
	return z
}

// beginZones reads the thresholds of the tables before a flush of the given number of names.
func (a *Analyzer) beginZones(m *Metrics, names int) {
	z := &a.zones
	z.list = a.cfg.Suffixes.List()
	z.limited, z.items, z.bits, z.most = 0, 0, 0, 0
	for i := range z.tables {
		if !z.wanted[i] {
			continue
		}
		table := zoneTables[i].table(m)
		z.tables[i].threshold = table.Threshold()
		table.Limited(func(key []byte, limit uint64) {
			if limits := a.zoneLimits(key, names); limits != nil {
				limits[i] = limit
			}
		})
	}
}

// zoneLimits returns the place for the limits of a zone, or nil if there is no space. The zone then has a suffix without
// messages.
func (a *Analyzer) zoneLimits(zone []byte, names int) *[numZones]uint64 {
	z, s := &a.zones, &a.batch.qname2
	switch labelsOf(zone) {
	case 2:
	case 3:
		s = &a.batch.qname3
	default:
		return nil
	}
	if z.limited == maxLimits || s.tally.Full(names+1) {
		return nil
	}
	x, _, _ := s.tally.At(a.hashSuffix(z.dotted(zone)))
	if x.limits == 0 {
		z.limits[z.limited] = [numZones]uint64{math.MaxUint32 + 1, math.MaxUint32 + 1, math.MaxUint32 + 1, math.MaxUint32 + 1}
		z.limited++
		x.limits = uint8(z.limited)
	}
	return &z.limits[x.limits-1]
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

// hash keeps the hash of a name of a question.
func (z *zones) hash(at int, hash uint32, e *nameEntry) {
	bits := maxInformation(int(e.len))
	z.hashes[at] = hash
	z.items++
	z.bits += bits
	z.most = max(z.most, bits)
}

// firstNames is about how many names of a flush are sampled before the others.
const firstNames = 1024

// flushZones adds the names of questions to the tables. The result does not depend on their order. It begins with the names of the
// least hashes, which stay in the samples, so that most of the others are above the thresholds when it comes to them.
func (a *Analyzer) flushZones(keys analyze.Keys, entries []nameEntry) {
	z := &a.zones
	for i := range z.tables {
		z.tables[i].passed = z.items
	}
	z.tables[zoneBits].passed = z.bits
	from, to := uint64(0), (math.MaxUint32+1)/max(uint64(len(entries))/firstNames, 1)
	for from <= math.MaxUint32 && from < z.highest() {
		for i, hash := range z.hashes[:len(entries)] {
			if uint64(hash)-from < to-from && entries[i].messages > 0 {
				a.countZones(&entries[i], i)
				if z.rows == batchSize {
					z.addTo(keys)
				}
			}
		}
		z.addTo(keys)
		from, to = to, min(2*to, math.MaxUint32+1)
	}
	m := metric.Of[Metrics](keys.Lock())
	for i := range z.tables {
		if z.wanted[i] {
			zoneTables[i].table(m).Pass(z.tables[i].passed)
		}
	}
	keys.Unlock()
}

// highest returns a hash at and above which no name is in a sample.
func (z *zones) highest() uint64 {
	t := &z.tables
	return max(t[zoneRegistered].threshold, t[zone2].threshold, t[zone3].threshold, z.most*t[zoneBits].threshold)
}

// limit returns the limit of a table for a name whose suffixes have the limits with the given numbers.
func (z *zones) limit(table int, limits2, limits3 uint8) uint64 {
	limit := uint64(math.MaxUint64)
	if limits2 > 0 {
		limit = z.limits[limits2-1][table]
	}
	if limits3 > 0 {
		limit = min(limit, z.limits[limits3-1][table])
	}
	return limit
}

// countZones makes the rows of the name at i, whose suffixes are known.
func (a *Analyzer) countZones(e *nameEntry, i int) {
	z, hash := &a.zones, a.zones.hashes[i]
	limits2, limits3 := a.batch.qname2.limits(i), a.batch.qname3.limits(i)
	wanted, weight := [numZones]bool{}, uint64(1)
	for table := range z.tables {
		if table == zoneBits {
			weight = maxInformation(int(e.len))
		}
		if limit := min(z.tables[table].threshold, z.limit(table, limits2, limits3)); uint64(hash)/weight < limit {
			wanted[table] = true
			z.tables[table].passed -= weight
		}
	}
	if wanted != [numZones]bool{} {
		z.addRows(a.names.name(e), a.batch.text[:0], hash, wanted)
		z.rows++
	}
}

// addRows makes the rows of a name in wire form. text is scratch memory.
func (z *zones) addRows(wire, text []byte, hash uint32, wanted [numZones]bool) {
	if wanted[zone2] || wanted[zone3] {
		text, qname2, qname3 := dnswire.AppendNames(text, wire)
		if wanted[zone2] && qname2 > 0 { // otherwise it has one or two labels and is not below a zone
			z.tables[zone2].add(z, text[qname2:], hash, 1)
		}
		if wanted[zone3] && qname3 > 0 {
			z.tables[zone3].add(z, text[qname3:], hash, 1)
		}
	}
	if !wanted[zoneRegistered] && !wanted[zoneBits] {
		return
	}
	at := z.list.Registered(wire)
	if at <= 0 {
		return
	}
	key := dnswire.AppendName(text[:0], wire[at:])
	if wanted[zoneRegistered] {
		z.tables[zoneRegistered].add(z, key, hash, 1)
	}
	if wanted[zoneBits] {
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
func (z *zones) addTo(keys analyze.Keys) {
	if z.rows == 0 {
		return
	}
	m := metric.Of[Metrics](keys.Lock())
	for i := range z.tables {
		if !z.wanted[i] {
			continue
		}
		rows, table := &z.tables[i], zoneTables[i].table(m)
		for k := range rows.rows[:rows.n] {
			row := &rows.rows[k]
			table.AddPair(z.text[row.start:row.end], row.hash, row.weight)
		}
		rows.threshold, rows.n = table.Threshold(), 0
	}
	keys.Unlock()
	z.text, z.rows = z.text[:0], 0
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

// maxInformation returns the most that information returns for a part of a name of the given length in wire form.
func maxInformation(length int) uint64 { return uint64(max(plogp[length&255]>>16, 1)) }

// plogp has n log2 n, in units of 2^-16. Integers give the same weight to a name on all hosts.
var plogp = func() (table [256]int64) {
	for n := 2; n < len(table); n++ {
		table[n] = int64(math.Round(float64(n) * math.Log2(float64(n)) * (1 << 16)))
	}
	return table
}()
