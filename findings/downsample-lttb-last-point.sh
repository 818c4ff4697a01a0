#!/usr/bin/env bash
# downsample (npm): of 200 points that are reduced to 100, the newest is missing.
#
# Largest-Triangle-Three-Buckets keeps the first and the last point: they are buckets of their own (Steinarsson 2013, chapter 4, which the
# package's README links). The points between are cut at multiples of a fraction, (200-2)/98 here. By rounding, the last multiple may be 197.999
# instead of 198: one point is in no bucket, the index of the last one is one too low, and the result ends with the last point but one.
# This concerns LTTB and LTD, in about one of 35 pairs of sizes: 4000 to 100, 8000 to 1000, 14400 to 100. A chart of live
# data then hides the newest value. A reduction to 2 points gives the first two. LTOB, and the package downsample-lttb, keep the last point.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . downsample@1.4.0 downsample-lttb@0.0.1 >/dev/null
cat >run.js <<'JS'
const { LTTB, LTD, LTOB } = require('downsample');
const other = require('downsample-lttb').processData;
// Zero until the newest value, which is 1000.
for (const [from, to] of [[201, 100], [200, 100], [4000, 100], [14400, 100], [100, 2]]) {
  const data = Array.from({ length: from }, (_, i) => [i, i === from - 1 ? 1000 : 0]);
  const end = (f) => {
    const out = f(data, to);
    return `${out[out.length - 1].join('=')}`;
  };
  const ltd = from > 1000 ? '' : `, LTD ${end(LTD)}`;
  console.log(`${from} to ${to}, last is ${from - 1}=1000: LTTB ${end(LTTB)}${ltd}, LTOB ${end(LTOB)}, downsample-lttb ${end(other)}`);
}
JS
echo "downsample 1.4.0, and downsample-lttb 0.0.1 for comparison"
node run.js | tee out.txt
diff out.txt - <<'OUT'
201 to 100, last is 200=1000: LTTB 200=1000, LTD 200=1000, LTOB 200=1000, downsample-lttb 200=1000
200 to 100, last is 199=1000: LTTB 198=0, LTD 198=0, LTOB 199=1000, downsample-lttb 199=1000
4000 to 100, last is 3999=1000: LTTB 3998=0, LTOB 3999=1000, downsample-lttb 3999=1000
14400 to 100, last is 14399=1000: LTTB 14398=0, LTOB 14399=1000, downsample-lttb 14399=1000
100 to 2, last is 99=1000: LTTB 1=0, LTD 1=0, LTOB 99=1000, downsample-lttb 99=1000
OUT
echo "as found"
