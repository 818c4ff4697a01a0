// The page of a row: its history, its share of the table, the tables that have the same name, and on a hub who contributes to it.
import { Chart } from "../chart.js";
import { isHub, query, read, sections, selected, useData } from "../data.js";
import { maxTitle, percent, visible, whole } from "../format.js";
import { asked, divisions, rangeSummary, shown, title as rangeTitle, zoom } from "../range.js";
import { Followed } from "../policy.js";
import { bounds, isExact, rowsOf } from "../rows.js";
import { href, param } from "../state.js";
import { metricOf, rowHref, useHistory } from "./rank.js";

const searched = 1000, shownParts = 50;

// elsewhere returns the tables in which a name is: {path, metric, row, place}.
function elsewhere(w, name) {
  return (sections.value || []).flatMap((s) => s.metrics.map((m) => {
    const path = s.name + "." + m.path, rows = rowsOf(read(w, path)), place = rows ? rows.findIndex((r) => r.name === name) : -1;
    return { path, metric: m, row: rows?.[place], place };
  })).filter((t) => t.row);
}

// Where is a line of the tables that have the row: its place, and its share of the whole of that table.
function Where({ table: t, name }) {
  const total = useHistory(t.path, [name])?.total, [lower] = bounds(t.row);
  return (
    <tr>
      <th scope="row"><a href={rowHref(t.path, name)}>{t.metric.title.slice(0, maxTitle)}</a> <small>place {t.place + 1}</small></th>
      <td>{whole(lower, t.metric.unit)}{!isExact(t.row) && <small title={"at most " + whole(bounds(t.row)[1], t.metric.unit)}>+</small>}</td>
      <td data-share={t.path}>{t.metric.kind !== "distinct" && total > 0 ? percent(Math.min(lower / total, 1)) : "–"}</td>
    </tr>
  );
}

// useParts asks which values of a tag, or which hosts, contribute to the row: {keys, key, list}, the greatest part first.
function useParts(table, name, distinct) {
  const fleet = useData(isHub() ? "api/v1/fleet?limit=0" : "", 60).value.data, keys = [...divisions([...new Set((fleet?.tags || []).map((t) => t.tag.split("=")[0]))]), "host"];
  const chosen = selected(), key = [param("by"), "pop", ...keys].find((k) => keys.includes(k));
  const r = shown(), step = stepFor(r.length);
  const { data, error, path } = useData(fleet && name ? query("api/v1/history", { table, name, by: key, ...asked(r), step, ...chosen }) : "", 60).value;
  // Distinct items of several steps are not their sum: there are at least as many as in the busiest one.
  const whole = (list) => list.reduce((x, y) => (distinct ? Math.max(x, y ?? 0) : x + (y ?? 0)), 0);
  const parts = path.includes("by=" + key) ? data?.parts || [] : [];
  const list = parts.map((p) => ({ group: p.group, name: p.group.slice(key.length + 1), lower: whole(p.rows[0].lower), upper: whole(p.rows[0].upper), total: whole(p.total) })).filter((p) => p.lower > 0);
  return { keys, key, list: list.sort((a, b) => b.lower - a.lower), error, without: parts.length - list.length };
}

// stepFor returns a step with which the parts of 200 hosts fit into an answer: two lists of at most 50 values each.
const stepFor = (length) => [60, 300, 3600, 86400, 7 * 86400].find((s) => length / s <= 45) ?? 28 * 86400;

export function Row() {
  const table = param("table"), name = param("name"), m = metricOf(table);
  const answer = useData(m && name ? query("api/v1/history", { table, name, ...asked(), ...selected() }) : "", isHub() ? 60 : 5).value;
  const summary = useData(rangeSummary(searched), 30).value, w = summary.data && Object.values(summary.data)[0];
  const parts = useParts(table, name, m?.kind === "distinct");
  if (!m || !name) return <p class="empty">There is no such row. <a href={href("tables")}>Tables</a></p>;
  const data = answer.data, row = data?.rows[0], distinct = m.kind === "distinct";
  const base = data && { from: data.from_ts, to: data.to_ts, step: data.step_s, steps: data.total.length, lost: [], sampled: [], missing: [] };
  const line = (label, color) => ({ metric: table, stat: label, label, color }), exactly = row && row.lower.every((v, i) => v === row.upper[i]);
  const share = row?.lower.map((v, i) => (v !== null && data.total[i] > 0 ? Math.min((100 * v) / data.total[i], 100) : null));
  const same = w ? elsewhere(w, name) : [];
  return (
    <section class="full">
      <div class="head"><h2><a href={href("tables", { table, q: null, sort: null, name: null })}>{m.title.slice(0, maxTitle)}</a> <span aria-hidden="true">›</span> {visible(name)}</h2></div>
      <p class="help">{m.help} Shown: {rangeTitle()}.{distinct && " Distinct items of several minutes are not their sum."}</p>
      <Followed table={table} name={name} />
      {answer.error && <p class="problem" role="alert">{answer.error.message}</p>}
      {row && (
        <div class="charts two">
          <Chart zoom={zoom} chart={{ ...base, id: "row", title: "In each step", unit: m.unit, lines: exactly ? [line("count", "c1")] : [line("at least", "c1"), line("at most", "c5")], values: exactly ? [row.lower] : [row.lower, row.upper] }} />
          <Chart zoom={zoom} chart={{ ...base, id: "row-share", title: "Share of the table", unit: "%", lines: [line("at least", "c3")], values: [share] }} />
        </div>
      )}
      <div class="cards">
        {same.length > 0 && <section class="card where"><h3>Where it is</h3><table class="rank"><thead><tr><td /><th scope="col">at least</th><th scope="col">share</th></tr></thead><tbody>{same.map((t) => <Where key={t.path} table={t} name={name} />)}</tbody></table></section>}
        {isHub() && <section class="card contributors"><h3>Who contributes</h3>
          <p class="help">by {parts.keys.map((k) => <a key={k} href={href("row", { table, name, by: k })} aria-current={k === parts.key ? "true" : undefined}>{visible(k)} </a>)}</p>
          {parts.error && parts.list.length === 0 && <p class="problem" role="alert">{parts.error.message}</p>}
          <table class="rank"><thead><tr><td /><th scope="col">at least</th><th scope="col">of its table</th></tr></thead>
            <tbody>{parts.list.slice(0, shownParts).map((p) => <tr key={p.group}><th scope="row"><a href={href("row", { table, name, by: parts.key, ...(parts.key === "host" ? { host: p.name, tag: null } : { tag: p.group }) })}>{visible(p.name)}</a></th><td>{whole(p.lower, m.unit)}{p.upper > p.lower && <small title={"at most " + whole(p.upper, m.unit)}>+</small>}</td><td>{p.total > 0 ? percent(p.lower / p.total) : "–"}</td></tr>)}</tbody></table>
          {parts.list.length > shownParts && <p class="help">{parts.list.length - shownParts} more</p>}
          {parts.without > 0 && <p class="help">{parts.without} without it</p>}
        </section>}
      </div>
    </section>
  );
}
