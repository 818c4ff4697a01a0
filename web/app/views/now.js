// Now and before: the numbers of the range, and its charts.
import { signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { Chart } from "../chart.js";
import { existing, groups, lossMetrics, sampled, unheard, wanted } from "../charts.js";
import { fixed, isHub, query, read, request, sections, selected, tick, useData } from "../data.js";
import { exact, maxTitle, micros, percent, short, value } from "../format.js";
import { asked, key, overs, rangeSummary, running, shift, shown, zoom } from "../range.js";
import { Live, merge, packs, perSecond, spans, sum, trimmed, values } from "../series.js";
import { param } from "../state.js";

// steps are the lengths of a step that are chosen from, in seconds, and most is how many there may be.
const steps = [60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 2 * 86400, 7 * 86400];
const most = 240;
const stepOf = (length) => steps.find((s) => length / s <= most) ?? steps.at(-1);

// useSeries returns a signal with the merged answers for some metrics, asked again each `every` seconds.
function useSeries(metrics, r, before, every) {
  const out = useMemo(() => signal({}), []);
  const depends = metrics.map((m) => m.path).join() + key() + before + r.length;
  useEffect(() => {
    if (metrics.length === 0 || before === null) {
      out.value = {};
      return undefined;
    }
    let over = false, busy = false, askedAt = -Infinity;
    const step = stepOf(r.length);
    const paths = packs(metrics, Math.ceil(r.length / step) + 2).map((pack) =>
      query("api/v1/series", { metric: pack.map((m) => m.path), ...asked(r, before), step, heat: pack[0].heat ? 1 : undefined, ...selected() }));
    const stop = tick.subscribe((now) => {
      if (busy || now - askedAt < every) return;
      busy = true;
      askedAt = now;
      Promise.all(paths.map(request))
        .then((answers) => over || (out.value = { data: merge(answers) }), (e) => over || (out.value = { ...out.peek(), error: e }))
        .finally(() => (busy = false));
    });
    return () => {
      over = true;
      stop();
    };
  }, [depends]);
  return out.value;
}

// period of the newest summary: from which second to which there is data.
const covered = (summary) => {
  const p = summary?.period;
  return p ? { start: p.start_ts, end: p.start_ts + p.length } : { start: 0, end: Infinity };
};

// fewSeconds of a step are not drawn.
const fewSeconds = 5;

const linesOf = (chart, m, extent) => chart.lines.map((l) => {
  let list = values(m, l.metric, l.stat) ?? Array.from({ length: m.steps }, () => null);
  // The number of distinct keys in a part of a step says nothing beside whole steps, and neither does the rate of a few seconds.
  const end = m.from + m.steps * m.step, unfinished = extent.end < Infinity && ((running() && !fixed.value) || end > extent.end + 1);
  if (list.length > 1 && unfinished && (l.stat === "estimate" || extent.end < end - m.step + fewSeconds)) list = list.with(-1, null);
  const seconds = l.second ? perSecond(list, m.from, m.step, extent.start, extent.end) : list;
  return l.factor ? seconds.map((v) => (v === null ? null : v * l.factor)) : seconds;
});

// filled turns the definition of a chart into what Chart draws.
function filled(chart, m, before, extent, live) {
  const lost = sum(lossMetrics.map((p) => values(m, p, "count")));
  const taken = values(m, sampled[0], "count"), all = values(m, sampled[1], "count");
  const present = values(m, chart.lines[0].metric, chart.lines[0].stat) || [];
  const bins = chart.heat && m.bins.get(chart.heat);
  return {
    ...chart, from: m.from, start: extent.start > m.from && extent.start < m.from + m.step ? extent.start : undefined, to: Math.max(Math.min(m.to, extent.end), m.from + 1), step: m.step, steps: m.steps,
    values: linesOf(chart, m, extent),
    peaks: chart.peak ? values(m, chart.peak, "max") : undefined,
    overlay: before && linesOf(chart, before, { start: 0, end: Infinity }), overName: overs.find(([n]) => n === param("over"))?.[1],
    heat: bins ? { bins, from: m.from, step: m.step } : undefined,
    lost: spans(m, (i) => lost[i] > 0),
    sampled: spans(m, (i) => all?.[i] > 0 && taken?.[i] < 0.99 * all[i]),
    // A histogram without events has no quantiles, but its step is not missing.
    missing: spans(m, (i) => (chart.heat ? all?.[i] ?? null : present[i] ?? null) === null && m.from + (i + 1) * m.step <= extent.end),
    liveLines: chart.live && live ? { t: live.map((p) => p.t), lists: chart.lines.map((l) => live.map((p) => (p.values ? (p.values[l.metric] ?? 0) * (l.factor || 1) : null))) } : undefined,
  };
}

const liveMetrics = groups.flatMap((g) => g.charts).filter((c) => c.live).flatMap((c) => c.lines.map((l) => l.metric));

// useLive collects the seconds that pass while the page is open.
function useLive(on) {
  const live = useMemo(() => new Live(), [on]);
  const bucket = useData(on ? query("api/v1/metrics/bucket/0", { rows: 1, ...selected() }) : "");
  const data = bucket.value.data && Object.values(bucket.value.data)[0];
  if (data?.period) {
    const counters = Object.fromEntries(liveMetrics.map((p) => [p, read(data, p)]).filter(([, v]) => typeof v === "number"));
    live.add(data.period.start_ts, data.period.start_ts + data.period.length, counters);
  }
  return { points: on ? live.drawn() : undefined, now: data };
}

const Tile = ({ title, value: text, note, bad }) => (
  <div class={bad ? "tile bad" : "tile"}>
    <dt>{title}</dt>
    <dd>{text}</dd>
    <dd class="note">{note || "\u00a0"}</dd>
  </div>
);

const errorOf = (w, path) => (read(w, path + "_error") >= 0.0005 ? "± " + (100 * read(w, path + "_error")).toFixed(1) + "%" : "");

// Tiles show the range. Now is a summary with the newest second, which a range of a hub does not have.
function Tiles({ w, now }) {
  const v = (path) => read(w, path), share = (path, of) => (v(of) > 0 ? percent(v(path) / v(of)) : "–");
  const replies = "dns.wire_packets.replies", still = shown().fixed || Boolean(fixed.value);
  const rate = (path, unit) => [still ? v(path + ".p50") : read(now, path + ".live"), v(path + ".p99")].map((n) => value(n, unit));
  const rates = (title, path, unit) => {
    const [now, p99] = rate(path, unit);
    return v(path) && <Tile title={title + (still ? ", p50" : "")} value={now} note={"p99 " + p99} />;
  };
  const lost = w.period.lost ?? v("pcap.os_drops") ?? 0;
  return (
    <dl class="tiles" aria-label="the numbers of the range">
      {rates("packets/s", "packets.rates.pps_total", "packets/s")}
      {rates("bits/s", "packets.rates.bps_total", "bits/s")}
      {rates("DNS messages/s", "dns.rates.total", "messages/s")}
      {w.dns && <Tile title="NXDOMAIN" value={share("dns.wire_packets.nxdomain", replies)} note={short(v("dns.wire_packets.nxdomain")) + " responses"} />}
      {w.dns && <Tile title="SERVFAIL" value={share("dns.wire_packets.srvfail", replies)} note={short(v("dns.wire_packets.srvfail")) + " responses"} />}
      {w.dns && <Tile title="latency as server" value={micros(v("dns.xact.in.quantiles_us.p50"))} note={"p99 " + micros(v("dns.xact.in.quantiles_us.p99"))} />}
      {w.dns && <Tile title="latency as client" value={micros(v("dns.xact.out.quantiles_us.p50"))} note={"p99 " + micros(v("dns.xact.out.quantiles_us.p99"))} />}
      {w.dns && <Tile title="timeouts" value={short(v("dns.xact.counts.timeouts"))} note={short(v("dns.xact.counts.total")) + " answered"} />}
      {w.dns && <Tile title="distinct names" value={short(v("dns.cardinality.qname"))} note={errorOf(w, "dns.cardinality.qname") || "asked for"} />}
      {w.packets && <Tile title="distinct sources" value={short(v("packets.cardinality.src_ips_in"))} note={errorOf(w, "packets.cardinality.src_ips_in") || "of packets in"} />}
      <Tile title="lost packets" value={exact(lost)} note={sample(w)} bad={lost > 0} />
    </dl>
  );
}

// sample says how much is analysed in depth.
function sample(w) {
  const p = w.dns?.deep_sample_percent ?? w.packets?.deep_sample_percent;
  return p === undefined ? "before counting" : p >= 100 ? "nothing sampled" : p + "% in depth";
}

// Anonymized says how the tables were anonymised, if they were.
export function Anonymized({ w }) {
  const ways = w?.period?.anonymized;
  if (!ways?.length) return null;
  const keys = ways.map((a) => a.key).filter(Boolean), names = ways.map((a) => a.names).filter(Boolean);
  const parts = [keys.length > 0 && "addresses are pseudonyms (key " + keys.join(", ") + ")", names.length > 0 && "names are cut (" + [...new Set(names)].join(", ") + ")"];
  return <p class="help" role="note">Anonymised: {parts.filter(Boolean).join("; ")}.</p>;
}

export function Now() {
  const r = shown(), hub = isHub();
  const defined = useMemo(() => existing([...groups, ...unheard(sections.value || [], maxTitle)], sections.value || []), [sections.value]);
  const metrics = useMemo(() => wanted(defined.groups, defined.kinds), [defined]);
  const summary = useData(rangeSummary(1), hub ? 5 : 1).value;
  const w = summary.data && Object.values(summary.data)[0];
  const still = r.fixed || Boolean(fixed.value);
  // The newest second of a hub is 65 seconds old.
  const newestData = useData(hub && !still ? query("api/v1/metrics/window/1", { rows: 1, ...selected() }) : "").value.data;
  const newest = newestData && Object.values(newestData)[0];
  const live = useLive(!hub && !still);
  const main = useSeries(metrics, r, 0, 10);
  const by = shift();
  const before = useSeries(metrics, r, by || null, 60).data;
  // Data ends with the newest second on an agent, and with the newest minute on a hub.
  const extent = w ? covered(w) : { start: 0, end: Infinity };
  const data = useMemo(() => main.data && (hub || r.fixed || before ? main.data : trimmed(main.data)), [main.data, before, hub, r.fixed]);
  const same = before && data && before.step === data.step;
  // Only the charts with live seconds are drawn each second. The others change with the answers.
  const whole = useMemo(() => (hub ? { start: 0, end: data?.to } : extent), [data]);
  const cards = useMemo(() => new Map(!data ? [] : defined.groups.flatMap((g) => g.charts).map((c) => [c.id, <Chart key={c.id} zoom={zoom} chart={filled(c, data, same ? before : undefined, whole, live.points && [])} />])), [data, before, defined]);
  const card = (c) => (c.live && live.points ? <Chart key={c.id} zoom={zoom} chart={{ ...filled(c, data, same ? before : undefined, whole, live.points), to: Math.max(Math.min(data.to, extent.end), data.from + 1) }} /> : cards.get(c.id));
  return (
    <>
      {w && <Tiles w={w} now={hub ? newest : w} />}
      <Anonymized w={w} />
      {(main.error || summary.error) && <p class="problem" role="alert">{(main.error || summary.error).message}</p>}
      {data && defined.groups.map((g) => (
        <section key={g.title} aria-label={g.title}>
          <h2>{g.title}</h2>
          {g.help && <p class="help">{g.help}</p>}
          <div class="charts">
            {g.charts.map(card)}
          </div>
        </section>
      ))}
    </>
  );
}
