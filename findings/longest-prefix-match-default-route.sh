#!/usr/bin/env bash
# longest-prefix-match (npm): the default route matches nothing, and the less specific match is the least specific one.
#
# A lookup walks the bits of the address and looks for values behind each bit. The root, where 0.0.0.0/0 and ::/0 are stored, is before the first bit
# and is never looked at, not even for 0.0.0.0/0 itself. addPrefix() counts both, and toArray() lists both. getLessSpecificMatch() returns
# the first values on the way down, which is the shortest prefix. For a prefix without a shorter one, that is the prefix itself. The README's example has
# a single candidate.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . longest-prefix-match@1.3.1 >/dev/null
cat >run.js <<'JS'
const LongestPrefixMatch = require('longest-prefix-match');
const table = new LongestPrefixMatch();
for (const p of ['0.0.0.0/0', '10.0.0.0/8', '10.1.0.0/16', '10.1.2.0/24', '::/0', '2001:db8::/32']) table.addPrefix(p, p);
console.log(`${table.length} prefixes: ${table.toArray().join(' ')}`);
const show = (list) => list.join(' ') || 'nothing';
for (const p of ['10.1.2.3/32', '10.1.2.0/24', '10.0.0.0/8', '192.0.2.1/32', '0.0.0.0/0', '2001:db8::1/128', '2001:4860::1/128']) {
  console.log(`${p}: longest ${show(table.getMatch(p))}; all ${show(table.getMatch(p, true))}; less specific ${show(table.getLessSpecificMatch(p))}`);
}
JS
echo "longest-prefix-match 1.3.1"
node run.js | tee out.txt
diff out.txt - <<'OUT'
6 prefixes: 0.0.0.0/0 10.0.0.0/8 10.1.0.0/16 10.1.2.0/24 ::/0 2001:db8::/32
10.1.2.3/32: longest 10.1.2.0/24; all 10.1.2.0/24 10.1.0.0/16 10.0.0.0/8; less specific 10.0.0.0/8
10.1.2.0/24: longest 10.1.2.0/24; all 10.1.2.0/24 10.1.0.0/16 10.0.0.0/8; less specific 10.0.0.0/8
10.0.0.0/8: longest 10.0.0.0/8; all 10.0.0.0/8; less specific 10.0.0.0/8
192.0.2.1/32: longest nothing; all nothing; less specific nothing
0.0.0.0/0: longest nothing; all nothing; less specific nothing
2001:db8::1/128: longest 2001:db8::/32; all 2001:db8::/32; less specific 2001:db8::/32
2001:4860::1/128: longest nothing; all nothing; less specific nothing
OUT
echo "as found"
