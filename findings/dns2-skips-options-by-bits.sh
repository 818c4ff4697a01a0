#!/usr/bin/env bash
# dns2 (npm) loses the client subnet, the whole OPT record or the records after it if a DNS cookie comes first.
#
# OPTION-LENGTH is the "size (in octets)" of an EDNS option's data (RFC 6891, section 6.1.2), and options that are not understood are to be
# ignored. This parser knows the client subnet only, and skips any other option with a read of so many bits: of the 8 octets of a client
# cookie (RFC 7873, section 4) it skips one, and takes the others for the next option or record. What fails to parse there is left out of
# the result without an error, which is only shown with NODE_DEBUG=dns2. dig and BIND send a cookie by default.
# With the subnet first, or with an option without data, all is read.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . dns2@3.0.0 dns-packet@5.6.1 >/dev/null
cat >run.js <<'JS'
const { Packet } = require('dns2');
const dnsPacket = require('dns-packet');
const u16 = (...v) => Buffer.concat(v.map((x) => Buffer.from([x >> 8, x & 255])));
const option = (code, data) => Buffer.concat([u16(code, data.length), data]);
const subnet = option(8, Buffer.from([0, 1, 24, 0, 192, 0, 2])); // 192.0.2.0/24
const cookie = option(10, Buffer.from('0123456789abcdef', 'hex'));
const nsid = option(3, Buffer.alloc(0));
const opt = (...options) => {
  const data = Buffer.concat(options);
  return Buffer.concat([Buffer.from([0]), u16(41, 1232, 0, 0, data.length), data]);
};
const address = Buffer.concat([u16(0xc00c, 1, 1, 0, 300, 4), Buffer.from([192, 0, 2, 1])]);
const message = (...additional) => Buffer.concat([
  u16(1, 0x8180, 1, 0, 0, additional.length), Buffer.from('\x07example\x03org\x00', 'latin1'), u16(1, 1), ...additional]);

const dns2 = (m) => Packet.parse(m).additionals.map((r) => r.type === 1 ? `A ${r.address}`
  : r.type === 41 ? `OPT [${r.rdata.map((o) => o.ip).join()}]` : `type ${r.type}`).join(', ') || 'nothing';
const reference = (m) => dnsPacket.decode(m).additionals.map((r) => r.type === 'A' ? `A ${r.data}`
  : `OPT [${r.options.filter((o) => o.code === 8).map((o) => o.ip).join()}]`).join(', ');
for (const [name, m] of [
  ['subnet, then A', message(opt(subnet), address)],
  ['NSID and subnet, then A', message(opt(nsid, subnet), address)],
  ['cookie and subnet', message(opt(cookie, subnet))],
  ['cookie, then A', message(opt(cookie), address)],
  ['cookie and subnet, then A', message(opt(cookie, subnet), address)],
]) console.log(`${name}: dns-packet reads ${reference(m)}; dns2 reads ${dns2(m)}`);
JS
echo "dns2 3.0.0, and dns-packet 5.6.1 for comparison; in brackets the client subnets"
node run.js | tee out.txt
diff out.txt - <<'OUT'
subnet, then A: dns-packet reads OPT [192.0.2.0], A 192.0.2.1; dns2 reads OPT [192.0.2.0], A 192.0.2.1
NSID and subnet, then A: dns-packet reads OPT [192.0.2.0], A 192.0.2.1; dns2 reads OPT [192.0.2.0], A 192.0.2.1
cookie and subnet: dns-packet reads OPT [192.0.2.0]; dns2 reads nothing
cookie, then A: dns-packet reads OPT [], A 192.0.2.1; dns2 reads OPT []
cookie and subnet, then A: dns-packet reads OPT [192.0.2.0], A 192.0.2.1; dns2 reads nothing
OUT
echo "as found"
