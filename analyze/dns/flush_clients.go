package dns

import (
	"encoding/binary"
	"strconv"

	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/metric"
	"pktvisor/sketch"
)

// The top tables of clients, which prefixes have too.
const (
	clientMessages = iota
	clientNXDomain
	clientTimeout
	numClientColumns
)

// clientColumns are these tables: the paths of the metrics, the tables, and the weight of a client.
var clientColumns = [numClientColumns]struct {
	path, prefixPath string
	top, prefixTop   func(m *Metrics) *metric.Top
	weight           func(c *client) uint64
}{
	clientMessages: {
		"top_clients", "top_client_prefix",
		func(m *Metrics) *metric.Top { return &m.TopClients }, func(m *Metrics) *metric.Top { return &m.TopClientPrefix },
		func(c *client) uint64 { return uint64(c.messages) },
	},
	clientNXDomain: {
		"top_clients_nxdomain", "top_client_prefix_nxdomain",
		func(m *Metrics) *metric.Top { return &m.TopClientsNXDomain }, func(m *Metrics) *metric.Top { return &m.TopClientPrefixNXDomain },
		func(c *client) uint64 { return uint64(c.nxDomain) },
	},
	clientTimeout: {
		"top_clients_timeout", "top_client_prefix_timeout",
		func(m *Metrics) *metric.Top { return &m.TopClientsTimeout }, func(m *Metrics) *metric.Top { return &m.TopClientPrefixTimeout },
		func(c *client) uint64 { return uint64(c.timeouts) },
	},
}

// numLengths is the number of lengths of prefixes that are counted.
const numLengths = 9

// lengths are the lengths of prefixes whose distinct values are counted, in bytes. Those with summed set are counted from the
// prefixes by which clients are summed up, of which there are fewer than clients.
var lengths = [numLengths]struct {
	path   string
	is4    bool
	bytes  int
	summed bool
	count  func(m *Metrics) *metric.Cardinality
}{
	{"clients.v4_8", true, 1, true, func(m *Metrics) *metric.Cardinality { return &m.ClientsV4n8 }},
	{"clients.v4_16", true, 2, true, func(m *Metrics) *metric.Cardinality { return &m.ClientsV4n16 }},
	{"clients.v4_24", true, 3, true, func(m *Metrics) *metric.Cardinality { return &m.ClientsV4n24 }},
	{"clients.v4_32", true, 4, false, func(m *Metrics) *metric.Cardinality { return &m.ClientsV4n32 }},
	{"clients.v6_32", false, 4, true, func(m *Metrics) *metric.Cardinality { return &m.ClientsV6n32 }},
	{"clients.v6_48", false, 6, true, func(m *Metrics) *metric.Cardinality { return &m.ClientsV6n48 }},
	{"clients.v6_56", false, 7, false, func(m *Metrics) *metric.Cardinality { return &m.ClientsV6n56 }},
	{"clients.v6_64", false, 8, false, func(m *Metrics) *metric.Cardinality { return &m.ClientsV6n64 }},
	{"clients.v6_128", false, 16, false, func(m *Metrics) *metric.Cardinality { return &m.ClientsV6n128 }},
}

// flushClients adds the clients to the bucket's section.
func (a *Analyzer) flushClients(keys analyze.Keys) {
	all, w := a.clients.Entries(), &a.batch.wanted
	for c := range clientColumns {
		if column := &clientColumns[c]; w.clients[c] {
			a.flushClientColumn(keys, column.top, all, column.weight, (*client).appendAddr)
		}
	}
	a.countClients(keys, all, false)
	if !w.anyPrefix() {
		return
	}
	a.sumPrefixes(all)
	prefixes := a.clients.prefixes.Entries()
	for c := range clientColumns {
		if column := &clientColumns[c]; w.prefixes[c] {
			a.flushClientColumn(keys, column.prefixTop, prefixes, column.weight, (*client).appendPrefix)
		}
	}
	a.countClients(keys, prefixes, true)
	a.clients.prefixes.Reset()
}

// flushClientColumn adds clients or prefixes to a table.
func (a *Analyzer) flushClientColumn(keys analyze.Keys, top func(m *Metrics) *metric.Top, list []client, weight func(c *client) uint64, text func(c *client, dst []byte) []byte) {
	weights := a.batch.weights[:0]
	for i := range list {
		weights = append(weights, weight(&list[i]))
	}
	a.batch.addWeighted(keys, top, weights, func(dst []byte, i int) ([]byte, int) { return text(&list[i], dst), 0 })
}

// appendAddr appends the address of a client as text.
func (c *client) appendAddr(dst []byte) []byte { return c.addr.AppendTo(dst) }

// appendPrefix appends a prefix as text.
func (c *client) appendPrefix(dst []byte) []byte {
	dst = append(c.addr.AppendTo(dst), '/')
	return strconv.AppendUint(dst, uint64(prefixLen(c.addr)), 10)
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
		p.messages += c.messages
		p.nxDomain += c.nxDomain
		p.timeouts += c.timeouts
		p.responses += c.responses
		p.asked.Merge(&c.asked)
	}
}

// countClients adds clients, or the prefixes by which they are summed up, to the cardinalities.
func (a *Analyzer) countClients(keys analyze.Keys, list []client, summed bool) {
	for i := range lengths {
		length := &lengths[i]
		if !a.batch.wanted.lengths[i] || length.summed != summed {
			continue
		}
		var last [16]byte
		any := false
		for k := 0; k < len(list); {
			hashes := a.batch.distinct[:0]
			for ; k < len(list) && len(hashes) < batchSize; k++ {
				c := &list[k]
				if c.addr.Is4() != length.is4 || c.messages == 0 {
					continue
				}
				key := keyOf(c.addr)
				if any && string(key[:length.bytes]) == string(last[:length.bytes]) {
					continue
				}
				last, any = key, true
				hashes = append(hashes, sketch.HashKey(key[:length.bytes]))
			}
			a.batch.distinct = hashes
			if len(hashes) > 0 {
				length.count(metric.Of[Metrics](keys.Lock())).AddHashed(hashes)
				keys.Unlock()
			}
		}
	}
}

// keyOf returns the bytes of an address in network order, of which those of IPv4 come first.
func keyOf(addr decode.Addr) (key [16]byte) {
	if addr.Is4() {
		binary.BigEndian.PutUint32(key[:], uint32(addr.Lo))
		return key
	}
	binary.BigEndian.PutUint64(key[:], addr.Hi)
	binary.BigEndian.PutUint64(key[8:], addr.Lo)
	return key
}
