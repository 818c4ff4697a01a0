#!/usr/bin/env bash
# base85 (npm): the bytes 1 2 3 4 0 are 1 2 after encoding and decoding, and eight zeros are four.
#
# Ascii85 writes four bytes as five characters, and four zeros as a z. Of the last n bytes, if they are fewer than four, it writes n+1 characters,
# "without applying the special z case" (Adobe, PostScript Language Reference, third edition, ASCII85Encode filter). The encoder applies it there too. It then takes
# off the characters that are too many: the z, and after it those of the bytes before. A file that ends in a single zero byte, after a multiple of four, loses
# three bytes. The decoder knows the first z of a text, and skips all others. Neither reports an error. ascii85 (npm) has all of them right.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . base85@3.2.0 ascii85@1.0.2 >/dev/null
cat >run.js <<'JS'
const base85 = require('base85');
const ascii85 = require('ascii85');
for (const bytes of [[1, 2, 3, 4, 5], [1, 2, 3, 4, 0], [1, 2, 3, 4, 0, 0, 0], [0], [1, 2, 3, 4, 0, 0, 0, 0, 5, 6, 7, 8], [0, 0, 0, 0, 5, 6, 7, 8, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]]) {
  const text = base85.encode(Buffer.from(bytes), 'ascii85');
  const other = ascii85.encode(Buffer.from(bytes)).toString();
  console.log(`${bytes.join(' ')}: ${text}, decoded as ${[...base85.decode(text, 'ascii85')].join(' ') || 'nothing'}; by ascii85: ${other}, decoded as ${[...ascii85.decode(other)].join(' ')}`);
}
JS
echo "base85 3.2.0, and ascii85 1.0.2 for comparison"
node run.js | tee out.txt
diff out.txt - <<'OUT'
1 2 3 4 5: <~!<N?+"T~>, decoded as 1 2 3 4 5; by ascii85: !<N?+"T, decoded as 1 2 3 4 5
1 2 3 4 0: <~!<N~>, decoded as 1 2; by ascii85: !<N?+!!, decoded as 1 2 3 4 0
1 2 3 4 0 0 0: <~!<N?+~>, decoded as 1 2 3 4; by ascii85: !<N?+!!!!, decoded as 1 2 3 4 0 0 0
0: <~~>, decoded as nothing; by ascii85: !!, decoded as 0
1 2 3 4 0 0 0 0 5 6 7 8: <~!<N?+z"U52;~>, decoded as 1 2 3 4 0 0 0 0 5 6 7 8; by ascii85: !<N?+z"U52;, decoded as 1 2 3 4 0 0 0 0 5 6 7 8
0 0 0 0 5 6 7 8 0 0 0 0: <~z"U52;z~>, decoded as 0 0 0 0 5 6 7 8; by ascii85: z"U52;z, decoded as 0 0 0 0 5 6 7 8 0 0 0 0
0 0 0 0 0 0 0 0: <~zz~>, decoded as 0 0 0 0; by ascii85: zz, decoded as 0 0 0 0 0 0 0 0
OUT
echo "as found"
