#!/usr/bin/env bash
# fast-cidr-tools (npm): of two networks inside the excluded one, the second stays.
#
# exclude() takes a list of networks, and a list of those to leave out of it (README). It removes entries from the list while it goes through it
# by index, so that the one behind a removed network is skipped. A list of allowed networks keeps every second network of a range that was
# taken out. A single network, and a part of a larger one, are removed as they should be. The package's own overlap() finds that the
# result still has addresses of the excluded range.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . fast-cidr-tools@0.3.4 >/dev/null
cat >run.js <<'JS'
const { exclude, overlap } = require('fast-cidr-tools');
for (const [from, out] of [
  ['10.0.0.0/24', '10.0.0.0/16'],
  ['10.0.0.0/15', '10.0.0.0/16'],
  ['10.0.0.0/24 192.0.2.0/24', '10.0.0.0/16'],
  ['10.0.0.0/24 10.0.2.0/24', '10.0.0.0/16'],
  ['10.0.0.0/24 10.0.2.0/24 10.0.4.0/24 10.0.6.0/24', '10.0.0.0/16'],
  ['2001:db8::/48 2001:db8:2::/48', '2001:db8::/32'],
]) {
  const left = exclude(from.split(' '), [out]);
  console.log(`${from} without ${out}: ${left.join(' ') || 'none'}; overlap with it: ${overlap(left, [out])}`);
}
JS
echo "fast-cidr-tools 0.3.4"
node run.js | tee out.txt
diff out.txt - <<'OUT'
10.0.0.0/24 without 10.0.0.0/16: none; overlap with it: false
10.0.0.0/15 without 10.0.0.0/16: 10.1.0.0/16; overlap with it: false
10.0.0.0/24 192.0.2.0/24 without 10.0.0.0/16: 192.0.2.0/24; overlap with it: false
10.0.0.0/24 10.0.2.0/24 without 10.0.0.0/16: 10.0.2.0/24; overlap with it: true
10.0.0.0/24 10.0.2.0/24 10.0.4.0/24 10.0.6.0/24 without 10.0.0.0/16: 10.0.2.0/24 10.0.6.0/24; overlap with it: true
2001:db8::/48 2001:db8:2::/48 without 2001:db8::/32: 2001:db8:2::/48; overlap with it: true
OUT
echo "as found"
