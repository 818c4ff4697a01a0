#!/usr/bin/env bash
# netcdfjs (npm): the temperatures 1, 2, -3 are read as 1, 2, 253, 129, and a series of shorts as pairs, or not at all.
#
# In NetCDF's classic format, NC_BYTE means "8-bit signed integers", and the values of a variable, or of its part in a record, are padded to four
# bytes. "In the special case when there is only one record variable and it is of type character, byte, or short, no padding is used between record
# slabs" (The NetCDF Classic Format Specification, the grammar and "Note on padding"). netcdfjs reads bytes without a sign, and returns the padding as
# values: here the fill value -127, as 129. A short for each time comes as a pair with the fill value -32767. Where the records have no
# padding, it takes each second value with its neighbour, and fails at the end of the file. ncdump, by the format's authors, shows all three files as they were written.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . netcdfjs@4.0.0 >/dev/null
cat >run.mjs <<'JS'
import { NetCDFReader } from 'netcdfjs';

const u32 = (...values) => Buffer.concat(values.map((v) => { const b = Buffer.alloc(4); b.writeUInt32BE(v); return b; }));
const pad = (b, fill) => Buffer.concat([b, ...Array((4 - (b.length % 4)) % 4 / fill.length).fill(fill)]);
const name = (s) => Buffer.concat([u32(s.length), pad(Buffer.from(s), Buffer.from([0]))]);
const shorts = (...values) => Buffer.concat(values.map((v) => { const b = Buffer.alloc(2); b.writeInt16BE(v); return b; }));
const BYTE = 1, SHORT = 3, INT = 4;

// file has the dimensions time (unlimited) and x (3), and variables of [name, dimension, type, size of each padded record or of all].
function file(records, variables, data) {
  const list = (begin) => Buffer.concat([u32(11, variables.length), ...variables.map(([n, dim, type, size, offset]) =>
    Buffer.concat([name(n), u32(1, dim, 0, 0, type, size, begin + offset)]))]);
  const dims = Buffer.concat([u32(10, 2), name('time'), u32(0), name('x'), u32(3)]);
  const head = Buffer.concat([Buffer.from('CDF\x01'), u32(records), dims, u32(0, 0)]);
  return Buffer.concat([head, list(head.length + list(0).length), data]);
}
function show(what, bytes, ...names) {
  const reader = new NetCDFReader(bytes);
  console.log(what);
  for (const n of names) {
    let got;
    try { got = JSON.stringify(reader.getDataVariable(n)); } catch (e) { got = e.constructor.name; }
    console.log(`  ${n}: ${got}`);
  }
}
show('byte celsius(x) = 1, 2, -3', file(0, [['celsius', 1, BYTE, 4, 0]], pad(Buffer.from([1, 2, -3]), Buffer.from([-127]))), 'celsius');
show('int seconds(time) = 10, 20, 30; short metres(time) = 100, 200, 300', file(3, [['seconds', 0, INT, 4, 0], ['metres', 0, SHORT, 4, 4]],
  Buffer.concat([10, 20, 30].map((s) => Buffer.concat([u32(s), shorts(s * 10, -32767)])))), 'seconds', 'metres');
show('short metres(time) = 100, 200, 300, 400, alone', file(4, [['metres', 0, SHORT, 4, 0]], shorts(100, 200, 300, 400)), 'metres');
JS
echo "netcdfjs 4.0.0"
node run.mjs | tee out.txt
diff out.txt - <<'OUT'
byte celsius(x) = 1, 2, -3
  celsius: [[1],[2],[253],[129]]
int seconds(time) = 10, 20, 30; short metres(time) = 100, 200, 300
  seconds: [10,20,30]
  metres: [[100,-32767],[200,-32767],[300,-32767]]
short metres(time) = 100, 200, 300, 400, alone
  metres: RangeError
OUT
echo "as found"
