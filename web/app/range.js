// Which stretch of time is shown. An agent has its window; a hub has any range. Times are the server's, in Unix seconds.
import { at, go, param } from "./state.js";
import { app, fixed, isHub, query, selected } from "./data.js";
import { duration, stamp } from "./format.js";
import { earlier } from "./series.js";

const hubRanges = [900, 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400, 365 * 86400];
const usual = 3600;
const units = { s: 1, m: 60, h: 3600, d: 86400 };

// seconds reads a length such as 90s, 15m, 6h or 7d. It returns 0 if it is not one.
export function seconds(text) {
  const m = /^(\d{1,9})([smhd])$/.exec(text);
  return m ? Number(m[1]) * units[m[2]] : 0;
}

// name writes a length as seconds reads it.
export function name(s) {
  for (const u of ["d", "h", "m"]) if (s % units[u] === 0) return s / units[u] + u;
  return s + "s";
}

// choices returns the lengths that can be chosen.
export function choices() {
  if (isHub()) return hubRanges;
  const all = (app.value?.app.periods ?? 5) * 60;
  return [300, 900, 3600, 6 * 3600, 86400].filter((s) => s < all).concat(all);
}

// shown returns the shown range: length, and if it is fixed, from and to. A fixed range does not move with time.
export function shown() {
  const from = Number(param("from")), to = Number(param("to"));
  if (from > 0 && to > from) return { fixed: true, from, to, length: to - from };
  const all = choices();
  return { fixed: false, length: seconds(param("range")) || (isHub() ? usual : fixed.value ? all.at(-1) : Math.min(all.at(-1), usual)) };
}

// asked returns the parameters from and to of a request, of a time before if there is a shift.
export function asked(r = shown(), shift = 0) {
  if (r.fixed) return { from: Math.floor(r.from - shift), to: Math.ceil(r.to - shift) };
  if (fixed.value) return { from: Math.floor(Math.max(fixed.value.from, fixed.value.to - r.length) - shift), to: fixed.value.to - shift };
  // An agent's last minute is the live one.
  const length = isHub() ? r.length : Math.max(r.length - 60, 60);
  return { from: "-" + (length + shift) + "s", to: shift ? "-" + shift + "s" : "now" };
}

// divisions returns by which of some keys of tags the selected part of a fleet can be divided. A hub divides hosts that are
// named by host only, and a selection by tag by the key of that tag.
export function divisions(keys) {
  const { host, tag } = selected(), chosen = new Set((tag || []).flatMap((t) => t.split(",")).map((t) => t.split("=")[0]));
  return host ? [] : keys.filter((k) => chosen.size === 0 || (chosen.size === 1 && chosen.has(k)));
}

// running reports whether the last minute of the range is still running: that of an agent.
export const running = () => !isHub() && !shown().fixed;

// rangeSummary is the path of the summary of the range.
export function rangeSummary(rows) {
  const r = shown(), all = (app.value?.app.periods ?? 5) * 60;
  if (!isHub() && !r.fixed) return query("api/v1/metrics/window/" + Math.max(1, Math.round(Math.min(r.length, all) / 60)), { rows, ...selected() });
  return query("api/v1/metrics/range", { ...asked(r), rows, ...selected() });
}

// overs are the overlays that can be chosen. An agent's window ends too soon for most.
export const overs = [["", "nothing"], ["before", "the time before"], ["day", "a day before"], ["week", "a week before"]];
export const shift = () => earlier(param("over"), shown().length);

// zoom shows a stretch of time; out shows twice as much around the same middle; longer and shorter choose another length.
export function zoom(from, to) {
  go(null, { from: Math.floor(from / 60) * 60, to: Math.ceil(to / 60) * 60, range: null });
}

export function out() {
  const r = shown();
  if (!r.fixed) return choose(1);
  const now = Date.now() / 1000, half = r.length / 2;
  if (r.to + half > now) go(null, { from: null, to: null, range: name(choices().find((s) => s >= 2 * r.length) ?? choices().at(-1)) });
  else zoom(r.from - half, r.to + half);
}

export function choose(by) {
  const all = choices(), r = shown();
  const i = all.findIndex((s) => s >= r.length);
  go(null, { from: null, to: null, range: name(all[Math.min(Math.max((i < 0 ? all.length - 1 : i) + by, 0), all.length - 1)]) });
}

// pan moves the range by a part of its length.
export function pan(part) {
  const r = shown(), now = Math.floor(Date.now() / 60000) * 60;
  const from = r.fixed ? r.from : now - r.length, to = r.fixed ? r.to : now, by = Math.round((part * r.length) / 60) * 60;
  if (to + by >= now) go(null, { from: null, to: null, range: name(r.length) });
  else zoom(from + by, to + by);
}

export const live = () => go(null, { from: null, to: null });

// title says which range is shown.
export function title() {
  const r = shown();
  return r.fixed ? stamp(r.from).slice(0, 16) + " to " + stamp(r.to).slice(r.length > 86400 ? 0 : 11, 16) + " UTC" : "the last " + duration(r.length);
}

// key changes with everything that a request depends on.
export const key = () => at.value.params.toString();
