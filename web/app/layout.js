// What is around every view: the name, the navigation, what is selected, and the state of the connection.
import { useEffect, useRef } from "preact/hooks";
import { app, fixed, isHub, link, paused, ready, refusal, request, tick } from "./data.js";
import { stamp, visible } from "./format.js";
import { bindings, help, onKey } from "./keys.js";
import { choices, choose, live, name, out, overs, shown, title } from "./range.js";
import { Alarm, word } from "./alarm.js";
import { PolicyChooser, shownPolicy } from "./policy.js";
import { at, go, href, param, view } from "./state.js";
import { chosen, nextTheme } from "./theme.js";
import { viewOf, views } from "./views/index.js";
import { signal } from "@preact/signals";
import { duration } from "./format.js";

// fleetTags are the tags of a hub's fleet, each key=value, for the suggestions of the field.
const fleet = signal({ tags: [], hosts: [], policies: [] });

async function suggest() {
  try {
    const f = await request("api/v1/fleet");
    const tags = Array.isArray(f.tags) ? f.tags : Object.entries(f.tags || {}).flatMap(([k, v]) => (Array.isArray(v) ? v : Object.keys(v)).map((one) => k + "=" + (one.value ?? one)));
    fleet.value = {
      tags: tags.map((t) => (typeof t === "string" ? t : t.tag || t.key + "=" + t.value)).slice(0, 500),
      hosts: (f.hosts || []).map((h) => h.host || h.name).filter(Boolean).slice(0, 500),
      policies: (f.policies || []).map((p) => p.name || p).slice(0, 100),
    };
  } catch {
    // The field works without suggestions.
  }
}

function Select({ label, value, onChange, options }) {
  return (
    <label class="field">
      <span class="unseen">{label}</span>
      <select value={value} onChange={(e) => onChange(e.target.value)} title={label}>
        {options.map(([v, text]) => <option value={v} key={v} selected={v === value}>{text}</option>)}
      </select>
    </label>
  );
}

// Part is the selection of a part of a fleet: tags, hosts and the policy, each with a button to remove it.
function Part() {
  const params = at.value.params;
  useEffect(() => { suggest(); }, []);
  const add = (e) => {
    e.preventDefault();
    const field = e.target.elements.part, text = field.value.trim();
    if (!text) return;
    const kind = text.includes("=") ? "tag" : fleet.value.policies.includes(text) ? "policy" : "host";
    go(null, { [kind]: kind === "policy" ? text : [...params.getAll(kind).filter((t) => t !== text), text] });
    field.value = "";
  };
  const chips = ["tag", "host", "policy"].flatMap((k) => params.getAll(k).map((v) => [k, v]));
  return (
    <form class="part" onSubmit={add}>
      {chips.map(([k, v]) => (
        <button type="button" class="chip" key={k + v} title={"show all, not only this " + k} onClick={() => go(null, { [k]: params.getAll(k).filter((one) => one !== v) })}>
          {k !== "tag" && <small>{k}</small>} {visible(v)} <span aria-hidden="true">×</span>
        </button>
      ))}
      <input name="part" list="parts" placeholder="tag or host" aria-label="show only a tag, a host or a policy" autocomplete="off" spellcheck={false} />
      <datalist id="parts">{[...fleet.value.tags, ...fleet.value.hosts, ...fleet.value.policies].map((t) => <option value={t} key={t} />)}</datalist>
    </form>
  );
}

function RangeField() {
  const r = shown(), all = choices();
  const options = all.map((s) => [name(s), "last " + duration(s)]);
  if (r.fixed) options.unshift(["", title()]);
  else if (!all.includes(r.length)) options.unshift([name(r.length), "last " + duration(r.length)]);
  return (
    <span class="group">
      <Select label="range" value={r.fixed ? "" : name(r.length)} options={options} onChange={(v) => v && go(null, { range: v, from: null, to: null })} />
      <button onClick={out} title="zoom out (-)" aria-label="zoom out">−</button>
      {r.fixed && <button onClick={live} title="back to now (0)">now</button>}
      <Select label="overlay" value={param("over")} options={overs.map(([v, t]) => [v, v ? "over " + t : "no overlay"])} onChange={(v) => go(null, { over: v })} />
    </span>
  );
}

// State says how fresh the numbers are, and what is wrong.
function State() {
  tick.value; // draw again each second
  const a = app.value?.app, { error, good } = link.value;
  const age = good ? Math.round((Date.now() - good) / 1000) : 0;
  let text = "", bad = false;
  if (fixed.value) text = "a report of the packets from " + stamp(fixed.value.from).slice(0, 16) + " to " + stamp(fixed.value.to).slice(11, 16) + " UTC";
  else if (error) [text, bad] = ["no answer" + (good ? " for " + duration(age) + ": the numbers are those of " + stamp(good / 1000).slice(11) + " UTC" : "") + " (" + error + ")", true];
  else if (paused.value) text = "paused";
  else if (a && !a.capturing) [text, bad] = [(isHub() ? "" : "not capturing: ") + (a.fault || ""), true];
  else if (isHub() && !shown().fixed) text = "newest second: 65 s ago";
  return <p class={bad ? "state bad" : "state"} role="status">{text}</p>;
}

