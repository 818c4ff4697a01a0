// Which policy of an agent is shown. The address has it. The chooser is there only if there is something to choose.
import { app, isHub } from "./data.js";
import { go, param } from "./state.js";
import { visible } from "./format.js";

const most = 1000;
// Neither name has a slash.
const key = (policy, tap) => (tap ? policy + "/" + tap : policy);

// windows returns the windows of an agent's policies that can be chosen: {policy, tap, key}, one for each policy, or for each of its taps.
export function windows(policies) {
  const out = [];
  for (const p of (Array.isArray(policies) ? policies : []).slice(0, most)) {
    const taps = [...new Set((p.windows || []).map((w) => w.tap || ""))].slice(0, 100);
    if (taps.length < 2) out.push({ policy: p.name, tap: "", key: p.name });
    else taps.forEach((tap) => out.push({ policy: p.name, tap, key: key(p.name, tap) }));
  }
  return out;
}

// usual is the policy with which an agent answers if none is asked for.
const usual = "default";

// shownPolicy says in words which policy is shown, or returns "" if there is only one.
export function shownPolicy() {
  const policy = param("policy"), tap = param("tap"), all = windows(app.value?.app.policies);
  if (!policy && all.length < 2) return "";
  return visible(policy || usual) + (tap ? " › " + visible(tap) : "");
}

export function PolicyChooser() {
  if (isHub() || !app.value) return null;
  const all = windows(app.value.app.policies), policy = param("policy"), now = key(policy || usual, param("tap"));
  if (all.length < 2) return null;
  const at = all.find((w) => w.key === now) || all.find((w) => w.policy === (policy || usual));
  const choose = (e) => {
    const w = all[e.target.selectedIndex - (at ? 0 : 1)];
    if (w) go(null, { policy: w.policy === usual ? null : w.policy, tap: w.tap || null, table: null, name: null });
  };
  return (
    <label class="field">
      <span class="unseen">policy</span>
      <select class="policy" title="policy" onChange={choose}>
        {!at && <option selected>{visible(policy || usual)}</option>}
        {all.map((w) => <option key={w.key} selected={w === at}>{visible(w.policy) + (w.tap ? " › " + visible(w.tap) : "")}</option>)}
      </select>
    </label>
  );
}
