// Shows the merged window, once a second. All text from the network goes through textContent, and all
// URLs are relative to the page, which may be behind a path prefix.
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

// The API has the name that the original gave it.
const rcodes = (rows) => rows.map((r) => (r.name === "SRVFAIL" ? { ...r, name: "SERVFAIL" } : r));

function counts(title, pairs) {
  return panel(title, pairs.filter(([, v]) => v > 0).map(([name, estimate]) => ({ name, estimate })));
}

function panels(w) {
  const { packets: p, dns: d } = w, m = d.wire_packets;
  return [
    counts("Packets", [["UDP", p.udp], ["TCP", p.tcp], ["other", p.other_l4], ["IPv4", p.ipv4], ["IPv6", p.ipv6], ["malformed", p.malformed]]),
    counts("DNS messages", [["UDP", m.udp], ["TCP", m.tcp], ["NOERROR", m.noerror], ["NXDOMAIN", m.nxdomain], ["SERVFAIL", m.srvfail], ["REFUSED", m.refused], ["NODATA", m.nodata], ["malformed", m.malformed]]),
    panel("IPv4 addresses", p.top_ipv4), panel("IPv6 addresses", p.top_ipv6),
    ...(p.top_geoLoc.length ? [panel("Places", p.top_geoLoc)] : []), ...(p.top_ASN.length ? [panel("Networks", p.top_ASN)] : []),
    panel("Names, two labels", d.top_qname2), panel("Names, three labels", d.top_qname3),
    panel("NXDOMAIN", d.top_nxdomain), panel("SERVFAIL", d.top_srvfail), panel("REFUSED", d.top_refused), panel("NODATA", d.top_nodata),
    panel("Slow, as server", d.xact.in.top_slow), panel("Slow, as client", d.xact.out.top_slow), panel("Timeouts", d.top_timeout),
    panel("Types", d.top_qtype), panel("Rcodes", rcodes(d.top_rcode)), panel("UDP ports", d.top_udp_ports),
  ];
}

async function get(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(5000) });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error || response.statusText);
  return answer;
}

async function refresh() {
  const { app } = await get("api/v1/metrics/app");
  const { periods } = app;
  $("window").href = "api/v1/metrics/window/" + periods;
  document.title = (app.host || location.hostname) + " " + app.target + " · pktvisor";
  $("agent").textContent = (app.host ? app.host + " · " : "") + app.target + " · " + app.version + " · host " + (app.hosts.slice(0, 4).join(", ") || "unknown") + (app.hosts.length > 4 ? " …" : "");
  const [w] = Object.values(await get("api/v1/metrics/window/" + periods));
  $("tiles").replaceChildren(...tiles(w));
  $("panels").replaceChildren(...panels(w));
  const start = new Date(1000 * w.period.start_ts).toISOString().slice(11, 19);
  $("state").className = app.capturing ? "" : "bad";
  $("state").textContent = app.capturing ? w.period.length + " s from " + start + " UTC" : "not capturing: " + app.fault;
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
