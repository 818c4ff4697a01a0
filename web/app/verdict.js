// What the numbers of an attack say in words. All functions here are pure. A sentence is only said if the bounds of its numbers
// carry it.
import { bounds } from "./rows.js";
import { clock, exact, percent, short, value, visible } from "./format.js";

const known = (v) => typeof v === "number" && Number.isFinite(v);
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

// What a rise must be at least: how many times the quiet values, how many steps must be known, and how many of them be quiet.
export const leastSteps = 4;
const times = 3, leastQuiet = 2;

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

// peak returns the step in which a row has most of all, with what the other rows had at most in it: {at, lower, upper, others}. A
// table of one step is closer than one of many: what is unknown of each step adds up.
function peak(history, name) {
  const own = history?.get(name);
  if (!own) return undefined;
  const at = own.lower.reduce((best, v, i) => ((v ?? 0) > (own.lower[best] ?? -1) ? i : best), 0);
  return { at, lower: own.lower[at] ?? 0, upper: own.upper[at] ?? 0, others: Math.max(0, ...[...history].filter(([n]) => n !== name).map(([, h]) => h.upper[at] ?? 0)) };
}

const hintTexts = { one_port: "all from one port", one_ttl: "all with one TTL", no_tcp_retry: "none came again over TCP" };

// The least that is worth a sentence: distinct names below a zone, bytes of responses, and what share of the whole a row is.
const leastNames = 500, leastBytes = 1e6, mostly = 0.5, notable = 0.25, amplified = 5;

function aboutZone(d, out) {
  // The rows that are certainly far ahead of all others, in the whole range or in one step. That of a zone that grew comes first.
  const rows = d.zones || [], failing = out.some((s) => s.kind === "nx" || s.kind === "timeouts");
  const whole = rows[0] && { lower: bounds(rows[0])[0], others: rows[1] ? bounds(rows[1])[1] : 0 };
  const ahead = (p) => p && p.lower >= leastNames && p.lower >= 5 * Math.max(p.others, 1);
  const found = rows.map((row, i) => ({ row, p: i === 0 && ahead(whole) ? whole : peak(d.namesHistory, row.name), r: rise(judged(d.namesHistory?.get(row.name)?.lower || []), leastNames / 10) })).filter(({ p }) => ahead(p));
  const best = found.find(({ r }) => r) ?? (failing && found.find(({ p }) => p === whole));
  if (!best) return; // no zone, or one that always has many names
  const { row, p, r } = best, zone = visible(row.name);
  const further = p.others > 0 ? ", " + short(Math.floor(p.lower / p.others)) + " times as many as below any other zone" : ", and no other zone has any";
  out.push({
    kind: "zone", at: r?.at, subject: zone, strong: true,
    text: (failing ? "Random names below " : "Many new names below ") + zone + ": at least " + exact(p.lower) + " distinct ones" + (p === whole ? "" : " in one step, from " + clock(d.from + p.at * d.step) + " UTC") + further + ".",
    headline: (failing ? "Random-subdomain attack on " : "Many new names below ") + zone,
  });
}

// A zone whose names carry data, in the step in which they carry most: so many bits, in so many names, each with so many of them,
// and several times as many bits as any other zone. A name of random letters has 40 to 80 bits, and one of a tunnel several hundred.
const leastBits = 10_000, leastCarriers = 50, bitsOfName = 100, aheadInBits = 3;

function aboutData(d, out) {
  const row = d.bits?.[0], p = row && peak(d.bitsHistory, row.name), names = row && d.namesHistory?.get(row.name);
  if (!p || !names || p.lower < leastBits || p.lower < aheadInBits * p.others || !(names.lower[p.at] >= leastCarriers) || p.lower / names.upper[p.at] < bitsOfName) return;
  const zone = visible(row.name), r = rise(judged(d.bitsHistory.get(row.name).lower), leastBits / 10);
  if (out.some((s) => s.kind === "zone" && s.subject === zone)) return;
  out.push({
    kind: "data", at: r?.at, subject: zone, strong: false,
    text: "Names below " + zone + " carry data: at least " + exact(Math.floor(p.lower / names.upper[p.at])) + " bits in each of " + exact(names.lower[p.at]) + " names or more. It is a tunnel, or a service that puts data into names, such as a virus scanner.",
    headline: r && "Data in names below " + zone,
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
  aboutData(d, out);
  aboutAmplification(d, out);
  aboutClients(d, out);
  const named = ["amplification", "zone", "data", "timeouts", "nx", "queries"].flatMap((k) => out.filter((s) => s.kind === k && s.headline));
  const lead = named.filter((s) => s.kind === "amplification" || s.kind === "zone").map((s) => s.headline).join(", and ") || named[0]?.headline;
  const starts = named.map((s) => s.at).filter((at) => at !== undefined);
  return { headline: lead, at: starts.length ? Math.min(...starts) : undefined, strong: out.some((s) => s.strong && s.headline), sentences: out.map((s) => s.text) };
}
