package dns

import (
	"iter"
	"math"
	"strconv"

	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/metric"
	"pktvisor/sketch"
)

// The counts of a client, each of which has a top table of clients and one of prefixes.
const (
	clientQueries = iota
	clientNXDomain
	clientTimeout
	numClientColumns
)

// clientColumns are these tables, and the paths of the metrics.
var clientColumns = [numClientColumns]struct {
	path, prefixPath string
	top, prefixTop   func(m *Metrics) *metric.Top
}{
	clientQueries: {
		"top_clients", "top_client_prefix",
		func(m *Metrics) *metric.Top { return &m.TopClients }, func(m *Metrics) *metric.Top { return &m.TopClientPrefix },
	},
	clientNXDomain: {
		"top_clients_nxdomain", "top_client_prefix_nxdomain",
		func(m *Metrics) *metric.Top { return &m.TopClientsNXDomain }, func(m *Metrics) *metric.Top { return &m.TopClientPrefixNXDomain },
	},
	clientTimeout: {
		"top_clients_timeout", "top_client_prefix_timeout",
		func(m *Metrics) *metric.Top { return &m.TopClientsTimeout }, func(m *Metrics) *metric.Top { return &m.TopClientPrefixTimeout },
	},
}

// numLengths is the number of lengths of prefixes that are counted.
const numLengths = 9

// lengths are the lengths of prefixes whose distinct values are counted, in bits. Those with summed set are counted from the
// prefixes by which clients are summed up, of which there are fewer than clients.
var lengths = [numLengths]struct {
	path   string
	is4    bool
	bits   int
	summed bool
	count  func(m *Metrics) *metric.Cardinality
}{
	{"clients.v4_8", true, 8, true, func(m *Metrics) *metric.Cardinality { return &m.ClientsV4n8 }},
	{"clients.v4_16", true, 16, true, func(m *Metrics) *metric.Cardinality { return &m.ClientsV4n16 }},
	{"clients.v4_24", true, 24, true, func(m *Metrics) *metric.Cardinality { return &m.ClientsV4n24 }},
	{"clients.v4_32", true, 32, false, func(m *Metrics) *metric.Cardinality { return &m.ClientsV4n32 }},
	{"clients.v6_32", false, 32, true, func(m *Metrics) *metric.Cardinality { return &m.ClientsV6n32 }},
	{"clients.v6_48", false, 48, true, func(m *Metrics) *metric.Cardinality { return &m.ClientsV6n48 }},
	{"clients.v6_56", false, 56, false, func(m *Metrics) *metric.Cardinality { return &m.ClientsV6n56 }},
	{"clients.v6_64", false, 64, false, func(m *Metrics) *metric.Cardinality { return &m.ClientsV6n64 }},
	{"clients.v6_128", false, 128, false, func(m *Metrics) *metric.Cardinality { return &m.ClientsV6n128 }},
}

// lengthBatch has clients whose prefixes are about to be counted: the first and the last 64 bits of their addresses, where those of
// IPv4 have their bits first.
type lengthBatch struct {
	first, last [2][batchSize]uint64 // by whether they are of IPv4
	n           [2]int
	hashes      [batchSize]uint64
	// had has some hashes that were counted during this flush, by their upper bits. Most prefixes of a short length come again
	// and again.
	had [numLengths][256]uint64
}

// flushClients adds the clients to the bucket's section.
func (a *Analyzer) flushClients(keys analyze.Keys) {
	all, w := a.clients.Entries(), &a.batch.wanted
	for c := range clientColumns {
		if w.clients[c] {
			a.flushClientColumn(keys, clientColumns[c].top, all, c, appendAddr)
		}
	}
	if w.networks && a.cfg.Locate != nil {
		a.countNetworks(keys, all)
	}
	if !w.anyPrefix() {
		return
	}
	a.clients.batch.had = [numLengths][256]uint64{}
	a.sumPrefixes(all)
	prefixes := a.clients.prefixes.Entries()
	for c := range clientColumns {
		if w.prefixes[c] {
			a.flushClientColumn(keys, clientColumns[c].prefixTop, prefixes, c, appendPrefix)
		}
	}
	if w.ampPrefix {
		a.flushAmpPrefix(keys, prefixes)
	}
	a.countClients(keys, all, false)
	a.countClients(keys, prefixes, true)
	a.clients.prefixes.Reset()
}

// flushClientColumn adds clients or prefixes to the table of a column.
func (a *Analyzer) flushClientColumn(keys analyze.Keys, top func(m *Metrics) *metric.Top, list []client, column int, text func(dst []byte, addr decode.Addr) []byte) {
	weights, rows, n := a.batch.weights[:len(list)], a.batch.positions[:len(list)], 0
	for i := range list {
		count := uint64(list[i].counts[column]) << a.sample.lg
		weights[n], rows[n] = count, uint16(i)
		n += hasWeight(count)
	}
	weights = weights[:n]
	a.batch.addWeighted(keys, top, weights, a.sample.thinning(1, weights), func(dst []byte, i int) ([]byte, int) { return text(dst, list[rows[i]].addr), 0 })
}

