// The page of a row: its history, its share of the table, the tables that have the same name, and on a hub who contributes to it.
import { useEffect, useState } from "preact/hooks";
import { Chart } from "../chart.js";
import { isHub, query, read, request, sections, selected, useData } from "../data.js";
import { maxTitle, percent, value, visible, whole } from "../format.js";
import { asked, rangeSummary, title as rangeTitle, zoom } from "../range.js";
import { bounds, isExact, rowsOf } from "../rows.js";
import { href, param } from "../state.js";
import { metricOf, rowHref } from "./rank.js";

const searched = 1000, groups = 20;

// elsewhere returns the tables in which a name is: {path, metric, row, place}.
function elsewhere(w, name) {
  return (sections.value || []).flatMap((s) => s.metrics.map((m) => {
    const path = s.name + "." + m.path, rows = rowsOf(read(w, path)), place = rows ? rows.findIndex((r) => r.name === name) : -1;
    return { path, metric: m, row: rows?.[place], place };
  })).filter((t) => t.row);
}

// useParts asks each value of a tag for its history of the row, one after the other.
function useParts(table, name) {
  const [state, set] = useState({ keys: [], list: [] }), by = param("by"), depends = JSON.stringify([table, name, by, asked(), selected()]);
  useEffect(() => {
    if (!isHub()) return undefined;
    let over = false;
    (async () => {
      const fleet = await request("api/v1/fleet?limit=0"), keys = [...new Set((fleet.tags || []).map((t) => t.tag.split("=")[0]))];
      const key = by || keys[0], list = [], all = (fleet.tags || []).map((t) => t.tag).filter((t) => t.startsWith(key + "="));
      for (const tag of all.slice(0, groups)) {
        const a = await request(query("api/v1/history", { table, name, ...asked(), ...selected(), tag })).catch(() => undefined);
        if (a) list.push({ tag, lower: a.rows[0].lower.reduce((x, y) => x + (y ?? 0), 0), total: a.total.reduce((x, y) => x + (y ?? 0), 0) });
        if (over) return;
        set({ keys, key, more: all.length - groups, list: [...list].sort((x, y) => y.lower - x.lower) });
      }
    })().catch(() => {});
    return () => (over = true);
  }, [depends]);
  return state;
}

export function Row() {
  const table = param("table"), name = param("name"), m = metricOf(table);
  const answer = useData(m && name ? query("api/v1/history", { table, name, ...asked(), ...selected() }) : "", isHub() ? 60 : 5).value;
  const summary = useData(rangeSummary(searched), 30).value, w = summary.data && Object.values(summary.data)[0];
  const parts = useParts(table, name);
  if (!m || !name) return <p class="empty">There is no such row. <a href={href("tables")}>Tables</a></p>;
  const data = answer.data, row = data?.rows[0], distinct = m.kind === "distinct";
  const base = data && { from: data.from_ts, to: data.to_ts, step: data.step_s, steps: data.total.length, lost: [], sampled: [], missing: [] };
  const line = (label, color) => ({ metric: table, stat: label, label, color }), exactly = row && row.lower.every((v, i) => v === row.upper[i]);
  const share = row?.lower.map((v, i) => (v !== null && data.total[i] > 0 ? (100 * v) / data.total[i] : null));
  const same = w ? elsewhere(w, name) : [];
  return (
    <section class="full">
      <div class="head"><h2><a href={href("tables", { table, q: null, sort: null, name: null })}>{m.title.slice(0, maxTitle)}</a> <span aria-hidden="true">›</span> {visible(name)}</h2></div>
      <p class="help">{m.help} Shown: {rangeTitle()}.{distinct && " Distinct items of several minutes are not their sum."}</p>
      {answer.error && <p class="problem" role="alert">{answer.error.message}</p>}
      {row && (
        <div class="charts two">
          <Chart zoom={zoom} chart={{ ...base, id: "row", title: "In each step", unit: m.unit, lines: exactly ? [line("count", "c1")] : [line("at least", "c1"), line("at most", "c5")], values: exactly ? [row.lower] : [row.lower, row.upper] }} />
          <Chart zoom={zoom} chart={{ ...base, id: "row-share", title: "Share of the table", unit: "%", lines: [line("at least", "c3")], values: [share] }} />
        </div>
      )}
      <div class="cards">
        {same.length > 0 && <section class="card"><h3>Where it is</h3><table class="rank"><tbody>{same.map((t) => (
          <tr key={t.path}><th scope="row"><a href={rowHref(t.path, name)}>{t.metric.title.slice(0, maxTitle)}</a> <small>place {t.place + 1}</small></th><td>{whole(bounds(t.row)[0], t.metric.unit)}{!isExact(t.row) && <small>+</small>}</td></tr>
        ))}</tbody></table></section>}
        {isHub() && parts.list.length > 0 && <section class="card"><h3>Who contributes</h3>
          <p class="help">by {parts.keys.map((k) => <a key={k} href={href("row", { table, name, by: k })} aria-current={k === parts.key ? "true" : undefined}>{k} </a>)}{parts.more > 0 && ", the first " + groups}</p>
          <table class="rank"><tbody>{parts.list.map((p) => <tr key={p.tag}><th scope="row"><a href={href("row", { table, name, tag: p.tag })}>{visible(p.tag)}</a></th><td>{value(p.lower, m.unit)}</td><td>{p.total > 0 ? percent(p.lower / p.total) : "–"}</td></tr>)}</tbody></table></section>}
      </div>
    </section>
  );
}
