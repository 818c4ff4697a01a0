package dashboards

import "fmt"

// DNS is the dashboard about DNS messages and transactions, of agents or of a hub.
func DNS() Dashboard {
	d := Dashboard{
		File: "pktvisor-dns", UID: "pktvisor-dns", Title: "pktvisor: DNS", Jobs: "pktvisor_dns_wire_packets_total", OneJob: true, Interval: rateInterval,
		Description: "DNS messages, rcodes, transactions, latencies and names. Choose one job: agents and their hub count the same packets. See docs/grafana.md.",
	}
	for _, part := range [][]Panel{dnsNow(), dnsMessages(), dnsTransactions(), dnsNames(), dnsZones(), dnsAmplification(), dnsClients()} {
		d.Panels = append(d.Panels, part...)
	}
	return d
}

const (
	replies = "dns.wire_packets.replies"
	xacts   = "dns.xact.counts.total"
)

func dnsNow() []Panel {
	return []Panel{
		title("Now"),
		number("Queries", "reqps", "Queries a second.", rates("dns.wire_packets.queries")[0].Expr),
		number("Responses", "reqps", "Responses a second.", rates(replies)[0].Expr),
		number("NXDOMAIN", "percentunit", "Share of responses with rcode NXDOMAIN.", shares(replies, "dns.wire_packets.nxdomain")[0].Expr),
		number("SERVFAIL", "percentunit", "Share of responses with rcode SERVFAIL.", shares(replies, "dns.wire_packets.srvfail")[0].Expr),
		number("Timeouts", "percentunit", "Queries without a response in time, as a share of these and the answered ones.",
			`sum(rate(`+name("dns.xact.counts.timeouts")+`{@}[@])) / (sum(rate(`+name("dns.xact.counts.timeouts")+`{@}[@])) + sum(rate(`+name(xacts)+`{@}[@])))`),
		number("p95", "s", "95% of the transactions whose server is the host were faster.", quantile("0.95", name("dns.xact.in.quantiles_us"), "", "")),
	}
}

func dnsMessages() []Panel {
	panels := []Panel{
		title("Messages"),
		graph("Queries and responses", "reqps", "Messages a second. A gap between them is queries without a response, or lost packets.",
			rates("dns.wire_packets.queries queries", replies+" responses")...),
		graph("Seconds of the minute", "reqps", "Quantiles of the seconds of each minute, of the busiest instance.",
			Target{`max(` + name("dns.rates.total") + `_minute{@,stat="max"})`, "busiest second"},
			Target{`max(` + name("dns.rates.total") + `_minute{@,stat="p99"})`, "p99"},
			Target{`max(` + name("dns.rates.total") + `_minute{@,stat="p50"})`, "p50"}),
		stacked("Rcodes", "reqps", "Responses by rcode.", rates("dns.wire_packets.noerror NOERROR", "dns.wire_packets.nxdomain NXDOMAIN",
			"dns.wire_packets.srvfail SERVFAIL", "dns.wire_packets.refused REFUSED", "dns.wire_packets.other_rcode other")...),
		graph("Shares of responses", "percentunit", "Each kind of response as a share of all responses.",
			shares(replies, "dns.wire_packets.nxdomain NXDOMAIN", "dns.wire_packets.srvfail SERVFAIL", "dns.wire_packets.refused REFUSED",
				"dns.wire_packets.nodata NODATA", "dns.wire_packets.referrals referrals", "dns.wire_packets.truncated truncated (TC)")...),
		stacked("Transports", "reqps", "Messages over UDP and TCP.", rates("dns.wire_packets.udp UDP", "dns.wire_packets.tcp TCP")...),
		stacked("IP versions", "reqps", "Messages over IPv4 and IPv6.", rates("dns.wire_packets.ipv4 IPv4", "dns.wire_packets.ipv6 IPv6")...),
		stacked("Direction", "reqps", "Messages to and from the host subnets.",
			rates("dns.wire_packets.in in", "dns.wire_packets.out out", "dns.wire_packets.unknown_dir no direction")...),
		graph("EDNS", "reqps", "Messages with an OPT record, and with a client subnet.", rates("dns.wire_packets.edns EDNS", "dns.wire_packets.ecs client subnet")...),
		graph("Odd messages", "reqps", "Messages that are rare in ordinary traffic.", rates("dns.wire_packets.other_opcode other opcode",
			"dns.wire_packets.other_class other class", "dns.wire_packets.no_question no question", "dns.wire_packets.malformed malformed",
			"dns.not_dns not DNS", "dns.header_cut header not captured")...),
		graph("Filtered messages", "reqps", "Messages that the filters of policies rejected.", rates("dns.wire_packets.filtered filtered")...),
		graph("Incomplete messages", "ops", "Messages that could not be reassembled. Many of them are a sign of lost packets.",
			rates("dns.tcp.gaps gaps in TCP", "dns.tcp.incomplete incomplete over TCP", "dns.tcp.evicted evicted TCP streams",
				"dns.fragments.incomplete incomplete in fragments", "dns.fragments.headless only later fragments", "dns.fragments.evicted evicted fragments")...),
		graph("Sizes of responses", "decbytes", "DNS messages on the wire.", quantiles("dns.response_size")...),
		graph("Response to query", "short", "Size of a response divided by the size of its query. High quantiles are what an attacker uses for amplification.",
			quantiles("dns.xact.ratio.quantiles")...),
	}
	return panels
}

