#!/usr/bin/env bash
# @datadog/sketches-js (npm): merging a sketch whose largest value is 1 can halve the upper quantiles.
#
# DDSketch is "fully mergeable": a merged sketch answers like one that saw all values (Masson, Rim, Lee 2019, section 2.1), here within 1%.
# The store widens its range with `secondKey || key`. The key of the largest value is 0 if that value is 1, up to 2% less, which is where
# ratios and probabilities end. The key 0 then counts as missing, the range is not widened, and the counts above it are added to places
# outside of the array, where they become NaN. No error follows. count, min, max and sum stay right, which hides it. The same data times 100
# are merged correctly.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . @datadog/sketches-js@2.1.1 >/dev/null
cat >run.js <<'JS'
const { DDSketch } = require('@datadog/sketches-js');
const sketch = (values) => {
  const s = new DDSketch({ relativeAccuracy: 0.01 });
  for (const v of values) s.accept(v);
  return s;
};
for (const scale of [1, 100]) {
  const idle = Array.from({ length: 100 }, (_, i) => scale * (0.05 + i / 2000)); // 0.05 to 0.0995
  const busy = Array.from({ length: 100 }, (_, i) => scale * (0.5 + (i + 1) / 200)); // 0.505 to 1
  const one = sketch(idle.concat(busy));
  const merged = sketch(idle);
  merged.merge(sketch(busy));
  const show = (s) => [0.75, 0.9, 0.99].map((q) => s.getValueAtQuantile(q).toPrecision(3)).join(', ');
  console.log(`values up to ${scale}: p75, p90, p99 of one sketch ${show(one)}; of two merged ${show(merged)}; max ${merged.max}`);
}
JS
echo "@datadog/sketches-js 2.1.1"
node run.js | tee out.txt
diff out.txt - <<'OUT'
values up to 1: p75, p90, p99 of one sketch 0.748, 0.896, 0.990; of two merged 0.502, 0.502, 0.502; max 1
values up to 100: p75, p90, p99 of one sketch 74.4, 89.1, 98.5; of two merged 74.4, 89.1, 98.5; max 100
OUT
echo "as found"
