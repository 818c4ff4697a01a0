#!/usr/bin/env bash
# lunar-lite and solarlunar (npm): 21 August 2017 is the 30th of the leap sixth month, and this day does not exist when converted back.
#
# In the Chinese calendar, a leap month has the number of the month before it and 29 or 30 days of its own, from its new moon to the next (GB/T 33661-2017).
# Both packages have the lengths of the leap months in their tables, and go from 2017-08-21 to day 30 of the leap sixth month. Back again, they check
# the day against the length of the plain month too, which had 29 days in 2017: lunar-lite throws, and solarlunar returns -1 instead of an object.
# So it is for each leap month of 30 days after a plain one of 29. In the other case, solarlunar takes day 30 of a leap month that has
# 29, and answers with the day after it. lunar-javascript comes back to the same date for all days.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . lunar-lite@0.2.8 solarlunar@3.1.0 lunar-javascript@1.7.7 >/dev/null
cat >run.mjs <<'JS'
import lite from 'lunar-lite';
import solarlunar from 'solarlunar';
import lunar from 'lunar-javascript';

const packages = {
  'lunar-lite': {
    lunar: (y, m, d) => { const l = lite.solar2lunar(`${y}-${m}-${d}`); return [l.lunarYear, l.lunarMonth, l.lunarDay, l.isLeap]; },
    solar: (y, m, d, leap) => { try { return lite.lunar2solar(`${y}-${m}-${d}`, leap).toString(); } catch (e) { return `an error: ${e.message}`; } },
  },
  'solarlunar': {
    lunar: (y, m, d) => { const l = solarlunar.solar2lunar(y, m, d); return [l.lYear, l.lMonth, l.lDay, l.isLeap]; },
    solar: (y, m, d, leap) => { const s = solarlunar.lunar2solar(y, m, d, leap); return s.cYear ? `${s.cYear}-${s.cMonth}-${s.cDay}` : String(s); },
  },
  'lunar-javascript': {
    lunar: (y, m, d) => { const l = lunar.Solar.fromYmd(y, m, d).getLunar(); return [l.getYear(), Math.abs(l.getMonth()), l.getDay(), l.getMonth() < 0]; },
    solar: (y, m, d, leap) => { try { const s = lunar.Lunar.fromYmd(y, leap ? -m : m, d).getSolar(); return `${s.getYear()}-${s.getMonth()}-${s.getDay()}`; } catch (e) { return `an error: ${e.message}`; } },
  },
};
for (const [name, p] of Object.entries(packages)) {
  const [y, m, d, leap] = p.lunar(2017, 8, 21);
  console.log(`${name}: 2017-8-21 is day ${d} of ${leap ? 'leap ' : ''}month ${m} of ${y}, and this is ${p.solar(y, m, d, leap)}`);
  console.log(`  day 30 of leap month 4 of 2020, which has 29 days: ${p.solar(2020, 4, 30, true)}`);
  const wrong = [];
  for (let t = Date.UTC(1930, 0, 1); t < Date.UTC(2050, 0, 1); t += 86400e3) {
    const date = new Date(t);
    const day = [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate()];
    if (p.solar(...p.lunar(...day)) !== day.join('-')) wrong.push(day.join('-'));
  }
  console.log(`  not the same day when converted back, 1930 to 2049: ${wrong.join(', ') || 'none'}`);
}
JS
echo "lunar-lite 0.2.8, solarlunar 3.1.0, and lunar-javascript 1.7.7 for comparison"
node run.mjs | tee out.txt
diff out.txt - <<'OUT'
lunar-lite: 2017-8-21 is day 30 of leap month 6 of 2017, and this is an error: only 29 days in lunar year 2017 month 6
  day 30 of leap month 4 of 2020, which has 29 days: an error: only 29 days in lunar year 2020 month -4
  not the same day when converted back, 1930 to 2049: 1936-5-20, 1938-9-23, 1941-8-22, 1944-6-20, 1952-7-21, 1955-5-21, 2017-8-21, 2036-8-21, 2047-7-22
solarlunar: 2017-8-21 is day 30 of leap month 6 of 2017, and this is -1
  day 30 of leap month 4 of 2020, which has 29 days: 2020-6-21
  not the same day when converted back, 1930 to 2049: 1936-5-20, 1938-9-23, 1941-8-22, 1944-6-20, 1952-7-21, 1955-5-21, 2017-8-21, 2036-8-21, 2047-7-22
lunar-javascript: 2017-8-21 is day 30 of leap month 6 of 2017, and this is 2017-8-21
  day 30 of leap month 4 of 2020, which has 29 days: an error: only 29 days in lunar year 2020 month -4
  not the same day when converted back, 1930 to 2049: none
OUT
echo "as found"
