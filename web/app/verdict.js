// What the numbers of an attack say in words. All functions here are pure. A sentence is only said if the bounds of its numbers
// carry it.
import { bounds } from "./rows.js";
import { clock, exact, percent, short, value, visible } from "./format.js";

const known = (v) => typeof v === "number" && Number.isFinite(v);
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

// What a rise must be at least: how many times the quiet values, how many steps must be known, and how many of them be quiet.
const times = 3, leastSteps = 4, leastQuiet = 2;

// rise finds the longest run of values that are far above the quiet ones, which are the lowest quarter. It returns {at, end,
// before, since}: the first step of the run and the one after its last, and the median before and in it. It returns undefined
// if there is none, or nothing quiet to compare with. Values below floor do not count as a rise.
export function rise(values, floor = 0) {
  const steps = values.map((v, i) => [v, i]).filter(([v]) => known(v));
  if (steps.length < leastSteps) return undefined;
  const sorted = steps.map(([v]) => v).sort((a, b) => a - b), quiet = sorted[Math.floor((sorted.length - 1) / 4)];
  const least = Math.max(times * quiet, floor, Number.MIN_VALUE);
  let best, run;
  for (const [v, i] of steps) {
    if (v < least) {
      run = undefined;
      continue;
    }
    run = run ? { at: run.at, end: i + 1, n: run.n + 1 } : { at: i, end: i + 1, n: 1 };
    if (!best || run.n > best.n) best = run;
  }
  if (!best) return undefined;
  const before = steps.filter(([, i]) => i < best.at || i >= best.end).map(([v]) => v), since = steps.filter(([, i]) => i >= best.at && i < best.end).map(([v]) => v);
  if (before.length < leastQuiet) return undefined;
  return { at: best.at, end: best.end, before: median(before), since: median(since), open: best.end > steps.at(-1)[1] };
}

// judged leaves out the last step if it has just begun: it has less than the one before it.
export const judged = (list) => {
  const n = list.length;
  return n > 1 && known(list[n - 1]) && known(list[n - 2]) && list[n - 1] < list[n - 2] ? list.with(-1, null) : list;
};

// shares divides two lists. A step with few of the whole says nothing.
export const shares = (part, whole, least = 20) => (whole || []).map((n, i) => (known(n) && n >= least && known(part?.[i]) ? part[i] / n : null));

// far reports whether the first row is certainly far ahead of the second one.
function far(rows, factor) {
  return rows.length > 0 && bounds(rows[0])[0] >= factor * Math.max(rows[1] ? bounds(rows[1])[1] : 0, 1);
}

const hintTexts = { one_port: "all from one port", one_ttl: "all with one TTL", no_tcp_retry: "none came again over TCP" };

// The least that is worth a sentence: distinct names below a zone, bytes of responses, and what share of the whole a row is.
const leastNames = 500, leastBytes = 1e6, mostly = 0.5, notable = 0.25, amplified = 5;

function aboutZone(d, out) {
  const rows = d.zones || [];
  if (rows.length === 0 || bounds(rows[0])[0] < leastNames || !far(rows, 5)) return;
  const r = rise(judged(d.zoneHistory || []), leastNames / 10), zone = visible(rows[0].name);
  const second = rows[1] ? bounds(rows[1])[1] : 0;
  const ahead = second > 0 ? ", " + short(Math.floor(bounds(rows[0])[0] / second)) + " times as many as below any other zone" : ", and no other zone has any";
  const failing = out.some((s) => s.kind === "nx" || s.kind === "timeouts");
  if (!r && !failing) return; // a zone that always has many names
  out.push({
    kind: "zone", at: r?.at, subject: zone, strong: true,
    text: (failing ? "Random names below " : "Many new names below ") + zone + ": at least " + exact(bounds(rows[0])[0]) + " distinct ones" + ahead + ".",
    headline: (failing ? "Random-subdomain attack on " : "Many new names below ") + zone,
  });
}

