package packets

import "pktvisor/metric"

// wanted says which metrics of addresses an analyzer's table has. The analyzer does not do the work for the others.
type wanted struct {
	in, out          bool // the cardinalities
	top4, top6       bool
	cities, networks bool // also false without a Locator
}

// wantedBy returns the metrics that a table has. A nil table has all metrics.
func wantedBy(t *metric.Table, locate Locator) wanted {
	if t == nil {
		t = Table
	}
	return wanted{
		in: t.Has("cardinality.src_ips_in"), out: t.Has("cardinality.dst_ips_out"),
		top4: t.Has("top_ipv4"), top6: t.Has("top_ipv6"),
		cities: t.Has("top_geoLoc") && locate != nil, networks: t.Has("top_ASN") && locate != nil,
	}
}

// addresses reports whether a metric needs the addresses.
func (w wanted) addresses() bool { return w != wanted{} }

// text reports whether a metric needs the addresses as text.
func (w wanted) text() bool { return w.in || w.out || w.top4 || w.top6 }
