#!/usr/bin/env bash
# shapefile and shpjs (npm): a pond on an island in a lake is land in one of the two readers, and a pond beside the lake is land in the other.
#
# A polygon of a shapefile is a list of rings: those of clockwise order are land, those of the other order are holes, and a hole belongs to the land around it (ESRI Shapefile Technical
# Description, "Polygon"). GeoJSON wants each hole beneath its own polygon. shapefile gives it to the first polygon that it lies in. For the pond on the
# island this is the mainland, though the lake's hole is around it: the island is whole. shpjs compares no rings, but bounding boxes, and takes the
# smallest that holds the pond. Beside a slanting lake, this is the box of an island in it, though neither island nor lake is near. Each of the
# two is right where the other is wrong. Both give the rings of the file, so that a sum of the areas shows nothing.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . shapefile@0.6.6 shpjs@6.2.0 >/dev/null
cat >run.mjs <<'JS'
import * as shapefile from 'shapefile';
import { parseShp } from 'shpjs';

// file is a shapefile with one polygon of these rings.
function file(rings) {
  const points = rings.flat();
  const record = Buffer.alloc(44 + 4 * rings.length + 16 * points.length);
  record.writeInt32LE(5, 0);
  const box = (b, at) => [Math.min, Math.max].forEach((f, i) => [0, 1].forEach((axis) => b.writeDoubleLE(f(...points.map((p) => p[axis])), at + 16 * i + 8 * axis)));
  box(record, 4);
  record.writeInt32LE(rings.length, 36);
  record.writeInt32LE(points.length, 40);
  rings.reduce((start, ring, i) => { record.writeInt32LE(start, 44 + 4 * i); return start + ring.length; }, 0);
  points.forEach((p, i) => p.forEach((v, axis) => record.writeDoubleLE(v, 44 + 4 * rings.length + 16 * i + 8 * axis)));
  const head = Buffer.alloc(108);
  head.writeInt32BE(9994, 0);
  head.writeInt32BE((108 + record.length) / 2, 24);
  head.writeInt32LE(1000, 28);
  head.writeInt32LE(5, 32);
  box(head, 36);
  head.writeInt32BE(1, 100);
  head.writeInt32BE(record.length / 2, 104);
  return Buffer.concat([head, record]);
}
const land = (...points) => [...points, points[0]]; // clockwise
const water = (...points) => land(...points).reverse();
const square = (x, y, size) => [[x, y], [x, y + size], [x + size, y + size], [x + size, y]];
const inRing = ([x, y], ring) => ring.slice(1).reduce((inside, [xi, yi], i) => { const [xj, yj] = ring[i]; return (yi > y) !== (yj > y) && x < (xj - xi) * (y - yi) / (yj - yi) + xi ? !inside : inside; }, false);
const onLand = (point, { type, coordinates }) => (type === 'Polygon' ? [coordinates] : coordinates).some(([outer, ...holes]) => inRing(point, outer) && !holes.some((hole) => inRing(point, hole)));

const places = {
  'a pond on an island in a lake': [[50, 50], [land(...square(0, 0, 100)), water(...square(20, 20, 60)), land(...square(40, 40, 20)), water(...square(45, 45, 10))]],
  'a pond beside a slanting lake with an island': [[45, 78], [land(...square(0, 0, 100)), water([30, 30], [95, 95], [95, 30]), land([40, 32], [93, 85], [93, 32]), water(...square(42, 75, 6))]],
};
for (const [name, [point, rings]] of Object.entries(places)) {
  const bytes = file(rings);
  const a = (await (await shapefile.openShp(new Uint8Array(bytes).buffer)).read()).value;
  const [b] = parseShp(new DataView(new Uint8Array(bytes).buffer));
  for (const [reader, shape] of Object.entries({ shapefile: a, shpjs: b })) console.log(`${name}: ${reader} says ${onLand(point, shape) ? 'land' : 'water'}; rings in each polygon: ${shape.coordinates.map((p) => p.length)}`);
}
JS
echo "shapefile 0.6.6, shpjs 6.2.0"
node run.mjs | tee out.txt
diff out.txt - <<'OUT'
a pond on an island in a lake: shapefile says land; rings in each polygon: 3,1
a pond on an island in a lake: shpjs says water; rings in each polygon: 2,2
a pond beside a slanting lake with an island: shapefile says water; rings in each polygon: 3,1
a pond beside a slanting lake with an island: shpjs says land; rings in each polygon: 2,2
OUT
echo "as found"
