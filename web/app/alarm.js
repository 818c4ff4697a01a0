// What the server says about attacks in the shown time, on every view: a mark in the header and in the title of the tab.
import { computed, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { app, fixed, isHub, query, ready, selected, sections, useData } from "./data.js";
import { clock, visible } from "./format.js";
import { asked, shown } from "./range.js";
import { href, view } from "./state.js";

// judged is how much time is judged while the present is shown, in seconds, as in the terminal.
const judged = 3600, every = 30;

// verdict is the newest verdict, or undefined.
export const verdict = signal(undefined);

// word is ATTACK, UNUSUAL, or "" if nothing stands out.
export const word = computed(() => {
  const v = verdict.value;
  if (!v?.headline) return "";
  return v.sentences.some((s) => s.headline && (s.kind === "zone" || s.kind === "amplification")) ? "ATTACK" : "UNUSUAL";
});

function path() {
  if (!ready() || !(sections.value || []).some((s) => s.name === "dns")) return "";
  if (fixed.value || shown().fixed) return query("api/v1/attack", { ...asked(), ...selected() });
  const length = isHub() ? judged : Math.max(Math.min(judged, (app.value.app.periods ?? 5) * 60) - 60, 60);
  return query("api/v1/attack", { from: "-" + length + "s", to: "now", ...selected() });
}

// Alarm is the mark. It leads to the attack view.
export function Alarm() {
  const wanted = path(), answer = useData(wanted, every).value;
  const data = answer.path === wanted && !answer.error ? answer.data : undefined;
  useEffect(() => { verdict.value = data; }, [data]);
  const v = verdict.value, text = word.value;
  if (!text) return <span role="status" class="alarm" />;
  const when = v.until_ts ? "ended " + clock(v.until_ts) : v.since_ts ? (v.since_earlier ? "by " : "since ") + clock(v.since_ts) : "";
  return (
    <span role="status" class="alarm">
      <a class={"mark " + (v.strong ? "bad" : "warn")} href={href("attack")} aria-current={view.value === "attack" ? "page" : undefined} title={visible(v.headline)}>
        {text}<span class="unseen">: {visible(v.headline)}</span>{when && <small> {when} UTC</small>}
      </a>
    </span>
  );
}