function Header() {
  const a = app.value?.app;
  const name = a ? [a.host, a.target].filter((t, i, all) => t && all.indexOf(t) === i).map(visible).join(" · ") : "connecting";
  const note = a && (isHub() ? a.fleet.hosts + (a.fleet.hosts === 1 ? " host" : " hosts") : (a.hosts || []).slice(0, 3).join(", ") + (a.hosts?.length > 3 ? " …" : ""));
  const policy = isHub() ? "" : shownPolicy(), alarm = word.value;
  useEffect(() => { document.title = (alarm ? alarm + " · " : "") + (a ? name + " · " : "") + (policy ? policy + " · " : "") + "pktvisor"; }, [name, policy, alarm]);
  return (
    <header>
      <div class="top">
        <h1><a href={href("now")}>{name}</a></h1>
        <p class="note">{note}</p>
        <State />
        <Alarm />
        <Sampled />
        <span class="group">
          {!fixed.value && <button onClick={() => (paused.value = !paused.value)} aria-pressed={paused.value} title="pause (space)" aria-label="pause">{paused.value ? "▶" : "❚❚"}</button>}
          <button onClick={nextTheme} title={"colours: " + (chosen.value || "as the system") + " (t)"} aria-label={"colours: " + (chosen.value || "as the system")}>◐</button>
          <button onClick={() => (help.value = true)} title="keyboard (?)" aria-label="keyboard and about">?</button>
        </span>
      </div>
      <div class="bar">
        <nav aria-label="views">
          {views.filter((v) => v.title && (!v.when || v.when())).map((v) => (
            <a key={v.name} href={href(v.name)} aria-current={view.value === v.name ? "page" : undefined}>{v.title}</a>
          ))}
        </nav>
        <span class="fill" />
        {isHub() && <Part />}
        <PolicyChooser />
        <RangeField />
      </div>
    </header>
  );
}

// Sampled says that an agent analyses only a part of the traffic in depth, because it has too much to do.
function Sampled() {
  const s = app.value?.app?.sample;
  if (!s || !(s.percent < s.max_percent)) return null;
  const why = { cpu: "the agent took more CPU than it may", memory: "memory is short" }[s.reason] || "the agent fell behind";
  return <a class="mark warn" role="status" href={href("health")} title={"Only a part of the traffic is analysed in depth: " + why + ". Counters are exact."}>SAMPLED {+s.percent.toPrecision(2)}%</a>;
}

// Help is the list of keys and of other pages.
function Help() {
  const dialog = useRef(null);
  useEffect(() => {
    if (help.value && !dialog.current.open) dialog.current.showModal();
    if (!help.value && dialog.current.open) dialog.current.close();
  }, [help.value]);
  return (
    <dialog ref={dialog} onClose={() => (help.value = false)} aria-labelledby="help-title" onClick={(e) => e.target === dialog.current && (help.value = false)}>
      <h2 id="help-title">Keyboard</h2>
      <dl>{bindings.map(([keys, text]) => <div key={text}><dt><kbd>{keys[0]}</kbd></dt><dd>{text}</dd></div>)}</dl>
      <p>Drag over a chart to zoom in. The address holds what is shown: copy it to send it.</p>
      {!fixed.value && <p class="links">
        {[["api/docs", "API"], ["api/v1/openapi.yaml", "OpenAPI"], ["metrics", "Prometheus"], ["api/v1/metrics/app", "app"], ["api/v1/tables", "metrics"], ["assets/licenses.txt", "licences"]].map(([to, text]) => <a key={to} href={to}>{text}</a>)}
      </p>}
      <p>{app.value?.app.version && "pktvisor " + app.value.app.version}</p>
      {fixed.value && <details><summary>licences</summary><pre>{document.getElementById("licences")?.textContent}</pre></details>}
      <form method="dialog"><button>close</button></form>
    </dialog>
  );
}

export function App() {
  useEffect(() => {
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  const v = viewOf(view.value);
  return (
    <>
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.getElementById("main").focus(); }}>skip to the content</a>
      <Header />
      <main id="main" tabIndex="-1">
        {!ready() ? <p class="empty">{link.value.error ? "" : refusal.value || "loading"}</p> : v ? <v.Body key={v.name} /> : <p class="empty">There is no view {visible(view.value)}. <a href={href("now")}>Now and before</a></p>}
      </main>
      <Help />
    </>
  );
}
