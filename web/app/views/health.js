// The health of an agent: what it captures, what it loses, and what to do about that.
import { app, isHub, read, sections, useData } from "../data.js";
import { duration, exact, percent, short, stamp, value, visible } from "../format.js";
import { rangeSummary } from "../range.js";

// warnings returns what is wrong and what to do: {bad, text, todo}. It is pure.
export function warnings(a, w) {
  const out = [], add = (bad, text, todo) => out.push({ bad, text, todo });
  const v = (path) => read(w || {}, path) ?? 0, total = v("packets.total");
  if (!a.capturing) add(true, "Not capturing" + (a.fault ? ": " + a.fault : "."), "See the log of the agent. It continues by itself if the interface comes back.");
  const lost = w?.period?.lost ?? 0;
  if (lost > 0) add(true, exact(lost) + " packets were lost before they could be counted, " + percent(lost / (total + lost)) + ".", v("pcap.if_drops") > v("pcap.os_drops") ? "The interface drops them: look at ethtool -S, and enlarge its ring with ethtool -G." : "The agent is too slow for bursts: enlarge its ring with --ring-size, give it more cores with --shards, or sample with --max-deep-sample.");
  if (v("pcap.freezes") > 0) add(false, "The capture ring was full " + exact(v("pcap.freezes")) + " times.", "Enlarge it with --ring-size.");
  if (total > 0 && v("packets.in") + v("packets.out") === 0) add(false, "No packet has a direction.", "Say which addresses are yours with -H.");
  const strange = v("packets.malformed") + v("packets.unsupported_link");
  if (total > 0 && strange / total > 0.001) add(strange / total > 0.05, percent(strange / total) + " of the packets cannot be decoded.", "A tunnel needs --decap. A snap length cuts packets: see --snaplen.");
  if (v("packets.deep_sample_percent") < 100 && w?.packets?.deep_sample_percent !== undefined) add(false, "Tables and transactions cover " + v("packets.deep_sample_percent") + "% of the traffic.", "Counters are exact. --max-deep-sample 100 analyses everything.");
  if (v("dns.xact.counts.evicted") > 0) add(false, exact(v("dns.xact.counts.evicted")) + " open transactions were dropped because too many were waiting.", "A flood without responses does that. The other transactions still count.");
  const push = a.push, state = a.state;
  if (push && !push.connected) add(true, "Not connected to the hub" + (push.error ? ": " + push.error : "."), "Minutes wait in the window, and are pushed when the hub is back: " + push.pending + " wait.");
  if (push?.dropped > 0) add(false, exact(push.dropped) + " minutes were not pushed before the window lost them.", "A longer window (--periods) bridges longer outages.");
  if (state?.error) add(true, "Minutes cannot be written to the state directory: " + state.error, "Make room, or check its owner.");
  for (const s of a.sources || []) if (s.error) add(true, visible(s.name) + ": " + s.error, "Restart the agent.");
  return out;
}

const Fact = ({ name, children }) => <><dt>{name}</dt><dd>{children}</dd></>;

export function Health() {
  const summary = useData(rangeSummary(1), 5).value, w = summary.data && Object.values(summary.data)[0], all = app.value, a = all.app;
  const list = warnings(a, w), gauges = (sections.value || []).flatMap((s) => s.metrics.filter((m) => m.kind === "gauge").map((m) => [m, read(all, s.name + "." + m.path)])).filter(([, v]) => typeof v === "number");
  const columns = ["received", "os_drops", "if_drops", "freezes", "discarded", "copies"].filter((c) => (a.sources || []).some((s) => s[c] !== undefined));
  return (
    <>
      <section class={"verdict" + (list.some((x) => x.bad) ? " bad" : list.length ? " warn" : "")} role="status" aria-label="verdict">
        <h2>{list.length === 0 ? "All is well" : list.some((x) => x.bad) ? "Something is wrong" : "Worth knowing"}</h2>
        {list.length > 0 && <ul>{list.map((x) => <li key={x.text}><b>{x.text}</b> {x.todo}</li>)}</ul>}
      </section>
      <div class="cards">
        <section class="card"><h3>Agent</h3><dl class="facts">
          <Fact name="version">{a.version}</Fact>
          <Fact name="up for">{duration(a.uptime_s ?? 0)}, since {stamp(a.start_ts)} UTC</Fact>
          <Fact name="target">{visible(a.target || "")}{a.filter && " filter " + visible(a.filter)}</Fact>
          <Fact name="host subnets">{(a.hosts || []).slice(0, 20).join(", ") || "none"}</Fact>
          <Fact name="window">{a.sealed_periods} of {a.periods} minutes</Fact>
          <Fact name="last packet">{a.last_packet_ts ? stamp(a.last_packet_ts) + " UTC" : "none yet"}</Fact>
          {gauges.map(([m, v]) => <Fact key={m.path} name={m.title.slice(0, 80)}>{short(v)} {m.unit}</Fact>)}
        </dl></section>
        <section class="card"><h3>Memory</h3><dl class="facts">
          <Fact name="resident">{value(a.memory?.resident_bytes, "bytes")}</Fact>
          <Fact name="heap">{value(a.memory?.heap_bytes, "bytes")}</Fact>
          <Fact name="kept answers">{value(a.memory?.cache_bytes, "bytes")}</Fact>
          <Fact name="goroutines">{exact(a.goroutines)}</Fact>
          {a.push && <Fact name="hub">{a.push.connected ? "connected to " : "not connected to "}{a.push.url}, {exact(a.push.acknowledged)} minutes pushed, {exact(a.push.pending)} wait</Fact>}
          {a.state && <Fact name="state directory">{exact(a.state.waiting)} minutes wait, {exact(a.state.failed)} attempts failed</Fact>}
        </dl></section>
        <section class="card wide"><h3>Taps: one source for each shard</h3><div class="scroll" tabIndex="0" role="region" aria-label="sources"><table>
          <thead><tr><th scope="col">source</th><th scope="col">link</th>{columns.map((c) => <th scope="col" key={c}>{c.replaceAll("_", " ")}</th>)}</tr></thead>
          <tbody>{(a.sources || []).map((s) => <tr key={s.name + s.shard}><th scope="row">{visible(s.name)} {s.shard}</th><td>{s.link || "–"}</td>{columns.map((c) => <td key={c}>{exact(s[c] ?? 0)}</td>)}</tr>)}</tbody>
        </table></div></section>
      </div>
    </>
  );
}

export const isAgent = () => !isHub();
