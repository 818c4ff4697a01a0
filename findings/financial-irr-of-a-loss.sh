#!/usr/bin/env bash
# financial (npm): the internal rate of return of an investment that lost half of its money is Infinity.
#
# irr() solves for the rate at which the payments are worth nothing today. It starts at 10% and takes the steps of Newton's method, without a look at whether the rate is still
# above -100%, where the value of the payments has a pole, or whether the result solves anything. So a loss of 40% is found, and one of 50% is Infinity; of 1000
# paid and 400 returned, -136% is the answer. numpy-financial, whose functions these are, finds the roots of the polynomial. The script checks each
# rate by putting it into the payments, and finds the right one by bisection.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . financial@0.2.4 >/dev/null 2>&1
cat >run.js <<'JS'
const { irr } = require('financial');
const value = (rate, payments) => payments.reduce((sum, p, year) => sum + p / (1 + rate) ** year, 0);
const percent = (rate) => (Number.isFinite(rate) ? `${(100 * rate).toFixed(1)}%` : String(rate));
for (const payments of [[-100, 110], [-100, 60], [-100, 50], [-1000, 200, 200], [-1000, 100, 100], [-100, 0, 0, 10]]) {
  let [low, high] = [-0.9999, 10];
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2;
    if (value(middle, payments) > 0) low = middle;
    else high = middle;
  }
  console.log(`${payments.join(', ')}: irr ${percent(irr(payments))}, right ${percent(low)}, where the payments are worth ${Math.abs(value(low, payments)).toFixed(2)}`);
}
JS
echo "financial 0.2.4: yearly payments, the first one today"
node run.js | tee out.txt
diff out.txt - <<'OUT'
-100, 110: irr 10.0%, right 10.0%, where the payments are worth 0.00
-100, 60: irr -40.0%, right -40.0%, where the payments are worth 0.00
-100, 50: irr Infinity, right -50.0%, where the payments are worth 0.00
-1000, 200, 200: irr -135.8%, right -44.2%, where the payments are worth 0.00
-1000, 100, 100: irr Infinity, right -63.0%, where the payments are worth 0.00
-100, 0, 0, 10: irr Infinity, right -53.6%, where the payments are worth 0.00
OUT
echo "as found"
