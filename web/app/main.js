// The dashboard of an agent or a hub. It draws what the address says, and nothing else decides what is shown.
import { render } from "preact";
import "./app.css";
import { App } from "./layout.js";
import * as data from "./data.js";
import * as state from "./state.js";
import { startTheme } from "./theme.js";
import { expose } from "./expose.js";
import { startReport } from "./report.js";

state.start();
startTheme();
expose();
startReport();
data.start();
render(<App />, document.getElementById("app"));
