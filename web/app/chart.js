// One chart on a time axis, drawn by uPlot: lines or areas, bands, a heat map, what a second chart overlays, and marks where
// packets were lost, sampled or are missing. All charts share one cursor.
import uPlot from "uplot";
import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { clock, stamp, value } from "./format.js";
import { stack, summary } from "./series.js";

// cursor is the time under the pointer in Unix seconds, or undefined. theme counts changes of the colours.
export const cursor = signal(undefined);
export const theme = signal(0);

// css returns a colour of colors.css as it is now. A canvas does not know the variables of CSS.
let colors = new Map(), probe;
theme.subscribe(() => colors.clear());
function css(name) {
  if (!colors.has(name)) {
    if (!probe) document.body.append((probe = document.createElement("i")));
    probe.style.display = "none";
    probe.style.color = "var(--" + name + ")";
    colors.set(name, getComputedStyle(probe).color);
  }
  return colors.get(name);
}
const alpha = (name, a) => css(name).replace(/^rgb\((.*)\)$/, (_, c) => "rgba(" + c + ", " + a.toFixed(3) + ")");
const stepped = uPlot.paths.stepped({ align: 1 });
const height = 150;

// beforeGaps returns columns in which a step before a gap reaches to its end: uPlot draws a step only to the next value, so the value
// is there once more, just before the gap.
export function beforeGaps(xs, lists) {
  const out = [[], ...lists.map(() => [])];
  xs.forEach((x, i) => {
    const width = i ? x - xs[i - 1] : 0;
    if (width > 0 && lists.some((l) => l[i - 1] != null && l[i] == null)) {
      out[0].push(x - width / 1e4);
      lists.forEach((l, k) => out[k + 1].push(l[i - 1]));
    }
    out[0].push(x);
    lists.forEach((l, k) => out[k + 1].push(l[i]));
  });
  return out;
}

// columns returns what uPlot draws: the starts of the steps and the end, each value once, and the last one again at the end,
// so that a step is as wide as it lasts, also the first one if the data begins in it. Live seconds are columns of their own.
function columns(m, lines, live) {
  const xs = Array.from({ length: m.steps + 1 }, (_, i) => Math.min(Math.max(m.from + i * m.step, m.start ?? 0), m.to));
  const held = (list) => [...list, list.length ? list.at(-1) : null];
  const tables = [beforeGaps(xs, lines.map(held))];
  if (live?.t.length) tables.push([live.t, ...live.lists]);
  return tables.length === 1 ? tables[0] : uPlot.join(tables);
}

// marks is a plugin that draws behind and below the lines. It reads what to draw from get().
function marks(get) {
  const rect = (u, [from, to], y, h, fill) => {
    const a = Math.max(u.valToPos(from, "x", true), u.bbox.left), b = Math.min(u.valToPos(to, "x", true), u.bbox.left + u.bbox.width);
    if (b <= a) return;
    u.ctx.fillStyle = fill;
    u.ctx.fillRect(a, y, Math.max(b - a, 1), h);
  };
  return {
    hooks: {
      drawClear: [(u) => {
        const { lost, sampled, missing, heat } = get(), { top, height: h } = u.bbox, bar = 4 * devicePixelRatio;
        u.ctx.save();
        missing.forEach((s) => rect(u, s, top, h, alpha("soft", 0.1)));
        if (heat) drawHeat(u, heat, rect);
        sampled.forEach((s) => rect(u, s, top, bar, css("warn")));
        lost.forEach((s) => {
          rect(u, s, top, h, alpha("bad", 0.1));
          rect(u, s, top + h - bar, bar, css("bad"));
        });
        u.ctx.restore();
      }],
    },
  };
}

