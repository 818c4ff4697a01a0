#!/usr/bin/env bash
# geohashing (npm): a village in Fiji has no neighbours, but an error.
#
# A search for what is near takes the cell of a place and its eight neighbours, as getNeighborsBase32 returns them. The package takes the middle of the cell, goes
# one cell on in each direction, and asks for the cell there. East of the last cell before the 180th degree, this is at 180.02, which it
# refuses: the longitude must be between -180 and 180. So there are no neighbours at all, not even those in the north and the south, on both sides of the
# 180th degree: for the island of Taveuni in Fiji, for Chukotka, for ships in the middle of the Pacific. The README names no
# exception. ngeohash and latlon-geohash go on at the other side.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . geohashing@2.0.1 ngeohash@0.6.4 latlon-geohash@2.0.0 >/dev/null
cat >run.mjs <<'JS'
import * as geohashing from 'geohashing';
import ngeohash from 'ngeohash';
import Geohash from 'latlon-geohash';

const sides = ['north', 'east', 'south', 'west'];
for (const [name, lat, lng] of [['Suva', -18.14, 178.44], ['Waiyevo on Taveuni', -16.79, -179.99], ['Uelkal in Chukotka', 65.53, -179.98], ['a ship', 10, 179.99]]) {
  const hash = geohashing.encodeBase32(lat, lng, 5);
  let own;
  try {
    const n = geohashing.getNeighborsBase32(hash);
    own = sides.map((s) => n[s]).join(' ');
  } catch (e) { own = `${e.constructor.name}: ${e.message}`; }
  const n = ngeohash.neighbors(hash);
  const l = Geohash.neighbours(hash);
  console.log(`${name}, cell ${hash}, ${sides.join(' ')}\n  geohashing: ${own}\n  ngeohash: ${[0, 2, 4, 6].map((i) => n[i]).join(' ')}; latlon-geohash: ${['n', 'e', 's', 'w'].map((s) => l[s]).join(' ')}`);
}
JS
echo "geohashing 2.0.1; ngeohash 0.6.4 and latlon-geohash 2.0.0 for comparison"
node run.mjs | tee out.txt
diff out.txt - <<'OUT'
Suva, cell ruybu, north east south west
  geohashing: ruych ruybv ruybs ruybg
  ngeohash: ruych ruybv ruybs ruybg; latlon-geohash: ruych ruybv ruybs ruybg
Waiyevo on Taveuni, cell 2j002, north east south west
  geohashing: RangeError: Longitude must be between -180 and 180
  ngeohash: 2j008 2j003 2j000 rvpbr; latlon-geohash: 2j008 2j003 2j000 rvpbr
Uelkal in Chukotka, cell b58hb, north east south west
  geohashing: RangeError: Longitude must be between -180 and 180
  ngeohash: b58j0 b58hc b58h8 zgxuz; latlon-geohash: b58j0 b58hc b58h8 zgxuz
a ship, cell xczbz, north east south west
  geohashing: RangeError: Longitude must be between -180 and 180
  ngeohash: xczcp 81b0b xczbx xczby; latlon-geohash: xczcp 81b0b xczbx xczby
OUT
echo "as found"
