// The views, in the order of the navigation. A view is {name, title, Body}, and when() if it is not always there. A view
// without a title is opened by links only. Body is drawn when the address is #/name.
import { isHub } from "../data.js";
import { Attack } from "./attack.js";
import { Changes } from "./changes.js";
import { Countries, places } from "./countries.js";
import { Fleet } from "./fleet.js";
import { Health, isAgent } from "./health.js";
import { Now } from "./now.js";
import { Row } from "./row.js";
import { Tables } from "./tables.js";

export const views = [
  { name: "now", title: "Now and before", Body: Now },
  { name: "tables", title: "Tables", Body: Tables },
  { name: "attack", title: "Attack", Body: Attack },
  { name: "changes", title: "What changed", Body: Changes },
  { name: "countries", title: "Countries", Body: Countries, when: () => places().length > 0 },
  { name: "fleet", title: "Fleet", Body: Fleet, when: isHub },
  { name: "health", title: "Health", Body: Health, when: isAgent },
  { name: "row", Body: Row },
];

// viewOf returns the view of a name, or undefined.
export const viewOf = (name) => views.find((v) => v.name === name && (!v.when || v.when()));
