// Where all data comes from: the API beside the page, asked once a second while somebody looks.
import { signal, effect, batch } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { at } from "./state.js";

// tick counts seconds while the page is visible and not paused.
export const tick = signal(0);
export const paused = signal(false);

// link is the state of the connection: the error of the newest answer, or "", and when the newest good answer came.
export const link = signal({ error: "", good: 0 });

// app is /api/v1/metrics/app, and declared is /api/v1/tables by path. Both are undefined before the first answer.
export const app = signal(undefined);
export const sections = signal(undefined);

// known says which policy app and sections are of, as policyKey writes it.
const known = signal(undefined);

// ready reports whether app and sections are those of what the address selects.
export const ready = () => Boolean(app.value) && known.value === policyKey();

// refusal is why the server does not answer about what the address selects, or "".
export const refusal = signal("");

// isHub reports whether the page is of a hub.
export const isHub = () => Boolean(app.value?.app.fleet);

// fixed says what a page without a server is about: {name, program, from, to, base}. It is undefined if there is a server.
export const fixed = signal(undefined);

// address returns a path as a whole URL without a name and password, which fetch does not accept. The browser sends them anyway.
export function address(path) {
  const u = new URL(path, document.baseURI);
  u.username = u.password = "";
  return u.href;
}

// source answers requests. A report, which has no server, replaces it.
export const source = {
  async get(path, signal) {
    const early = globalThis.first?.path === path ? globalThis.first.answer : undefined;
    if (early) globalThis.first = undefined;
    const response = await (early || fetch(address(path), { signal }));
    let answer;
    try {
      answer = await response.json();
    } catch {
      throw Object.assign(new Error("the answer is not JSON (status " + response.status + ")"), { status: response.status });
    }
    if (!response.ok) throw Object.assign(new Error(String(answer.error || response.statusText)), { status: response.status });
    return answer;
  },
};

// loadWorld returns the map of countries. Its address with the version is in the page; a report has all of it.
export async function loadWorld() {
  const inside = document.getElementById("world")?.textContent;
  if (inside) return JSON.parse(inside);
  const response = await fetch(address(document.querySelector("meta[name=world]").content));
  if (!response.ok) throw new Error("status " + response.status);
  return response.json();
}

// query writes a path with parameters. Lists are repeated. Undefined and empty ones are left out.
export function query(path, params = {}) {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(params)) {
    for (const one of Array.isArray(v) ? v : [v]) if (one !== undefined && one !== null && one !== "") q.append(k, one);
  }
  return q.size ? path + "?" + q : path;
}

// selected returns the parameters that select a part of a fleet.
export function selected() {
  const p = at.value.params, out = {};
  for (const name of ["tag", "host"]) if (p.has(name)) out[name] = p.getAll(name);
  return { ...out, ...policy() };
}

// policy returns the parameters that select a policy, the window of one that has several, and a key of it that is followed.
export function policy() {
  const out = {};
  for (const name of ["policy", "tap", "key"]) if (at.value.params.get(name)) out[name] = at.value.params.get(name);
  return out;
}

const policyKey = () => JSON.stringify(policy());

// request asks once, and records the state of the connection. An answer of 4xx is an answer.
export async function request(path) {
  try {
    const answer = await source.get(path, AbortSignal.timeout(10000));
    link.value = { error: "", good: Date.now() };
    return answer;
  } catch (e) {
    if (e.status >= 400 && e.status < 500) link.value = { error: "", good: Date.now() };
    else link.value = { ...link.value, error: e.name === "TimeoutError" ? "no answer within ten seconds" : e.message };
    throw e;
  }
}

// useData asks for a path again each `every` ticks, and returns a signal with data, error and the time of the data. While a
// new path has no answer yet, the data of the old one stays, and its path says so. A path of "" asks for nothing.
export function useData(path, every = 1) {
  const out = useMemo(() => signal({ path: "" }), []);
  useEffect(() => {
    if (!path) {
      out.value = { path };
      return undefined;
    }
    let over = false, busy = false, asked = -Infinity;
    const stop = effect(() => {
      const now = tick.value;
      if (busy || now - asked < every) return;
      busy = true;
      asked = now;
      request(path)
        .then((data) => over || (out.value = { path, data, time: Date.now() }), (e) => over || (out.value = { ...out.peek(), error: e, failed: path }))
        .finally(() => (busy = false));
    });
    return () => {
      over = true;
      stop();
    };
  }, [path, every]);
  return out;
}

const maxSections = 64, maxMetrics = 1024;

// bounded returns a declaration of at most so many sections and metrics.
export function bounded(all) {
  let left = maxMetrics;
  return all.slice(0, maxSections).map((s) => {
    const metrics = s.metrics.slice(0, Math.max(left, 0));
    left -= metrics.length;
    return { ...s, metrics };
  });
}

let asking = false, again = false;

// about asks what the agent is. The page preloads its first two answers. If it is called while it asks, it asks once more.
async function about() {
  again = asking;
  if (asking) return;
  asking = true;
  try {
    await askAbout();
    refusal.value = "";
  } catch (e) {
    refusal.value = e.status >= 400 && e.status < 500 ? e.message : ""; // link has the others
  } finally {
    asking = false;
  }
  if (again) about();
}

async function askAbout() {
  const of = policy(), key = policyKey();
  const [a, t] = await Promise.all([
    request(query("api/v1/metrics/app", of)),
    tick.peek() % 60 === 0 || !sections.peek() || key !== known.peek() ? request(query("api/v1/tables", of)).catch((e) => (e.status === 404 ? { sections: [] } : Promise.reject(e))) : null,
  ]);
  if (policyKey() !== key) return; // another one was chosen meanwhile
  batch(() => {
    known.value = key;
    app.value = a;
    if (t && JSON.stringify(t.sections) !== JSON.stringify(sections.peek())) sections.value = bounded(t.sections);
  });
}

// start lets time run: a tick a second while the page is visible.
export function start() {
  let last = 0;
  const step = () => {
    if (document.hidden || paused.peek()) return;
    const now = Date.now();
    if (now - last < 900) return;
    last = now;
    const n = tick.peek() + 1;
    if (!asking && (n % 5 === 0 || !app.peek())) about();
    tick.value = n;
  };
  about();
  if (fixed.peek()) return;
  // Another policy may have other tables and another length.
  let chosen = policyKey();
  effect(() => {
    if (policyKey() === chosen) return;
    chosen = policyKey();
    about();
  });
  setInterval(step, 1000);
  document.addEventListener("visibilitychange", step);
}

// read returns the value in an object at a path with dots, or undefined.
export function read(v, path) {
  for (const name of path.split(".")) {
    if (typeof v !== "object" || v === null || !Object.hasOwn(v, name)) return undefined;
    v = v[name];
  }
  return v;
}
