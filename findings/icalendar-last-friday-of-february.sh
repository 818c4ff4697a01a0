#!/usr/bin/env bash
# icalendar (npm): the last Friday of February 2026 is left out, and the last day of each month is the 1st or the 30th.
#
# The package names the parts of a rule that it has, BYDAY and BYMONTHDAY with their negative numbers and INTERVAL among them, and refuses any other with
# an error. Of those it has, many come out wrong without one. -1FR and -1 count from the end of the month (RFC 5545, section 3.3.10). A month without a
# fifth Wednesday has none; here, the first of the next month comes instead. A MO without a number is every Monday of the month, and here the first.
# Every second week on Monday and Friday becomes the Mondays of all weeks, and the Fridays of every second. Twice a year becomes once.
# rrule-temporal has the right days.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . icalendar@0.7.1 rrule-temporal@2.2.8 >/dev/null
cat >run.mjs <<'JS'
import icalendar from 'icalendar';
import { RRuleTemporal } from 'rrule-temporal';

const text = (dates) => dates.map((d) => (typeof d === 'string' ? d : [d.getFullYear(), d.getMonth() + 1, d.getDate()].map((n) => String(n).padStart(2, '0')).join('-')).slice(2)).join(' ');
for (const rule of ['FREQ=MONTHLY;BYDAY=2TU', 'FREQ=MONTHLY;BYDAY=-1FR', 'FREQ=MONTHLY;BYMONTHDAY=-1', 'FREQ=MONTHLY;BYDAY=5WE', 'FREQ=MONTHLY;BYDAY=MO', 'FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR', 'FREQ=YEARLY;BYMONTH=1,7']) {
  const own = new icalendar.RRule(rule, { DTSTART: new Date(2026, 0, 5, 9) }).nextOccurences(6);
  const other = new RRuleTemporal({ rruleString: `DTSTART;TZID=UTC:20260105T090000\nRRULE:${rule};COUNT=6` }).all().map((d) => d.toPlainDate().toString());
  console.log(`${rule}\n  icalendar:      ${text(own)}\n  rrule-temporal: ${text(other)}`);
}
JS
echo "icalendar 0.7.1, and rrule-temporal 2.2.8 for comparison; from Monday, 5 January 2026"
TZ=UTC node run.mjs | tee out.txt
diff out.txt - <<'OUT'
FREQ=MONTHLY;BYDAY=2TU
  icalendar:      26-01-13 26-02-10 26-03-10 26-04-14 26-05-12 26-06-09
  rrule-temporal: 26-01-13 26-02-10 26-03-10 26-04-14 26-05-12 26-06-09
FREQ=MONTHLY;BYDAY=-1FR
  icalendar:      26-01-30 26-03-27 26-04-24 26-05-29 26-06-26 26-07-31
  rrule-temporal: 26-01-30 26-02-27 26-03-27 26-04-24 26-05-29 26-06-26
FREQ=MONTHLY;BYMONTHDAY=-1
  icalendar:      26-01-05 26-01-30 26-02-27 26-03-01 26-03-30 26-04-01
  rrule-temporal: 26-01-31 26-02-28 26-03-31 26-04-30 26-05-31 26-06-30
FREQ=MONTHLY;BYDAY=5WE
  icalendar:      26-02-04 26-03-04 26-04-01 26-04-29 26-06-03 26-07-01
  rrule-temporal: 26-04-29 26-07-29 26-09-30 26-12-30 27-03-31 27-06-30
FREQ=MONTHLY;BYDAY=MO
  icalendar:      26-01-05 26-02-02 26-03-02 26-04-06 26-05-04 26-06-01
  rrule-temporal: 26-01-05 26-01-12 26-01-19 26-01-26 26-02-02 26-02-09
FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR
  icalendar:      26-01-05 26-01-09 26-01-12 26-01-19 26-01-23 26-01-26
  rrule-temporal: 26-01-05 26-01-09 26-01-19 26-01-23 26-02-02 26-02-06
FREQ=YEARLY;BYMONTH=1,7
  icalendar:      26-01-05 27-01-05 28-01-05 29-01-05 30-01-05 31-01-05
  rrule-temporal: 26-01-05 26-07-05 27-01-05 27-07-05 28-01-05 28-07-05
OUT
echo "as found"
