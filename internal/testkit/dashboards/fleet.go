package dashboards

// fleetInterval covers five minutes of a hub. Its counters grow once a minute, so an interval of one minute would show spikes.
const fleetInterval = "5m"

// Fleet is the dashboard about a hub and its fleet.
func Fleet() Dashboard {
	d := Dashboard{
		File: "pktvisor-fleet", UID: "pktvisor-fleet", Title: "pktvisor: fleet", Jobs: "pktvisor_hub_hosts", Interval: fleetInterval,
		Description: "The hub, its hosts and its store, and the traffic by tag. Scrape the hub once for the fleet and once for each tag. See docs/grafana.md.",
	}
	for _, part := range [][]Panel{fleetHosts(), fleetTraffic(), fleetIngest(), fleetStore()} {
		d.Panels = append(d.Panels, part...)
	}
	return d
}

// own returns an expression for a metric about the hub itself. Each job that scrapes a hub has it, so only one value of each
// hub counts.
func own(by, expr string) string {
	if by == "" {
		return "sum(max by (instance) (" + expr + "))"
	}
	return "sum by (" + by + ") (max by (instance, " + by + ") (" + expr + "))"
}

func hubRate(by, metric string) string { return own(by, "rate(pktvisor_hub_"+metric+"_total{@}[@])") }

func hubState(by, metric string) string { return own(by, "pktvisor_hub_"+metric+"{@}") }

// worst is the largest value of a state of all hubs.
func worst(metric string) string { return "max(pktvisor_hub_" + metric + "{@})" }

func fleetHosts() []Panel {
	hosts := func(state string) string { return `max(pktvisor_hub_hosts{@,state="` + state + `"})` }
	return []Panel{
		title("Hosts"),
		number("Up", "short", "Hosts whose newest minute ended at most 90 seconds ago.", hosts("up")),
		number("Late", "short", "Hosts whose newest minute ended up to five minutes ago.", hosts("late")),
		number("Away", "short", "Hosts without a minute for five minutes. /api/v1/fleet?state=away lists them.", hosts("away")),
		number("Conflicts", "short", "Names that two hosts share. Both count. Give them different names.", worst("host_conflicts")),
		number("Lag", "s", "Time since the end of the newest minute that is stored. Below 70 is normal.", worst("ingest_lag_seconds")),
		number("Lost packets", "percentunit", "Packets that the agents have lost, as a share of all.",
			`sum(rate(pktvisor_lost_packets_total{@,$tag=""}[@])) / (sum(rate(pktvisor_lost_packets_total{@,$tag=""}[@])) + sum(rate(`+name("packets.total")+`{@,$tag=""}[@])))`),
		stacked("Hosts by state", "short", "Up: the newest minute ended at most 90 seconds ago. Late: up to five minutes. Away: longer.",
			Target{`max by (state) (pktvisor_hub_hosts{@})`, "{{state}}"}),
		stacked("Agents that are pulled", "short", "Refused: it answers, but not with minutes that can be stored. Elsewhere: another hub asks it.",
			Target{hubState("state", "targets"), "{{state}}"}),
	}
}

// byTag is a rate of the part of the fleet with each value of the tag.
func byTag(path string) string { return `sum by ($tag) (rate(` + name(path) + `{@,$tag!=""}[@]))` }

