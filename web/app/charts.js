// The charts of "Now and before". A line is one metric of the declaration: its counts a second, or one of its statistics.
// Colours are named by their meaning and set in app.css.

const count = (metric, label, color, factor) => ({ metric, stat: "count", label, color, second: true, factor });
const stat = (metric, s, label, color) => ({ metric, stat: s, label, color });
const estimate = (metric, label, color) => ({ metric, stat: "estimate", label, color });

// A quantile chart of a histogram: its lines, and the bins behind them.
const latency = (id, title, metric, unit = "us") => ({
  id, title, unit, log: true, heat: metric,
  lines: [stat(metric, "p50", "p50", "c1"), stat(metric, "p90", "p90", "c2"), stat(metric, "p95", "p95", "c3"), stat(metric, "p99", "p99", "c4")],
  bands: [["p50", "p90"], ["p90", "p99"]],
});

export const groups = [
  {
    title: "Traffic",
    charts: [
      { id: "packets", title: "Packets", unit: "packets/s", live: true, peak: "packets.rates.pps_total",
        lines: [count("packets.total", "all", "c1"), count("packets.in", "in", "c2"), count("packets.out", "out", "c3")] },
      { id: "bits", title: "Bits", unit: "bits/s", live: true, peak: "packets.rates.bps_total",
        lines: [count("packets.bytes.total", "all", "c1", 8), count("packets.bytes.in", "in", "c2", 8), count("packets.bytes.out", "out", "c3", 8)] },
      { id: "protocols", title: "Transports", unit: "packets/s", stack: true,
        lines: [count("packets.udp", "UDP", "c1"), count("packets.tcp", "TCP", "c2"), count("packets.other_l4", "other", "c5")] },
      { id: "versions", title: "IP versions", unit: "packets/s", stack: true,
        lines: [count("packets.ipv4", "IPv4", "c1"), count("packets.ipv6", "IPv6", "c3"), count("packets.non_ip", "not IP", "c5")] },
    ],
  },
  {
    title: "DNS",
    charts: [
      { id: "dns", title: "DNS messages", unit: "messages/s", live: true, peak: "dns.rates.total",
        lines: [count("dns.wire_packets.queries", "queries", "c1"), count("dns.wire_packets.replies", "responses", "c2")] },
      { id: "rcodes", title: "Response codes", unit: "responses/s", stack: true,
        lines: [count("dns.wire_packets.noerror", "NOERROR", "good"), count("dns.wire_packets.nxdomain", "NXDOMAIN", "warn"), count("dns.wire_packets.srvfail", "SERVFAIL", "bad"),
          count("dns.wire_packets.refused", "REFUSED", "c4"), count("dns.wire_packets.other_rcode", "other", "c5")] },
      { id: "dnsTransports", title: "DNS transports", unit: "messages/s", stack: true,
        lines: [count("dns.wire_packets.udp", "UDP", "c1"), count("dns.wire_packets.tcp", "TCP", "c2")] },
      { id: "dnsVersions", title: "DNS by IP version", unit: "messages/s", stack: true,
        lines: [count("dns.wire_packets.ipv4", "IPv4", "c1"), count("dns.wire_packets.ipv6", "IPv6", "c3")] },
    ],
  },
  {
    title: "Transactions, distinct keys",
    charts: [
      latency("latencyIn", "Latency as server", "dns.xact.in.quantiles_us"),
      latency("latencyOut", "Latency as client", "dns.xact.out.quantiles_us"),
      { id: "transactions", title: "Transactions", unit: "transactions/s", live: true,
        lines: [count("dns.xact.counts.total", "answered", "c1"), count("dns.xact.counts.timeouts", "timeouts", "bad"), count("dns.xact.counts.orphans", "orphans", "c5")] },
      { id: "distinct", title: "Distinct in each step", unit: "",
        lines: [estimate("packets.cardinality.src_ips_in", "sources in", "c1"), estimate("packets.cardinality.dst_ips_out", "destinations out", "c2"),
          estimate("dns.cardinality.qname", "names", "c3")] },
    ],
  },
  {
    title: "Sizes, losses, malformed packets",
    charts: [
      latency("size", "Packet size", "packets.size", "bytes"),
      latency("responseSize", "Response size", "dns.response_size", "bytes"),
      { id: "losses", title: "Lost before counting", unit: "packets/s",
        lines: [count("pcap.os_drops", "kernel", "bad"), count("pcap.if_drops", "interface", "warn")] },
      { id: "malformed", title: "Malformed", unit: "packets/s",
        lines: [count("packets.malformed", "packets", "c4"), count("dns.wire_packets.malformed", "DNS messages", "c1")] },
    ],
  },
];

