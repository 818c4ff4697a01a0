// The address holds what is shown: #/view?parameters. So it can be sent to a colleague, and the browser's buttons work.
import { signal, computed } from "@preact/signals";

// shared are the parameters that all views have. The others belong to one view, and end with it.
export const shared = ["range", "from", "to", "tag", "host", "policy", "tap", "key", "over"];

// parse reads a fragment. It accepts any text.
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return { view: path.replace(/\/+$/, "") || "now", params: new URLSearchParams(query) };
}

// write returns the fragment of a view with parameters.
export function write(view, params) {
  const query = params.toString().replaceAll("%2C", ",").replaceAll("%3A", ":").replaceAll("%2F", "/");
  return "#/" + view + (query ? "?" + query : "");
}

// changed returns the parameters of a view after some changes to those of another: a value, a list, or null to remove it.
export function changed(at, view, changes) {
  const params = new URLSearchParams([...at.params].filter(([k]) => view === at.view || shared.includes(k)));
  for (const [k, v] of Object.entries(changes || {})) {
    params.delete(k);
    for (const one of Array.isArray(v) ? v : [v]) {
      if (one !== null && one !== undefined && one !== "") params.append(k, one);
    }
  }
  return params;
}

export const at = signal(parse(location.hash));
export const view = computed(() => at.value.view);

// param returns a parameter, or "".
export const param = (name) => at.value.params.get(name) || "";

// href returns the link to a view that keeps the shared parameters.
export const href = (to, changes) => write(to, changed(at.value, to, changes));

// go changes the view or parameters. With replace, the browser's back button skips what was shown before.
export function go(to, changes, replace) {
  const url = href(to ?? at.value.view, changes);
  history[replace ? "replaceState" : "pushState"](null, "", url);
  at.value = parse(location.hash);
}

// start follows the browser's buttons. The query of the page may have shared parameters, too. Those of
// the fragment win, and a tap and a key belong to their policy.
export function start() {
  addEventListener("hashchange", () => (at.value = parse(location.hash)));
  addEventListener("popstate", () => (at.value = parse(location.hash)));
  const old = new URLSearchParams(location.search);
  if (old.size) {
    const { view: to, params } = parse(location.hash), of = (k) => (["tap", "key"].includes(k) ? "policy" : k), own = new Set([...params.keys()].map(of));
    for (const [k, v] of old) if (shared.includes(k) && !own.has(of(k))) params.append(k, v);
    history.replaceState(null, "", location.pathname + write(to, params));
    at.value = parse(location.hash);
  }
}
