// The fleet of a hub: its POPs, or the values of another tag, and its hosts.
import { query, sections, selected, useData } from "../data.js";
import { duration, exact, micros, percent, short, stamp, visible } from "../format.js";
import { asked, divisions, shown } from "../range.js";
import { go, href, param } from "../state.js";

const shownHosts = 200, ratedHosts = 200, maxPoints = 10000, maxGroups = 21;
const totals = { queries: "dns.wire_packets.queries", replies: "dns.wire_packets.replies", fail: "dns.wire_packets.srvfail", nx: "dns.wire_packets.nxdomain", timeouts: "dns.xact.counts.timeouts", packets: "packets.total", lost: "pcap.os_drops" };
const p95s = { server: "dns.xact.in.quantiles_us", client: "dns.xact.out.quantiles_us" };
const declared = (path) => (sections.value || []).some((s) => s.metrics.some((m) => s.name + "." + m.path === path));
const metrics = (...more) => [...Object.values(totals), ...more].filter(declared);

// byGroup adds up series by their group: counts a second of the steps that the group has, shares, and the newest p95. It is pure.
export function byGroup(series, step) {
  const out = new Map();
  for (const s of series) {
    const g = out.get(s.group) || { group: s.group, name: s.group.slice(s.group.indexOf("=") + 1), steps: 0 }, all = s.values.filter((v) => v !== null);
    const key = (of) => Object.keys(of).find((k) => of[k] === s.metric);
    if (s.stat === "count") g[key(totals)] = all.reduce((a, b) => a + b, 0);
    if (s.metric === totals.packets) g.steps = all.length;
    if (s.stat === "p95") g[key(p95s)] = all.at(-1);
    out.set(s.group, g);
  }
  const share = (n, of) => (of > 0 ? n / of : undefined);
  return [...out.values()].map((g) => ({ ...g, rate: share(g.packets, g.steps * step), qps: share(g.queries, g.steps * step), failShare: share(g.fail, g.replies), nxShare: share(g.nx, g.replies), timeoutRate: share(g.timeouts, g.steps * step) }));
}

// ordered sorts rows by a member, "-" before it for the greatest first. Rows without it are last.
export function ordered(list, by) {
  const down = by.startsWith("-"), key = by.replace(/^-/, "");
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0);
  return !by ? list : list.map((r, i) => [r, i]).sort(([a, i], [b, j]) => {
    const [x, y] = [a[key] ?? undefined, b[key] ?? undefined];
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined) || i - j;
    return (down ? -1 : 1) * compare(x, y) || i - j;
  }).map(([r]) => r);
}

// Head is a heading to sort by: the greatest first, then the least, then as it was.
function Head({ text, column, parameter }) {
  const by = param(parameter), next = by === "-" + column ? column : by === column ? null : "-" + column;
  return (
    <th scope="col" aria-sort={by === column ? "ascending" : by === "-" + column ? "descending" : undefined}>
      <button class="plain" onClick={() => go(null, { [parameter]: next }, true)}>{text}{by === column ? " ↑" : by === "-" + column ? " ↓" : ""}</button>
    </th>
  );
}

const columns = [["packets/s", "rate"], ["queries/s", "qps"], ["SERVFAIL", "failShare"], ["NXDOMAIN", "nxShare"], ["timeouts/s", "timeoutRate"]];
const Cells = ({ of }) => <><td>{short(of?.rate)}</td><td>{short(of?.qps)}</td><td>{percent(of?.failShare)}</td><td>{percent(of?.nxShare)}</td><td>{short(of?.timeoutRate)}</td></>;

// stepFor returns a step, in seconds, with which an answer has few enough values.
function stepFor(length, lines) {
  const most = Math.max(Math.floor(maxPoints / lines) - 2, 1);
  return [60, 300, 3600, 86400, 7 * 86400].find((s) => length / s <= most) ?? 28 * 86400;
}

function Groups({ by }) {
  const r = shown(), step = stepFor(r.length, maxGroups * (Object.keys(totals).length + 12));
  const { data, error } = useData(query("api/v1/series", { metric: metrics(...Object.values(p95s)), by, ...asked(r), step, ...selected() }), 60).value;
  if (error && !data) return <p class="problem" role="alert">{error.message}</p>;
  if (!data) return <p class="empty">loading</p>;
  const list = ordered(byGroup(data.series, data.step_s), param("groups"));
  return (
    <div class="scroll" tabIndex="0" role="region" aria-label={"by " + by}><table class="fleet">
      <thead><tr>{[[by, "name"], ...columns, ["lost", "lost"], ["p95 as server", "server"], ["p95 as client", "client"]].map(([t, c]) => <Head key={c} text={t} column={c} parameter="groups" />)}</tr></thead>
      <tbody>{list.map((g) => (
        <tr key={g.group}>
          <th scope="row">{g.group === "other" ? "others" : <a href={href("now", { tag: g.group })}>{visible(g.name)}</a>}</th>
          <Cells of={g} /><td class={g.lost > 0 ? "badly" : undefined}>{exact(g.lost)}</td><td>{micros(g.server)}</td><td>{micros(g.client)}</td>
        </tr>
      ))}</tbody>
    </table></div>
  );
}

