// A short table of the first rows of a metric, with what each had over time.
import { query, sections, selected, useData } from "../data.js";
import { maxTitle, unitBeside, whole } from "../format.js";
import { asked, running } from "../range.js";
import { bounds, isExact, title } from "../rows.js";
import { finished } from "../series.js";
import { href } from "../state.js";
import { Name, Spark } from "../table.js";

// metricOf returns the declaration of a metric by its path with the section, or undefined.
export function metricOf(path) {
  const s = (sections.value || []).find((one) => path.startsWith(one.name + "."));
  return s?.metrics.find((m) => s.name + "." + m.path === path);
}

// useHistory returns the history of rows: {total, rows, list(name), spark(name)}, the last without steps that are not finished, undefined
// before the first answer, or null if there is none.
export function useHistory(path, names, every = 30) {
  const some = names.filter((n) => n !== "").slice(0, 50);
  const answer = useData(some.length ? query("api/v1/history", { table: path, name: some, ...asked(), ...selected() }) : "", every).value, a = answer.data;
  if (!a) return answer.error || some.length === 0 ? null : undefined;
  const rows = new Map(a.rows.map((r) => [r.name, r])), steps = finished(a.total, running());
  return { total: a.total.reduce((x, y) => x + (y ?? 0), 0), rows, list: (name) => rows.get(name)?.lower, spark: (name) => rows.get(name)?.lower.slice(...steps) };
}

// rowHref is the page of a row.
export const rowHref = (path, name) => href("row", { table: path, name: name || "." });

export function Rank({ path, heading, rows, history, note, more }) {
  const m = metricOf(path);
  if (!m || !rows) return null;
  const most = Math.max(...rows.map((r) => r.estimate), 1);
  return (
    <section class="card" data-table={path}>
      <h3><a href={href("tables", { table: path, q: null, sort: null })} title={m.help}>{heading || m.title.slice(0, maxTitle)}</a> <small>{unitBeside(m.unit)}</small></h3>
      {note && <p class="help">{note}</p>}
      {rows.length === 0 ? <p class="empty">none</p> : (
        <table class="rank">
          <tbody>
            {rows.map((r) => (
              <tr key={r.name}>
                <th scope="row"><a href={rowHref(path, r.name)} title={title(r)}><Name row={r} /></a>{more && <small> {more(r)}</small>}</th>
                <td class="over">{history?.spark(r.name) ? <Spark list={history.spark(r.name)} width={60} height={16} /> : <svg class="share" width="60" height="6" aria-hidden="true"><rect height="6" width={(60 * r.estimate / most).toFixed(1)} /></svg>}</td>
                <td>{whole(bounds(r)[0], m.unit)}{!isExact(r) && <small title={"at most " + whole(r.upper, m.unit)}>+</small>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
