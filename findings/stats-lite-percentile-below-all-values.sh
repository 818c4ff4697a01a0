#!/usr/bin/env bash
# stats-lite (npm): the first percentile of ten latencies from 1 to 108 ms is -38.6 ms.
#
# A percentile lies between the least and the greatest value. The README links Wikipedia's "Percentile", where the method that the package
# uses (rank n*p + 1/2) gives the least value for p below 1/(2n), and the greatest for p above 1-1/(2n). The code has the upper bound and not
# the lower one: it goes on along the line through the two least values, beyond both. The median and what is above it are right,
# which is what one looks at.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . stats-lite@2.2.0 >/dev/null
cat >run.js <<'JS'
const { percentile } = require('stats-lite');
const ms = [1, 100, 101, 102, 103, 104, 105, 106, 107, 108];
for (const p of [0.01, 0.02, 0.05, 0.5, 0.95, 0.99]) console.log(`p${Math.round(100 * p)}: ${percentile(ms, p)}`);
console.log(`p10 of the values 10 and 1000: ${percentile([10, 1000], 0.1)}, p90: ${percentile([10, 1000], 0.9)}`);
JS
echo "stats-lite 2.2.0"
node run.js | tee out.txt
diff out.txt - <<'OUT'
p1: -38.6
p2: -28.7
p5: 1
p50: 103.5
p95: 108
p99: 108
p10 of the values 10 and 1000: -287, p90: 1000
OUT
echo "as found"
