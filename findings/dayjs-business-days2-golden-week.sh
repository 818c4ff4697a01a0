#!/usr/bin/env bash
# dayjs-business-days2 (npm): the next business day after 30 September 2025 in China is 6 October, a public holiday.
#
# The package takes a list of holidays, and tells which days are business days. nextBusinessDay and prevBusinessDay look at six days at most, and then
# return the last of them, whether it is one or not: the package's own isBusinessDay denies it. Its README says "Calculates the next Business Day", and
# names no limit. China's National Day and Mid-Autumn holiday of 2025 was from 1 to 8 October, and Spring Festival too has eight days or more in many years.
# businessDaysAdd(1) finds 9 October. A deadline moved to the next business day, as banks do it, then falls on a day when they are closed.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . dayjs@1.11.23 dayjs-business-days2@1.4.0 >/dev/null
cat >run.js <<'JS'
const dayjs = require('dayjs');
const holidays = [1, 2, 3, 4, 5, 6, 7, 8].map((d) => `2025-10-0${d}`);
dayjs.extend(require('dayjs-business-days2').default, { holidays, holidayFormat: 'YYYY-MM-DD' });
const show = (day) => `${day.format('YYYY-MM-DD')}${day.isBusinessDay() ? '' : ', which is no business day'}`;
console.log(`after 2025-09-30: nextBusinessDay ${show(dayjs('2025-09-30').nextBusinessDay())}; businessDaysAdd(1) ${show(dayjs('2025-09-30').businessDaysAdd(1))}`);
console.log(`before 2025-10-09: prevBusinessDay ${show(dayjs('2025-10-09').prevBusinessDay())}; businessDaysSubtract(1) ${show(dayjs('2025-10-09').businessDaysSubtract(1))}`);
JS
echo "dayjs-business-days2 1.4.0, dayjs 1.11.23; holidays from 2025-10-01 to 2025-10-08"
TZ=UTC node run.js | tee out.txt
diff out.txt - <<'OUT'
after 2025-09-30: nextBusinessDay 2025-10-06, which is no business day; businessDaysAdd(1) 2025-10-09
before 2025-10-09: prevBusinessDay 2025-10-03, which is no business day; businessDaysSubtract(1) 2025-09-30
OUT
echo "as found"
