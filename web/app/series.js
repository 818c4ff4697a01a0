// Arithmetic over answers of /api/v1/series. All functions here are pure.

const statsOf = { counter: 1, gauge: 1, cardinality: 1, rate: 5, histogram: 6 };
const maxMetrics = 20, maxPoints = 10000, maxBins = 40;

// packs splits metrics, each {path, kind, heat}, over requests within the bounds of the API: so many metrics, so many values.
export function packs(metrics, steps, maxHeat = 20000) {
  const out = [];
  let lines = Infinity, heats = Infinity;
  for (const m of metrics) {
    const n = statsOf[m.kind] || 6, heat = m.heat ? 1 : 0, last = out.at(-1);
    const fits = last && last.length < maxMetrics && (lines + n) * steps <= maxPoints && (heats + heat) * steps * maxBins <= maxHeat && (last[0].heat || false) === (m.heat || false);
    if (fits) {
      last.push(m);
      lines += n;
      heats += heat;
    } else {
      out.push([m]);
      lines = n;
      heats = heat;
    }
  }
  return out;
}

// merge joins answers about the same range: their lines by metric and stat, and their heat maps by metric.
export function merge(answers) {
  const first = answers[0], lines = new Map(), bins = new Map();
  for (const a of answers) {
    if (a.from_ts !== first.from_ts || a.step_s !== first.step_s) continue; // a minute has passed between them
    for (const s of a.series || []) lines.set(s.metric + " " + s.stat, s);
    for (const b of a.bins || []) bins.set(b.metric, b);
  }
  const steps = Math.max(0, Math.round((first.to_ts - first.from_ts) / first.step_s));
  return { from: first.from_ts, to: first.to_ts, step: first.step_s, steps, missing: first.missing_minutes || 0, lines, bins };
}

// trimmed returns a merged answer without the steps before the first data: an agent has none before it was started.
export function trimmed(m) {
  const lines = [...m.lines.values()].filter((s) => s.kind === "counter");
  const first = Math.max(0, Array.from({ length: m.steps }, (_, i) => i).findIndex((i) => lines.some((s) => s.values[i] !== null)));
  if (first === 0) return m;
  const cut = (s) => ({ ...s, ...(s.values && { values: s.values.slice(first) }), ...(s.steps && { steps: s.steps.slice(first) }) });
  const each = (map) => new Map([...map].map(([k, s]) => [k, cut(s)]));
  return { ...m, from: m.from + first * m.step, steps: m.steps - first, lines: each(m.lines), bins: each(m.bins) };
}

// values returns the values of a metric's stat, or undefined.
export const values = (m, metric, stat) => m?.lines.get(metric + " " + stat)?.values;

// perSecond divides counts by the seconds of each step that the data covers: from start to end, in Unix seconds.
export function perSecond(counts, from, step, start, end) {
  return counts.map((v, i) => {
    const begin = from + i * step;
    const seconds = Math.min(begin + step, Math.max(end, begin)) - Math.max(begin, Math.min(start, begin + step));
    return v === null || v === undefined || seconds <= 0 ? null : v / seconds;
  });
}

// sum adds lists element by element. A value is null if all are.
export function sum(lists) {
  const out = [];
  for (const list of lists) {
    list?.forEach((v, i) => {
      if (v !== null && v !== undefined) out[i] = (out[i] ?? 0) + v;
      else out[i] ??= null;
    });
  }
  return out;
}

// stack returns lists that lie on each other: each is the sum of itself and those before it.
export function stack(lists) {
  let below;
  return lists.map((list) => (below = list.map((v, i) => (v === null && (below?.[i] ?? null) === null ? null : (v ?? 0) + (below?.[i] ?? 0)))));
}

// spans returns the stretches [from, to) of the steps for which a condition holds.
export function spans(m, holds) {
  const out = [];
  for (let i = 0; i < m.steps; i++) {
    if (!holds(i)) continue;
    const from = m.from + i * m.step;
    if (out.at(-1)?.[1] === from) out.at(-1)[1] = from + m.step;
    else out.push([from, from + m.step]);
  }
  return out;
}

// finished returns which steps of a history to draw as a sparkline, from the first to the one before the last: from the first with
// data on, and if the last minute is still running without that one, which looks like a fall.
export function finished(total, running) {
  const first = Math.max(0, total.findIndex((v) => v !== null)), last = total.findLastIndex((v) => v !== null);
  return [first, running && last - first > 2 ? last : last + 1];
}

// summary returns the newest, least, greatest and mean value of a list, or undefined if it has no value.
export function summary(list) {
  const all = (list || []).filter((v) => v !== null && v !== undefined);
  if (all.length === 0) return undefined;
  return { last: all.at(-1), min: Math.min(...all), max: Math.max(...all), mean: all.reduce((a, b) => a + b, 0) / all.length };
}

// earlier returns how many seconds before the shown range an overlay begins, or 0 for none.
export function earlier(over, seconds) {
  if (over === "day") return 86400;
  if (over === "week") return 7 * 86400;
  return over === "before" ? Math.ceil(seconds / 60) * 60 : 0;
}

// Live keeps what a counter had in each of the last seconds, from what it has in the live minute from time to time.
export class Live {
  constructor(seconds = 300) {
    this.seconds = seconds;
    this.points = []; // {t, values}, one for each second, oldest first
    this.before = undefined;
  }

  // add takes the counters of the live minute: its start, its newest second, and the counters by path.
  add(start, end, counters) {
    const b = this.before;
    if (b && end <= b.end && start === b.start) return false;
    // A minute that has just begun says nothing about the end of the last one.
    const values = b && start === b.start ? Object.fromEntries(Object.entries(counters).map(([k, v]) => [k, (v - (b.counters[k] ?? v)) / (end - b.end)])) : undefined;
    this.before = { start, end, counters };
    if (b && end - b.end > 3) this.points.push({ t: b.end + 0.5, values: undefined }); // a gap: the page was hidden
    if (values) this.points.push({ t: end - 0.5, values });
    while (this.points.length > 0 && this.points[0].t < end - this.seconds) this.points.shift();
    return true;
  }

  // drawn returns the points to draw: the newest second may still get packets, and would look like a fall.
  drawn() {
    const last = this.before ? this.before.end - 1 : 0;
    return this.points.filter((p) => p.t < last);
  }
}

// shares divides two lists. A step with few of the whole says nothing.
export const shares = (part, whole, least = 20) => (whole || []).map((n, i) => (typeof n === "number" && n >= least && typeof part?.[i] === "number" ? part[i] / n : null));
