// Which policy of an agent is shown. The address has it. The chooser is there only if there is something to choose.
import { app, isHub } from "./data.js";
import { go, href, param, view } from "./state.js";
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
  const policy = param("policy"), tap = param("tap"), followed = param("key"), all = windows(app.value?.app.policies);
  if (!policy && !followed && all.length < 2) return "";
  return visible(policy || usual) + (tap ? " › " + visible(tap) : "") + (followed ? " › " + visible(followed) : "");
}

// followedKey returns the key of a row that has a summary of its own: {policy, key, since}. A row of a table of last labels begins with a
// dot if labels were cut off; its key does not. It returns undefined for a row without a summary.
export function followedKey(policies, policy, tap, table, name) {
  const list = Array.isArray(policies) ? policies : [], p = list.find((x) => x.name === (policy || usual)) || (!policy && list.length === 1 ? list[0] : undefined);
  if (p?.for_each?.top !== table) return undefined;
  const of = tap || p.windows?.[0]?.tap || "", plain = name.toLowerCase().replace(/^\./, "");
  const k = (p.keys || []).find((x) => (x.tap || "") === of && (x.key === name || x.key === plain));
  return k && { policy: p.name, key: k.key, since: k.since_ts };
}

// Followed links from a row to the summary of its own. In that summary, it links back to the policy.
export function Followed({ table, name }) {
  if (isHub()) return null;
  const now = param("key"), k = now ? undefined : followedKey(app.value?.app.policies, param("policy"), param("tap"), table, name);
  if (now) return <p class="followed">This is of {visible(now)} only. <a href={href("now", { key: null })}>The whole policy</a></p>;
  return k ? <p class="followed"><a href={href("now", { policy: k.policy, key: k.key })}>All of {visible(k.key)}</a>, in a summary of its own since {new Date(k.since * 1000).toLocaleTimeString()}</p> : null;
}

export function PolicyChooser() {
  if (isHub() || !app.value) return null;
  const all = windows(app.value.app.policies), policy = param("policy"), now = key(policy || usual, param("tap"));
  const followed = param("key") && <a class="key" href={href(view.value, { key: null })} title="show the whole policy">{visible(param("key")) + " ×"}</a>;
  if (all.length < 2) return followed || null;
  const at = all.find((w) => w.key === now) || all.find((w) => w.policy === (policy || usual));
  const choose = (e) => {
    const w = all[e.target.selectedIndex - (at ? 0 : 1)];
    if (w) go(null, { policy: w.policy === usual ? null : w.policy, tap: w.tap || null, key: null, table: null, name: null });
  };
  return (
    <span class="field">{followed}<label class="field">
      <span class="unseen">policy</span>
      <select class="policy" title="policy" onChange={choose}>
        {!at && <option selected>{visible(policy || usual)}</option>}
        {all.map((w) => <option key={w.key} selected={w === at}>{visible(w.policy) + (w.tap ? " › " + visible(w.tap) : "")}</option>)}
      </select>
    </label></span>
  );
}
