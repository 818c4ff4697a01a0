#!/usr/bin/env bash
# dns-packet (npm) sends more bits of a client's address than the prefix length that it was given.
#
# An EDNS client subnet carries the address cut to SOURCE PREFIX-LENGTH bits, and the bits that fill the last byte must be 0
# (RFC 7871 section 6). The encoder cuts the address to whole bytes only: asked for a /25 or a /20, it sends up to seven bits of
# the client's address that were to stay private. A server that follows section 7.1.2 answers such a query with FORMERR.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{}' >package.json
npm install --silent --no-fund --no-audit dns-packet@5.6.1 >/dev/null
cat >main.js <<'JS'
const packet = require('dns-packet');
for (const [ip, bits] of [['192.0.2.255', 24], ['192.0.2.255', 25], ['198.51.111.9', 20], ['2001:db8:ffff::', 33]]) {
  const query = packet.encode({
    type: 'query', id: 1, questions: [{ type: 'A', name: 'example.com' }],
    additionals: [{ type: 'OPT', name: '.', udpPayloadSize: 1232, options: [{ code: 'CLIENT_SUBNET', ip, sourcePrefixLength: bits }] }],
  });
  const bytes = Math.ceil(bits / 8);
  const address = query.subarray(query.length - bytes);
  const spare = address[bytes - 1] & (0xff >> (bits - 8 * (bytes - 1)));
  console.log(`${ip}/${bits}: address ${address.toString('hex')}, bits beyond the prefix ${spare === 0 ? 'are 0' : 'are sent'}`);
}
JS
echo "dns-packet 5.6.1"
node main.js | tee out.txt
diff out.txt - <<'OUT'
192.0.2.255/24: address c00002, bits beyond the prefix are 0
192.0.2.255/25: address c00002ff, bits beyond the prefix are sent
198.51.111.9/20: address c6336f, bits beyond the prefix are sent
2001:db8:ffff::/33: address 20010db8ff, bits beyond the prefix are sent
OUT
echo "as found"