func dnsTransactions() []Panel {
	in := name("dns.xact.in.quantiles_us")
	heat := Panel{
		Kind: heatmap, Title: "Latencies, host is the server", Unit: "s", Width: 24, Height: 9,
		Description: "How many transactions took how long.",
		Targets:     []Target{{`sum by (le) (increase(` + in + `_bucket{@}[@])) or sum(increase(` + in + `{@}[@]))`, "{{le}}"}},
	}
	return []Panel{
		title("Transactions"),
		graph("Transactions", "reqps", "Queries with their first response. In: the host is the server. Out: the host is the client.",
			rates("dns.xact.in.total in", "dns.xact.out.total out", xacts+" all")...),
		graph("Timeouts and orphans", "reqps", "Timeout: a query without a response in time. Orphan: a response without a query. Both are signs of an attack, of an outage, or of a capture that sees one direction.",
			rates("dns.xact.in.timeouts timeouts in", "dns.xact.out.timeouts timeouts out", "dns.xact.counts.timeouts all timeouts",
				"dns.xact.in.orphans orphans in", "dns.xact.out.orphans orphans out", "dns.xact.counts.orphans all orphans")...),
		graph("Latency, host is the server", "s", "Time from query to response.", quantiles("dns.xact.in.quantiles_us")...),
		graph("Latency, host is the client", "s", "Time from query to response.", quantiles("dns.xact.out.quantiles_us")...),
		heat,
		graph("Latency, no direction", "s", "Time from query to response of transactions neither to nor from the host.", quantiles("dns.xact.unknown.quantiles_us")...),
		graph("Repeats", "reqps", "Queries and responses that were sent or seen again, and further messages of zone transfers.",
			rates("dns.xact.counts.repeats queries", "dns.xact.counts.response_repeats responses", "dns.xact.counts.transfer_messages zone transfers")...),
		graph("Header bits", "percentunit", "Share of transactions whose response has the bit.", shares(xacts, "dns.xact.aa AA", "dns.xact.ad AD", "dns.xact.cd CD")...),
		graph("Open queries", "short", "Queries that wait for their response, by instance, and queries that had to be dropped from a full table.",
			Target{`sum by (instance) (` + name("dns.xact.open") + `{@})`, "{{instance}} open"},
			Target{`sum by (instance) (increase(` + name("dns.xact.counts.evicted") + `{@}[@]))`, "{{instance}} evicted"}),
	}
}

func dnsNames() []Panel {
	panels := append([]Panel{title("Names")}, cardinalities("Distinct names", "dns.cardinality.qname")...)
	return append(panels, tops("dns.top_qname2", "dns.top_qname3", "dns.top_nxdomain", "dns.top_srvfail", "dns.top_refused", "dns.top_nodata",
		"dns.top_noerror", "dns.top_timeout", "dns.top_response_bytes", "dns.xact.in.top_slow", "dns.xact.out.top_slow", "dns.top_ecs",
		"dns.top_rcode", "dns.top_qtype", "dns.top_opcode", "dns.top_udp_ports")...)
}

// part returns panels with a title, or nothing if there are no panels.
func part(name string, panels ...Panel) []Panel {
	if len(panels) == 0 {
		return nil
	}
	return append([]Panel{title(name)}, panels...)
}

func dnsZones() []Panel {
	return part("Zones: random subdomains and tunnels", tops("dns.top_zones", "dns.top_zones2", "dns.top_zones3", "dns.top_zone_bits")...)
}

func dnsAmplification() []Panel {
	paths := []string{"dns.top_amp_prefix", "dns.top_amp_qtype", "dns.top_amp_qname"}
	panels := tops(paths...)
	for _, path := range paths {
		d, ok := find(path)
		if !ok || len(d.Families()) < 2 {
			continue
		}
		responses, queries := d.Families()[0], d.Families()[1]
		const expr = `topk(15, (sum by (%s) (%s{@,%[1]s!="other"})) / (sum by (%[1]s) (%[3]s{@,%[1]s!="other"})))`
		panels = append(panels, Panel{
			Kind: table, Title: d.Title + ": factor", Unit: "short", Width: 8, Height: 9,
			Description: "Bytes of responses over bytes of queries, in the newest finished minute.",
			Targets:     []Target{{fmt.Sprintf(expr, responses.Label, responses.Name, queries.Name), ""}},
		})
	}
	return part("Amplification", panels...)
}

func dnsClients() []Panel {
	panels := tops("dns.top_clients", "dns.top_client_prefix", "dns.top_clients_nxdomain", "dns.top_client_prefix_nxdomain", "dns.top_clients_timeout",
		"dns.top_client_prefix_timeout", "dns.top_client_names", "dns.top_client_prefix_names", "dns.top_as_clients")
	var prefixes []string
	for _, n := range []string{"v4_8", "v4_16", "v4_24", "v4_32", "v6_32", "v6_48", "v6_56", "v6_64", "v6_128"} {
		prefixes = append(prefixes, "dns.clients."+n)
	}
	return part("Clients", append(panels, cardinalities("Distinct clients by prefix length", prefixes...)...)...)
}
