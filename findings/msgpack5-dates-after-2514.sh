#!/usr/bin/env bash
# msgpack5 (npm): the date 30 May 2514 is stored as 1 January 1970.
#
# MessagePack has three forms of a time stamp. The one of 8 bytes has 30 bits of nanoseconds and 34 bits of seconds, enough until 2514; after that, the one of 12
# bytes is for it. This encoder takes the form of 8 bytes for later dates too, and the seconds lose their high bits. @msgpack/msgpack, for comparison, changes to 12 bytes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . msgpack5@6.1.0 @msgpack/msgpack@3.1.2 >/dev/null 2>&1
cat >run.js <<'JS'
const one = require('msgpack5')();
const other = require('@msgpack/msgpack');
for (const text of ['2026-12-01T00:00:00.000Z', '2514-05-30T01:53:03.000Z', '2514-05-30T01:53:04.000Z', '2999-12-31T23:59:59.000Z']) {
  const bytes = one.encode(new Date(text)).slice();
  const theirs = other.encode(new Date(text));
  console.log(`${text}: msgpack5 ${bytes.length} bytes, read as ${one.decode(bytes).toISOString()}; @msgpack/msgpack ${theirs.length} bytes, read as ${other.decode(theirs).toISOString()}`);
}
JS
echo "msgpack5 6.1.0, and @msgpack/msgpack 3.1.2 for comparison"
node run.js | tee out.txt
diff out.txt - <<'OUT'
2026-12-01T00:00:00.000Z: msgpack5 6 bytes, read as 2026-12-01T00:00:00.000Z; @msgpack/msgpack 6 bytes, read as 2026-12-01T00:00:00.000Z
2514-05-30T01:53:03.000Z: msgpack5 10 bytes, read as 2514-05-30T01:53:03.000Z; @msgpack/msgpack 10 bytes, read as 2514-05-30T01:53:03.000Z
2514-05-30T01:53:04.000Z: msgpack5 10 bytes, read as 1970-01-01T00:00:00.000Z; @msgpack/msgpack 15 bytes, read as 2514-05-30T01:53:04.000Z
2999-12-31T23:59:59.000Z: msgpack5 15 bytes, read as 2999-12-31T23:59:59.000Z; @msgpack/msgpack 15 bytes, read as 2999-12-31T23:59:59.000Z
OUT
echo "as found"
