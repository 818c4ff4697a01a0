// The views, in the order of the navigation. A view is {name, title, Body}, and when() if it is not always there. A view
// without a title is opened by links only. Body is drawn when the address is #/name.
import { Attack } from "./attack.js";
import { Now } from "./now.js";
import { Tables } from "./tables.js";

export const views = [
  { name: "now", title: "Now and before", Body: Now },
  { name: "tables", title: "Tables", Body: Tables },
  { name: "attack", title: "Attack", Body: Attack },
];

// viewOf returns the view of a name, or undefined.
export const viewOf = (name) => views.find((v) => v.name === name && (!v.when || v.when()));
