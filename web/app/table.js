// One table with all its rows: only those in view are drawn, so a thousand scroll as smoothly as ten.
import { Component, options } from "preact";
import { signal } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { isHub, query, read, request, sections, selected, tick, useData } from "./data.js";
import { csv, exact, maxTitle, parts, percent, stamp, unitBeside, value, whole } from "./format.js";
import { asked, rangeSummary, running, shown, title as rangeTitle } from "./range.js";
import { bounds, cells, extras, found, isExact, rowsOf, sorted, title, total } from "./rows.js";
import { finished } from "./series.js";
import { go, href, param } from "./state.js";

// The window of drawn rows moves by so many rows at once, so that most frames of scrolling draw nothing anew.
const jump = 10;
const rowHeight = 26, maxRows = 6144, atOnce = 50, printedRows = 1000;

// Name shows a name with its strange characters marked.
export function Name({ row }) {
  if (row.name === "") return ".";
  return <>{parts(row.name).map((p, i) => (p.escaped ? <i class="escaped" key={i}>{p.text}</i> : p.text))}{typeof row.names === "number" && <small> {title(row).slice(title({ name: row.name }).length)}</small>}</>;
}

// Spark draws what a row had over time: its lower bound as a line.
export function Spark({ list, width = 90, height = 18 }) {
  const most = Math.max(...list.map((v) => v ?? 0), 1e-9), dx = width / Math.max(list.length - 1, 1);
  let d = "", pen = false;
  list.forEach((v, i) => {
    if (v === null || v === undefined) return (pen = false);
    d += (pen ? "L" : "M") + (i * dx).toFixed(1) + " " + (height - 1 - (height - 2) * (v / most)).toFixed(1);
    pen = true;
  });
  return <svg class="spark" width={width} height={height} aria-hidden="true"><path d={d} /></svg>;
}

// useHistory asks for the history of the rows in view, a while after scrolling has stopped. It keeps what it has for a minute.
function useHistory(path, names, want) {
  const have = useMemo(() => signal({ total: undefined, rows: new Map() }), [path, want]);
  const list = names.join("\n");
  useEffect(() => {
    const missing = () => names.filter((n) => n !== "" && !have.peek().rows.has(n)).slice(0, atOnce);
    if (missing().length === 0) return undefined;
    const wait = setTimeout(() => {
      const r = shown(), step = Math.max(60, Math.ceil(r.length / 60 / 60) * 60);
      request(query("api/v1/history", { table: path, name: missing(), ...asked(r), step, ...selected() })).then((a) => {
        const rows = new Map(have.peek().rows);
        const steps = finished(a.total, running());
        a.rows.forEach((row) => rows.set(row.name, row.lower.slice(...steps)));
        have.value = { total: a.total.reduce((x, y) => x + (y ?? 0), 0), rows };
      }, () => {}); // a table without history has no sparklines
    }, 150);
    return () => clearTimeout(wait);
  }, [list, have]);
  return have.value;
}

function download(name, type, text) {
  const a = document.createElement("a");
  a.href = URL.createObjectURL(new Blob([text], { type }));
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10000);
}

// copy puts a text on the clipboard. Without a secure context there is only the old way.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
}

function Heading({ column, text, by }) {
  const up = by === column, down = by === "-" + column;
  // First the greatest, then the least, then the table's own order. Names begin with the first.
  const first = column === "name" ? column : "-" + column, second = column === "name" ? "-name" : column;
  const next = by === first ? second : by === second ? null : first;
  return (
    <span role="columnheader" class={"c-" + (column === "name" ? "name" : "number")} aria-sort={up ? "ascending" : down ? "descending" : "none"}>
      <button onClick={() => go(null, { sort: next }, true)}>{text}{up ? " ↑" : down ? " ↓" : ""}</button>
    </span>
  );
}

// useWindow returns the first and the last row to draw.
function useWindow(box, count) {
  const [[first, last], set] = useState([0, 40]);
  useEffect(() => {
    const see = () => {
      const el = box.current;
      if (!el) return;
      const a = Math.max(0, Math.floor(el.scrollTop / rowHeight / jump) * jump - jump), b = a + Math.ceil(el.clientHeight / rowHeight / jump) * jump + 3 * jump;
      set((old) => (old[0] === a && old[1] === b ? old : [a, b]));
    };
    see();
    const el = box.current;
    el.addEventListener("scroll", see, { passive: true });
    const sized = new ResizeObserver(see);
    sized.observe(el);
    // On paper, there are all rows that anybody would print. They must be there when the event ends.
    const print = () => {
      const later = options.debounceRendering;
      options.debounceRendering = (render) => render();
      set([0, printedRows]);
      options.debounceRendering = later;
    };
    addEventListener("beforeprint", print);
    addEventListener("afterprint", see);
    return () => {
      removeEventListener("beforeprint", print);
      removeEventListener("afterprint", see);
      el.removeEventListener("scroll", see);
      sized.disconnect();
    };
  }, [count > 0]);
  return [Math.min(first, count), Math.min(last, count)];
}

