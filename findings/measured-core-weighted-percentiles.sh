#!/usr/bin/env bash
# measured-core (npm): the weighted median of the values 1 to 1000 is anything from 1 to 998.
#
# The sample behind a histogram prefers recent values. A value has a weight by its age, and is kept by its priority, which is the weight divided by
# a random number (Cormode, Shkapenyuk, Srivastava, Xu 2009, "Forward Decay"). A quantile is then to be taken by the weights.
# weightedPercentiles takes the priorities for them: a value that drew 0.001 counts like five hundred others.
# Below, 1,000 values of one moment fit into the sample, so that all are kept and all weights are equal. The unweighted percentiles of the
# same sample are right each time. The random numbers come in by the sample's own option, so that the output can be repeated.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . measured-core@2.0.0 >/dev/null
cat >run.js <<'JS'
const { Histogram, ExponentiallyDecayingSample } = require('measured-core');
let state = 1;
const random = () => { // Lehmer's generator, above 0 and below 1
  state = state * 48271 % 2147483647;
  return state / 2147483647;
};
Date.now = () => 1700000000000; // all values are of the same moment
const medians = { _percentiles: [], weightedPercentiles: [] };
for (let round = 0; round < 1000; round++) {
  const sample = new ExponentiallyDecayingSample({ random });
  const h = new Histogram({ sample });
  for (let v = 1; v <= 1000; v++) h.update(v);
  for (const method in medians) medians[method].push(Math.round(h[method]([0.5])[0.5]));
}
for (const method in medians) {
  const sorted = medians[method].sort((a, b) => a - b);
  const far = sorted.filter((m) => m < 400 || m > 600).length;
  console.log(`${method}: medians of 1 to 1000 from ${sorted[0]} to ${sorted[999]}; ${far} of 1000 below 400 or above 600`);
}
JS
echo "measured-core 2.0.0"
node run.js | tee out.txt
diff out.txt - <<'OUT'
_percentiles: medians of 1 to 1000 from 501 to 501; 0 of 1000 below 400 or above 600
weightedPercentiles: medians of 1 to 1000 from 1 to 998; 425 of 1000 below 400 or above 600
OUT
echo "as found"
