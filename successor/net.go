package successor

// The events of a handler are those that count, and those that its filter rejected.
const (
	netFiltered = "packets.filtered?"
	netEvents   = "packets.total + " + netFiltered
)

// Why metrics are missing.
const (
	noLatLon       = "without lat and lon: locations are kept as names"
	notByDirection = "not counted by direction"
	twoDirections  = "packets without a direction have no such count"
	frames         = "of whole frames, as there, but as long as they were on the wire, not as captured"
)

// net1 is the handler net, version 1.0.
var net1 = &declaration{
	schema: "packets", kind: "net", version: "1.0", section: "packets", filtered: netFiltered,
	groups: []group{{"counters", true}, {"cardinality", true}, {"top_geo", true}, {"top_ips", true}},
	whole: []row{
		{path: "events", kind: counter, from: netEvents, help: "Packets, with those that the filter rejected."},
		{path: "deep_samples", kind: counter, from: "packets.deep_samples", help: "Packets that were analysed in depth."},
		{path: "total", kind: counter, group: "counters", from: "packets.total", help: "Packets that the filter let pass."},
		{path: "filtered", kind: counter, group: "counters", from: netFiltered, help: "Packets that the filter rejected."},
		{path: "udp", kind: counter, group: "counters", from: "packets.udp", help: "UDP packets."},
		{path: "tcp", kind: counter, group: "counters", from: "packets.tcp", help: "TCP packets."},
		{path: "other_l4", kind: counter, group: "counters", from: "packets.other_l4", help: "Packets that are neither TCP nor UDP."},
		{path: "ipv4", kind: counter, group: "counters", from: "packets.ipv4", help: "IPv4 packets."},
		{path: "ipv6", kind: counter, group: "counters", from: "packets.ipv6", help: "IPv6 packets."},
		{path: "in", kind: counter, group: "counters", from: "packets.in", help: "Packets to the host."},
		{path: "out", kind: counter, group: "counters", from: "packets.out", help: "Packets from the host."},
		{path: "unknown_dir", kind: counter, group: "counters", from: "packets.unknown_dir", help: "Packets neither to nor from the host."},
		{path: "protocol.tcp.syn", kind: counter, group: "counters", from: "packets.protocol.tcp.syn + packets.protocol.tcp.syn_ack", help: "TCP segments with SYN, with or without ACK."},
		{path: "rates.pps_events", kind: rate, observed: true, from: "packets.rates.pps_total", help: "Packets a second, with those that the filter rejected."},
		{path: "rates.pps_total", kind: rate, from: "packets.rates.pps_total", help: "Packets a second."},
		{path: "rates.pps_in", kind: rate, from: "packets.rates.pps_in", help: "Packets a second to the host."},
		{path: "rates.pps_out", kind: rate, from: "packets.rates.pps_out", help: "Packets a second from the host."},
		{path: "rates.bytes_total", kind: rate, prefix: "payload", from: "packets.rates.bps_total", scale: 1. / 8, help: "Bytes a second."},
		{path: "rates.bytes_in", kind: rate, prefix: "payload", from: "packets.rates.bps_in", scale: 1. / 8, help: "Bytes a second to the host."},
		{path: "rates.bytes_out", kind: rate, prefix: "payload", from: "packets.rates.bps_out", scale: 1. / 8, help: "Bytes a second from the host."},
		{path: "cardinality.src_ips_in", kind: distinct, group: "cardinality", from: "packets.cardinality.src_ips_in", help: "Distinct addresses that sent packets to the host."},
		{path: "cardinality.dst_ips_out", kind: distinct, group: "cardinality", from: "packets.cardinality.dst_ips_out", help: "Distinct addresses that the host sent packets to."},
		{path: "payload_size", kind: quantiles, from: "packets.size", help: "Bytes of packets, with all headers.", remark: frames},
		{path: "top_ipv4", kind: table, group: "top_ips", label: "ipv4", from: "packets.top_ipv4", help: "Remote IPv4 addresses with the most packets."},
		{path: "top_ipv6", kind: table, group: "top_ips", label: "ipv6", from: "packets.top_ipv6", help: "Remote IPv6 addresses with the most packets."},
		{path: "top_geoLoc", kind: table, group: "top_geo", label: "geo_loc", from: "packets.top_geoLoc", help: "Locations of remote addresses with the most packets.", remark: noLatLon},
		{path: "top_ASN", kind: table, group: "top_geo", label: "asn", from: "packets.top_ASN", help: "Networks of remote addresses with the most packets."},
	},
}

// net2 is the handler net, version 2.0.
var net2 = &declaration{
	schema: "net", kind: "net", version: "2.0", section: "packets", filtered: netFiltered,
	groups: []group{{"counters", true}, {"cardinality", true}, {"quantiles", true}, {"top_geo", true}, {"top_ips", true}},
	whole: []row{
		{path: "observed_packets", kind: counter, from: netEvents, help: "Packets, with those that the filter rejected."},
		{path: "deep_sampled_packets", kind: counter, from: "packets.deep_samples", help: "Packets that were analysed in depth."},
		{path: "filtered_packets", kind: counter, group: "counters", from: netFiltered, help: "Packets that the filter rejected."},
		{path: "rates.observed_pps", kind: rate, observed: true, from: "packets.rates.pps_total", help: "Packets a second, with those that the filter rejected."},
	},
	seen: "packets.in | packets.out | packets.unknown_dir",
	below: []row{
		{path: "total_packets", kind: counter, group: "counters", from: "packets.in | packets.out | packets.unknown_dir", help: "Packets that the filter let pass."},
		{path: "udp_packets", kind: counter, group: "counters", remark: notByDirection},
		{path: "tcp_packets", kind: counter, group: "counters", remark: notByDirection},
		{path: "other_l4_packets", kind: counter, group: "counters", remark: notByDirection},
		{path: "ipv4_packets", kind: counter, group: "counters", remark: notByDirection},
		{path: "ipv6_packets", kind: counter, group: "counters", remark: notByDirection},
		{path: "tcp.syn_packets", kind: counter, group: "counters", remark: notByDirection},
		{path: "cardinality.ips", kind: distinct, group: "cardinality", from: "packets.cardinality.src_ips_in | packets.cardinality.dst_ips_out |", help: "Distinct remote addresses.", remark: twoDirections},
		{
			path: "rates.pps", kind: rate, group: "quantiles", help: "Packets a second.",
			from: "packets.rates.pps_in | packets.rates.pps_out | packets.rates.pps_total - packets.rates.pps_in - packets.rates.pps_out",
		},
		{
			path: "rates.bps", kind: rate, group: "quantiles", help: "Bits a second.", remark: "bits, as the name says; there bytes",
			from: "packets.rates.bps_in | packets.rates.bps_out | packets.rates.bps_total - packets.rates.bps_in - packets.rates.bps_out",
		},
		{path: "payload_size_bytes", kind: quantiles, group: "quantiles", remark: notByDirection},
		{path: "top_ipv4_packets", kind: table, group: "top_ips", label: "ipv4", remark: notByDirection},
		{path: "top_ipv6_packets", kind: table, group: "top_ips", label: "ipv6", remark: notByDirection},
		{path: "top_geo_loc_packets", kind: table, group: "top_geo", label: "geo_loc", remark: notByDirection},
		{path: "top_asn_packets", kind: table, group: "top_geo", label: "asn", remark: notByDirection},
	},
}
