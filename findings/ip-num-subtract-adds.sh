#!/usr/bin/env bash
# ip-num (npm): 10.0.0.0-9 minus 10.0.0.5-14 is 10.0.0.0-14.
#
# RangedSet.subtract() checks that the two ranges overlap and which is the lower one, and then returns all from the first address of this to the
# last one of the other. Where the other one reaches further, that is the union. What was to be removed is always in the result, which may even be larger than
# the range before. The method has no documentation; difference(), "a subtraction operation, where the passed range is removed from the
# original range", refuses ranges that only overlap, and is right for a part of the range.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . ip-num@1.6.2 >/dev/null
cat >run.js <<'JS'
const { RangedSet } = require('ip-num');
const range = (s) => RangedSet.fromRangeString(s);
for (const [a, b] of [
  ['10.0.0.0-10.0.0.9', '10.0.0.5-10.0.0.14'],
  ['10.0.0.0-10.0.0.9', '10.0.0.5-10.0.0.9'],
  ['10.0.0.0-10.0.0.9', '10.0.0.4-10.0.0.5'],
]) {
  for (const f of ['union', 'subtract', 'difference']) {
    let out;
    try {
      out = [range(a)[f](range(b))].flat().map((r) => r.toRangeString()).join(' and ');
    } catch (e) {
      out = e.message;
    }
    console.log(`${a} ${f} ${b}: ${out}`);
  }
}
JS
echo "ip-num 1.6.2"
node run.js | tee out.txt
diff out.txt - <<'OUT'
10.0.0.0-10.0.0.9 union 10.0.0.5-10.0.0.14: 10.0.0.0-10.0.0.14
10.0.0.0-10.0.0.9 subtract 10.0.0.5-10.0.0.14: 10.0.0.0-10.0.0.14
10.0.0.0-10.0.0.9 difference 10.0.0.5-10.0.0.14: Range to subtract is not contained in this range
10.0.0.0-10.0.0.9 union 10.0.0.5-10.0.0.9: 10.0.0.0-10.0.0.9
10.0.0.0-10.0.0.9 subtract 10.0.0.5-10.0.0.9: 10.0.0.0-10.0.0.9
10.0.0.0-10.0.0.9 difference 10.0.0.5-10.0.0.9: 10.0.0.0-10.0.0.4
10.0.0.0-10.0.0.9 union 10.0.0.4-10.0.0.5: 10.0.0.0-10.0.0.9
10.0.0.0-10.0.0.9 subtract 10.0.0.4-10.0.0.5: 10.0.0.0-10.0.0.5
10.0.0.0-10.0.0.9 difference 10.0.0.4-10.0.0.5: 10.0.0.0-10.0.0.3 and 10.0.0.6-10.0.0.9
OUT
echo "as found"
