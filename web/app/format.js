// How numbers, times and names are written. All functions here are pure.

const grouped = { format: (v) => v.toFixed(0).replace(/\B(?=(\d{3})+$)/g, ",") }; // Intl.NumberFormat takes milliseconds to load
const none = "–";
const ok = (v) => typeof v === "number" && Number.isFinite(v);

// digits writes v with three significant digits, and without trailing zeros.
const digits = (v) => String(Number(v.toPrecision(3)));

// scaled writes v with a prefix for thousands: 1.23 M. Numbers below 10,000 are written out.
function scaled(v) {
  const size = Math.abs(v);
  if (size < 1) return digits(v);
  if (size < 100) return digits(v);
  if (size < 10000) return grouped.format(v);
  const e = Math.min(Math.floor(Math.log10(Number(size.toPrecision(3))) / 3), 6);
  return digits(v / 1000 ** e) + " " + "kMGTPE"[e - 1];
}

// exact writes a whole number in full, with separators.
export const exact = (v) => (ok(v) ? grouped.format(v) : none);

// short writes a number in at most seven characters.
export const short = (v) => (ok(v) ? scaled(v) : none);

export function micros(v) {
  if (!ok(v)) return none;
  if (v < 1000) return digits(v) + " µs";
  if (v < 1e6) return digits(v / 1000) + " ms";
  return digits(v / 1e6) + " s";
}

function prefixed(v, unit) {
  if (!ok(v)) return none;
  const s = scaled(v);
  return /[a-zA-Z]$/.test(s) ? s + unit : s + " " + unit;
}

// value writes a value of a unit, as /api/v1/tables names it. The unit of counts is beside the title, and not repeated.
export function value(v, unit) {
  if (unit === "us") return micros(v);
  if (unit === "bytes") return prefixed(v, "B");
  if (unit === "bits") return prefixed(v, "b");
  if (unit === "bits/s") return prefixed(v, "b/s");
  if (unit === "ratio") return ok(v) ? digits(v) : none;
  return short(v);
}

// whole is value for tables, where each digit of a count is shown.
export const whole = (v, unit) => (["us", "bytes", "bits", "bits/s", "ratio"].includes(unit) ? value(v, unit) : exact(v));

// unitBeside returns the unit to write beside a title, or "" if the numbers have it.
export const unitBeside = (unit) => (["us", "bytes", "bits", "bits/s", "ratio"].includes(unit) ? "" : (unit || "").slice(0, maxTitle));

// maxTitle bounds the texts of a declaration.
export const maxTitle = 80;

export function percent(share) {
  if (!ok(share)) return none;
  const p = 100 * share;
  if (p > 0 && p < 0.1) return "< 0.1%";
  return (p < 99.95 ? p.toFixed(1) : String(Math.round(p))) + "%";
}

const pad = (n) => String(n).padStart(2, "0");

// clock writes a time of day in UTC, and the date too if the range is longer than a day. T is in Unix seconds.
export function clock(t, range = 0) {
  if (!ok(t)) return none;
  const d = new Date(1000 * t), iso = d.toISOString();
  const time = range > 0 && range <= 900 ? iso.slice(11, 19) : iso.slice(11, 16);
  return range > 86400 ? iso.slice(5, 10) + " " + time : time;
}

// stamp writes date and time in UTC.
export const stamp = (t) => (ok(t) ? new Date(1000 * t).toISOString().replace("T", " ").slice(0, 19) : none);

// duration writes a number of seconds: 45 s, 5 min, 2 h, 3 d.
export function duration(s) {
  if (!ok(s)) return none;
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (s >= size && s % size === 0) return s / size + " " + unit;
  }
  if (s >= 3600) return Math.floor(s / 3600) + " h " + Math.round((s % 3600) / 60) + " min";
  return s >= 600 ? Math.round(s / 60) + " min" : Math.round(s) + " s";
}

// Characters that are invisible, or that change the order or the look of the text around them: controls, formats (which
// include all of bidi), separators of lines, private use, and those that are not characters.
const strange = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}\p{Cs}]|[\u115f\u1160\u3164\uffa0]|(?! )\p{Zs}/gu;
const escape = (c) => "\\u{" + c.codePointAt(0).toString(16) + "}";

const plain = /^[ -~]*$/;

// parts splits a name into pieces, of which those that are escapes of strange characters are marked.
export function parts(name) {
  if (plain.test(name)) return name ? [{ text: name }] : []; // the other expression takes a browser tens of milliseconds to make
  const out = [];
  let end = 0;
  for (const m of name.matchAll(strange)) {
    if (m.index > end) out.push({ text: name.slice(end, m.index) });
    out.push({ text: escape(m[0]), escaped: true });
    end = m.index + m[0].length;
  }
  if (end < name.length) out.push({ text: name.slice(end) });
  return out;
}

// visible is a name with its strange characters escaped. The root of the DNS is a dot.
export const visible = (name) => (name === "" ? "." : parts(name).map((p) => p.text).join(""));

// names writes how many names a row stands for.
export const names = (n) => short(n).replace(/ $/, "") + " names";

// csv writes rows of cells. A text that a spreadsheet would take for a formula gets an apostrophe in front.
export function csv(rows) {
  const cell = (v) => {
    if (v === undefined || v === null) return "";
    if (typeof v === "number") return String(v);
    let s = Array.isArray(v) ? v.join(" ") : String(v);
    if (/^[\s\u00a0]*[=+\-@\t\r\n|%]/.test(s)) s = "'" + s;
    return /[",\n\r]/.test(s) || s !== s.trim() ? '"' + s.replaceAll('"', '""') + '"' : s;
  };
  return rows.map((r) => r.map(cell).join(",")).join("\r\n") + "\r\n";
}
