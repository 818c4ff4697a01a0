package dns

import (
	"slices"

	"pktvisor/analyze"
	"pktvisor/metric"
)

// wanted says which tables and cardinalities an analyzer's table has. The analyzer does not do the work for the others.
type wanted struct {
	qnames         bool // distinct names
	qname2, qname3 bool
	columns        [numColumns]bool // the tables of whole names

	qtypes, rcodes, opcodes, ports, subnets bool

	clients            [numClientColumns]bool // the tables of clients
	prefixes           [numClientColumns]bool // the same tables of prefixes
	lengths            [numLengths]bool       // the cardinalities of clients
	ampPrefix          bool
	networks           bool // distinct clients by AS
	clientNames        bool // distinct names by client
	prefixNames        bool // distinct names by prefix
	ampNames, ampTypes bool
}

// wantedBy returns the metrics that a table has. A nil table has all metrics.
func wantedBy(t *metric.Table) wanted {
	if t == nil {
		t = Table
	}
	w := wanted{
		qnames: t.Has("cardinality.qname"), qname2: t.Has("top_qname2"), qname3: t.Has("top_qname3"),
		qtypes: t.Has("top_qtype"), rcodes: t.Has("top_rcode"), opcodes: t.Has("top_opcode"), ports: t.Has("top_udp_ports"), subnets: t.Has("top_ecs"),
	}
	for c := range columns {
		w.columns[c] = t.Has(columns[c].path)
	}
	for c := range clientColumns {
		w.clients[c], w.prefixes[c] = t.Has(clientColumns[c].path), t.Has(clientColumns[c].prefixPath)
	}
	for i := range lengths {
		w.lengths[i] = t.Has(lengths[i].path)
	}
	w.networks, w.clientNames, w.prefixNames = t.Has("top_as_clients"), t.Has("top_client_names"), t.Has("top_client_prefix_names")
	w.ampPrefix, w.ampNames, w.ampTypes = t.Has("top_amp_prefix"), t.Has("top_amp_qname"), t.Has("top_amp_qtype")
	return w
}

// names reports whether a metric needs the names.
func (w *wanted) names() bool { return w.questions() || w.anyColumn() || w.ampNames || w.pairs() }

// questions reports whether a metric needs the names of questions, whatever the outcome.
func (w *wanted) questions() bool { return w.qnames || w.qname2 || w.qname3 }

// anyColumn reports whether there is a table of whole names.
func (w *wanted) anyColumn() bool { return w.columns != [numColumns]bool{} }

// allColumns reports whether no table of whole names is left out.
func (w *wanted) allColumns() bool { return !slices.Contains(w.columns[:], false) }

// slow reports, by direction, whether slow transactions are counted at their names. Which of them are slow is read from the
// latencies in the section. If the table lacks those of a direction, no transaction of that direction is slow.
func (w *wanted) slow() (d [analyze.NumDirections]bool) {
	d[analyze.Ingress], d[analyze.Egress] = w.columns[columnSlowIn], w.columns[columnSlowOut]
	return d
}

// anySlow reports whether slow transactions of at least one direction are counted at their names.
func (w *wanted) anySlow() bool { return w.columns[columnSlowIn] || w.columns[columnSlowOut] }

// anyClient reports whether a metric needs the clients.
func (w *wanted) anyClient() bool {
	return w.clients != [numClientColumns]bool{} || w.anyPrefix() || w.networks || w.pairs()
}

// pairs reports whether a metric needs the pairs of a client and a name.
func (w *wanted) pairs() bool { return w.clientNames || w.prefixNames }

// anyPrefix reports whether a metric needs the prefixes of the clients.
func (w *wanted) anyPrefix() bool {
	return w.prefixes != [numClientColumns]bool{} || w.lengths != [numLengths]bool{} || w.ampPrefix
}

// small returns the number of small tallies.
func (w *wanted) small() (n int64) {
	for _, has := range []bool{w.qtypes || w.ampTypes, w.rcodes, w.opcodes, w.ports} {
		if has {
			n++
		}
	}
	return n
}
