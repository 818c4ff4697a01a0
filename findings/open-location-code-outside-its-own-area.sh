#!/usr/bin/env bash
# open-location-code (npm): seven of ten places with two decimals lie outside of the area of their own Plus Code.
#
# A Plus Code stands for an area of 1/8000 degree. Its specification takes the place's distance from the south-west corner of the world in whole steps,
# rounded down, so the area contains the place. This library takes away digit after digit in floating point. 35.68 is then a step below itself, and
# the place lies on the northern or eastern edge of the area, which belongs to the next one. pluscodes, another library, makes the same codes. The script also takes the whole steps, of
# hundredths of a degree as integers, for comparison.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . open-location-code@1.0.3 pluscodes@2.6.0 >/dev/null 2>&1
cat >run.js <<'JS'
const { OpenLocationCode } = require('open-location-code');
const pluscodes = require('pluscodes');
const olc = new OpenLocationCode();
const digits = '23456789CFGHJMPQRVWX';
// right makes the code of a place in hundredths of a degree: 80 steps each.
const right = (lat, lng) => {
  let [y, x] = [(lat + 9000) * 80, (lng + 18000) * 80];
  let code = '';
  for (let i = 0; i < 5; i++) {
    code = digits[y % 20] + digits[x % 20] + code;
    [y, x] = [Math.floor(y / 20), Math.floor(x / 20)];
  }
  return `${code.slice(0, 8)}+${code.slice(8)}`;
};
for (const [name, lat, lng] of [['Bern', 4695, 745], ['Greenwich', 5148, -1], ['Tokyo', 3568, 13969]]) {
  const code = olc.encode(lat / 100, lng / 100);
  const area = olc.decode(code);
  console.log(`${name} ${lat / 100}, ${lng / 100}: ${code}, up to ${area.latitudeHi.toFixed(6)}, ${area.longitudeHi.toFixed(6)}; pluscodes ${pluscodes.encode({ latitude: lat / 100, longitude: lng / 100 })}; right ${right(lat, lng)}`);
}
let [places, wrong] = [0, 0];
for (let lat = -8900; lat <= 8900; lat += 7) for (let lng = -17900; lng < 17900; lng += 111) {
  places++;
  if (olc.encode(lat / 100, lng / 100) !== right(lat, lng)) wrong++;
}
console.log(`${wrong} of ${places} places with two decimals have another code`);
JS
echo "open-location-code 1.0.3 and pluscodes 2.6.0"
node run.js | tee out.txt
diff out.txt - <<'OUT'
Bern 46.95, 7.45: 8FR9WCXX+XX, up to 46.950000, 7.450000; pluscodes 8FR9WCXX+XX; right 8FR9XF22+22
Greenwich 51.48, -0.01: 9C3XFXHR+X2, up to 51.480000, -0.009875; pluscodes 9C3XFXHR+X2; right 9C3XFXJR+22
Tokyo 35.68, 139.69: 8Q7XMMJQ+2X, up to 35.680125, 139.690000; pluscodes 8Q7XMMJQ+2X; right 8Q7XMMJR+22
600448 of 821389 places with two decimals have another code
OUT
echo "as found"
