#!/usr/bin/env bash
# node-netflowv9 (npm) swaps source and destination if two line cards of a router use the same template number, and loses sampling rates.
#
# The uniqueness of a template's ID "is local to the Observation Domain that generated the Template ID" (RFC 3954, section 5.2). The Source ID in
# the header names the domain. This decoder keeps templates by address and port only: the second card's template 256 replaces the first
# one's. If the records are of the same length, the first card's flows are decoded with the second one's fields, without an error.
# "Each Options Template FlowSet MAY contain multiple Options Template Records" (section 6.1). This decoder takes the second one for further
# fields of the first. The records with the sampling interval are then shorter than their template, and are dropped.
# In NetFlow v5, the upper two bits of the sampling interval's field are the sampling mode (Cisco, "NetFlow Export Datagram Format", v5 header). It
# takes all 16 bits for the interval: traffic that is scaled by it is too large by a factor of 17.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . node-netflowv9@0.2.16 >/dev/null
cat >run.js <<'JS'
const Collector = require('node-netflowv9');
const bytes = (size, values) => {
  const b = Buffer.alloc(size * values.length);
  values.forEach((v, i) => b.writeUIntBE(v, size * i, size));
  return b;
};
const u16 = (...v) => bytes(2, v);
const u32 = (...v) => bytes(4, v);
const ip = (s) => Buffer.from(s.split('.').map(Number));
const set = (id, ...body) => {
  const b = Buffer.concat(body);
  return Buffer.concat([u16(id, 4 + b.length), b]);
};
const SRC = [8, 4], DST = [12, 4], BYTES = [1, 4], INTERVAL = [34, 4], TOTAL = [42, 4], SYSTEM = [1, 4];
let sequence = 0;
const collector = () => {
  const c = new Collector(() => {});
  return (sourceId, ...sets) => {
    const message = Buffer.concat([u16(9, sets.length), u32(1000, 1700000000, sequence++, sourceId), ...sets]);
    return c.nfPktDecode(message, { address: '192.0.2.1', port: 2055, size: message.length }).flows;
  };
};
const addresses = (flows) => flows.map((f) => `${f.ipv4_src_addr} to ${f.ipv4_dst_addr}, ${f.in_bytes} bytes`).join();

for (const cards of [1, 2]) {
  const receive = collector();
  receive(1, set(0, u16(256, 3, ...SRC, ...DST, ...BYTES)));
  if (cards === 2) receive(2, set(0, u16(256, 3, ...DST, ...SRC, ...BYTES)));
  const flows = receive(1, set(256, ip('10.0.0.1'), ip('203.0.113.9'), u32(1500)));
  console.log(`line cards: ${cards}; sent 10.0.0.1 to 203.0.113.9, 1500 bytes; read ${addresses(flows)}`);
}

const sampling = u16(260, 4, 4, ...SYSTEM, ...INTERVAL), exported = u16(261, 4, 4, ...SYSTEM, ...TOTAL);
for (const [how, sets] of [['two sets', [set(1, sampling), set(1, exported)]], ['one set', [set(1, sampling, exported)]]]) {
  const receive = collector();
  receive(1, ...sets);
  const options = receive(1, set(260, u32(0, 1000)));
  console.log(`options templates in ${how}: sampling interval ${options.map((o) => o.sampling_interval).join() || 'lost'}`);
}

// NetFlow v5: 24 octets of header, without flows; the last two are the sampling mode, 2 bits, and interval, 14 bits.
const v5 = Buffer.concat([u16(5, 0), u32(1000, 1700000000, 0, 0), Buffer.from([0, 0]), u16(1 << 14 | 1000)]);
console.log(`v5: sent mode 1 and interval 1000; read interval ${
  new Collector(() => {}).nfPktDecode(v5, { address: '192.0.2.1', port: 2055, size: v5.length }).header.sampling_interval}`);
process.exit(0);
JS
echo "node-netflowv9 0.2.16"
node run.js 2>/dev/null | tee out.txt
diff out.txt - <<'OUT'
line cards: 1; sent 10.0.0.1 to 203.0.113.9, 1500 bytes; read 10.0.0.1 to 203.0.113.9, 1500 bytes
line cards: 2; sent 10.0.0.1 to 203.0.113.9, 1500 bytes; read 203.0.113.9 to 10.0.0.1, 1500 bytes
options templates in two sets: sampling interval 1000
options templates in one set: sampling interval lost
v5: sent mode 1 and interval 1000; read interval 17384
OUT
echo "as found"