func fleetTraffic() []Panel {
	legend := "{{$tag}}"
	all := func(path string) string { return `sum(rate(` + name(path) + `{@,$tag=""}[@]))` }
	share := func(path, of string) string { return byTag(path) + " / " + byTag(of) }
	return []Panel{
		title("Traffic by tag"),
		graph("Packets", "pps", "Packets a second of the whole fleet, and of each value of the tag.", Target{all("packets.total"), "fleet"}, Target{byTag("packets.total"), legend}),
		graph("DNS messages", "reqps", "DNS messages a second.", Target{all("dns.wire_packets.total"), "fleet"}, Target{byTag("dns.wire_packets.total"), legend}),
		graph("NXDOMAIN", "percentunit", "Share of responses with rcode NXDOMAIN.", Target{share("dns.wire_packets.nxdomain", replies), legend}),
		graph("SERVFAIL", "percentunit", "Share of responses with rcode SERVFAIL.", Target{share("dns.wire_packets.srvfail", replies), legend}),
		graph("p95, host is the server", "s", "95% of the transactions were faster.", Target{quantile("0.95", name("dns.xact.in.quantiles_us"), "$tag, ", `,$tag!=""`), legend}),
		graph("p95, host is the client", "s", "95% of the transactions were faster.", Target{quantile("0.95", name("dns.xact.out.quantiles_us"), "$tag, ", `,$tag!=""`), legend}),
		graph("Timeouts", "reqps", "Queries a second that got no response in time.", Target{byTag("dns.xact.counts.timeouts"), legend}),
		graph("Distinct client addresses", "short", "Source addresses of packets to the hosts in the newest minute. The hub has merged them: they count once.",
			Target{`max by ($tag) (` + name("packets.cardinality.src_ips_in") + `{@})`, "{{$tag}}"}),
	}
}

func fleetIngest() []Panel {
	return []Panel{
		title("Minutes of hosts"),
		graph("Minutes", "ops", "Minutes of hosts a second that the hub got, stored, got late, got again, and replaced.",
			Target{hubRate("", "ingest_received"), "received"}, Target{hubRate("", "ingest_stored"), "stored"}, Target{hubRate("", "ingest_late"), "late"},
			Target{hubRate("", "ingest_duplicate"), "again"}, Target{hubRate("", "ingest_replaced"), "replaced"}),
		graph("Refused", "ops", "Minutes that were refused, by reason. The API of the hub, /api/v1/fleet, has the same counts.",
			Target{hubRate("reason", "ingest_refused"), "{{reason}}"}, Target{hubRate("reason", "store_refused"), "store: {{reason}}"}),
		graph("Lag", "s", "Time since the end of the newest minute that is stored. Below 70 is normal.", Target{`max by (instance) (pktvisor_hub_ingest_lag_seconds{@})`, "{{instance}}"}),
		graph("Waiting", "short", "Minutes and rollups that are to be written. A number that grows is a hub that is too slow.",
			Target{hubState("", "ingest_pending"), "minutes without rollups"}, Target{hubState("", "ingest_dirty"), "longer rollups"},
			Target{hubState("", "store_waiting"), "minutes that no hub has taken"}, Target{hubState("", "store_unacknowledged"), "minutes that hubs hold"}),
		graph("Rollups", "ops", "Rollups that were written, and those that another hub wrote first.",
			Target{hubRate("", "ingest_rollups"), "written"}, Target{hubRate("", "ingest_conflicts"), "written by another"}),
		graph("Watching clients", "short", "Clients of /api/v1/events.", Target{hubState("", "event_streams"), "streams"},
			Target{hubRate("", "slow_event_streams"), "ended because the client was slow, a second"}),
	}
}

func fleetStore() []Panel {
	return []Panel{
		title("Store"),
		graph("State", "bool_yes_no", "Connected, and full: the hub stores nothing while its disk is full.",
			Target{`min(pktvisor_hub_store_connected{@})`, "connected"}, Target{worst("store_full"), "full"}),
		graph("Free space", "decbytes", "Free bytes of the embedded store's file system.", Target{`min(pktvisor_hub_store_free_bytes{@})`, "free"}),
		stacked("Size by stream", "decbytes", "Bytes in each stream.", Target{`max by (stream) (pktvisor_hub_stream_bytes{@})`, "{{stream}}"}),
		graph("Messages by stream", "short", "Messages in each stream.", Target{`max by (stream) (pktvisor_hub_stream_messages{@})`, "{{stream}}"}),
		graph("Errors", "ops", "Errors of the store, messages that have vanished from it, and minutes that were removed early to make room.",
			Target{hubRate("", "store_errors"), "errors"}, Target{hubRate("", "store_lost"), "vanished"}, Target{hubRate("", "store_purged"), "removed early"}),
		graph("Memory", "decbytes", "Resident memory of the hubs.",
			Target{`max by (instance) (process_resident_memory_bytes{@} and on (job, instance) pktvisor_hub_store_connected{@})`, "{{instance}}"}),
	}
}
