// This script shows the merged window and updates it once a second. All text from the network goes through
// textContent. All URLs are relative to the page, which may be behind a path prefix.
//
// The agent's declaration at api/v1/tables has the titles and units of the tables. It also says how to show
// sections that this page does not know.
"use strict";

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const whole = (v) => (v === undefined ? "–" : number.format(v));
const short = (v) => (v === undefined ? "–" : v < 10000 ? number.format(Math.round(v)) : compact.format(v));

function micros(v) {
  if (v === undefined) return "–";
  if (v < 1000) return v + " µs";
  if (v < 1e6) return (v / 1000).toPrecision(3) + " ms";
  return (v / 1e6).toPrecision(3) + " s";
}

function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

function tile(title, value, note, bad) {
  const t = element("div", bad ? "tile bad" : "tile");
  t.append(element("h2", "", title), element("p", "", value), element("small", "", note || "\u00a0"));
  return t;
}

function tiles(w) {
  const { packets: p, dns: d, period } = w;
  const x = d.xact;
  return [
    tile("packets a second", short(p.rates.pps_total.live), "p99 " + short(p.rates.pps_total.p99)),
    tile("bits a second", short(p.rates.bps_total.live), "p99 " + short(p.rates.bps_total.p99)),
    tile("packets", short(p.total), "in " + short(p.in) + " · out " + short(p.out)),
    tile("addresses", short(p.cardinality.src_ips_in), "sources of packets in"),
    tile("connections", short(p.protocol.tcp.syn), "TCP SYNs"),
    tile("DNS a second", short(d.rates.total.live), "p99 " + short(d.rates.total.p99)),
    tile("DNS messages", short(d.wire_packets.total), "queries " + short(d.wire_packets.queries)),
    tile("names", short(d.cardinality.qname), "distinct"),
    tile("latency as server", micros(x.in.quantiles_us.p50), "p99 " + micros(x.in.quantiles_us.p99)),
    tile("latency as client", micros(x.out.quantiles_us.p50), "p99 " + micros(x.out.quantiles_us.p99)),
    tile("timeouts", short(x.counts.timeouts), "beside " + short(x.counts.total) + " answered"),
    tile("lost packets", short(period.lost), "before counting", period.lost > 0),
  ];
}

function size(v) {
  if (v === undefined) return "–";
  return v < 1000 ? v + " B" : compact.format(v).replace(/([A-Z])$/, " $1") + "B";
}

// The agent's declaration. It is empty for an older agent without the route.
const known = new Set(["period", "packets", "dns", "pcap"]);
const maxSections = 64, maxMetrics = 1024, maxTitle = 80;
let declared = new Map(), others = [], nextTables = 0;

async function declare() {
  if (performance.now() < nextTables) return;
  let sections = [];
  try {
    ({ sections } = await get("api/v1/tables"));
  } catch (e) {
    if (e.status !== 404) throw e;
  }
  nextTables = performance.now() + 60000;
  let left = maxMetrics;
  sections = sections.slice(0, maxSections).map((s) => {
    const metrics = s.metrics.slice(0, left);
    left -= metrics.length;
    return { ...s, metrics };
  });
  declared = new Map(sections.flatMap((s) => s.metrics.map((m) => [s.name + "." + m.path, m])));
  others = sections.filter((s) => !known.has(s.name) && s.metrics.length > 0);
}

// The title of a metric, or the title given here if the agent declares none.
const title = (path, here) => (declared.get(path)?.title || here).slice(0, maxTitle);

// The value in an object at a path with dots.
function at(v, path) {
  for (const name of path.split(".")) {
    if (typeof v !== "object" || v === null || !Object.hasOwn(v, name)) return undefined;
    v = v[name];
  }
  return v;
}

// How to write numbers of a unit, and the unit to show beside the title.
function form(unit) {
  if (unit === "us") return [micros, ""];
  if (unit === "bytes") return [size, ""];
  if (unit === "ratio") return [(v) => (v === undefined ? "–" : String(Number(v.toPrecision(3)))), ""];
  return [whole, unit];
}