// appendAddr appends an address as text.
func appendAddr(dst []byte, addr decode.Addr) []byte { return addr.AppendTo(dst) }

// appendPrefix appends the prefix that begins with an address as text.
func appendPrefix(dst []byte, addr decode.Addr) []byte {
	dst = append(addr.AppendTo(dst), '/')
	return strconv.AppendUint(dst, uint64(prefixLen(addr)), 10)
}

// sumPrefixes sums clients up by prefix.
func (a *Analyzer) sumPrefixes(all []client) {
	for i := range all {
		c := &all[i]
		addr := prefixOf(c.addr)
		p, _, fresh := a.clients.prefixes.At(a.cfg.Seed.Addr(addr))
		if fresh {
			p.addr = addr
		}
		for k := range c.counts {
			p.counts[k] += c.counts[k]
		}
		p.responses += c.responses
		p.asked.Merge(&c.asked)
	}
}

// askers yields the addresses of the clients, or of the prefixes, in list that have sent queries since the last flush. While only a
// sample of the messages counts, it yields all addresses that were seen, or their prefixes.
func (a *Analyzer) askers(list []client, summed bool) iter.Seq[decode.Addr] {
	return func(yield func(decode.Addr) bool) {
		if a.sample.all() {
			for i := range list {
				if list[i].counts[clientQueries] > 0 && !yield(list[i].addr) {
					return
				}
			}
			return
		}
		for _, addr := range a.clients.seen.addrs {
			if summed {
				addr = prefixOf(addr)
			}
			if !yield(addr) {
				return
			}
		}
	}
}

// countClients adds clients, or the prefixes by which they are summed up, to the cardinalities. A key is the first bits of
// the address.
func (a *Analyzer) countClients(keys analyze.Keys, list []client, summed bool) {
	b := &a.clients.batch
	for addr := range a.askers(list, summed) {
		v, word := 0, addr.Hi
		if addr.Is4() {
			v, word = 1, addr.Lo<<32
		}
		n := b.n[v]
		b.first[v][n%batchSize], b.last[v][n%batchSize] = word, addr.Lo
		if b.n[v] = n + 1; b.n[v] == batchSize {
			a.countBatchOf(keys, v, summed)
		}
	}
	a.countBatchOf(keys, 0, summed)
	a.countBatchOf(keys, 1, summed)
}

// countBatchOf adds the clients of the batch with one version of IP to the cardinalities.
func (a *Analyzer) countBatchOf(keys analyze.Keys, version int, summed bool) {
	b := &a.clients.batch
	first, last := b.first[version][:b.n[version]], b.last[version][:b.n[version]]
	b.n[version] = 0
	if len(first) == 0 {
		return
	}
	for _, k := range a.clients.counted[one(summed)&1][version] {
		l := &lengths[k]
		if kind := uint64(l.bits); l.bits > 64 {
			for i := range first {
				b.hashes[i%batchSize] = sketch.HashWords(first[i], last[i], kind)
			}
		} else {
			mask := uint64(math.MaxUint64) << (64 - l.bits)
			for i := range first {
				b.hashes[i%batchSize] = sketch.HashWord(first[i]&mask, kind)
			}
		}
		hashes := b.hashes[:len(first)]
		if summed {
			hashes = fresh(hashes, &b.had[k])
		}
		if len(hashes) > 0 {
			l.count(metric.Of[Metrics](keys.Lock())).AddWords(hashes)
			keys.Unlock()
		}
	}
}

// fresh removes the hashes that are in had, and enters the others.
func fresh(hashes []uint64, had *[256]uint64) []uint64 {
	n := 0
	for _, h := range hashes {
		if at := &had[h>>56]; *at != h {
			*at = h
			hashes[n] = h
			n++
		}
	}
	return hashes[:n]
}

// countNetworks adds the clients to the table of distinct clients by AS. A client is in one AS, so its hash alone decides whether
// the table takes it, and the AS of the others is not looked up.
func (a *Analyzer) countNetworks(keys analyze.Keys, all []client) {
	t := &metric.Of[Metrics](keys.Lock()).TopASClients
	threshold := t.Threshold()
	keys.Unlock()
	above := uint64(0)
	for addr := range a.askers(all, false) {
		hash := sketch.HashWords(addr.Hi, addr.Lo, 0) >> 32
		if hash >= threshold {
			above++
			continue
		}
		name := a.cfg.Locate.ASN(addr.Netip())
		if name == "" {
			continue
		}
		t := &metric.Of[Metrics](keys.Lock()).TopASClients
		t.AddPair(append(a.batch.text[:0], name...), uint32(hash), 1)
		threshold = t.Threshold()
		keys.Unlock()
	}
	metric.Of[Metrics](keys.Lock()).TopASClients.Pass(above)
	keys.Unlock()
}
