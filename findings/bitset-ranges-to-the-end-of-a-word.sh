#!/usr/bin/env bash
# bitset (npm): of the bits 0 to 255, which were set as one range, 0 to 223 are there.
#
# setRange(from, to), clear(from, to) and flip(from, to) include the last bit. Its mask in the last word of 32 bits is (1 << e + 1) - 1. For e = 31, JavaScript
# shifts by 32 modulo 32, which is not at all, and the mask is 0: the range loses its last 32 bits. Ranges that end at 31, 63 or 255 are those of
# octets, subnets and tables. Version 5.1.1 has all bits. The same ranges, set bit by bit, are right, and slice() is right in both.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . new@npm:bitset@5.3.0 old@npm:bitset@5.1.1 >/dev/null
cat >run.js <<'JS'
const versions = ['old', 'new'].map((name) => [require(`${name}/package.json`).version, require(name)]);
for (const [from, to] of [[0, 30], [0, 31], [0, 32], [8, 63], [0, 255]]) {
  const out = versions.map(([version, module]) => {
    const BitSet = module.BitSet || module;
    const single = new BitSet();
    for (let i = 0; i < 300; i++) single.set(i);
    const set = new BitSet().setRange(from, to, 1).cardinality();
    const flipped = new BitSet().flip(from, to).cardinality();
    const cleared = 300 - single.clone().clear(from, to).cardinality();
    return `${version} sets ${set}, flips ${flipped}, clears ${cleared}, slices ${single.slice(from, to).cardinality()}`;
  });
  console.log(`${from} to ${to}, ${to - from + 1} bits: ${out.join('; ')}`);
}
JS
echo "bitset 5.3.0, and 5.1.1 for comparison"
node run.js | tee out.txt
diff out.txt - <<'OUT'
0 to 30, 31 bits: 5.1.1 sets 31, flips 31, clears 31, slices 31; 5.3.0 sets 31, flips 31, clears 31, slices 31
0 to 31, 32 bits: 5.1.1 sets 32, flips 32, clears 32, slices 32; 5.3.0 sets 0, flips 0, clears 0, slices 32
0 to 32, 33 bits: 5.1.1 sets 33, flips 33, clears 33, slices 33; 5.3.0 sets 33, flips 33, clears 33, slices 33
8 to 63, 56 bits: 5.1.1 sets 56, flips 56, clears 56, slices 56; 5.3.0 sets 24, flips 24, clears 24, slices 56
0 to 255, 256 bits: 5.1.1 sets 256, flips 256, clears 256, slices 256; 5.3.0 sets 224, flips 224, clears 224, slices 256
OUT
echo "as found"
