// Rows of tables. All functions here are pure.
import { names, visible } from "./format.js";

// rowsOf returns the rows of a value of a summary, whatever its kind: a list of objects with a name and an estimate. It
// returns undefined for a value of another form.
export function rowsOf(v) {
  if (!Array.isArray(v) || !v.every((r) => typeof r === "object" && r !== null && typeof r.name === "string")) return undefined;
  return v;
}

// title is the name of a row as it is shown: a zone with the number of names that it stands for.
export const title = (row) => visible(row.name) + (typeof row.names === "number" ? " (" + names(row.names) + ")" : "");

const known = ["name", "estimate", "lower", "upper", "names"];

// extras returns the other members of rows, in the order in which they come: [name, whether all values are numbers].
export function extras(rows) {
  const out = new Map();
  for (const r of rows) {
    for (const [k, v] of Object.entries(r)) if (!known.includes(k) && out.size < 12) out.set(k, (out.get(k) ?? true) && typeof v === "number");
  }
  return [...out];
}

// bounds returns the least and the most that a row may have had.
export const bounds = (row) => [row.lower ?? row.estimate ?? 0, row.upper ?? row.estimate ?? 0];

export const isExact = (row) => bounds(row)[0] === bounds(row)[1];

// total returns what to take shares of: the whole of the table if it is known, or the sum of its rows if none is missing.
export function total(rows, whole, complete) {
  if (whole > 0) return whole;
  return complete ? rows.reduce((a, r) => a + bounds(r)[0], 0) : undefined;
}

// found returns the rows whose name has a text in it, whatever the case, as it is or as it is shown.
export function found(rows, text) {
  const want = text.trim().toLowerCase();
  return want ? rows.filter((r) => r.name.toLowerCase().includes(want) || visible(r.name).toLowerCase().includes(want)) : rows;
}

// sorted returns the rows in another order: by a column, "-" before it for the greatest first. "" keeps the table's order.
export function sorted(rows, by) {
  if (!by) return rows;
  const down = by.startsWith("-"), column = by.replace(/^-/, "");
  const of = column === "name" ? (r) => r.name : column === "upper" ? (r) => bounds(r)[1] : (r) => r[column];
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return a === undefined ? (b === undefined ? 0 : -1) : b === undefined ? 1 : String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
  };
  return rows.map((r, i) => [r, i]).sort(([a, i], [b, j]) => (down ? -1 : 1) * compare(of(a), of(b)) || i - j).map(([r]) => r);
}

// cells returns a table as rows of cells, the headings first, for copying and CSV.
export function cells(rows, whole) {
  const more = extras(rows);
  const head = ["name", "estimate", "lower", "upper", "share", ...(rows.some((r) => r.names !== undefined) ? ["names"] : []), ...more.map(([k]) => k)];
  const text = (v) => (typeof v === "object" && v !== null && !Array.isArray(v) ? JSON.stringify(v) : v);
  return [head, ...rows.map((r) => head.map((k) => {
    if (k === "lower") return bounds(r)[0];
    if (k === "upper") return bounds(r)[1];
    return k === "share" ? (whole > 0 ? Math.min(bounds(r)[0] / whole, 1) : undefined) : text(r[k]);
  }))];
}
