package dashboards

// Agent is the dashboard about agents: what they see, what they lose and what they need.
func Agent() Dashboard {
	d := Dashboard{
		File: "pktvisor-agent", UID: "pktvisor-agent", Title: "pktvisor: agents", Jobs: "pktvisor_capturing", Interval: rateInterval,
		Description: "Packets, losses and the health of pktvisord. See docs/grafana.md.",
	}
	for _, part := range [][]Panel{agentState(), agentPackets(), agentLosses(), agentTables(), agentItself()} {
		d.Panels = append(d.Panels, part...)
	}
	return d
}

func agentState() []Panel {
	return []Panel{
		title("State"),
		number("Agents", "short", "Agents that Prometheus could scrape.", `count(pktvisor_capturing{@})`),
		number("Not capturing", "short", "Agents that cannot capture every requested source. /readyz of the agent says why.",
			`count(pktvisor_capturing{@}) - sum(pktvisor_capturing{@})`),
		number("Packets", "pps", "Packets a second.", `sum(rate(`+name("packets.total")+`{@}[@]))`),
		number("Bits", "bps", "Bits a second on the wire.", `8 * sum(rate(`+name("packets.bytes.total")+`{@}[@]))`),
		number("Lost", "percentunit", "Packets that were dropped before they could be counted, as a share of all. Operations: Losses says what to do.",
			`sum(rate(pktvisor_lost_packets_total{@}[@])) / (sum(rate(pktvisor_lost_packets_total{@}[@])) + sum(rate(`+name("packets.total")+`{@}[@])))`),
		number("Newest packet", "s", "The longest time since an agent has seen a packet.", `max(pktvisor_last_packet_age_seconds{@})`),
	}
}

func agentPackets() []Panel {
	return []Panel{
		title("Packets"),
		stacked("Packets by direction", "pps", "In: to the host subnets (-H). Out: from them. No direction: neither, including packets without IP.",
			rates("packets.in in", "packets.out out", "packets.unknown_dir no direction")...),
		graph("Bits by direction", "bps", "Bits a second on the wire, including the link layer.",
			Target{`8 * sum(rate(` + name("packets.bytes.in") + `{@}[@]))`, "in"},
			Target{`8 * sum(rate(` + name("packets.bytes.out") + `{@}[@]))`, "out"},
			Target{`8 * sum(rate(` + name("packets.bytes.total") + `{@}[@]))`, "all"}),
		graph("Seconds of the minute", "pps", "Quantiles of the seconds of each minute, of the busiest instance. They show bursts that a scrape misses.",
			Target{`max(` + name("packets.rates.pps_total") + `_minute{@,stat="max"})`, "busiest second"},
			Target{`max(` + name("packets.rates.pps_total") + `_minute{@,stat="p99"})`, "p99"},
			Target{`max(` + name("packets.rates.pps_total") + `_minute{@,stat="p50"})`, "p50"}),
		graph("Packets by instance", "pps", "Packets a second of each instance.", Target{`sum by (instance) (rate(` + name("packets.total") + `{@}[@]))`, "{{instance}}"}),
		stacked("Transport protocols", "pps", "IP protocols of the packets.", rates("packets.udp UDP", "packets.tcp TCP", "packets.other_l4 other")...),
		stacked("IP versions", "pps", "IPv4, IPv6, and frames without IP.", rates("packets.ipv4 IPv4", "packets.ipv6 IPv6", "packets.non_ip no IP")...),
		graph("TCP connections", "pps", "Segments that open, accept and reset connections.",
			rates("packets.protocol.tcp.syn SYN", "packets.protocol.tcp.syn_ack SYN ACK", "packets.protocol.tcp.rst RST")...),
		graph("Odd packets", "pps", "Packets that are damaged, in fragments, of an unknown link layer, or late.",
			rates("packets.malformed malformed", "packets.malformed_l4 malformed TCP or UDP", "packets.fragments fragments",
				"packets.unsupported_link unknown link layer", "packets.late late")...),
		graph("Filtered packets", "pps", "Packets that the filters of policies rejected.", rates("packets.filtered filtered")...),
		graph("Sizes of frames", "decbytes", "Length on the wire, including the link layer.", quantiles("packets.size")...),
		graph("Sizes of payloads", "decbytes", "Length of the payload of TCP and UDP packets.", quantiles("packets.payload_size")...),
	}
}