// drawHeat draws a cell for each step and bin: the darker, the greater the share of the step's events, by its square root.
function drawHeat(u, { bins, from, step }, rect) {
  bins.steps.forEach((cells, i) => {
    const most = Math.max(...(cells || []).map(([, n]) => n));
    for (const [upper, n] of cells || []) {
      const y = u.valToPos(Math.max(upper, 1e-9), "y", true), low = u.valToPos(Math.max(upper / bins.ratio, 1e-9), "y", true);
      const t = Math.max(y, u.bbox.top), b = Math.min(low, u.bbox.top + u.bbox.height);
      if (b > t && n > 0) rect(u, [from + i * step, from + (i + 1) * step], t, b - t, alpha("heat", 0.08 + 0.72 * Math.sqrt(n / most)));
    }
  });
}

function series(chart) {
  const line = (l) => ({
    label: l.label, stroke: () => css(l.color), width: chart.stack ? 1 : 1.5, paths: stepped, points: { show: false },
    fill: chart.stack ? () => alpha(l.color, 0.35) : undefined,
  });
  const lines = chart.lines.map(line);
  const out = chart.stack ? lines.reverse() : lines; // the tallest area is drawn first
  const over = chart.overlay ? chart.lines.map((l) => ({ stroke: () => css(l.color), width: 1, dash: [3, 3], paths: stepped, points: { show: false } })) : [];
  const peak = chart.peaks ? [{ stroke: () => alpha("c1", 0.45), width: 1, paths: stepped, points: { show: false } }] : [];
  const live = chart.liveLines ? chart.lines.map((l) => ({ stroke: () => css(l.color), width: 1, points: { show: false } })) : [];
  return [{}, ...out, ...peak, ...over, ...live];
}

// lists returns the values of all series in the order of series().
function lists(chart) {
  const own = chart.values, n = own[0]?.length ?? 0;
  const lines = chart.stack ? stack(own).reverse() : own;
  const fill = (list) => Array.from({ length: n }, (_, i) => list?.[i] ?? null);
  return [...lines, ...(chart.peaks ? [chart.peaks] : []), ...(chart.overlay ? (chart.stack ? stack(chart.overlay.map(fill)) : chart.overlay.map(fill)) : [])];
}

function data(chart) {
  const before = lists(chart);
  const table = columns(chart, before, chart.liveLines && { t: chart.liveLines.t, lists: chart.liveLines.lists });
  // Live seconds need their columns even while there is none.
  while (table.length < 1 + before.length + (chart.liveLines ? chart.lines.length : 0)) table.push(table[0].map(() => undefined));
  return table;
}

// powers returns the powers of ten between two numbers, or finer steps if there are fewer than two.
export function powers(min, max) {
  const out = [];
  for (const steps of [[1], [1, 2, 5]]) {
    out.length = 0;
    for (let e = Math.floor(Math.log10(min)); e <= Math.ceil(Math.log10(max)); e++) for (const s of steps) if (s * 10 ** e >= min && s * 10 ** e <= max) out.push(s * 10 ** e);
    if (out.length >= 2) break;
  }
  return out;
}

// logRange returns the ends of a logarithmic axis that shows all lines and bins.
function logRange(min, max, bins) {
  let least = min > 0 ? min : Infinity;
  for (const cells of bins?.steps || []) {
    for (const [upper] of cells || []) {
      if (!(upper > 0)) continue;
      max = Math.max(max ?? upper, upper);
      least = Math.min(least, upper / bins.ratio);
    }
  }
  min = least;
  return min < Infinity && max > 0 ? [min / 1.1, max * 1.1] : [1, 10];
}