// Row is a row of the table. It is drawn anew only if something in it changes.
class Row extends Component {
  shouldComponentUpdate(next) {
    return Object.keys(next).some((k) => next[k] !== this.props[k]);
  }
  render({ row, at, to, history, unit, part, share, more }) {
    return (
      <div class="row" role="row" aria-rowindex={at}>
        <span role="rowheader" class="c-name"><a href={to} title={title(row)}><Name row={row} /></a></span>
        <span role="cell" class="c-spark">{history && <Spark list={history} />}</span>
        <span role="cell" class="c-number">{whole(bounds(row)[0], unit)}</span>
        <span role="cell" class="c-number soft">{isExact(row) ? "" : whole(bounds(row)[1], unit)}</span>
        <span role="cell" class="c-number"><svg class="barlet" width="40" height="6" aria-hidden="true"><rect height="6" width={(40 * part).toFixed(1)} /></svg> {share === undefined ? "–" : percent(share)}</span>
        {more.map(([k, number]) => <span role="cell" class={number ? "c-number" : "c-text"} key={k}>{row[k] === undefined ? "" : number ? value(row[k], /bytes/.test(k) ? "bytes" : k === "ratio" ? "ratio" : "") : [row[k]].flat().map(String).join(", ").slice(0, 200)}</span>)}
      </div>
    );
  }
}

export function FullTable({ path }) {
  const summary = useData(rangeSummary(maxRows), isHub() ? 60 : 10).value;
  const w = summary.data && Object.values(summary.data)[0];
  const [section, metric] = useMemo(() => {
    const s = (sections.value || []).find((one) => path.startsWith(one.name + "."));
    return [s, s?.metrics.find((m) => s.name + "." + m.path === path)];
  }, [path, sections.value]);
  // What depends on all rows is found once for each answer, and not for each frame of scrolling.
  const { rows, exactly, scaleMost, more } = useMemo(() => {
    const all = (w && rowsOf(read(w, path))) || [];
    return { rows: all, exactly: all.every(isExact), scaleMost: all.length ? Math.max(...all.map((row) => row.estimate)) : 1, more: extras(all) };
  }, [summary.data, path]);
  const by = param("sort"), text = param("q");
  const list = useMemo(() => sorted(found(rows, text), by), [summary.data, text, by]);
  const box = useRef(null), [first, last] = useWindow(box, list.length);
  const seen = list.slice(first, last);
  const r = shown(), history = useHistory(path, seen.map((row) => row.name), JSON.stringify([r.length, r.from, r.to, selected()]) + Math.floor(tick.value / 60));
  const whole_ = total(rows, history.total, rows.length < Math.min(metric?.slots || maxRows, maxRows) && exactly);
  const unit = metric?.unit;
  const name = path + "-" + stamp(w?.period?.start_ts).replace(/[: ]/g, "-");
  const to = (row) => href("row", { table: path, name: row.name || "." });
  return (
    <section class="full" data-table={path}>
      <div class="head">
        <h2><a href={href("tables", { table: null, q: null, sort: null })}>Tables</a> <span aria-hidden="true">›</span> {metric ? metric.title.slice(0, maxTitle) : path.slice(0, maxTitle)} <small>{unitBeside(unit)}</small></h2>
        <label><span class="unseen">search</span><input type="search" data-search value={text} placeholder="search names (/)" onInput={(e) => go(null, { q: e.target.value }, true)} /></label>
        <span class="group">
          <button onClick={() => copy(cells(list, whole_).map((c) => c.map((v) => (v === undefined ? "" : String(v).replace(/[\t\r\n]/g, " "))).join("\t")).join("\n"))} title="copy the rows, separated by tabs">copy</button>
          <button onClick={() => download(name + ".csv", "text/csv;charset=utf-8", csv(cells(list, whole_)))}>CSV</button>
          <button onClick={() => download(name + ".json", "application/json", JSON.stringify({ table: path, unit, period: w?.period, total: whole_, rows: list }, null, 1) + "\n")}>JSON</button>
        </span>
      </div>
      <p class="help">{metric?.help} {rows.length > 0 && <b>{exact(list.length)}{list.length < rows.length && " of " + exact(rows.length)} rows, {rangeTitle()}.</b>} {!exactly && "A row has at least the first number, and at most the second."}</p>
      {summary.error && !w && <p class="problem" role="alert">{summary.error.message}</p>}
      {w && rows.length === 0 && <p class="empty">{metric ? "none" : "There is no table " + path.slice(0, maxTitle) + "."}</p>}
      <div class="grid" role="table" aria-label={metric?.title.slice(0, maxTitle) || "table"} aria-rowcount={list.length + 1} ref={box} tabIndex="0">
        <div class="row heads" role="row" aria-rowindex="1">
          <Heading column="name" text="name" by={by} />
          <span role="columnheader" class="c-spark">over time</span>
          <Heading column="estimate" text="at least" by={by} />
          <Heading column="upper" text="at most" by={by} />
          <span role="columnheader" class="c-number">share</span>
          {more.map(([k]) => <Heading key={k} column={k} text={k.replaceAll("_", " ")} by={by} />)}
        </div>
        <div class="pad" role="presentation"><svg width="1" height={first * rowHeight} aria-hidden="true" /></div>
        {seen.map((row, i) => (
          <Row key={row.name} row={row} at={first + i + 2} to={to(row)} history={history.rows.get(row.name)} unit={unit} part={row.estimate / scaleMost} share={whole_ ? Math.min(bounds(row)[0] / whole_, 1) : undefined} more={more} />
        ))}
        <div class="pad" role="presentation"><svg width="1" height={(list.length - last) * rowHeight} aria-hidden="true" /></div>
      </div>
    </section>
  );
}
