// Countries in the names of places. All functions here are pure.
import { bounds } from "./rows.js";

// A place is written as continent/country/region/city, as far as the GeoIP database has them. The first part may be missing.
const continents = new Set(["AF", "AN", "AS", "EU", "NA", "OC", "SA", "Africa", "Antarctica", "Asia", "Europe", "North America", "Oceania", "South America"]);

// countryOf returns the country in the name of a place, and "" if there is none. CodesOnly says that the table has no continents.
export function countryOf(name, codesOnly) {
  const parts = name.split("/");
  if (codesOnly || !continents.has(parts[0])) return name === "Unknown" ? "" : parts[0];
  return parts[1] || "";
}

// Names that databases use and that are not those of the browser, by code.
const aliases = {
  BN: ["Brunei Darussalam"], BQ: ["Bonaire, Sint Eustatius, and Saba"], CD: ["DR Congo", "Congo (the Democratic Republic of the)", "Democratic Republic of the Congo"], CG: ["Congo Republic", "Congo", "Republic of the Congo"],
  CI: ["Ivory Coast"], CV: ["Cabo Verde"], CZ: ["Czech Republic"], FK: ["Falkland Islands (Malvinas)"], FM: ["Federated States of Micronesia"], GB: ["UK", "United Kingdom of Great Britain and Northern Ireland"], HK: ["Hong Kong"],
  KP: ["Korea (the Democratic People's Republic of)", "Democratic People's Republic of Korea"], KR: ["Korea (the Republic of)", "Republic of Korea", "Korea"], LA: ["Lao People's Democratic Republic"], MO: ["Macao", "Macau"], MK: ["Macedonia"],
  PS: ["Palestine", "Palestine, State of"], RU: ["Russian Federation"], SY: ["Syrian Arab Republic"], SZ: ["Swaziland"], TL: ["East Timor"], TR: ["Turkey"], TZ: ["Tanzania, United Republic of"], US: ["United States of America", "USA"],
  VA: ["Vatican", "Holy See"], VN: ["Viet Nam"],
};

// plain writes the different spellings of a name in one way.
const plain = (name) => name.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase().replace(/^the /, "").replace(/ sar china$/, "").replaceAll("&", " and ").replace(/\b(saint|st)\b\.?/g, "st").replace(/[^a-z]+/g, " ").trim();
const short = (name) => plain(name.replace(/\(.*\)/, ""));

// coder returns a function from the name or the code of a country to its code of two letters, or undefined.
export function coder(codes) {
  const names = new Intl.DisplayNames(["en"], { type: "region" }), known = new Map();
  for (const code of codes) for (const name of [names.of(code), ...(aliases[code] || [])]) known.set(plain(name), code).set(short(name), known.get(short(name)) ?? code);
  const all = new Set(codes);
  return (country) => (all.has(country) ? country : known.get(plain(country)) ?? known.get(short(country)));
}

// byCountry adds up the rows of a table of places: {name, code, estimate, lower, upper, rows} for each country, the greatest
// first. The one without a name is what has no country.
export function byCountry(rows, codeOf) {
  const out = new Map(), codesOnly = !rows.some((r) => r.name.includes("/"));
  for (const r of rows) {
    const name = countryOf(r.name, codesOnly), code = name ? codeOf(name) : undefined, key = code || name, [lower, upper] = bounds(r);
    const c = out.get(key) || { name, code, estimate: 0, lower: 0, upper: 0, rows: [] };
    c.estimate += r.estimate;
    c.lower += lower;
    c.upper += upper;
    c.rows.push(r);
    out.set(key, c);
  }
  return [...out.values()].sort((a, b) => b.lower - a.lower);
}

// The classes of the map, by the least share of each.
export const classes = [0, 0.001, 0.01, 0.05, 0.2];

// classOf returns the class of a share.
export const classOf = (share) => classes.findLastIndex((least) => share >= least);
