// The pure functions, for tests in the browser that the page itself runs in.
import { beforeGaps } from "./chart.js";
import * as format from "./format.js";
import * as series from "./series.js";
import * as state from "./state.js";
import * as rows from "./rows.js";
import * as report from "./report.js";
import * as countries from "./countries.js";
import { factor, kind } from "./views/changes.js";
import { byGroup, ordered } from "./views/fleet.js";
import { warnings } from "./views/health.js";

export function expose() {
  globalThis.pktvisor = { chart: { beforeGaps }, format, series, state, rows, report, countries, views: { factor, kind, byGroup, ordered, warnings } };
}