// useRates returns what each host had in its newest minutes, by name: of all hosts, or if there are too many, of the first ones
// in the list, as far as their names fit into an address.
function useRates(f, first) {
  const r = shown(), end = r.fixed ? Math.min(Math.ceil(r.to / 60) * 60, (f.newest_start_ts ?? 0) + 60) : (f.newest_start_ts ?? 0) + 60;
  let room = 6000;
  const some = f.selected <= ratedHosts ? undefined : first.filter((h) => (room -= encodeURIComponent(h).length + 6) > 0);
  const ask = f.newest_start_ts && (f.selected > 0);
  const { data, error } = useData(ask ? query("api/v1/series", { metric: metrics(p95s.server), by: "host", from: end - 180, to: end, step: 60, ...selected(), ...(some && { host: some }) }) : "", 30).value;
  return { error: data ? undefined : error, rates: new Map(data ? byGroup(data.series, data.step_s).map((g) => [g.name, g]) : []) };
}

const problems = { away: "no minute for more than five minutes", late: "the newest minute ended more than 90 seconds ago" };
const rank = { away: 0, late: 1, up: 2 };

function Hosts({ f }) {
  const text = param("q").toLowerCase(), by = param("sort");
  const found = [...f.hosts].filter((h) => !text || JSON.stringify([h.host, h.tags, h.agent]).toLowerCase().includes(text))
    .sort((a, b) => rank[a.state] - rank[b.state] || Number(b.conflict) - Number(a.conflict) || b.lost - a.lost || b.missing_minutes - a.missing_minutes || (a.host < b.host ? -1 : 1));
  const { rates, error } = useRates(f, found.slice(0, ratedHosts).map((h) => h.host));
  const hosts = ordered(found.map((h) => ({ ...rates.get(h.host), ...h })), by);
  return (
    <section class="card wide">
      <h3>Hosts <input type="search" data-search value={param("q")} placeholder="search hosts (/)" aria-label="search hosts" onInput={(e) => go(null, { q: e.target.value }, true)} /></h3>
      <p class="help">Rates, errors and p95 are of the newest three minutes; minutes, missing and lost of the last hour.{error && " The rates are not known: " + error.message}</p>
      <div class="scroll" tabIndex="0" role="region" aria-label="hosts"><table class="fleet">
        <thead><tr>{[["host", "host"], ["state", "state"], ["tags", "tags"], ...columns, ["p95 as server", "server"], ["newest minute", "newest_end_ts"], ["lag", "lag_s"], ["minutes", "minutes"], ["missing", "missing_minutes"], ["lost", "lost"], ["version", "agent"]]
          .map(([t, c]) => (c === "tags" ? <th scope="col" class="text" key={c}>{t}</th> : <Head key={c} text={t} column={c} parameter="sort" />))}</tr></thead>
        <tbody>{hosts.slice(0, shownHosts).map((host) => (
          <tr key={host.host}>
            <th scope="row"><a href={href("now", { host: host.host })}>{visible(host.host)}</a>{host.conflict && <small class="badly"> shared name</small>}</th>
            <td class={host.state === "up" ? undefined : "badly"} title={problems[host.state]}>{host.state}</td><td class="text">{visible(Object.entries(host.tags).map(([k, v]) => k + "=" + v).join(" ") || " ").trim()}</td>
            <Cells of={host} /><td>{micros(host.server)}</td>
            <td>{host.newest_end_ts ? stamp(host.newest_end_ts).slice(5, 16) : "none"}</td><td>{host.lag_s === undefined ? "–" : duration(host.lag_s)}</td><td>{exact(host.minutes)}</td>
            <td class={host.missing_minutes > 0 ? "badly" : undefined}>{exact(host.missing_minutes)}</td><td class={host.lost > 0 ? "badly" : undefined}>{exact(host.lost)}</td>
            <td>{visible(host.agent || "–")}{host.error && <small class="badly"> {visible(host.error).slice(0, 120)}</small>}</td>
          </tr>
        ))}</tbody>
      </table></div>
      {hosts.length > shownHosts && <p class="help">{exact(hosts.length - shownHosts)} more: search for them.</p>}
    </section>
  );
}

export function Fleet() {
  const { data: f, error } = useData(query("api/v1/fleet", { limit: 10000, ...selected() }), 10).value;
  if (!f) return <p class="empty">{error ? error.message : "loading"}</p>;
  const keys = divisions([...new Set(f.tags.map((t) => t.tag.split("=")[0]))]), by = [param("by"), "pop", ...keys].find((k) => keys.includes(k));
  const versions = new Map();
  for (const h of f.hosts) versions.set(h.agent || "unknown", (versions.get(h.agent || "unknown") || 0) + 1);
  const wrong = f.count.away + f.count.late + f.count.conflicts;
  return (
    <>
      <section class={"verdict" + (f.count.away + f.count.conflicts > 0 ? " bad" : wrong ? " warn" : "")} role="status" aria-label="verdict">
        <h2>{exact(f.count.up)} of {exact(f.count.total)} hosts are up</h2>
        <ul>
          {f.count.away > 0 && <li><b>{exact(f.count.away)} away</b>: {problems.away}. These are first in the list.</li>}
          {f.count.late > 0 && <li><b>{exact(f.count.late)} late</b>: {problems.late}.</li>}
          {f.count.conflicts > 0 && <li><b>{exact(f.count.conflicts)} shared by two hosts</b>, as names: give each its own --name.</li>}
          <li>{[...versions].sort((a, b) => b[1] - a[1]).slice(0, 5).map(([v, n]) => exact(n) + " × " + visible(v)).join(", ")}</li>
        </ul>
      </section>
      {by && <section class="card wide"><h3>By {keys.map((k) => <button class="plain" key={k} aria-pressed={k === by} onClick={() => go(null, { by: k, groups: null })}>{visible(k)}</button>)}</h3><Groups key={by} by={by} /></section>}
      <Hosts f={f} />
    </>
  );
}
