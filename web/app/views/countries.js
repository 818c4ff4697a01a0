// A map of the countries with the most traffic, and the same as a table. The map is loaded when this view is opened.
import { signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { isHub, loadWorld, read, sections, useData } from "../data.js";
import { byCountry, classes, classOf, coder } from "../countries.js";
import { exact, maxTitle, percent, unitBeside, visible, whole } from "../format.js";
import { rangeSummary, title as rangeTitle } from "../range.js";
import { bounds, isExact, rowsOf } from "../rows.js";
import { go, href, param } from "../state.js";
import { metricOf, Rank, useHistory } from "./rank.js";

const maxRows = 6144, shownPlaces = 50;
const world = signal(undefined), failed = signal("");

// places are the tables of places: those whose rows are GeoIP locations.
export const places = () => (sections.value || []).flatMap((s) => s.metrics.filter((m) => m.label === "geo_loc").map((m) => s.name + "." + m.path));

function load() {
  if (world.value) return;
  failed.value = "";
  loadWorld().then((w) => (world.value = { ...w, codeOf: coder([...Object.keys(w.shapes), ...Object.keys(w.points)]) }), (e) => (failed.value = e.message));
}

// The names of countries take a browser tens of milliseconds to load, so they are only loaded when this view needs them.
let loaded;
const names = { of: (code) => (loaded ??= new Intl.DisplayNames(["en"], { type: "region" })).of(code) };
// nameOf writes the name of a country, also of one that the database gives by its code.
const nameOf = (c) => (c.code && /^[A-Z0-9]{2,3}$/.test(c.name) ? names.of(c.code) : visible(c.name));

const shareText = (i) => (i === 0 ? "less" : percent(classes[i]) + " or more").replace(".0%", "%");

function Map_({ list, total, unit, chosen }) {
  const w = world.value, share = new Map(list.filter((c) => c.code).map((c) => [c.code, c]));
  const props = (code) => {
    const c = share.get(code);
    return { class: (c ? "c" + classOf(total > 0 ? c.lower / total : 0) : "land") + (code === chosen ? " chosen" : ""), onClick: c && (() => go(null, { country: code === chosen ? null : code })) };
  };
  const tip = (code) => {
    const c = share.get(code);
    return <title>{names.of(code)}{c ? ": " + whole(c.lower, unit) + (total > 0 ? ", " + percent(c.lower / total) : "") : ""}</title>;
  };
  const first = list.filter((c) => c.code).slice(0, 3).map(nameOf);
  return (
    <figure class="map">
      <svg viewBox={"0 0 " + w.width + " " + w.height} role="img" aria-label={"Map of countries" + (first.length ? ", most in " + first.join(", ") : "") + ". The table has the same numbers."}>
        {Object.entries(w.shapes).map(([code, d]) => <path key={code} d={d} data-country={code} {...props(code)}>{tip(code)}</path>)}
        {Object.entries(w.points).filter(([code]) => share.has(code)).map(([code, [x, y]]) => <circle key={code} cx={x} cy={y} r="9" data-country={code} {...props(code)}>{tip(code)}</circle>)}
      </svg>
      <figcaption><ul class="classes" aria-hidden="true">{classes.map((_, i) => classes.length - 1 - i).map((i) => <li key={i}><svg width="12" height="12"><rect class={"c" + i} width="12" height="12" /></svg> {shareText(i)}</li>)}</ul></figcaption>
    </figure>
  );
}

export function Countries() {
  const all = places(), path = all.includes(param("table")) ? param("table") : all[0], m = metricOf(path);
  const summary = useData(rangeSummary(maxRows), isHub() ? 60 : 10).value, w = summary.data && Object.values(summary.data)[0];
  useEffect(load, []);
  const rows = (w && rowsOf(read(w, path))) || [], chosen = param("country");
  const list = useMemo(() => byCountry(rows, world.value?.codeOf || (() => undefined)), [summary.data, path, world.value]);
  const one = chosen && list.find((c) => (c.code || c.name) === chosen), inside = ((one && one.rows) || []).slice(0, shownPlaces);
  // The total of a table comes with the history of any of its rows.
  const history = useHistory(path, (inside.length ? inside : rows.slice(0, 1)).map((r) => r.name)), total = history?.total;
  if (!w) return <p class="empty">{summary.error ? summary.error.message : "loading"}</p>;
  const some = !list.every(isExact); // not all are exact
  const inRows = list.reduce((sum, c) => sum + c.lower, 0);
  return (
    <section class="full">
      <div class="head"><h2>Countries <small>{m?.title.slice(0, maxTitle)}, {unitBeside(m?.unit)}</small></h2>
        {all.length > 1 && <label>of <select onChange={(e) => go(null, { table: e.target.value, country: null })}>{all.map((p) => <option key={p} value={p} selected={p === path}>{metricOf(p).title.slice(0, maxTitle)}</option>)}</select></label>}
      </div>
      <p class="help">{m?.help} Shown: {rangeTitle()}.</p>
      {failed.value && <p class="problem" role="alert">The map cannot be loaded: {failed.value}. <button onClick={load}>try again</button></p>}
      {rows.length === 0 && <p class="empty">No place is known. The agent needs a GeoIP database of countries or cities: --geo-city FILE.</p>}
      {rows.length > 0 && (
        <div class="world">
          {world.value && <Map_ list={list} total={total} unit={m.unit} chosen={chosen} />}
          <div class="scroll" tabIndex="0" role="region" aria-label="countries"><table class="countries">
            <thead><tr><th scope="col">country</th><th scope="col">at least</th>{some && <th scope="col">at most</th>}<th scope="col">share</th></tr></thead>
            <tbody>
              {list.map((c) => {
                const key = c.code || c.name;
                return (
                  <tr key={key} class={key && key === chosen ? "chosen" : undefined}>
                    <th scope="row">{key ? <a href={href("countries", { country: key === chosen ? null : key })} aria-current={key === chosen ? "true" : undefined}>{nameOf(c)}</a> : "no country"}{key && world.value && !c.code && <small> not on the map</small>}</th>
                    <td>{whole(bounds(c)[0], m.unit)}</td>{some && <td>{isExact(c) ? "" : whole(bounds(c)[1], m.unit)}</td>}<td>{total > 0 ? percent(c.lower / total) : "–"}</td>
                  </tr>
                );
              })}
              {total > inRows && <tr><th scope="row">in no row of the table</th><td>{exact(total - inRows)}</td>{some && <td />}<td>{percent((total - inRows) / total)}</td></tr>}
            </tbody>
          </table></div>
        </div>
      )}
      {one && <div class="cards"><Rank path={path} heading={"Places in " + nameOf(one)} rows={inside} history={history} note={one.rows.length > shownPlaces ? "the first " + shownPlaces + " of " + exact(one.rows.length) : undefined} /></div>}
    </section>
  );
}
