#!/usr/bin/env bash
# kd-tree-javascript (npm): after a point is removed from a tree of three, it is still the nearest one, and another is gone.
#
# A leaf is removed by its parent, which compares coordinates to see whether the leaf is its left or its right child. But the tree is built
# by halving a sorted list, so a point with the same coordinate as its parent may be on either side. Then the other child is cut off, and the removed
# point stays. That needs only two points with the same x or y, as on every grid. The script removes each point of each set of three points on a grid of 3 x 3,
# and asks for the nearest to each place of the grid.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . kd-tree-javascript@1.0.3 >/dev/null 2>&1
cat >run.js <<'JS'
const { kdTree } = require('kd-tree-javascript');
const distance = (a, b) => (a.x - b.x) ** 2 + (a.y - b.y) ** 2;
const show = (p) => `(${p.x}, ${p.y})`;
const nearest = (points, removed, place) => {
  const tree = new kdTree([...points], distance, ['x', 'y']);
  tree.remove(removed);
  return tree.nearest(place, 1)[0];
};
const points = [{ x: 0, y: 1 }, { x: 1, y: 0 }, { x: 0, y: 0 }];
const [found, at] = nearest(points, points[0], { x: 1, y: 3 });
console.log(`of ${points.map(show).join(', ')} without ${show(points[0])}, the nearest to (1, 3) is ${show(found)}, squared distance ${at}`);
const grid = [...Array(9).keys()].map((i) => ({ x: i % 3, y: Math.floor(i / 3) }));
let asked = 0;
let wrong = 0;
for (const a of grid) for (const b of grid) for (const c of grid) {
  if (a === b || b === c || a === c) continue;
  for (const removed of [a, b, c]) for (const place of grid) {
    const left = [a, b, c].filter((p) => p !== removed);
    const answer = nearest([a, b, c], removed, place);
    asked++;
    if (!answer || answer[1] !== Math.min(...left.map((p) => distance(p, place)))) wrong++;
  }
}
console.log(`on the grid: ${wrong} of ${asked} answers are wrong`);
JS
echo "kd-tree-javascript 1.0.3"
node run.js | tee out.txt
diff out.txt - <<'OUT'
of (0, 1), (1, 0), (0, 0) without (0, 1), the nearest to (1, 3) is (0, 1), squared distance 5
on the grid: 420 of 13608 answers are wrong
OUT
echo "as found"
