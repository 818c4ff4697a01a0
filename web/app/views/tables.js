// Tables: all of them with their first rows, and one of them with all its rows. Nothing here depends on what a section, a kind
// or a table is called: what has rows is a table.
import { sections, read, useData } from "../data.js";
import { maxTitle, unitBeside, value, whole } from "../format.js";
import { isExact, rowsOf, title } from "../rows.js";
import { href, param } from "../state.js";
import { FullTable } from "../table.js";
import { isHub } from "../data.js";
import { rangeSummary } from "../range.js";

// tablesOf returns the tables of a section that a summary has: {path, metric, rows}.
export const tablesOf = (section, w) => section.metrics.map((m) => ({ path: section.name + "." + m.path, metric: m, rows: rowsOf(read(w, section.name + "." + m.path)) })).filter((t) => t.rows);

function Card({ table }) {
  const { metric: m, path, rows } = table, most = Math.max(...rows.map((r) => r.estimate), 1);
  return (
    <section class="card" data-table={path}>
      <h3><a href={href("tables", { table: path, q: null, sort: null })} title={m.help}>{m.title.slice(0, maxTitle)}</a> <small>{unitBeside(m.unit)}</small></h3>
      {rows.length === 0 ? <p class="empty">none</p> : (
        <table>
          <tbody>
            {rows.map((r) => (
              <tr key={r.name}>
                <th scope="row"><a href={href("row", { table: path, name: r.name || "." })} title={title(r)}>{title(r)}</a></th>
                <td class="share" aria-hidden="true"><svg width="100%" height="6" preserveAspectRatio="none"><rect height="6" width={(100 * r.estimate / most).toFixed(1) + "%"} /></svg></td>
                <td>{whole(r.estimate, m.unit)}{!isExact(r) && <small title={"at most " + whole(r.upper, m.unit)}>+</small>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

const quantiles = ["live", "p50", "p90", "p95", "p99", "max", "mean"];

// Numbers are the metrics of a section that are not tables: of any kind.
function Numbers({ section, w }) {
  const all = section.metrics.filter((m) => !m.now).map((m) => [m, read(w, section.name + "." + m.path)]).filter(([, v]) => v !== undefined && !Array.isArray(v));
  const plain = all.filter(([, v]) => typeof v !== "object"), spread = all.filter(([, v]) => v && typeof v === "object" && Object.keys(v).length);
  const error = (m) => read(w, section.name + "." + m.path + "_error");
  const columns = quantiles.filter((q) => spread.some(([, v]) => v[q] !== undefined));
  const head = (m) => <th scope="row" title={m.help}>{m.title.slice(0, maxTitle)} <small>{unitBeside(m.unit)}</small></th>;
  return (
    <>
      {plain.length > 0 && (
        <section class="card numbers-of"><h3>Numbers</h3><table><tbody>
          {plain.map(([m, v]) => <tr key={m.path} class={v === 0 ? "zero" : undefined}>{head(m)}<td>{typeof v === "number" ? whole(v, m.unit) : String(v).slice(0, maxTitle)}{error(m) >= 0.0005 && <small> ± {(100 * error(m)).toFixed(1)}%</small>}</td></tr>)}
        </tbody></table></section>
      )}
      {spread.length > 0 && (
        <section class="card wide"><h3>Distributions</h3><div class="scroll" tabIndex="0" role="region" aria-label={"distributions, " + section.title.slice(0, maxTitle)}><table>
          <thead><tr><td />{columns.map((q) => <th scope="col" key={q}>{q === "live" ? "now" : q}</th>)}</tr></thead>
          <tbody>{spread.map(([m, v]) => <tr key={m.path}>{head(m)}{columns.map((q) => <td key={q}>{v[q] === undefined ? "" : value(v[q], m.unit)}</td>)}</tr>)}</tbody>
        </table></div></section>
      )}
    </>
  );
}

function Overview() {
  const summary = useData(rangeSummary(), isHub() ? 10 : 1).value;
  const w = summary.data && Object.values(summary.data)[0];
  if (!w) return <p class="empty">{summary.error ? summary.error.message : "loading"}</p>;
  return (
    <>
      <nav class="jump" aria-label="sections">{(sections.value || []).filter((s) => w[s.name]).map((s) => <button key={s.name} onClick={() => document.getElementById("section-" + s.name)?.scrollIntoView()}>{s.title.slice(0, maxTitle)}</button>)}</nav>
      {(sections.value || []).filter((s) => w[s.name]).map((s) => (
        <section key={s.name} id={"section-" + s.name} aria-label={s.title.slice(0, maxTitle)}>
          <h2>{s.title.slice(0, maxTitle)}</h2>
          <p class="help">{s.help}</p>
          <div class="cards">
            {tablesOf(s, w).map((t) => <Card key={t.path} table={t} />)}
            <Numbers section={s} w={w} />
          </div>
        </section>
      ))}
    </>
  );
}

export function Tables() {
  const path = param("table");
  return path ? <FullTable key={path} path={path} /> : <Overview />;
}
