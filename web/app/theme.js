// Light or dark: as the system says, or as chosen on this page. The choice stays in the browser.
import { signal } from "@preact/signals";
import { theme } from "./chart.js";

const key = "pktvisor.theme";
export const chosen = signal("");

// stored reads the choice. Storage may be forbidden.
function stored() {
  try {
    return localStorage.getItem(key) || "";
  } catch {
    return "";
  }
}

export function setTheme(name) {
  chosen.value = name;
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  try {
    localStorage.setItem(key, name);
  } catch {
    // It is then chosen for this page only.
  }
  theme.value++;
}

export const nextTheme = () => setTheme({ "": "light", light: "dark", dark: "" }[chosen.value]);

export function startTheme() {
  const name = stored();
  if (name === "light" || name === "dark") setTheme(name);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => theme.value++);
  matchMedia("print").addEventListener("change", () => theme.value++);
}
