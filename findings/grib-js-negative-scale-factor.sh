#!/usr/bin/env bash
# grib-js (npm): the temperatures 280, 280.5, 281.5, 282, 281, 283 are all read as 280.
#
# In GRIB 2, a negative number is written as its amount, with the most significant bit set (WMO Manual on Codes, FM 92 GRIB, regulation 92.1.5): a binary
# scale factor of -1 is 8001 in hex. The decoder reads that as two's complement, -32767, and two to this power is 0: each value becomes the reference value,
# without an error. Factors below zero are the usual way to store halves or sixteenths. Of the two orders of spatial differencing (code table 5.6),
# the decoder takes each message to be of the second: of first-order differences, which start with one value instead of two, it makes a curve
# of its own. ecCodes, of ECMWF, reads all three messages as they were written.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . grib-js@1.0.0 >/dev/null
cat >run.js <<'JS'
const fs = require('fs');
const grib = require('grib-js');
const big = (bytes) => (...values) => values.map((v) => { const b = Buffer.alloc(bytes); b.writeUIntBE(v, 0, bytes); return b; });
const [u8, u16, u32] = [1, 2, 4].map(big);
const signed16 = (v) => u16(v < 0 ? 0x8000 | -v : v);
const float = (v) => { const b = Buffer.alloc(4); b.writeFloatBE(v); return [b]; };
const section = (number, ...parts) => { const b = Buffer.concat(parts.flat()); return Buffer.concat([...u32(b.length + 5), ...u8(number), b]); };
const MISSING = 0xffffffff;

// message packs the integers as one group of 8 bits each, as differences of the given order: template 5.3.
function message(ints, reference, scale, order) {
  const diffs = ints.map((x, i) => (i < order ? 0 : order === 1 ? x - ints[i - 1] : x - 2 * ints[i - 1] + ints[i - 2]));
  const least = Math.min(...diffs.slice(order));
  const n = ints.length;
  const body = Buffer.concat([
    section(1, u16(7, 0), u8(2, 0, 1), u16(2026), u8(1, 1, 0, 0, 0, 0, 1)),
    section(3, u8(0), u32(n), u8(0, 0), u16(0), u8(6, 0), u32(0), u8(0), u32(0), u8(0), u32(0), u32(n, 1, 0, MISSING, 50e6, 0), u8(48), u32(50e6, (n - 1) * 1e6, 1e6, 1e6), u8(0)),
    section(4, u16(0, 0), u8(0, 0, 2, 0, 96), u16(0), u8(0, 1), u32(0), u8(103, 0), u32(2), u8(255, 0), u32(0)),
    section(5, u32(n), u16(3), float(reference), signed16(scale), u16(0), u8(8, 0, 1, 0), u32(0, 0, 1), u8(0, 8), u32(n), u8(1), u32(n), u8(8, order, 2)),
    section(6, u8(255)),
    section(7, ...ints.slice(0, order).map((v) => u16(v)), signed16(least), u8(0, 8, 0), u8(...diffs.map((d, i) => (i < order ? 0 : d - least)))),
    Buffer.from('7777')]);
  return Buffer.concat([Buffer.from('GRIB'), ...u16(0), ...u8(0, 2), ...u32(0, body.length + 16), body]);
}
[[[280, 281, 283, 284, 282, 286], 0, 0, 2], [[0, 1, 3, 4, 2, 6], 280, -1, 2], [[0, 1, 3, 4, 2, 6], 280, 0, 1]].forEach(([ints, reference, scale, order], i) => {
  const bytes = message(ints, reference, scale, order);
  if (process.argv[2]) fs.writeFileSync(`${process.argv[2]}/${i}.grib2`, bytes);
  grib.readData(bytes, (err, messages) => {
    if (err) throw err;
    const [{ data }] = grib.convertData(messages);
    console.log(`scale factor ${scale}, order ${order}: written ${ints.map((x) => reference + x * 2 ** scale).join(' ')}; read ${data ? data.join(' ') : data}`);
  });
});
JS
echo "grib-js 1.0.0"
node run.js | tee out.txt
diff out.txt - <<'OUT'
scale factor 0, order 2: written 280 281 283 284 282 286; read 280 281 283 284 282 286
scale factor -1, order 2: written 280 280.5 281.5 282 281 283; read 280 280 280 280 280 280
scale factor 0, order 1: written 280 281 283 284 282 286; read 280 278 284 298 320 350
OUT
echo "as found"
