#!/usr/bin/env bash
# bloom-filters (npm): a cuckoo filter made for 10,000 items says that 3,159 of the 10,000 it holds are not there.
#
# has() is "False if the element is definitively not in the filter" (README): a cuckoo filter has no false negatives (Fan et al. 2014, which the
# README names). A fingerprint that makes room moves to its other bucket, whose number is the XOR of this one's and of its hash. The same XOR
# has to lead back, which it does for a number of buckets that is a power of two. Here the number is any, and a modulo follows: a fingerprint
# that has moved is looked for where it is not. add() returned true for it. Up to a quarter of the capacity none is lost, which is where a
# small test ends. Also, create() makes fingerprints of two hexadecimal digits, 8 bits, for an error rate of 0.1%, and 3% of the keys
# that were never added are found.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . bloom-filters@3.0.4 >/dev/null
cat >run.js <<'JS'
const { CuckooFilter } = require('bloom-filters');
for (const n of [2500, 5000, 9000, 10000]) {
  const filter = CuckooFilter.create(10000, 0.001);
  const added = Array.from({ length: n }, (_, i) => `user-${i}`).filter((key) => filter.add(key));
  const lost = added.filter((key) => !filter.has(key)).length;
  let wrong = 0;
  for (let i = 0; i < 20000; i++) if (filter.has(`other-${i}`)) wrong++;
  console.log(`${n} items, ${added.length} added: ${lost} of them not found; of other keys, ${((100 * wrong) / 20000).toFixed(1)}% found`);
}
JS
echo "bloom-filters 3.0.4"
node run.js | tee out.txt
diff out.txt - <<'OUT'
2500 items, 2500 added: 0 of them not found; of other keys, 0.7% found
5000 items, 5000 added: 17 of them not found; of other keys, 1.3% found
9000 items, 9000 added: 1126 of them not found; of other keys, 2.6% found
10000 items, 10000 added: 3159 of them not found; of other keys, 3.0% found
OUT
echo "as found"
