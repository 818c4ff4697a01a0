#!/usr/bin/env bash
# graygelf (npm): the server says that one host sent what another one did.
#
# A chunk's header has a message ID of 8 bytes. It "must be the same for every chunk of this message", and the specification's example for it is
# "millisecond timestamp + hostname" (GELF via UDP, "Chunking"). This server reads 6 of them, and only 7 bits of each. If the IDs are times in milliseconds,
# messages within 65 s have the same 6 bytes. Chunks of two hosts that arrive in between each other become one message, and the rest is
# lost. The package's own client puts 6 random bytes into the ID, and does not show it.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . graygelf@2.0.0 >/dev/null 2>&1
cat >run.js <<'JS'
const dgram = require('dgram');
const server = require('graygelf/server')();
const received = [];
server.on('message', (m) => received.push(m));
// chunks are the two datagrams of a message whose ID is a number of 8 bytes.
const chunks = (id, host, text) => {
  const all = Buffer.from(JSON.stringify({ version: '1.1', host, short_message: text }));
  return [all.subarray(0, 40), all.subarray(40)].map((part, i) => {
    const header = Buffer.from([0x1e, 0x0f, 0, 0, 0, 0, 0, 0, 0, 0, i, 2]);
    header.writeBigUInt64BE(id, 2);
    return Buffer.concat([header, part]);
  });
};
const client = dgram.createSocket('udp4');
// send resolves when the server has taken the packet.
const send = (packet) => new Promise((done) => {
  server.once('data', () => setImmediate(done));
  client.send(packet, server.port, '127.0.0.1');
});
const test = async (title, ids, order) => {
  received.length = 0;
  const a = chunks(ids[0], 'a.example', 'alice was here');
  const b = chunks(ids[1], 'b.example', 'bobby was here');
  for (const i of order) await send([...a, ...b][i]);
  console.log(`${title}: ${received.map((m) => `${m.host}: ${m.short_message}`).join(' | ')}`);
};
client.bind(0, '127.0.0.1', async () => {
  // A free port for the server: one that was bound a moment ago.
  const probe = dgram.createSocket('udp4');
  await new Promise((done) => probe.bind(0, '127.0.0.1', done));
  const { port } = probe.address();
  await new Promise((done) => probe.close(done));
  server.listen(port, '127.0.0.1');
  await new Promise((done) => server._udp.once('listening', done));
  const now = 1798675200000n;
  await test('one after the other           ', [now, now + 1n], [0, 1, 2, 3]);
  await test('in between, 1 ms later        ', [now, now + 1n], [0, 2, 1, 3]);
  await test('in between, 65,536 ms later   ', [now, now + 65536n], [0, 2, 1, 3]);
  await test('in between, upper bit differs ', [now, now + (1n << 63n)], [0, 2, 1, 3]);
  server.close();
  client.close();
});
JS
echo "graygelf 2.0.0; a.example sends \"alice was here\", b.example \"bobby was here\""
node run.js | tee out.txt
diff out.txt - <<'OUT'
one after the other           : a.example: alice was here | b.example: bobby was here
in between, 1 ms later        : b.example: alice was here
in between, 65,536 ms later   : a.example: bobby was here | b.example: bobby was here
in between, upper bit differs : a.example: alice was here | b.example: alice was here
OUT
echo "as found"