function panel(title, rows, format) {
  const p = element("div", "panel");
  p.append(element("h2", "", title));
  if (!rows || rows.length === 0) {
    p.append(element("p", "none", "none"));
    return p;
  }
  const table = element("table"), body = element("tbody");
  const most = Math.max(...rows.map((r) => r.estimate), 1);
  for (const row of rows) {
    const tr = element("tr");
    const name = element("td", "", row.name === "" ? "." : row.name);
    name.title = row.name;
    tr.style.setProperty("--share", (100 * row.estimate / most).toFixed(1) + "%");
    tr.append(name, element("td", "", (format || whole)(row.estimate)));
    body.append(tr);
  }
  table.append(body);
  p.append(table);
  return p;
}

// The API uses the original's name for SERVFAIL.
const rcodes = (rows) => rows.map((r) => (r.name === "SRVFAIL" ? { ...r, name: "SERVFAIL" } : r));

// The counters of a section that are not zero. Each pair has a name and a path below the given one.
function counts(heading, w, below, pairs) {
  const rows = pairs.map(([name, path]) => ({ name: title(below + "." + path, name), estimate: at(w, below + "." + path) }));
  return panel(heading, rows.filter((r) => r.estimate > 0));
}

function ranking(w, path, here, map) {
  const rows = at(w, path) || [];
  return panel(title(path, here), map ? map(rows) : rows, declared.get(path)?.unit === "bytes" ? size : whole);
}

function panels(w) {
  const some = (path, here) => (at(w, path)?.length ? [ranking(w, path, here)] : []);
  return [
    counts("Packets", w, "packets", [["UDP", "udp"], ["TCP", "tcp"], ["other", "other_l4"], ["IPv4", "ipv4"], ["IPv6", "ipv6"], ["malformed", "malformed"]]),
    counts("DNS messages", w, "dns.wire_packets", [["UDP", "udp"], ["TCP", "tcp"], ["NOERROR", "noerror"], ["NXDOMAIN", "nxdomain"], ["SERVFAIL", "srvfail"], ["REFUSED", "refused"], ["NODATA", "nodata"], ["malformed", "malformed"]]),
    ranking(w, "packets.top_ipv4", "IPv4 addresses"), ranking(w, "packets.top_ipv6", "IPv6 addresses"),
    ...some("packets.top_geoLoc", "Places"), ...some("packets.top_ASN", "Networks"),
    ranking(w, "dns.top_qname2", "Names, two labels"), ranking(w, "dns.top_qname3", "Names, three labels"),
    ranking(w, "dns.top_nxdomain", "NXDOMAIN"), ranking(w, "dns.top_srvfail", "SERVFAIL"), ranking(w, "dns.top_refused", "REFUSED"), ranking(w, "dns.top_nodata", "NODATA"),
    ranking(w, "dns.xact.in.top_slow", "Slow, as server"), ranking(w, "dns.xact.out.top_slow", "Slow, as client"), ranking(w, "dns.top_timeout", "Timeouts"),
    ranking(w, "dns.top_qtype", "Types"), ranking(w, "dns.top_rcode", "Rcodes", rcodes), ranking(w, "dns.top_udp_ports", "UDP ports"),
  ];
}

// A panel with a line for each metric: its title, and cells under the headings.
function lines(heading, heads, metrics, cells) {
  const p = element("div", heads.length > 1 ? "panel lines wide" : "panel lines");
  p.append(element("h2", "", heading));
  const table = element("table"), head = element("thead"), body = element("tbody"), first = element("tr");
  if (heads.length > 1) {
    first.append(element("th"), ...heads.map((h) => element("th", "", h)));
    head.append(first);
  }
  for (const m of metrics) {
    const tr = element("tr"), name = element("td", "", m.title.slice(0, maxTitle)), [format, unit] = form(m.unit);
    if (unit) name.append(" ", element("small", "", unit.slice(0, maxTitle)));
    name.title = m.help;
    tr.append(name, ...cells(m).map((v) => element("td", "", typeof v === "string" ? v : format(typeof v === "number" ? v : undefined))));
    body.append(tr);
  }
  table.append(head, body);
  p.append(table);
  return p;
}

