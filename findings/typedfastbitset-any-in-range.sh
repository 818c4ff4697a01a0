#!/usr/bin/env bash
# typedfastbitset (npm): bit 40 is set, and there is said to be none from 0 to 95.
#
# hasAnyInRange(start, end) "returns true if any bit in range is set", without end. Of the words of 32 bits that a range has, it looks at the first and
# the last one, and at those between them but for the last of these: of three words, the middle one is skipped. A range that ends with the
# set's memory is cut by one bit: bit 255 is not found in a set of 256 bits, nor the highest of any full word after trim(). A program that
# looks for a free block of ports or addresses gets one that is in use. removeRange() has the second fault too; addRange() is right.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . typedfastbitset@0.8.0 >/dev/null
cat >run.mjs <<'JS'
import * as all from 'typedfastbitset';
const { TypedFastBitSet } = all.default ?? all;
for (const [bit, start, end] of [[40, 0, 64], [40, 0, 96], [70, 0, 128], [64, 1, 97], [254, 250, 256], [255, 250, 256]]) {
  const set = new TypedFastBitSet([bit]);
  const before = set.size();
  const found = set.hasAnyInRange(start, end);
  set.removeRange(start, end);
  console.log(`bit ${bit}, any from ${start} to ${end - 1}: ${found}; removed with this range: ${before - set.size()}`);
}
let wrong = 0;
let questions = 0;
for (let bit = 0; bit < 256; bit++) {
  const set = new TypedFastBitSet([bit]);
  for (let start = 0; start <= bit; start++) {
    for (let end = bit + 1; end <= 256; end++) {
      questions++;
      if (!set.hasAnyInRange(start, end)) wrong++;
    }
  }
}
console.log(`all sets of one of 256 bits, all ranges that have it: ${wrong} of ${questions} answers are "none"`);
JS
echo "typedfastbitset 0.8.0"
node run.mjs | tee out.txt
diff out.txt - <<'OUT'
bit 40, any from 0 to 63: true; removed with this range: 1
bit 40, any from 0 to 95: false; removed with this range: 1
bit 70, any from 0 to 127: false; removed with this range: 1
bit 64, any from 1 to 96: false; removed with this range: 1
bit 254, any from 250 to 255: true; removed with this range: 1
bit 255, any from 250 to 255: false; removed with this range: 0
all sets of one of 256 bits, all ranges that have it: 688384 of 2829056 answers are "none"
OUT
echo "as found"
