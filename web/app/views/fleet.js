// The fleet of a hub: its POPs, or the values of another tag, and its hosts.
import { query, selected, useData } from "../data.js";
import { duration, exact, micros, percent, short, stamp, visible } from "../format.js";
import { asked } from "../range.js";
import { go, href, param } from "../state.js";

const shownHosts = 300;
const totals = { queries: "dns.wire_packets.queries", replies: "dns.wire_packets.replies", fail: "dns.wire_packets.srvfail", nx: "dns.wire_packets.nxdomain", packets: "packets.total", lost: "pcap.os_drops" };

// byGroup adds up series by their group: counts over the time, and the newest p95. It is pure.
export function byGroup(series, seconds) {
  const out = new Map();
  for (const s of series) {
    const g = out.get(s.group) || { group: s.group };
    const all = s.values.filter((v) => v !== null);
    if (s.stat === "count") g[s.metric] = all.reduce((a, b) => a + b, 0);
    if (s.stat === "p95") g[s.metric] = all.at(-1);
    out.set(s.group, g);
  }
  return [...out.values()].map((g) => ({ ...g, rate: g[totals.packets] / seconds, qps: g[totals.queries] / seconds }));
}

function Groups({ by }) {
  const { data, error } = useData(query("api/v1/series", { metric: [...Object.values(totals), "dns.xact.in.quantiles_us", "dns.xact.out.quantiles_us"], by, ...asked(), step: "1h", ...selected() }), 60).value;
  if (error) return <p class="problem" role="alert">{error.message}</p>;
  if (!data) return <p class="empty">loading</p>;
  const list = byGroup(data.series, Math.max(data.to_ts - data.from_ts - 60 * data.missing_minutes, 60)), share = (g, part, of) => (g[totals[of]] > 0 ? percent(g[totals[part]] / g[totals[of]]) : "–");
  return (
    <div class="scroll" tabIndex="0" role="region" aria-label={"by " + by}><table class="fleet">
      <thead><tr>{[by, "packets/s", "queries/s", "SERVFAIL", "NXDOMAIN", "lost", "p95 as server", "p95 as client"].map((t) => <th scope="col" key={t}>{t}</th>)}</tr></thead>
      <tbody>{list.map((g) => (
        <tr key={g.group}>
          <th scope="row">{g.group === "other" ? "others" : <a href={href("now", { tag: g.group })}>{visible(g.group.slice(by.length + 1))}</a>}</th>
          <td>{short(g.rate)}</td><td>{short(g.qps)}</td><td>{share(g, "fail", "replies")}</td><td>{share(g, "nx", "replies")}</td>
          <td class={g[totals.lost] > 0 ? "badly" : undefined}>{exact(g[totals.lost])}</td><td>{micros(g["dns.xact.in.quantiles_us"])}</td><td>{micros(g["dns.xact.out.quantiles_us"])}</td>
        </tr>
      ))}</tbody>
    </table></div>
  );
}

export function Fleet() {
  const { data: f, error } = useData(query("api/v1/fleet", { limit: 10000, ...selected() }), 10).value;
  if (!f) return <p class="empty">{error ? error.message : "loading"}</p>;
  const keys = [...new Set(f.tags.map((t) => t.tag.split("=")[0]))], by = param("by") || (keys.includes("pop") ? "pop" : keys[0]);
  const rank = { away: 0, late: 1, up: 2 }, text = param("q").toLowerCase();
  const hosts = [...f.hosts].filter((h) => !text || JSON.stringify([h.host, h.tags, h.agent]).toLowerCase().includes(text)).sort((a, b) => rank[a.state] - rank[b.state] || Number(b.conflict) - Number(a.conflict) || b.lost - a.lost || b.missing_minutes - a.missing_minutes || (a.host < b.host ? -1 : 1));
  const versions = new Map();
  for (const h of f.hosts) versions.set(h.agent || "unknown", (versions.get(h.agent || "unknown") || 0) + 1);
  const wrong = f.count.away + f.count.late + f.count.conflicts;
  return (
    <>
      <section class={"verdict" + (f.count.away + f.count.conflicts > 0 ? " bad" : wrong ? " warn" : "")} role="status" aria-label="verdict">
        <h2>{exact(f.count.up)} of {exact(f.count.total)} hosts are up</h2>
        <ul>
          {f.count.away > 0 && <li><b>{exact(f.count.away)} away</b>: no minute for more than five minutes. These are first in the list.</li>}
          {f.count.late > 0 && <li><b>{exact(f.count.late)} late</b>: the newest minute ended more than 90 seconds ago.</li>}
          {f.count.conflicts > 0 && <li><b>{exact(f.count.conflicts)} shared by two hosts</b>, as names: give each its own --name.</li>}
          <li>{[...versions].sort((a, b) => b[1] - a[1]).slice(0, 5).map(([v, n]) => exact(n) + " × " + visible(v)).join(", ")}</li>
        </ul>
      </section>
      {by && <section class="card wide"><h3>By {keys.map((k) => <button class="plain" key={k} aria-pressed={k === by} onClick={() => go(null, { by: k })}>{k}</button>)}</h3><Groups by={by} /></section>}
      <section class="card wide">
        <h3>Hosts <input type="search" data-search value={param("q")} placeholder="search hosts (/)" aria-label="search hosts" onInput={(e) => go(null, { q: e.target.value }, true)} /></h3>
        <div class="scroll" tabIndex="0" role="region" aria-label="hosts"><table class="fleet">
          <thead><tr>{["host", "state", "tags", "newest minute", "lag", "minutes", "missing", "lost", "version"].map((t) => <th scope="col" key={t}>{t}</th>)}</tr></thead>
          <tbody>{hosts.slice(0, shownHosts).map((host) => (
            <tr key={host.host}>
              <th scope="row"><a href={href("now", { host: host.host })}>{visible(host.host)}</a>{host.conflict && <small class="badly"> shared name</small>}</th>
              <td class={host.state === "up" ? undefined : "badly"}>{host.state}</td><td>{Object.entries(host.tags).map(([k, v]) => k + "=" + v).join(" ")}</td>
              <td>{host.newest_end_ts ? stamp(host.newest_end_ts).slice(5, 16) : "none"}</td><td>{host.lag_s === undefined ? "–" : duration(host.lag_s)}</td><td>{exact(host.minutes)}</td>
              <td class={host.missing_minutes > 0 ? "badly" : undefined}>{exact(host.missing_minutes)}</td><td class={host.lost > 0 ? "badly" : undefined}>{exact(host.lost)}</td>
              <td>{visible(host.agent || "–")}{host.error && <small class="badly"> {visible(host.error).slice(0, 120)}</small>}</td>
            </tr>
          ))}</tbody>
        </table></div>
        {hosts.length > shownHosts && <p class="help">{exact(hosts.length - shownHosts)} more: search for them.</p>}
      </section>
    </>
  );
}