function aboutAmplification(d, out) {
  const row = d.amplified?.[0], whole = d.amplifiedTotal;
  if (!row || bounds(row)[0] < leastBytes || !(row.ratio >= amplified) || !(whole > 0) || bounds(row)[0] / whole < notable) return;
  const r = rise(judged(d.amplifiedHistory || []), leastBytes / 100), hints = (row.hints || []).map((h) => hintTexts[h]).filter(Boolean), name = visible(row.name);
  const kind = (rows, total) => (rows?.[0] && total > 0 && bounds(rows[0])[0] / total >= mostly ? visible(rows[0].name) : undefined);
  const type = kind(d.amplifiedTypes, whole), qname = kind(d.amplifiedNames, whole);
  out.push({
    kind: "amplification", at: r?.at, subject: name, strong: hints.length > 0 && Boolean(r),
    text: name + " gets " + value(bounds(row)[0], "bytes") + " of responses, " + percent(bounds(row)[0] / whole) + " of all, for " + value(row.queries_bytes, "bytes") + " of queries: at least " + short(row.ratio) + " times as much" +
      (type || qname ? ", mostly " + [type, qname].filter(Boolean).join(" of ") : "") + "." + (hints.length ? " Its queries look forged: " + hints.join(", ") + ". Then it is the victim, and not the attacker." : ""),
    headline: hints.length ? "Amplification attack on " + name : r ? "Amplified responses to " + name : undefined,
  });
}

function aboutClients(d, out) {
  const of = (rows, total, text) => {
    const row = rows?.[0];
    if (row && total >= 1000 && bounds(row)[0] / total >= notable) out.push({ kind: "clients", subject: visible(row.name), text: visible(row.name) + " " + text.replace("%", percent(bounds(row)[0] / total)) });
  };
  if (out.some((s) => s.kind === "nx")) {
    of(d.clientsNX, d.clientsNXTotal, "gets % of all NXDOMAIN responses.");
    if (!out.some((s) => s.kind === "clients")) of(d.prefixesNX, d.prefixesNXTotal, "gets % of all NXDOMAIN responses.");
    if (!out.some((s) => s.kind === "clients") && d.clientsNX?.length) out.push({ kind: "clients", text: "No client or network stands out: the queries come from many." });
  }
}

// verdict returns {headline, at, strong, sentences}. At is the step in which it began, if that is known.
export function verdict(d) {
  const out = [];
  const nx = rise(d.nxShare || [], 0.1), timeouts = rise(judged(d.timeouts || []), 1), queries = rise(d.queries || [], 10);
  const begun = (r, from, step) => " from " + clock(from + r.at * step) + " UTC" + (r.open ? " on" : " to " + clock(from + r.end * step));
  if (nx) out.push({ kind: "nx", at: nx.at, strong: true, text: "NXDOMAIN was " + percent(nx.before) + " of the responses, and " + percent(nx.since) + begun(nx, d.from, d.step) + ".", headline: "Many names that do not exist" });
  if (timeouts) out.push({ kind: "timeouts", at: timeouts.at, strong: true, text: "Queries without a response: " + short(timeouts.before) + " before, " + short(timeouts.since) + " a second" + begun(timeouts, d.from, d.step) + ".", headline: "Many queries without a response" });
  if (queries) out.push({ kind: "queries", at: queries.at, strong: false, text: "Queries: " + short(queries.before) + " a second before, " + short(queries.since) + begun(queries, d.from, d.step) + ".", headline: "Many more queries" });
  aboutZone(d, out);
  aboutAmplification(d, out);
  aboutClients(d, out);
  const named = ["amplification", "zone", "timeouts", "nx", "queries"].flatMap((k) => out.filter((s) => s.kind === k && s.headline));
  const lead = named.filter((s) => s.kind === "amplification" || s.kind === "zone").map((s) => s.headline).join(", and ") || named[0]?.headline;
  const starts = named.map((s) => s.at).filter((at) => at !== undefined);
  return { headline: lead, at: starts.length ? Math.min(...starts) : undefined, strong: out.some((s) => s.strong && s.headline), sentences: out.map((s) => s.text) };
}
