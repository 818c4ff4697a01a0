#!/usr/bin/env bash
# ntp-time-sync (npm) says that a right clock is ahead by half of the round trip, and sets back a clock that is behind.
#
# A client's offset is ((T2 - T1) + (T3 - T4)) / 2 (RFC 5905, section 8). While the offset is smaller than the way to the server takes, as
# with most clocks, the two differences have opposite signs, and the way cancels out. This client adds their absolute values: the result
# is never nearer to 0 than half of the round trip, and has the sign of T3 - T4. now() is wrong by that much, and most with far servers.
# The server below uses the same clock, plus what it is said to be ahead. It waits before it stamps a packet and before it answers, as if
# the packet were on its way.
# Beside that, the parser reads the precision, an "8-bit signed integer" (section 7.3), as unsigned: 2^-20 s becomes 2^236 s.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . ntp-time-sync@0.5.0 ntp-packet-parser@0.5.0 >/dev/null
cat >run.js <<'JS'
const dgram = require('dgram');
const { NtpTimeSync } = require('ntp-time-sync');
const { NtpPacketParser } = require('ntp-packet-parser');
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

let way, ahead; // milliseconds each way; how much the server's clock is ahead
const write = (packet, at, ms) => {
  packet.writeUInt32BE(Math.floor(ms / 1000) + 2208988800, at);
  packet.writeUInt32BE(Math.floor((ms % 1000) / 1000 * 2 ** 32), at + 4);
};
const server = dgram.createSocket('udp4');
server.on('message', async (request, peer) => {
  await sleep(way);
  const answer = Buffer.alloc(48);
  answer[0] = 0x24; // version 4, server
  answer[1] = 2; // stratum
  answer.writeInt8(6, 2); // poll
  answer.writeInt8(-20, 3); // precision
  request.copy(answer, 24, 40, 48); // T1
  const now = Date.now() + ahead;
  for (const at of [16, 32, 40]) write(answer, at, now); // reference, T2, T3
  await sleep(way);
  if (way === 0) console.log(`precision sent: -20, read: ${NtpPacketParser.parse(answer).precision}`);
  server.send(answer, peer.port, peer.address);
});
server.bind(0, '127.0.0.1', async () => {
  for ([way, ahead] of [[0, 0], [500, 0], [1000, 0], [1000, 500], [1000, 3000]]) {
    const client = new NtpTimeSync({ servers: [`127.0.0.1:${server.address().port}`], sampleCount: 1 });
    const { offset } = await client.getTime(true);
    const rounded = Math.round(offset / 500) * 500 + 0; // a busy machine waits longer
    console.log(`round trip ${2 * way} ms, clock behind by ${ahead} ms: offset about ${rounded} ms`);
  }
  server.close();
});
JS
echo "ntp-time-sync 0.5.0, ntp-packet-parser 0.5.0; expected: offsets of 0, 0, 0, 500 and 3000"
timeout 30 node run.js | tee out.txt
diff out.txt - <<'OUT'
precision sent: -20, read: 236
round trip 0 ms, clock behind by 0 ms: offset about 0 ms
round trip 1000 ms, clock behind by 0 ms: offset about -500 ms
round trip 2000 ms, clock behind by 0 ms: offset about -1000 ms
round trip 2000 ms, clock behind by 500 ms: offset about -1000 ms
round trip 2000 ms, clock behind by 3000 ms: offset about 3000 ms
OUT
echo "as found"