func agentLosses() []Panel {
	return []Panel{
		title("Losses and sampling"),
		graph("Lost packets", "pps", "Packets that were dropped before they could be counted, by instance. Operations: Losses says what to do.",
			Target{`sum by (instance) (rate(pktvisor_lost_packets_total{@}[@]))`, "{{instance}}"}),
		graph("Why packets are lost", "pps", "Kernel: the capture ring was full. Interface: dropped before the kernel.",
			rates("pcap.os_drops kernel", "pcap.if_drops interface", "pcap.freezes times that the ring was full")...),
		graph("Frames by source", "pps", "Frames that each source handed over. Unequal shards of one source are a sign of few, heavy flows.",
			Target{`sum by (instance, source, shard) (rate(pktvisor_source_received_total{@}[@]))`, "{{instance}} {{source}} {{shard}}"}),
		graph("Drops by source", "pps", "Frames that the kernel or the interface dropped, by source.",
			Target{`sum by (instance, source) (rate(pktvisor_source_os_drops_total{@}[@]) + rate(pktvisor_source_if_drops_total{@}[@]))`, "{{instance}} {{source}}"},
			Target{`sum by (instance, source) (rate(pktvisor_source_freezes_total{@}[@]))`, "{{instance}} {{source}}: ring full"}),
		graph("Frames that do not count", "pps", "Frames that the filter rejected, and further copies of a packet on the interface any.",
			Target{`sum(rate(pktvisor_source_discarded_total{@}[@]))`, "rejected by the filter"},
			Target{`sum(rate(pktvisor_source_copies_total{@}[@]))`, "copies"},
			rates("pcap.super_frames large frames")[0], rates("pcap.super_frame_packets packets in large frames")[0]),
		graph("Share in depth", "percentunit", "Share of address pairs that are analysed in depth. Tables, cardinalities and transactions cover only these.",
			Target{`min by (instance) (pktvisor_deep_sample_ratio{@})`, "{{instance}}"}),
		graph("Counted in the kernel", "pps", "Packets outside the deep sample that the kernel counted and did not hand over. It counts none while everything is analysed in depth.",
			rates("pcap.kernel_counted packets")...),
	}
}

func agentTables() []Panel {
	panels := []Panel{title("Who")}
	panels = append(panels, tops("packets.top_ipv4", "packets.top_ipv6", "packets.top_ASN", "packets.top_geoLoc")...)
	return append(panels, cardinalities("Distinct addresses", "packets.cardinality.src_ips_in", "packets.cardinality.dst_ips_out")...)
}

func agentItself() []Panel {
	wide := graph("Versions", "short", "Instances of each version.", Target{`count by (version, revision, goversion) (pktvisor_build_info{@})`, ""})
	wide.Kind = table
	return []Panel{
		title("The agents themselves"),
		graph("CPU", "percentunit", "Share of one core.", Target{`sum by (instance) (rate(process_cpu_seconds_total{@}[@]) and on (job, instance) pktvisor_build_info{@})`, "{{instance}}"}),
		graph("Memory", "decbytes", "Resident memory.", Target{`sum by (instance) (process_resident_memory_bytes{@} and on (job, instance) pktvisor_build_info{@})`, "{{instance}}"}),
		graph("Window", "short", "Minutes that the window keeps, and finished ones in it.",
			Target{`min by (instance) (pktvisor_periods{@})`, "{{instance}} kept"}, Target{`min by (instance) (pktvisor_sealed_periods{@})`, "{{instance}} finished"}),
		graph("Age of the newest finished minute", "s", "Tables and cardinalities cover this minute. Its end is a minute later than its start.",
			Target{`max by (instance) (time() - pktvisor_minute_start_time_seconds{@})`, "{{instance}}"}),
		graph("Minutes that are not delivered", "short", "Finished minutes that the state directory or the hub does not have yet, and those that were given up.",
			Target{`sum by (instance) (pktvisor_state_waiting_buckets{@})`, "{{instance}} for the state directory"},
			Target{`sum by (instance) (pktvisor_push_pending_buckets{@})`, "{{instance}} for the hub"},
			Target{`sum by (instance) (increase(pktvisor_state_dropped_buckets_total{@}[@]))`, "{{instance}} given up for the state directory"},
			Target{`sum by (instance) (increase(pktvisor_push_dropped_buckets_total{@}[@]))`, "{{instance}} given up for the hub"}),
		graph("Connection to the hub", "bool_yes_no", "Agents that push to a hub: whether they are connected.", Target{`min by (instance) (pktvisor_push_connected{@})`, "{{instance}}"}),
		graph("Errors of delivery", "ops", "Failed attempts to write a minute to the state directory, or to push it to the hub.",
			Target{`sum by (instance) (rate(pktvisor_state_failed_writes_total{@}[@]))`, "{{instance}} state directory"},
			Target{`sum by (instance) (rate(pktvisor_push_failed_attempts_total{@}[@]))`, "{{instance}} hub"}),
		graph("Series", "short", "Samples of each scrape. Their number does not depend on the traffic.",
			Target{`sum by (instance) (scrape_samples_scraped{@} and on (job, instance) pktvisor_build_info{@})`, "{{instance}}"}),
		wide,
		graph("Views", "ops", "JSON views that were rendered. Other answers came from the cache.", Target{`sum by (instance) (rate(pktvisor_views_rendered_total{@}[@]))`, "{{instance}}"}),
	}
}
