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
	zones          [numZones]bool   // the tables of distinct names

	qtypes, rcodes, opcodes, ports, subnets bool
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
	for i := range zoneTables {
		w.zones[i] = t.Has(zoneTables[i].path)
	}
	for c := range columns {
		w.columns[c] = t.Has(columns[c].path)
	}
	return w
}

// names reports whether a metric needs the names.
func (w *wanted) names() bool { return w.questions() || w.anyColumn() }

// questions reports whether a metric needs the names of questions, whatever the outcome.
func (w *wanted) questions() bool { return w.qnames || w.suffix2() || w.suffix3() }

// anyZone reports whether there is a table of distinct names.
func (w *wanted) anyZone() bool { return w.zones != [numZones]bool{} }

// folds reports whether light names of a zone with very many names are counted as one. The tables of distinct names say which
// zones these are.
func (w *wanted) folds() bool { return w.anyColumn() && w.zones[zoneRegistered] && w.zones[zone3] }

// suffix2 and suffix3 report whether the last two or three labels of names are counted during a flush.
func (w *wanted) suffix2() bool { return w.qname2 || w.anyZone() }
func (w *wanted) suffix3() bool { return w.qname3 || w.anyZone() }

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

// small returns the number of small tallies.
func (w *wanted) small() (n int64) {
	for _, has := range []bool{w.qtypes, w.rcodes, w.opcodes, w.ports} {
		if has {
			n++
		}
	}
	return n
}
