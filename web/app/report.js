// A report is the dashboard without a server: the page has the answers of an agent's API about a capture in it. Functions
// other than startReport are pure.
import { fixed, source } from "./data.js";

const missing = (text) => Object.assign(new Error(text), { status: 404 });

// time reads a time as the API does: Unix seconds, now, or seconds before now. Now is the end of the capture.
function time(text, now, otherwise) {
  if (!text) return otherwise;
  if (text === "now") return now;
  const before = /^-(\d{1,9})s$/.exec(text);
  return before ? now - Number(before[1]) : Number(text);
}

// cut returns a value with at most so many rows in each table.
function cut(v, rows) {
  if (Array.isArray(v)) return v.slice(0, rows);
  if (typeof v !== "object" || v === null) return v;
  return Object.fromEntries(Object.entries(v).map(([k, one]) => [k, cut(one, rows)]));
}

// span returns the steps of an answer that lie in a stretch of time: the first one, and the one after the last.
function span(a, from, to) {
  const steps = Math.round((a.to_ts - a.from_ts) / a.step_s);
  const first = Math.min(Math.max(Math.floor((from - a.from_ts) / a.step_s), 0), steps);
  return [first, Math.min(Math.max(Math.ceil((to - a.from_ts) / a.step_s), first), steps)];
}

const between = (a, first, end) => ({ from_ts: a.from_ts + first * a.step_s, to_ts: a.from_ts + end * a.step_s, step_s: a.step_s, policy: a.policy, missing_minutes: a.missing_minutes });

function series(r, q, from, to) {
  const wanted = q.getAll("metric"), any = r.series[0];
  const [first, end] = any ? span(any, from, to) : [0, 0];
  if (end === first) throw missing("the report has nothing of this time");
  const of = (member) => r.series.flatMap((a) => (a[member] || []).filter((one) => wanted.includes(one.metric)));
  return {
    ...between(any, first, end),
    series: of("series").map((l) => ({ ...l, values: l.values.slice(first, end) })),
    bins: q.get("heat") === "1" ? of("bins").map((b) => ({ ...b, steps: b.steps.slice(first, end) })) : undefined,
  };
}

function history(r, q, from, to) {
  const a = Object.hasOwn(r.history, q.get("table")) ? r.history[q.get("table")] : undefined, names = q.getAll("name");
  const rows = (a?.rows || []).filter((row) => names.includes(row.name));
  if (rows.length === 0) throw missing("the report has the history of the first rows of each table only");
  const [first, end] = span(a, from, to), part = (list) => list.slice(first, end);
  return { ...a, ...between(a, first, end), total: part(a.total), rows: rows.map((row) => ({ ...row, lower: part(row.lower), upper: part(row.upper) })) };
}

// answer returns what the API answered about the capture, or throws an error of a status.
export function answer(r, path) {
  const [route, query] = path.replace(/^api\/v1\//, "").split(/\?(.*)/s), q = new URLSearchParams(query || "");
  const to = time(q.get("to"), r.to_ts, r.to_ts), from = time(q.get("from"), r.to_ts, r.from_ts);
  const whole = from < r.from_ts + 60 && to >= r.to_ts;
  if (route === "metrics/app") return { app: { ...r.app.app, periods: Math.max(Math.ceil(r.to_ts / 60) - Math.floor(r.from_ts / 60), 1) } };
  if (route === "tables") return r.tables;
  if (/^metrics\/(range|window\/\d+)$/.test(route)) {
    if (!whole) throw missing("the report has the tables of the whole capture only");
    return cut(r.summary, Number(q.get("rows")) || 10);
  }
  if (route === "attack") {
    if (!whole) throw missing("the report has the verdict of the whole capture only");
    return r.attack;
  }
  if (route === "series") return series(r, q, from, to);
  if (route === "history") return history(r, q, from, to);
  if (route === "changes") return { ...r.changes, changes: r.changes.changes.slice(0, Number(q.get("rows")) || 20) };
  throw missing("the report does not have this");
}

// startReport makes the page that of a report if it is one.
export function startReport() {
  const text = document.getElementById("report")?.textContent;
  if (!text) return;
  const report = JSON.parse(text);
  fixed.value = { name: report.name, program: report.program, from: report.from_ts, to: report.to_ts, base: report.base };
  source.get = async (path) => answer(report, path);
}
