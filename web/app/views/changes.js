// What changed between two stretches of time, or two parts of a fleet, in the order of the server: what may be new and what may have
// vanished comes first.
import { verdict } from "../alarm.js";
import { app, fixed, isHub, query, selected, useData } from "../data.js";
import { clock, duration, exact, maxTitle, stamp, value, visible } from "../format.js";
import { choices, name, seconds, shown } from "../range.js";
import { go, param } from "../state.js";
import { metricOf, rowHref } from "./rank.js";

const most = 1000, atOnce = 200;

// kind says whether a row may be new or gone. The server has sorted by it.
export const kind = (c) => (c.name === undefined ? "" : c.change > 0 && c.base.lower === 0 ? "new" : c.change < 0 && c.now.lower === 0 ? "gone" : "");

// factor says how many times more or less there is, by the bounds that are closest to each other.
export function factor(c) {
  if (c.base.upper === 0) return "new";
  if (c.now.upper === 0) return "gone";
  const up = c.change > 0, f = up ? c.now.lower / c.base.upper : c.base.lower / c.now.upper;
  return (up ? "× " : "÷ ") + (f >= 100 ? exact(f) : f.toFixed(f >= 10 ? 0 : 1));
}

// measured writes a value a second, or a share.
const measured = (v, unit, share) => (v === 0 ? "0" : share ? Number((100 * v).toPrecision(3)) + "%" : unit === "bytes" ? value(8 * v, "bits/s") : value(v, "") + "/s");
const between = (b, unit, share) => measured(b.lower, unit, share) + (b.upper > b.lower * 1.005 ? " – " + measured(b.upper, unit, share) : "");

// finished is the time that an agent has in finished minutes, and usual how much of it is compared with as much before: at most five
// minutes. There must be data before it.
const finished = () => 60 * (app.value?.app.sealed_periods ?? 0);
const usual = () => Math.max(60 * Math.floor(finished() / 120), 60);

// since returns the time since what the verdict says began, and the quiet time before it, or undefined if that is not known.
function since() {
  const v = verdict.value;
  if (!v?.since_ts || v.since_earlier) return undefined;
  const now = Math.floor(Date.now() / 60000) * 60, first = Math.max(v.from_ts, (v.to_ts || now) - 60 - finished());
  return v.since_ts - first >= 60 ? { from: v.since_ts, ...(v.until_ts ? { to: v.until_ts } : {}), base_from: first, base_to: v.since_ts } : undefined;
}

// ranges returns the parameters of the request: the newest length, or a fixed range, and what it is compared with.
function ranges() {
  const r = shown(), hub = isHub(), against = param("against") || "before";
  if (fixed.value) return {};
  const window = choices().at(-1), began = since();
  if (began && !r.fixed && !hub && !param("len")) return { ...began, length: undefined };
  const length = r.fixed ? r.length : hub ? r.length : Math.max(Math.min(seconds(param("len")) || Math.min(60 * Math.floor(window / 120), usual()), window - 60), 60);
  const now = r.fixed ? { from: Math.floor(r.from), to: Math.ceil(r.to) } : { from: "-" + (hub ? length : Math.max(length - 60, 60)) + "s" };
  const back = { day: 86400, week: 7 * 86400 }[against];
  if (!back || !hub) return { ...now, length };
  return { ...now, length, ...(r.fixed ? { base_from: Math.floor(r.from) - back, base_to: Math.ceil(r.to) - back } : { base_from: "-" + (length + back) + "s", base_to: "-" + back + "s" }) };
}

export function Changes() {
  const { length, ...times } = ranges(), tag = param("with");
  const path = query("api/v1/changes", { ...times, rows: most, ...selected(), ...(isHub() && tag ? { base_tag: tag } : {}) });
  const { data, error, failed } = useData(path, isHub() ? 60 : 10).value;
  const text = param("q").toLowerCase(), share = data?.measure === "share";
  const list = data ? data.changes.filter((c) => !text || visible(c.name ?? "").toLowerCase().includes(text) || c.metric.toLowerCase().includes(text)) : [];
  const window = choices().at(-1), lengths = [60, 120, 300, 900, 1800, 3600].filter((s) => 2 * s <= window), began = since();
  const side = (s) => s && stamp(s.from_ts).slice(0, 16) + " to " + stamp(s.to_ts).slice(11, 16) + (s.tags ? " of " + s.tags.join(", ") : "");
  return (
    <section class="full">
      <div class="head">
        <h2>What changed</h2>
        <label><span class="unseen">search</span><input type="search" data-search value={param("q")} placeholder="search (/)" onInput={(e) => go(null, { q: e.target.value }, true)} /></label>
        {!fixed.value && !isHub() && !shown().fixed && <label>the newest <select onChange={(e) => go(null, { len: e.target.value || null })}>{began && <option value="" selected={!param("len")}>since {clock(began.from)} UTC, when it began</option>}{lengths.map((s) => <option key={s} value={name(s)} selected={name(s) === param("len") || (!param("len") && s === length)}>{duration(s)}</option>)}</select></label>}
        {isHub() && <label>since <select onChange={(e) => go(null, { against: e.target.value })}>{[["before", "the time before"], ["day", "a day before"], ["week", "a week before"]].map(([k, t]) => <option key={k} value={k} selected={k === (param("against") || "before")}>{t}</option>)}</select></label>}
        {isHub() && <label>or compared with <input value={tag} placeholder="tag, such as pop=fra1" onChange={(e) => go(null, { with: e.target.value.trim() })} /></label>}
      </div>
      <p class="help">{data && <>{fixed.value?.base ? fixed.value.name + " since " + fixed.value.base + ": " : ""}{side(data.now)} UTC, since {side(data.base)} UTC. {exact(data.compared)} counters and rows were compared. </>}Only what the bounds of both sides cannot explain is a change. New rows come first, then those that have vanished, then the rest by its share of the whole.</p>
      {error && failed === path && <p class="problem" role="alert">{error.message}</p>}
      {!data && !error && <p class="empty">loading</p>}
      {data && list.length === 0 && <p class="empty">Nothing has changed beyond the bounds.</p>}
      {list.length > 0 && (
        <div class="scroll" tabIndex="0" role="region" aria-label="changes">
          <table class="changes">
            <thead><tr><th scope="col">what</th><th scope="col">row</th><th scope="col">before</th><th scope="col">now</th><th scope="col">change</th></tr></thead>
            <tbody>{list.slice(0, atOnce).map((c) => (
              <tr key={c.metric + "\n" + (c.name ?? "")} class={kind(c) || undefined}>
                <th scope="row" title={c.metric}>{metricOf(c.metric)?.title.slice(0, maxTitle) || c.metric}</th>
                <td class="name">{c.name === undefined ? "" : <a href={rowHref(c.metric, c.name)}>{visible(c.name)}</a>}</td>
                <td>{between(c.base, c.unit, share)}</td><td>{between(c.now, c.unit, share)}</td><td><b>{factor(c)}</b></td>
              </tr>
            ))}</tbody>
          </table>
          {list.length > atOnce && <p class="help">{exact(list.length - atOnce)} more: search for them.</p>}
        </div>
      )}
    </section>
  );
}
