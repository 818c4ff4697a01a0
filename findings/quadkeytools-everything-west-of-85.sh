#!/usr/bin/env bash
# quadkeytools (npm): Lisbon and Tokyo have nearly the same longitude, 85 degrees west.
#
# The key of a map tile comes from a latitude and a longitude. The library limits the longitude to at most the least latitude of the Mercator projection,
# -85.05, instead of to 180. So every place east of Chicago lies on one line. Places further west are right, as the tiles of
# @mapbox/tilebelt show for comparison.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . quadkeytools@0.0.2 @mapbox/tilebelt@1.0.2 >/dev/null 2>&1
cat >run.js <<'JS'
const quadkey = require('quadkeytools');
const tilebelt = require('@mapbox/tilebelt');
for (const [name, lat, lng] of [['San Francisco', 37.77, -122.42], ['New York', 40.71, -74.01], ['Lisbon', 38.72, -9.14], ['Athens', 37.98, 23.73], ['Tokyo', 35.68, 139.69]]) {
  const key = quadkey.locationToQuadkey({ lat, lng }, 9);
  const box = quadkey.bbox(key);
  const other = tilebelt.tileToQuadkey(tilebelt.pointToTile(lng, lat, 9));
  console.log(`${name}, longitude ${lng}: ${key}, longitudes ${box.min.lng.toFixed(1)} to ${box.max.lng.toFixed(1)}; tilebelt ${other}`);
}
JS
echo "quadkeytools 0.0.2, and @mapbox/tilebelt 1.0.2 for comparison"
node run.js | tee out.txt
diff out.txt - <<'OUT'
San Francisco, longitude -122.42: 023010203, longitudes -123.0 to -122.3; tilebelt 023010203
New York, longitude -74.01: 032000111, longitudes -85.1 to -84.4; tilebelt 032010110
Lisbon, longitude -9.14: 032000311, longitudes -85.1 to -84.4; tilebelt 033110211
Athens, longitude 23.73: 032000313, longitudes -85.1 to -84.4; tilebelt 122100203
Tokyo, longitude 139.69: 032002113, longitudes -85.1 to -84.4; tilebelt 133002112
OUT
echo "as found"
