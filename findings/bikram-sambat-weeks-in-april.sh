#!/usr/bin/env bash
# bikram-sambat-js (npm) takes 4 April 2024 for the day before, and nepali-calendar-js (npm) the 32nd of a month for day 0 of the next one.
#
# The months of Nepal's calendar, Bikram Sambat, have 29 to 32 days by a table, and both packages count days with it. bikram-sambat-js counts them in one way
# to the calendar and in another one back. In the last weeks of many years, ADToBS is a day off, and BSToAD of its result is another day than the one given.
# nepali-calendar-js compares the days that are left with the length of the month after: where a month is longer than the next one, its last day
# becomes day 0 of that one, which its own isValidNepaliDate denies; where it is shorter, the first day of the next becomes a 30th or 31st that does
# not exist. A third package, bikram-sambat, comes back to the day it was given for all days of the period, and nepali-date-converter agrees with it.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . bikram-sambat-js@1.0.3 nepali-calendar-js@1.0.4 bikram-sambat@1.8.1 nepali-date-converter@3.4.0 >/dev/null
cat >run.js <<'JS'
const { ADToBS, BSToAD } = require('bikram-sambat-js');
const calendar = require('nepali-calendar-js');
const sambat = require('bikram-sambat');
const Converter = require('nepali-date-converter').default;
const text = (y, m, d) => [y, m, d].map((n) => String(n).padStart(2, '0')).join('-');
function packages(day) {
  const [y, m, d] = day.split('-').map(Number);
  const n = calendar.toNepali(y, m, d);
  const back = calendar.toGregorian(n.ny, n.nm, n.nd);
  const b = sambat.toBik(day);
  const c = new Converter(new Date(y, m - 1, d)).getBS();
  return {
    'bikram-sambat-js': [ADToBS(day), BSToAD(ADToBS(day))],
    'nepali-calendar-js': [text(n.ny, n.nm, n.nd), text(back.gy, back.gm, back.gd), calendar.isValidNepaliDate(n.ny, n.nm, n.nd)],
    'bikram-sambat': [text(b.year, b.month, b.day), text(...Object.values(sambat.toGreg(b.year, b.month, b.day)))],
    'nepali-date-converter': [text(c.year, c.month + 1, c.date), day],
  };
}
for (const day of ['2024-04-04', '2023-06-15', '2024-02-13']) {
  console.log(`${day}: ${Object.entries(packages(day)).map(([name, [bs, ad]]) => `${name} ${bs}${ad === day ? '' : `, and back ${ad}`}`).join('; ')}`);
}
const counts = {};
let days = 0;
for (let t = Date.UTC(2000, 0, 1); t < Date.UTC(2026, 0, 1); t += 86400e3, days++) {
  const day = new Date(t).toISOString().slice(0, 10);
  const all = packages(day);
  for (const [name, [bs, ad, valid]] of Object.entries(all)) {
    const c = (counts[name] ??= { 'not as bikram-sambat says': 0, 'not the same day when converted back': 0, 'no valid date by its own word': 0 });
    if (bs !== all['bikram-sambat'][0]) c['not as bikram-sambat says']++;
    if (ad !== day) c['not the same day when converted back']++;
    if (valid === false) c['no valid date by its own word']++;
  }
}
console.log(`of the ${days} days from 2000 to 2025:`);
for (const [name, c] of Object.entries(counts)) console.log(`  ${name}: ${Object.entries(c).map(([what, n]) => `${n} ${what}`).join(', ')}`);
JS
echo "bikram-sambat-js 1.0.3, nepali-calendar-js 1.0.4; bikram-sambat 1.8.1 and nepali-date-converter 3.4.0 for comparison"
TZ=UTC node run.js | tee out.txt
diff out.txt - <<'OUT'
2024-04-04: bikram-sambat-js 2080-12-21, and back 2024-04-03; nepali-calendar-js 2080-12-22; bikram-sambat 2080-12-22; nepali-date-converter 2080-12-22
2023-06-15: bikram-sambat-js 2080-02-32; nepali-calendar-js 2080-03-00; bikram-sambat 2080-02-32; nepali-date-converter 2080-02-32
2024-02-13: bikram-sambat-js 2080-11-01; nepali-calendar-js 2080-10-30; bikram-sambat 2080-11-01; nepali-date-converter 2080-11-01
of the 9497 days from 2000 to 2025:
  bikram-sambat-js: 267 not as bikram-sambat says, 267 not the same day when converted back, 0 no valid date by its own word
  nepali-calendar-js: 386 not as bikram-sambat says, 0 not the same day when converted back, 210 no valid date by its own word
  bikram-sambat: 0 not as bikram-sambat says, 0 not the same day when converted back, 0 no valid date by its own word
  nepali-date-converter: 0 not as bikram-sambat says, 0 not the same day when converted back, 0 no valid date by its own word
OUT
echo "as found"
