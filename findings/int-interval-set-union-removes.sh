#!/usr/bin/env bash
# int-interval-set (npm): adding 0 to 1 once more to the set of 0 to 1 and 3 to 4 removes 3 and 4.
#
# union(lower, upper) is to "add the interval to this set"; intervals "can be out of order and overlapping", and the package names "timestamps
# and sequential id numbers" as uses. Two cases remove numbers. An interval that ends in another one, with a further one after it, takes the further
# one away. A single number takes away those above it in its interval: 7, added to 1 to 100, leaves 1 to 7. A receiver that notes the IDs it has
# seen forgets some with each repeat. Here random sets are compared with a plain Set.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . int-interval-set@0.1.3 >/dev/null
cat >run.js <<'JS'
const IntIntervalSet = require('int-interval-set');
const show = (set) => set.intervals.map((i) => `${i.lower}-${i.upper}`).join(', ');
const all = (list) => list.reduce((set, i) => set.union(...i), new IntIntervalSet());
for (const list of [[[0, 1], [3, 4], [0, 1]], [[0, 1], [3, 4], [1, 2]], [[0, 1], [0, 0]], [[1, 100], [7]], [[1, 100], [7, 8]], [[7, 7], [1, 100]]]) {
  const set = all(list);
  console.log(`${list.map((i) => i.join('-')).join(' and ')}: ${show(set)}`);
}
let state = 7;
const random = (n) => {
  state = (state * 1103515245 + 12345) % 2147483648;
  return Math.floor((state / 2147483648) * n);
};
for (const shortest of [1, 2]) {
  let wrong = 0;
  for (let i = 0; i < 10000; i++) {
    const list = Array.from({ length: 4 }, () => random(20)).map((lower) => [lower, lower + shortest - 1 + random(4)]);
    const set = all(list);
    const plain = new Set(list.flatMap(([a, b]) => Array.from({ length: b - a + 1 }, (_, j) => a + j)));
    if (![...Array(30).keys()].every((n) => set.contains(n) === plain.has(n))) wrong++;
  }
  console.log(`10,000 sets of four intervals of ${shortest} or more numbers: ${wrong} are wrong`);
}
JS
echo "int-interval-set 0.1.3"
node run.js | tee out.txt
diff out.txt - <<'OUT'
0-1 and 3-4 and 0-1: 0-1
0-1 and 3-4 and 1-2: 0-2
0-1 and 0-0: 0-0
1-100 and 7: 1-7
1-100 and 7-8: 1-100
7-7 and 1-100: 1-100
10,000 sets of four intervals of 1 or more numbers: 3703 are wrong
10,000 sets of four intervals of 2 or more numbers: 3205 are wrong
OUT
echo "as found"
