#!/usr/bin/env bash
# ais-stream-decoder (npm): a ship has the name of one and the destination of another; two that alternate are lost.
#
# A ship's name and destination (AIS message 5) take two sentences of NMEA 0183. A sequence number and the radio channel say which belong
# together, since the sentences of two ships may alternate. This decoder, which "handles multi-part messages like a pro" (README), reads both and uses
# neither: it joins what arrives until a last part, if the count is right. If the end of one message and the beginning of the next get lost, the
# rest is one ship. Of two messages that alternate, none is left. ggencoder, for comparison, refuses what does not belong together, and loses
# one of two that alternate.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . ais-stream-decoder@2.1.2 ggencoder@1.0.10 >/dev/null 2>&1
cat >run.js <<'JS'
const AisDecoder = require('ais-stream-decoder').default;
const { AisDecode } = require('ggencoder');
const sixBit = '@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_ !"#$%&\'()*+,-./0123456789:;<=>?';
const text = (s, n) => [...s.padEnd(n, '@')].map((c) => [sixBit.indexOf(c), 6]);
const sentence = (body) => {
  const sum = [...body].reduce((a, c) => a ^ c.charCodeAt(0), 0);
  return `!${body}*${sum.toString(16).toUpperCase().padStart(2, '0')}`;
};
// ship is the two sentences of a message 5.
const ship = (sequence, channel, mmsi, name, destination) => {
  const fields = [[5, 6], [0, 2], [mmsi, 30], [0, 2], [0, 30], ...text('', 7), ...text(name, 20), [70, 8],
    [0, 9], [0, 9], [0, 6], [0, 6], [1, 4], [0, 20], [0, 8], ...text(destination, 20), [0, 2]];
  const bits = fields.map(([v, n]) => v.toString(2).padStart(n, '0')).join('').padEnd(426, '0');
  const payload = bits.match(/.{6}/g).map((b) => String.fromCharCode(((v) => v + (v < 40 ? 48 : 56))(parseInt(b, 2)))).join('');
  return [payload.slice(0, 56), payload.slice(56)].map((p, i) => sentence(`AIVDM,2,${i + 1},${sequence},${channel},${p},${i ? 2 : 0}`));
};
const a = ship(1, 'A', 211000001, 'ALPHA', 'PORT KLANG');
const b = ship(2, 'B', 211000002, 'BRAVO', 'PORT HEDLAND');
const test = async (title, sentences) => {
  const decoder = new AisDecoder({ silent: true });
  const out = [];
  decoder.on('data', (json) => out.push(JSON.parse(json)));
  for (const s of sentences) decoder.write(s);
  decoder.end();
  await new Promise((done) => decoder.on('end', done));
  const session = {};
  const other = sentences.map((s) => new AisDecode(s, session)).filter((m) => m.valid);
  const show = (list, name) => list.map((m) => `${m.mmsi} ${m[name].trim()} to ${m.destination.trim()}`).join(', ') || 'nothing';
  console.log(`${title}\n  ais-stream-decoder: ${show(out, 'name')}\n  ggencoder: ${show(other, 'shipname')}`);
};
(async () => {
  await test('one after the other:', [...a, ...b]);
  await test('alternating:', [a[0], b[0], a[1], b[1]]);
  await test('the end of the first and the beginning of the second are lost:', [a[0], b[1]]);
})();
JS
echo "ais-stream-decoder 2.1.2, and ggencoder 1.0.10 for comparison; 211000001 ALPHA goes to PORT KLANG, 211000002 BRAVO to PORT HEDLAND"
node run.js | tee out.txt
diff out.txt - <<'OUT'
one after the other:
  ais-stream-decoder: 211000001 ALPHA to PORT KLANG, 211000002 BRAVO to PORT HEDLAND
  ggencoder: 211000001 ALPHA to PORT KLANG, 211000002 BRAVO to PORT HEDLAND
alternating:
  ais-stream-decoder: nothing
  ggencoder: 211000002 BRAVO to PORT HEDLAND
the end of the first and the beginning of the second are lost:
  ais-stream-decoder: 211000001 ALPHA to PORT HEDLAND
  ggencoder: nothing
OUT
echo "as found"
