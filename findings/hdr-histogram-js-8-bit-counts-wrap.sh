#!/usr/bin/env bash
# A histogram of hdr-histogram-js (npm) with bitBucketSize 8 loses counts without a word.
#
# The option is described by its memory alone. A bucket's count wraps at 256, while totalCount does not: 300 recordings
# of 7 and 100 of 900 leave 44 and 100 in the buckets, and a total of 400. The median is then 0, a value that was never
# recorded, and reading the mean throws. With 16 bits the same data are right, and wrap at 65,536.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . hdr-histogram-js@3.0.1 >/dev/null
cat >run.js <<'JS'
const hdr = require('hdr-histogram-js');
for (const bitBucketSize of [8, 16]) {
  const h = hdr.build({ bitBucketSize, highestTrackableValue: 1000, autoResize: false });
  for (let i = 0; i < 300; i++) h.recordValue(7);
  for (let i = 0; i < 100; i++) h.recordValue(900);
  let mean;
  try { mean = h.mean; } catch (e) { mean = e.message; }
  console.log(`${bitBucketSize} bits: total ${h.totalCount}, median ${h.getValueAtPercentile(50)}, mean ${mean}`);
}
JS
echo "hdr-histogram-js 3.0.1: 300 recordings of 7, 100 of 900"
node run.js | tee out.txt
diff out.txt - <<'OUT'
8 bits: total 400, median 0, mean Index Out Of Bounds Exception
16 bits: total 400, median 7, mean 230.25
OUT
echo "as found"
