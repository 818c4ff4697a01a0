#!/usr/bin/env bash
# lz4js (npm) returns the first of several LZ4 frames as if it were all.
#
# Frames may follow each other, and the content is that of all of them (LZ4 Frame Format 1.6.2, "General structure"), as
# with gzip members: log shippers and "cat" make such files. There is no error, and no way to see how much was read.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . lz4js@0.2.0 >/dev/null
cat >run.js <<'JS'
const lz4 = require('lz4js');
const frames = ['first ', 'second'].map((s) => Buffer.from(lz4.compress(Buffer.from(s))));
console.log(`two frames: ${JSON.stringify(Buffer.from(lz4.decompress(Buffer.concat(frames))).toString())}`);
JS
echo "lz4js 0.2.0"
node run.js | tee out.txt
diff out.txt - <<'OUT'
two frames: "first "
OUT
echo "as found: the content is \"first second\""
