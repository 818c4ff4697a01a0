// The attack view: one screen that says what happens, since when, to whom and by whom. Parts whose tables the agent or hub does
// not have are left out.
import { Chart } from "../chart.js";
import { isHub, query, read, sections, selected, useData } from "../data.js";
import { clock, exact, short, visible } from "../format.js";
import { asked, rangeSummary, shown as range, zoom } from "../range.js";
import { rowsOf } from "../rows.js";
import { merge, perSecond, shares, trimmed, values } from "../series.js";
import { metricOf, Rank, useHistory } from "./rank.js";

const counters = { nx: "dns.wire_packets.nxdomain", replies: "dns.wire_packets.replies", queries: "dns.wire_packets.queries", timeouts: "dns.xact.counts.timeouts", fail: "dns.wire_packets.srvfail" };
const shown = 8, leastRatio = 5, isFixed = () => range().fixed;

// pick returns the first of some tables that there is.
const pick = (...paths) => paths.find(metricOf) || paths[0];

function useTable(w, path) {
  const rows = metricOf(path) && w ? rowsOf(read(w, path))?.slice(0, shown) : undefined;
  return { path, rows, history: useHistory(path, (rows || []).map((r) => r.name)) };
}

// since says when there is what the headline says.
function since(v) {
  if (!v.since_ts) return "";
  const at = (ts) => clock(ts, v.to_ts - v.from_ts > 86400 ? v.to_ts - v.from_ts : 0);
  if (v.until_ts) return ` from ${at(v.since_ts)} to ${at(v.until_ts)} UTC`;
  return " since " + at(v.since_ts) + " UTC" + (v.since_earlier ? " or earlier" : "");
}

// Verdict is what the server says about the range.
function Verdict({ answer }) {
  const v = answer.data;
  if (!v) return <section class="verdict" role="status" aria-label="verdict"><p class="empty">{answer.error ? answer.error.message : "loading"}</p></section>;
  return (
    <section class={"verdict" + (v.headline ? (v.strong ? " bad" : " warn") : "")} role="status" aria-label="verdict">
      <h2>{v.headline ? visible(v.headline) : "Nothing stands out"}{v.headline && <small>{since(v)}</small>}</h2>
      <ul>{v.sentences.map((s) => <li key={s.text} class={s.kind}>{visible(s.text)}</li>)}</ul>
    </section>
  );
}

function charts(m, period) {
  const end = period.start_ts + period.length, count = (name) => values(m, counters[name], "count") || [];
  const rate = (name) => perSecond(count(name), m.from, m.step, period.start_ts, end);
  const base = { from: m.from, start: period.start_ts < m.from + m.step ? period.start_ts : undefined, to: Math.max(Math.min(m.to, end), m.from + 1), step: m.step, steps: m.steps, lost: [], missing: [], sampled: [] };
  const line = (metric, label, color) => ({ metric, stat: "count", label, color });
  return [
    { ...base, id: "attack-share", title: "NXDOMAIN and SERVFAIL", unit: "% of responses", lines: [line("nx", "NXDOMAIN", "warn"), line("fail", "SERVFAIL", "bad")], values: ["nx", "fail"].map((n) => shares(count(n), count("replies"), 1).map((v) => (v === null ? null : 100 * v))) },
    { ...base, id: "attack-rate", title: "Queries and responses", unit: "messages/s", lines: [line("queries", "queries", "c1"), line("replies", "responses", "c2"), line("timeouts", "timeouts", "bad")], values: [rate("queries"), rate("replies"), rate("timeouts")] },
  ];
}

const amplification = (r) => [r.ratio !== undefined && (r.ratio_upper !== undefined ? "≥ ×" : "×") + short(r.ratio), ...(r.hints || []).map((h) => h.replaceAll("_", " "))].filter(Boolean).join(", ");

export function Attack() {
  const every = isHub() ? 10 : 2;
  const summary = useData(rangeSummary(10), every).value, w = summary.data && Object.values(summary.data)[0];
  const wanted = Object.values(counters).filter(metricOf);
  const answer = useData(wanted.length ? query("api/v1/series", { metric: wanted, ...asked(), ...selected() }) : "", every).value;
  const whole = answer.data && merge([answer.data]), m = whole && (isHub() || isFixed() ? whole : trimmed(whole));
  const verdict = useData(query("api/v1/attack", { ...asked(), ...selected() }), 10).value;
  const zones = useTable(w, pick("dns.top_zones", "dns.top_nxdomain")), bits = useTable(w, "dns.top_zone_bits");
  const networks = useTable(w, "dns.top_amp_prefix"), types = useTable(w, "dns.top_amp_qtype"), names = useTable(w, "dns.top_amp_qname");
  const clientsNX = useTable(w, "dns.top_clients_nxdomain"), prefixesNX = useTable(w, "dns.top_client_prefix_nxdomain");
  const clients = useTable(w, pick("dns.top_clients", "packets.top_ipv4")), unanswered = useTable(w, "dns.top_timeout"), as = useTable(w, pick("dns.top_as_clients", "packets.top_ASN"));
  const byNames = useTable(w, "dns.top_client_names");
  if (!w || !m) return <p class="empty">{summary.error || answer.error ? (summary.error || answer.error).message : "loading"}</p>;
  if (!w.dns) return <p class="empty">There is no DNS here to judge.</p>;
  // A network with many responses is listed only if it gets many times the bytes of its queries, or asked for none.
  const victims = { ...networks, rows: networks.rows?.filter((r) => !(r.ratio < leastRatio)) }, others = (networks.rows?.length ?? 0) - (victims.rows?.length ?? 0);
  return (
    <div class="attack">
      <Verdict answer={verdict} />
      <div class="charts two">{charts(m, w.period).map((c) => <Chart key={c.id} zoom={zoom} chart={c} />)}</div>
      <div class="cards">
        <Rank {...zones} /><Rank {...bits} />
        <Rank {...victims} more={amplification} note={others > 0 && exact(others) + " more of the first " + shown + " get responses without being amplified: less than " + leastRatio + " times the bytes of their queries."} />
        <Rank {...types} more={amplification} /><Rank {...names} more={amplification} />
        <Rank {...clientsNX} /><Rank {...prefixesNX} /><Rank {...byNames} /><Rank {...clients} /><Rank {...as} /><Rank {...unanswered} />
      </div>
      {!sections.value?.some((s) => s.metrics.some((one) => one.path === "top_zones")) && <p class="help">This agent does not count distinct names by zone, so zones are judged by NXDOMAIN only.</p>}
    </div>
  );
}
