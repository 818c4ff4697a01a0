#!/usr/bin/env bash
# A Summary of prom-client (npm) publishes quantiles that no observation is near, when most observations are equal.
#
# prom-client keeps a t-digest (npm tdigest), which holds equal values in one centroid, whatever their number, and
# interpolates between the means of neighbouring centroids. Ten thousand observations of 1 and one of 1,000,000 make two
# centroids, so every quantile lies on the straight line between 1 and 1,000,000. The true p50, p90 and p99 are 1.
# A latency in whole milliseconds from a cache is such a stream.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . prom-client@15.1.3 tdigest@0.1.2 >/dev/null
cat >run.js <<'JS'
const client = require('prom-client');
const summary = new client.Summary({ name: 'latency', help: 'h', percentiles: [0.5, 0.9, 0.99] });
for (let i = 0; i < 10000; i++) summary.observe(1);
summary.observe(1e6);
client.register.metrics().then((text) => {
  for (const line of text.split('\n')) {
    const m = line.match(/quantile="(.*)"} (.*)/);
    if (m) console.log(`p${m[1] * 100} ${Math.round(m[2])}`);
  }
});
JS
echo "prom-client 15.1.3, tdigest $(node -p "require('tdigest/package.json').version"): 10,000 observations of 1, one of 1,000,000"
node run.js | tee out.txt
diff out.txt - <<'OUT'
p50 101
p90 800100
p99 980100
OUT
echo "as found: true quantiles are 1, 1 and 1"
