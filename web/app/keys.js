// The keyboard. Keys do nothing while a field has the focus, or with Ctrl, Alt or Meta.
import { signal } from "@preact/signals";
import { paused } from "./data.js";
import { choose, live, out, overs, pan } from "./range.js";
import { go, param } from "./state.js";
import { nextTheme } from "./theme.js";
import { views } from "./views/index.js";

export const help = signal(false);

const list = () => views.filter((v) => v.title && (!v.when || v.when()));

// bindings are the keys with what they do. The first of several keys is shown.
export const bindings = [
  [["?"], "show or hide this list", () => (help.value = !help.value)],
  [["1 … 9"], "go to a view", null],
  [["["], "a shorter range", () => choose(-1)],
  [["]"], "a longer range", () => choose(1)],
  [["←", "ArrowLeft"], "earlier", () => pan(-0.5)],
  [["→", "ArrowRight"], "later", () => pan(0.5)],
  [["-"], "zoom out", out],
  [["0"], "back to now", live],
  [["o"], "overlay: nothing, the time before, a day before, a week before", nextOver],
  [["/"], "search", () => document.querySelector("[data-search]")?.focus()],
  [["Space", " "], "pause and continue", () => (paused.value = !paused.value)],
  [["t"], "light, dark, or as the system has it", nextTheme],
  [["Esc", "Escape"], "close, or leave a field", () => (help.value = false)],
];

function nextOver() {
  const i = overs.findIndex(([name]) => name === param("over"));
  go(null, { over: overs[(i + 1) % overs.length][0] });
}

export function onKey(e) {
  if (e.ctrlKey || e.altKey || e.metaKey || e.defaultPrevented) return;
  const field = e.target.closest?.("input, select, textarea, [contenteditable]");
  if (e.key === "Escape" && field) field.blur();
  // A button, a link or a scrolled region has uses of its own for these keys.
  if (field || (e.target.closest?.("button, a, summary, [tabindex]") && [" ", "ArrowLeft", "ArrowRight"].includes(e.key))) return;
  const digit = /^[1-9]$/.test(e.key) && list()[Number(e.key) - 1];
  const binding = bindings.find(([keys, , does]) => does && keys.includes(e.key));
  if (digit) go(digit.name);
  else if (binding) binding[2]();
  else return;
  e.preventDefault();
}
