#!/usr/bin/env bash
# node-cidr (npm): the common CIDR of 10.0.0.1 and 10.0.0.2 is 10.0.0.0/31, which does not hold 10.0.0.2.
#
# The common CIDR has to cover all addresses that it is asked for. commonCidr() takes the smallest block that is as large as their distance. It
# widens the block if the last address is two or more behind its end, and not if it is one behind it. The addresses are also sorted as text:
# 6.0.0.1 (100663297) comes before 1.0.0.1 (16777217), the distance is then negative, and the result holds one address alone. For
# 10.0.0.0 and 10.0.0.255 it is right. A firewall rule that is made of it leaves hosts out. subnets() gives 3 of the 4 addresses of a /30, while it gives all /26 of a /24 (RFC 4632
# section 3.1: a /30 has four). The package's own includes() checks the results.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . node-cidr@1.0.0 >/dev/null
cat >run.js <<'JS'
const { cidr, ip } = require('node-cidr');
for (const ips of [['10.0.0.0', '10.0.0.255'], ['10.0.0.1', '10.0.0.2'], ['192.0.2.127', '192.0.2.128'], ['1.0.0.1', '6.0.0.1']]) {
  const c = ip.commonCidr(ips);
  console.log(`${ips.join(' and ')}: ${c}, ${ips.filter((i) => cidr.includes(c, i)).join(' and ')} in it`);
}
console.log(`/32 of 10.0.0.0/30: ${cidr.subnets('10.0.0.0/30', 32).join(' ')}`);
console.log(`/26 of 10.0.0.0/24: ${cidr.subnets('10.0.0.0/24', 26).join(' ')}`);
JS
echo "node-cidr 1.0.0"
node run.js | tee out.txt
diff out.txt - <<'OUT'
10.0.0.0 and 10.0.0.255: 10.0.0.0/24, 10.0.0.0 and 10.0.0.255 in it
10.0.0.1 and 10.0.0.2: 10.0.0.0/31, 10.0.0.1 in it
192.0.2.127 and 192.0.2.128: 192.0.2.126/31, 192.0.2.127 in it
1.0.0.1 and 6.0.0.1: 6.0.0.1/32, 6.0.0.1 in it
/32 of 10.0.0.0/30: 10.0.0.0/32 10.0.0.1/32 10.0.0.2/32
/26 of 10.0.0.0/24: 10.0.0.0/26 10.0.0.64/26 10.0.0.128/26 10.0.0.192/26
OUT
echo "as found"
