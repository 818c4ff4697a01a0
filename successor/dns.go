package successor

// The events of a handler are those that count, and those that its filter rejected.
const (
	dnsFiltered = "dns.wire_packets.filtered?"
	dnsEvents   = "dns.wire_packets.total + " + dnsFiltered
)

// Why metrics are missing.
const (
	messagesOnly  = "counted as messages, not as transactions by direction"
	encrypted     = "a capture does not show encrypted DNS"
	noECSLocation = "client subnets are not looked up: `top_query_ecs` has them"
	wholeOnly     = "counted for all directions together"
)

// dns1 is the handler dns, version 1.0.
var dns1 = &declaration{
	schema: "dns", kind: "dns", version: "1.0", section: "dns", filtered: dnsFiltered,
	groups: []group{
		{"cardinality", true}, {"counters", true}, {"quantiles", true}, {"dns_transaction", true}, {"histograms", false}, {"top_ecs", false},
		{"top_qnames", true}, {"top_qnames_details", false}, {"top_ports", true},
	},
	whole: []row{
		{path: "wire_packets.events", kind: counter, from: dnsEvents, help: "DNS messages, with those that the filter rejected."},
		{path: "wire_packets.deep_samples", kind: counter, from: "dns.deep_samples", help: "DNS messages that were analysed in depth."},
		{path: "wire_packets.total", kind: counter, group: "counters", from: "dns.wire_packets.total", help: "DNS messages that the filter let pass."},
		{path: "wire_packets.filtered", kind: counter, group: "counters", from: dnsFiltered, help: "DNS messages that the filter rejected."},
		{path: "wire_packets.queries", kind: counter, group: "counters", from: "dns.wire_packets.queries", help: "Queries."},
		{path: "wire_packets.replies", kind: counter, group: "counters", from: "dns.wire_packets.replies", help: "Responses."},
		{path: "wire_packets.tcp", kind: counter, group: "counters", from: "dns.wire_packets.tcp", help: "DNS messages over TCP."},
		{path: "wire_packets.udp", kind: counter, group: "counters", from: "dns.wire_packets.udp", help: "DNS messages over UDP."},
		{path: "wire_packets.ipv4", kind: counter, group: "counters", from: "dns.wire_packets.ipv4", help: "DNS messages over IPv4."},
		{path: "wire_packets.ipv6", kind: counter, group: "counters", from: "dns.wire_packets.ipv6", help: "DNS messages over IPv6."},
		{path: "wire_packets.nxdomain", kind: counter, group: "counters", from: "dns.wire_packets.nxdomain", help: "Responses with rcode NXDOMAIN."},
		{path: "wire_packets.refused", kind: counter, group: "counters", from: "dns.wire_packets.refused", help: "Responses with rcode REFUSED."},
		{path: "wire_packets.srvfail", kind: counter, group: "counters", from: "dns.wire_packets.srvfail", help: "Responses with rcode SERVFAIL."},
		{path: "wire_packets.noerror", kind: counter, group: "counters", from: "dns.wire_packets.noerror", help: "Responses with rcode NOERROR."},
		{path: "wire_packets.nodata", kind: counter, group: "counters", from: "dns.wire_packets.nodata", help: "Responses with rcode NOERROR and without data.", remark: "without referrals and responses that were cut (TC), which are not NODATA (RFC 2308)"},
		{path: "wire_packets.query_ecs", kind: counter, group: "counters top_ecs", from: "dns.top_ecs", help: "Queries with an EDNS client subnet.", remark: "all that `top_query_ecs` has counted"},
		{path: "rates.total", kind: rate, from: "dns.rates.total", help: "DNS messages a second."},
		{path: "rates.events", kind: rate, observed: true, from: "dns.rates.total", help: "DNS messages a second, with those that the filter rejected."},
		{path: "cardinality.qname", kind: distinct, group: "cardinality", from: "dns.cardinality.qname", help: "Distinct names in questions."},
		{path: "xact.counts.total", kind: counter, group: "dns_transaction", from: "dns.xact.counts.total", help: "Queries paired with their responses."},
		{path: "xact.counts.timed_out", kind: counter, group: "dns_transaction", from: "dns.xact.counts.timeouts", help: "Queries that got no response in time."},
		{path: "xact.in.total", kind: counter, group: "dns_transaction", from: "dns.xact.in.total", help: "Transactions whose server is the host."},
		{path: "xact.in.quantiles_us", kind: quantiles, group: "dns_transaction quantiles", from: "dns.xact.in.quantiles_us", help: "Microseconds from query to response, where the host is the server."},
		{path: "xact.in.histogram_us", kind: histogram, group: "dns_transaction histograms", from: "dns.xact.in.quantiles_us", help: "Microseconds from query to response, where the host is the server."},
		{path: "xact.in.top_slow", kind: table, group: "dns_transaction", label: "qname", from: "dns.xact.in.top_slow", help: "Names of slow transactions whose server is the host."},
		{path: "xact.out.total", kind: counter, group: "dns_transaction", from: "dns.xact.out.total", help: "Transactions whose client is the host."},
		{path: "xact.out.quantiles_us", kind: quantiles, group: "dns_transaction quantiles", from: "dns.xact.out.quantiles_us", help: "Microseconds from query to response, where the host is the client."},
		{path: "xact.out.histogram_us", kind: histogram, group: "dns_transaction histograms", from: "dns.xact.out.quantiles_us", help: "Microseconds from query to response, where the host is the client."},
		{path: "xact.out.top_slow", kind: table, group: "dns_transaction", label: "qname", from: "dns.xact.out.top_slow", help: "Names of slow transactions whose client is the host."},
		{path: "xact.ratio.quantiles", kind: quantiles, group: "dns_transaction quantiles", from: "dns.xact.ratio.quantiles", help: "Bytes of responses by bytes of their queries."},
		{path: "top_rcode", kind: table, label: "rcode", from: "dns.top_rcode", help: "Rcodes with the most responses.", remark: "with the rcodes of EDNS"},
		{path: "top_qtype", kind: table, label: "qtype", from: "dns.top_qtype", help: "Types of questions with the most messages."},
		{path: "top_udp_ports", kind: table, group: "top_ports", label: "port", from: "dns.top_udp_ports", help: "Ports of clients with the most messages over UDP.", remark: "only over UDP"},
		{path: "top_query_ecs", kind: table, group: "top_ecs", label: "ecs", from: "dns.top_ecs", help: "EDNS client subnets with the most queries.", remark: "subnets with their length; there addresses"},
		{path: "top_geoLoc_ecs", kind: table, group: "top_ecs", label: "geo_loc", remark: noECSLocation},
		{path: "top_asn_ecs", kind: table, group: "top_ecs", label: "asn", remark: noECSLocation},
		{path: "top_qname2", kind: table, group: "top_qnames", label: "qname", from: "dns.top_qname2", help: "Last two labels of names, by messages."},
		{path: "top_qname3", kind: table, group: "top_qnames", label: "qname", from: "dns.top_qname3", help: "Last three labels of names, by messages."},
		{path: "top_nxdomain", kind: table, group: "top_qnames", label: "qname", from: "dns.top_nxdomain", help: "Names of responses with rcode NXDOMAIN."},
		{path: "top_refused", kind: table, group: "top_qnames", label: "qname", from: "dns.top_refused", help: "Names of responses with rcode REFUSED."},
		{path: "top_srvfail", kind: table, group: "top_qnames", label: "qname", from: "dns.top_srvfail", help: "Names of responses with rcode SERVFAIL."},
		{path: "top_nodata", kind: table, group: "top_qnames", label: "qname", from: "dns.top_nodata", help: "Names of responses without data.", remark: "as `wire_packets.nodata`"},
		{path: "top_noerror", kind: table, group: "top_qnames top_qnames_details", label: "qname", from: "dns.top_noerror", help: "Names of responses with rcode NOERROR."},
		{path: "top_qname_by_resp_bytes", kind: table, group: "top_qnames top_qnames_details", label: "qname", from: "dns.top_response_bytes", help: "Names whose responses have the most bytes."},
	},
}