// The panels of a section that this page does not know, from its values in the window and its present state: its numbers, its rates,
// its histograms and its top tables.
function other(section, values, state) {
  const of = (...kinds) => section.metrics.filter((m) => kinds.includes(m.kind));
  const number = (m) => {
    if (m.now) return at(state, m.path);
    const error = m.kind === "cardinality" ? at(values, m.path + "_error") : 0;
    return error >= 0.0005 ? whole(at(values, m.path)) + " ± " + (100 * error).toFixed(1) + "%" : at(values, m.path);
  };
  const quantiles = (m, names) => names.map((name) => at(values, m.path + "." + name));
  const numbers = of("counter", "gauge", "cardinality"), rates = of("rate"), histograms = of("histogram");
  const s = element("section", "other"), grid = element("div", "panels");
  const heading = section.title.slice(0, maxTitle);
  if (numbers.length) grid.append(lines("Numbers", [""], numbers, (m) => [number(m)]));
  if (rates.length) grid.append(lines("Each second", ["now", "p50", "p90", "p95", "p99"], rates, (m) => quantiles(m, ["live", "p50", "p90", "p95", "p99"])));
  if (histograms.length) grid.append(lines("Each event", ["p50", "p90", "p95", "p99", "max"], histograms, (m) => quantiles(m, ["p50", "p90", "p95", "p99", "max"])));
  for (const m of of("top", "distinct")) {
    const rows = at(values, m.path), [format, unit] = form(m.unit);
    grid.append(panel(m.title.slice(0, maxTitle) + (unit ? ", " + unit.slice(0, maxTitle) : ""), Array.isArray(rows) ? rows : [], format));
  }
  s.append(element("h2", "", heading), element("p", "help", section.help), grid);
  return s;
}

// get fetches JSON. On a hub, the query of the page selects a part of the fleet: ?tag=pop=ams1.
async function get(path) {
  const response = await fetch(path + location.search, { signal: AbortSignal.timeout(5000) });
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error || response.statusText), { status: response.status });
  return answer;
}

async function refresh() {
  await declare();
  const about = await get("api/v1/metrics/app"), { app } = about;
  const { periods } = app;
  $("window").href = "api/v1/metrics/window/" + periods;
  document.title = (app.host || location.hostname) + " " + app.target + " · pktvisor";
  const hosts = "host " + (app.hosts.slice(0, 4).join(", ") || "unknown") + (app.hosts.length > 4 ? " …" : "");
  $("agent").textContent = (app.host ? app.host + " · " : "") + app.target + " · " + app.version + " · " + (app.fleet ? app.fleet.hosts + " hosts" : hosts);
  const [w] = Object.values(await get("api/v1/metrics/window/" + periods));
  $("tiles").replaceChildren(...tiles(w));
  $("panels").replaceChildren(...panels(w));
  $("others").replaceChildren(...others.filter((s) => Object.hasOwn(w, s.name)).map((s) => other(s, w[s.name], about[s.name])));
  const start = new Date(1000 * w.period.start_ts).toISOString().slice(11, 19);
  $("state").className = app.capturing ? "" : "bad";
  const covered = app.fleet && !w.period.length ? "no minute yet" : w.period.length + " s from " + start + " UTC";
  $("state").textContent = !app.capturing ? (app.fleet ? "" : "not capturing: ") + app.fault : covered + (app.fleet ? " · rates are those of 65 s ago" : "");
}

async function run() {
  for (;;) {
    if (!document.hidden) {
      try {
        await refresh();
      } catch (e) {
        $("state").className = "bad";
        $("state").textContent = "no answer: " + e.message;
      }
    }
    await new Promise((wake) => setTimeout(wake, 1000));
  }
}

run();