// lossMetrics are the counters of packets that were lost before they could be counted. sampled are those of deep samples, and
// what they are samples of.
export const lossMetrics = ["pcap.os_drops", "pcap.if_drops"];
export const sampled = ["dns.deep_samples", "dns.wire_packets.total"];

const shown = new Set(["period", "packets", "dns", "pcap"]);

// unheard returns charts for sections that have none above: one for each rate and histogram, and one for each six counters
// of a unit.
export function unheard(sections, maxTitle) {
  return sections.filter((s) => !shown.has(s.name)).map((s) => {
    const charts = [], byUnit = new Map();
    for (const m of s.metrics) {
      const path = s.name + "." + m.path, title = m.title.slice(0, maxTitle);
      if (m.kind === "rate") charts.push({ id: path, title, unit: m.unit, lines: [stat(path, "p50", "p50", "c1"), stat(path, "p99", "p99", "c2"), stat(path, "max", "most", "c3")] });
      if (m.kind === "histogram") charts.push(latency(path, title, path, m.unit));
      if (m.kind === "counter" || m.kind === "cardinality") {
        const key = m.kind + " " + m.unit;
        byUnit.set(key, [...(byUnit.get(key) || []), [m, path, title]]);
      }
    }
    for (const [key, list] of byUnit) {
      for (let i = 0; i < list.length; i += 6) {
        const some = list.slice(i, i + 6), counter = key.startsWith("counter");
        charts.push({
          id: s.name + " " + key + i, title: some.length === 1 ? some[0][2] : s.title.slice(0, maxTitle) + ": " + some[0][0].unit.slice(0, maxTitle), unit: counter ? some[0][0].unit + "/s" : some[0][0].unit,
          lines: some.map(([, path, title], k) => (counter ? count : estimate)(path, title, "c" + (1 + (k % 6)))),
        });
      }
    }
    return { title: s.title.slice(0, maxTitle), help: s.help, charts };
  }).filter((g) => g.charts.length > 0);
}

// existing returns the groups with only those lines whose metrics are declared, and the kinds of these metrics by path.
export function existing(all, sections) {
  const kinds = new Map(sections.flatMap((s) => s.metrics.filter((m) => !m.now).map((m) => [s.name + "." + m.path, m.kind])));
  const some = all.map((g) => ({
    ...g,
    charts: g.charts.map((c) => ({ ...c, lines: c.lines.filter((l) => kinds.has(l.metric)), peak: kinds.has(c.peak) ? c.peak : undefined })).filter((c) => c.lines.length > 0),
  }));
  return { groups: some.filter((g) => g.charts.length > 0), kinds };
}

// wanted returns the metrics that charts need, each once: {path, kind, heat}.
export function wanted(all, kinds) {
  const out = new Map();
  const add = (path, heat) => kinds.has(path) && out.set(path, { path, kind: kinds.get(path), heat: heat || out.get(path)?.heat || false });
  for (const g of all) {
    for (const c of g.charts) {
      c.lines.forEach((l) => add(l.metric, l.metric === c.heat));
      if (c.peak) add(c.peak);
    }
  }
  [...lossMetrics, ...sampled].forEach((m) => add(m));
  return [...out.values()];
}