// dns2 is the handler dns, version 2.0. All but the first metrics are of transactions.
var dns2 = &declaration{
	schema: "dns", kind: "dns", version: "2.0", section: "dns", filtered: dnsFiltered,
	groups: []group{
		{"cardinality", true}, {"counters", true}, {"top_qnames", true}, {"quantiles", true}, {"top_qtypes", true}, {"top_rcodes", true},
		{"top_size", false}, {"xact_times", false}, {"top_ports", false}, {"top_ecs", false},
	},
	whole: []row{
		{path: "observed_packets", kind: counter, from: dnsEvents, help: "DNS messages, with those that the filter rejected."},
		{path: "deep_sampled_packets", kind: counter, from: "dns.deep_samples", help: "DNS messages that were analysed in depth."},
		{path: "filtered_packets", kind: counter, group: "counters", from: dnsFiltered, help: "DNS messages that the filter rejected."},
		{path: "rates.observed_pps", kind: rate, observed: true, from: "dns.rates.total", help: "DNS messages a second, with those that the filter rejected."},
	},
	seen: "dns.xact.in.total + dns.xact.in.timeouts + dns.xact.in.orphans | dns.xact.out.total + dns.xact.out.timeouts + dns.xact.out.orphans | " +
		"dns.xact.counts.total + dns.xact.counts.timeouts + dns.xact.counts.orphans - dns.xact.in.total - dns.xact.out.total - " +
		"dns.xact.in.timeouts - dns.xact.out.timeouts - dns.xact.in.orphans - dns.xact.out.orphans",
	below: []row{
		{
			path: "xacts", kind: counter, group: "counters", help: "Queries paired with their responses.",
			from: "dns.xact.in.total | dns.xact.out.total | dns.xact.counts.total - dns.xact.in.total - dns.xact.out.total",
		},
		{path: "udp_xacts", kind: counter, group: "counters", remark: messagesOnly},
		{path: "tcp_xacts", kind: counter, group: "counters", remark: messagesOnly},
		{path: "dot_xacts", kind: counter, group: "counters", remark: encrypted},
		{path: "doh_xacts", kind: counter, group: "counters", remark: encrypted},
		{path: "dnscrypt_udp_xacts", kind: counter, group: "counters", remark: encrypted},
		{path: "dnscrypt_tcp_xacts", kind: counter, group: "counters", remark: encrypted},
		{path: "doq_xacts", kind: counter, group: "counters", remark: encrypted},
		{path: "ipv4_xacts", kind: counter, group: "counters", remark: messagesOnly},
		{path: "ipv6_xacts", kind: counter, group: "counters", remark: messagesOnly},
		{path: "nxdomain_xacts", kind: counter, group: "counters", remark: messagesOnly},
		{path: "refused_xacts", kind: counter, group: "counters", remark: messagesOnly},
		{path: "srvfail_xacts", kind: counter, group: "counters", remark: messagesOnly},
		{path: "noerror_xacts", kind: counter, group: "counters", remark: messagesOnly},
		{path: "nodata_xacts", kind: counter, group: "counters", remark: messagesOnly},
		{path: "ecs_xacts", kind: counter, group: "counters", remark: messagesOnly},
		{path: "authenticated_data_xacts", kind: counter, group: "counters", remark: wholeOnly},
		{path: "authoritative_answer_xacts", kind: counter, group: "counters", remark: wholeOnly},
		{path: "checking_disabled_xacts", kind: counter, group: "counters", remark: wholeOnly},
		{
			path: "timeout_queries", kind: counter, group: "counters", help: "Queries that got no response in time.",
			from: "dns.xact.in.timeouts | dns.xact.out.timeouts | dns.xact.counts.timeouts - dns.xact.in.timeouts - dns.xact.out.timeouts",
		},
		{
			path: "orphan_responses", kind: counter, group: "counters", help: "Responses without a query.",
			from: "dns.xact.in.orphans | dns.xact.out.orphans | dns.xact.counts.orphans - dns.xact.in.orphans - dns.xact.out.orphans",
		},
		{path: "xact_rates", kind: rate, group: "quantiles", remark: "transactions are not counted by second"},
		{path: "cardinality.qname", kind: distinct, group: "cardinality", remark: wholeOnly},
		{
			path: "xact_time_us", kind: quantiles, group: "xact_times", help: "Microseconds from query to response.",
			from: "dns.xact.in.quantiles_us | dns.xact.out.quantiles_us | dns.xact.unknown.quantiles_us",
		},
		{
			path: "xact_histogram_us", kind: histogram, group: "xact_times", help: "Microseconds from query to response.",
			from: "dns.xact.in.quantiles_us | dns.xact.out.quantiles_us | dns.xact.unknown.quantiles_us",
		},
		{path: "top_slow_xacts", kind: table, group: "xact_times", label: "qname", from: "dns.xact.in.top_slow | dns.xact.out.top_slow |", help: "Names of slow transactions.", remark: "none without a direction"},
		{path: "response_query_size_ratio", kind: quantiles, group: "top_size", remark: wholeOnly},
		{path: "top_response_bytes", kind: table, group: "top_size", label: "qname", remark: wholeOnly},
		{path: "top_qname2_xacts", kind: table, group: "top_qnames", label: "qname", remark: messagesOnly},
		{path: "top_qname3_xacts", kind: table, group: "top_qnames", label: "qname", remark: messagesOnly},
		{path: "top_nxdomain_xacts", kind: table, group: "top_rcodes", label: "qname", remark: messagesOnly},
		{path: "top_refused_xacts", kind: table, group: "top_rcodes", label: "qname", remark: messagesOnly},
		{path: "top_srvfail_xacts", kind: table, group: "top_rcodes", label: "qname", remark: messagesOnly},
		{path: "top_nodata_xacts", kind: table, group: "top_rcodes", label: "qname", remark: messagesOnly},
		{path: "top_noerror_xacts", kind: table, group: "top_rcodes", label: "qname", remark: messagesOnly},
		{path: "top_rcode_xacts", kind: table, group: "top_rcodes", label: "rcode", remark: messagesOnly},
		{path: "top_qtype_xacts", kind: table, group: "top_qtypes", label: "qtype", remark: messagesOnly},
		{path: "top_udp_ports_xacts", kind: table, group: "top_ports", label: "port", remark: messagesOnly},
		{path: "top_ecs_xacts", kind: table, group: "top_ecs", label: "ecs", remark: messagesOnly},
		{path: "top_geo_loc_ecs_xacts", kind: table, group: "top_ecs", label: "geo_loc", remark: noECSLocation},
		{path: "top_asn_ecs_xacts", kind: table, group: "top_ecs", label: "asn", remark: noECSLocation},
	},
}
