#!/usr/bin/env bash
# dbf (npm): a third of a ten-millionth is stored as 3.33, and minus a third of it as -3.33.
#
# A number in a dBase table is text, here of 18 characters. The writer takes JavaScript's text of a number and cuts it off after 18 characters. Of a long
# fraction, this takes digits that matter little. But JavaScript writes numbers below a millionth, and from 10^21, with an exponent at the end, and this is
# what goes first: 3.3333333333333334e-8 is stored as 3.3333333333333334, without an error. Small numbers with few digits keep theirs, so that a test with
# 1e-8 shows nothing. @mapbox/shp-write writes the attributes of shapefiles with this package.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . dbf@0.2.0 dbffile@1.13.0 >/dev/null
cat >run.js <<'JS'
const fs = require('fs');
const dbf = require('dbf');
const { DBFFile } = require('dbffile');
const values = [1 / 3, 1e-8, 1 / 3e7, 8.72664625997165e-7, -1 / 3e7, 1 / 3e-22];
fs.writeFileSync('x.dbf', Buffer.from(dbf.structure(values.map((value) => ({ value }))).buffer));
(async () => {
  const rows = await (await DBFFile.open('x.dbf')).readRecords();
  values.forEach((v, i) => console.log(`written ${v}, read ${rows[i].value}`));
})();
JS
echo "dbf 0.2.0, read with dbffile 1.13.0"
node run.js | tee out.txt
diff out.txt - <<'OUT'
written 0.3333333333333333, read 0.3333333333333333
written 1e-8, read 1e-8
written 3.3333333333333334e-8, read 3.3333333333333335
written 8.72664625997165e-7, read 8.72664625997165
written -3.3333333333333334e-8, read -3.333333333333333
written 3.3333333333333335e+21, read 3.3333333333333335
OUT
echo "as found"
