#!/usr/bin/env bash
# marcjs (npm): a library record that arrives in three pieces has no fields, or loses those of its first piece.
#
# MARC 21 records are read from a stream, which may be cut anywhere: a record can be up to 99,999 bytes long (ISO 2709, the leader's record
# length has five digits), files come in pieces of 64 KiB, and TCP delivers some 1,400 bytes at a time. The parser keeps the unfinished rest of the piece before.
# If the next piece does not finish the record either, it replaces that rest instead of being added to it. A record in two pieces is
# right; one in three or more starts in its middle, where the parser looks for the directory of fields. No error follows.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . marcjs@3.0.2 >/dev/null
cat >run.js <<'JS'
const { Readable } = require('stream');
const { Marc, Record } = require('marcjs');
const record = new Record();
record.leader = '00000nam a2200000 a 4500';
record.append(['001', 'ocm00012345'], ['245', '10', 'a', 'A history of the sea'], ['500', '  ', 'a', 'A note. '.repeat(400)], ['650', ' 0', 'a', 'Oceans']);
const bytes = Buffer.from(record.as('iso2709'));
async function read(size) {
  const pieces = [];
  for (let i = 0; i < bytes.length; i += size) pieces.push(bytes.subarray(i, i + size));
  const tags = [];
  for await (const r of Readable.from(pieces, { objectMode: false }).pipe(Marc.createStream('iso2709', 'parser'))) tags.push(r.fields.map((f) => f[0]));
  console.log(`${bytes.length} bytes in ${pieces.length} piece(s): ${tags.length} record, fields: ${tags.map((t) => t.join(' ') || 'none')}`);
}
(async () => {
  for (const size of [4000, 1800, 1460, 1000]) await read(size);
})();
JS
echo "marcjs 3.0.2"
node run.js | tee out.txt
diff out.txt - <<'OUT'
3327 bytes in 1 piece(s): 1 record, fields: 001 245 500 650
3327 bytes in 2 piece(s): 1 record, fields: 001 245 500 650
3327 bytes in 3 piece(s): 1 record, fields: none
3327 bytes in 4 piece(s): 1 record, fields: none
OUT
echo "as found"