function options(chart, width, zoom, get) {
  const all = (_, splits) => splits;
  const axis = { stroke: () => css("soft"), grid: { stroke: () => css("line"), width: 1 }, ticks: { show: false }, font: "11px " + getComputedStyle(document.body).fontFamily };
  const names = chart.lines.map((l) => l.label);
  // Each area is filled down to the one below it: otherwise the colours would mix.
  const stacked = chart.stack ? chart.lines.slice(1).map((_, i) => ({ series: [i + 1, i + 2] })) : [];
  const bands = (chart.bands || []).flatMap(([low, high]) => {
    const a = names.indexOf(low), b = names.indexOf(high);
    return a < 0 || b < 0 ? [] : [{ series: [b + 1, a + 1], fill: () => alpha(chart.lines[b].color, 0.1) }];
  });
  return {
    width, height, bands: chart.stack ? stacked : chart.heat ? [] : bands, series: series(chart), legend: { show: false }, padding: [8, 26, 0, 0],
    plugins: [marks(get)],
    cursor: { sync: { key: "time", setSeries: false }, drag: { x: true, y: false, setScale: false }, y: false, points: { show: false } },
    scales: {
      x: { time: false, range: () => [get().from, get().to] },
      y: chart.log ? { distr: 3, range: (_, min, max) => logRange(min, max, get().heat?.bins) } : { range: (_, min, max) => [0, max > 0 ? max * 1.08 : 1e-9] },
    },
    axes: [
      { ...axis, size: 24, space: 70, values: (_, splits) => splits.map((t) => clock(t, get().to - get().from)), incrs: [10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800] },
      { ...axis, size: 62, space: 28, grid: { ...axis.grid, filter: all }, filter: all, ...(chart.log ? { splits: (_, i, min, max) => powers(min, max) } : {}), values: (_, splits) => splits.map((v) => (v > 0 && v < 1e-8 ? "" : value(v, chart.unit))) },
    ],
    hooks: {
      setSelect: [(u) => {
        if (u.select.width < 8) return;
        zoom(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
        u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      }],
      setCursor: [(u) => (cursor.value = u.cursor.left >= 0 ? u.posToVal(u.cursor.left, "x") : undefined)],
    },
  };
}

// shape is what a plot cannot change: with another shape, it is made again.
const shape = (c) => [c.id, c.lines.map((l) => l.label + l.color).join(), Boolean(c.peaks), Boolean(c.overlay), Boolean(c.liveLines), c.stack, c.unit].join(" ");

// seen calls back when an element comes into view or leaves it. All of them share one observer. On paper, everything is in view.
const watched = new Map();
let observer;
function seen(element, call) {
  observer ??= new IntersectionObserver((all) => all.forEach((e) => watched.get(e.target)?.(e.isIntersecting)), { rootMargin: "100px" });
  watched.set(element, call);
  observer.observe(element);
  return () => {
    watched.delete(element);
    observer.unobserve(element);
  };
}
if (typeof addEventListener === "function") addEventListener("beforeprint", () => watched.forEach((call) => call(true)));

// Plot draws a chart with its data while it is in view. Zoom is called with the ends of a stretch that was brushed.
export function Plot({ chart, zoom, label }) {
  const root = useRef(null), state = useRef({}), kind = shape(chart);
  const draw = () => {
    const s = state.current;
    if (!s.visible || !root.current) return;
    if (s.plot && s.kind === s.drawnKind) {
      if (s.chart !== s.drawn) s.plot.setData(data(s.chart));
    } else {
      s.plot?.destroy();
      s.plot = new uPlot(options(s.chart, Math.max(root.current.clientWidth, 120), zoom, () => state.current.chart), data(s.chart), root.current);
      s.drawnKind = s.kind;
    }
    s.drawn = s.chart;
  };
  state.current.chart = chart;
  state.current.kind = kind;
  useEffect(() => {
    const s = state.current;
    const stopSeen = seen(root.current, (visible) => {
      s.visible = visible;
      draw();
    });
    const sized = new ResizeObserver(() => {
      const width = root.current?.clientWidth;
      if (width && s.plot && width !== s.plot.width) s.plot.setSize({ width, height });
    });
    sized.observe(root.current);
    const stopTheme = theme.subscribe(() => s.plot?.redraw(false, true));
    return () => {
      stopSeen();
      stopTheme();
      sized.disconnect();
      s.plot?.destroy();
      s.plot = undefined;
    };
  }, []);
  useEffect(draw, [chart, kind]);
  return <div class="plot" role="img" aria-label={label} ref={root} />;
}

// valueAt returns the value of a list under the cursor, or its newest one.
function valueAt(chart, list, t) {
  if (t === undefined || t < chart.from || t >= chart.to) return summary(list)?.last;
  return list?.[Math.min(Math.floor((t - chart.from) / chart.step), list.length - 1)];
}

// spoken describes a chart to those who cannot see it.
export function spoken(chart) {
  const of = chart.lines.map((l, i) => {
    const s = summary(chart.values[i]);
    return s ? l.label + " now " + value(s.last, chart.unit) + ", from " + value(s.min, chart.unit) + " to " + value(s.max, chart.unit) : l.label + " without values";
  });
  const lost = chart.lost.length ? ". Packets were lost" : "";
  return chart.title + " from " + stamp(chart.from) + " to " + stamp(chart.to) + " UTC: " + of.join("; ") + lost;
}

function Legend({ chart }) {
  const t = cursor.value;
  return (
    <ul class="legend">
      {chart.lines.map((l, i) => (
        <li key={l.label}>
          <svg class="swatch" width="8" height="8" aria-hidden="true"><rect width="8" height="8" rx="1.5" fill={"var(--" + l.color + ")"} /></svg>
          {l.label} <b data-line={l.metric + " " + l.stat}>{value(valueAt(chart, chart.values[i], t), chart.unit)}</b>
          {chart.overlay && summary(chart.overlay[i]) && <s title={"the " + chart.overName}>{value(valueAt(chart, chart.overlay[i], t), chart.unit)}</s>}
        </li>
      ))}
      {chart.peaks && <li class="peak"><svg class="swatch" width="8" height="8" aria-hidden="true"><rect width="8" height="2" y="3" fill="var(--c1)" opacity=".5" /></svg>busiest second <b>{value(valueAt(chart, chart.peaks, t), chart.unit)}</b></li>}
    </ul>
  );
}

function Numbers({ chart }) {
  return (
    <div class="numbers" tabIndex="0" role="region" aria-label={chart.title + " as a table"}>
      <table>
        <thead><tr><th scope="col">UTC</th>{chart.lines.map((l) => <th scope="col" key={l.label}>{l.label}</th>)}</tr></thead>
        <tbody>
          {Array.from({ length: chart.steps }, (_, i) => chart.steps - 1 - i).map((i) => (
            <tr key={i}><th scope="row">{i === 0 && chart.start > chart.from ? stamp(chart.start).slice(11) + " (a part)" : clock(chart.from + i * chart.step, chart.to - chart.from)}</th>{chart.lines.map((l, k) => <td key={k}>{value(chart.values[k][i] ?? undefined, chart.unit)}</td>)}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

// Chart is a chart with its title, its values under the cursor, and the same as a table.
export function Chart({ chart, zoom }) {
  const [open, setOpen] = useState(false);
  const marked = [chart.lost.length && ["bad", "lost packets"], chart.sampled.length && ["warn", "sampled"], chart.start > chart.from && ["", "begins at " + stamp(chart.start).slice(11)], chart.missing.length && ["", "no data"]].filter(Boolean);
  return (
    <figure class="chart" data-chart={chart.id}>
      <figcaption>
        <h3>{chart.title} <small>{chart.unit === "us" ? "" : chart.unit}</small></h3>
        {marked.map(([c, text]) => <span class={"mark " + c} key={text}>{text}</span>)}
        <button class="plain" aria-pressed={open} onClick={() => setOpen(!open)} title="show the numbers as a table">{open ? "chart" : "table"}</button>
      </figcaption>
      <Legend chart={chart} />
      {open ? <Numbers chart={chart} /> : <Plot chart={chart} zoom={zoom} label={spoken(chart)} />}
    </figure>
  );
}
