// The attack view: one screen that says what happens, since when, to whom and by whom. Parts whose tables the agent or hub does
// not have are left out.
import { Chart } from "../chart.js";
import { isHub, query, read, sections, selected, useData } from "../data.js";
import { clock, short } from "../format.js";
import { asked, rangeSummary, title as rangeTitle, zoom } from "../range.js";
import { rowsOf } from "../rows.js";
import { merge, perSecond, values } from "../series.js";
import { leastSteps, shares, verdict } from "../verdict.js";
import { metricOf, Rank, useHistory } from "./rank.js";

const counters = { nx: "dns.wire_packets.nxdomain", replies: "dns.wire_packets.replies", queries: "dns.wire_packets.queries", timeouts: "dns.xact.counts.timeouts", fail: "dns.wire_packets.srvfail" };
const shown = 8;

// pick returns the first of some tables that there is.
const pick = (...paths) => paths.find(metricOf) || paths[0];

function useTable(w, path) {
  const all = metricOf(path) && w ? rowsOf(read(w, path)) : undefined, rows = all?.slice(0, shown);
  const history = useHistory(path, (rows || []).map((r) => r.name));
  return { path, rows, history, first: rows?.[0] && history?.list(rows[0].name), total: history?.total };
}

function charts(m, period) {
  const end = period.start_ts + period.length, count = (name) => values(m, counters[name], "count") || [];
  const rate = (name) => perSecond(count(name), m.from, m.step, period.start_ts, end);
  const base = { from: m.from, to: Math.max(Math.min(m.to, end), m.from + 1), step: m.step, steps: m.steps, lost: [], missing: [], sampled: [] };
  const line = (metric, label, color) => ({ metric, stat: "count", label, color });
  return [
    { ...base, id: "attack-share", title: "NXDOMAIN and SERVFAIL", unit: "% of responses", lines: [line("nx", "NXDOMAIN", "warn"), line("fail", "SERVFAIL", "bad")], values: ["nx", "fail"].map((n) => shares(count(n), count("replies"), 1).map((v) => (v === null ? null : 100 * v))) },
    { ...base, id: "attack-rate", title: "Queries and responses", unit: "messages/s", lines: [line("queries", "queries", "c1"), line("replies", "responses", "c2"), line("timeouts", "timeouts", "bad")], values: [rate("queries"), rate("replies"), rate("timeouts")] },
  ];
}

const amplification = (r) => [r.ratio !== undefined && "×" + short(r.ratio), ...(r.hints || []).map((h) => h.replaceAll("_", " "))].filter(Boolean).join(", ");

export function Attack() {
  const every = isHub() ? 10 : 2;
  const summary = useData(rangeSummary(10), every).value, w = summary.data && Object.values(summary.data)[0];
  const wanted = Object.values(counters).filter(metricOf);
  const answer = useData(wanted.length ? query("api/v1/series", { metric: wanted, ...asked(), ...selected() }) : "", every).value;
  const m = answer.data && merge([answer.data]);
  const zones = useTable(w, pick("dns.top_zones", "dns.top_nxdomain")), bits = useTable(w, "dns.top_zone_bits");
  const victims = useTable(w, "dns.top_amp_prefix"), types = useTable(w, "dns.top_amp_qtype"), names = useTable(w, "dns.top_amp_qname");
  const clientsNX = useTable(w, "dns.top_clients_nxdomain"), prefixesNX = useTable(w, "dns.top_client_prefix_nxdomain");
  const clients = useTable(w, pick("dns.top_clients", "packets.top_ipv4")), unanswered = useTable(w, "dns.top_timeout"), as = useTable(w, pick("dns.top_as_clients", "packets.top_ASN"));
  const byNames = useTable(w, "dns.top_client_names");
  if (!w || !m) return <p class="empty">{summary.error || answer.error ? (summary.error || answer.error).message : "loading"}</p>;
  if (!w.dns) return <p class="empty">There is no DNS here to judge.</p>;
  const count = (name) => values(m, counters[name], "count") || [], end = w.period.start_ts + w.period.length;
  const rate = (name) => perSecond(count(name), m.from, m.step, w.period.start_ts, end);
  // Until all of it is there, nothing is said.
  if ([zones, bits, victims, clientsNX, prefixesNX].some((t) => t.history === undefined)) return <p class="empty">loading</p>;
  const known = rate("queries").filter((n) => n !== null).length;
  const v = verdict({
    from: m.from, step: m.step, nxShare: shares(count("nx"), count("replies")), timeouts: rate("timeouts"), queries: rate("queries"),
    zones: zones.path === "dns.top_zones" ? zones.rows : undefined, namesHistory: zones.history?.rows, bits: bits.rows, bitsHistory: bits.history?.rows,
    amplified: victims.rows, amplifiedHistory: victims.first, amplifiedTotal: victims.total, amplifiedTypes: types.rows, amplifiedNames: names.rows,
    clientsNX: clientsNX.rows, clientsNXTotal: clientsNX.total, prefixesNX: prefixesNX.rows, prefixesNXTotal: prefixesNX.total,
  });
  return (
    <div class="attack">
      <section class={"verdict" + (v.strong ? " bad" : v.headline ? " warn" : "")} role="status" aria-label="verdict">
        <h2>{v.headline || "Nothing stands out"}{v.at !== undefined && <> <small>since {clock(m.from + v.at * m.step)} UTC</small></>}</h2>
        {v.sentences.length > 0 ? <ul>{v.sentences.map((t) => <li key={t}>{t}</li>)}</ul>
          : <p>No rise of NXDOMAIN, of queries without a response or of queries in {rangeTitle()}{known < leastSteps ? ", which has too little data to compare with its past" : ""}, and no zone or network far ahead of the others.</p>}
      </section>
      <div class="charts two">{charts(m, w.period).map((c) => <Chart key={c.id} zoom={zoom} chart={c} />)}</div>
      <div class="cards">
        <Rank {...zones} heading={zones.path === "dns.top_zones" ? "Zones by distinct names" : "Names that do not exist"} />
        <Rank {...bits} heading="Zones by information in names" />
        <Rank {...victims} heading="Victims: bytes of responses" more={amplification} />
        <Rank {...types} heading="Amplifying types" more={amplification} />
        <Rank {...names} heading="Amplifying names" more={amplification} />
        <Rank {...clientsNX} heading="Clients by NXDOMAIN" />
        <Rank {...prefixesNX} heading="Networks by NXDOMAIN" />
        <Rank {...byNames} heading="Clients by distinct names" />
        <Rank {...clients} heading={clients.path === "dns.top_clients" ? "Clients by queries" : "Addresses by packets"} />
        <Rank {...as} heading={as.path === "dns.top_as_clients" ? "Networks (AS) by clients" : "Networks (AS) by packets"} />
        <Rank {...unanswered} heading="Names without a response" />
      </div>
      {!sections.value?.some((s) => s.metrics.some((one) => one.path === "top_zones")) && <p class="help">This agent does not count distinct names by zone, so zones are judged by NXDOMAIN only.</p>}
    </div>
  );
}
