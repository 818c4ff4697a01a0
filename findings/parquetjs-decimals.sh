#!/usr/bin/env bash
# @dsnp/parquetjs (npm): the prices 1, 2, 3, 4 are read back as 1, 0, 2, 0, and 19.99 is written as 19.98.
#
# A DECIMAL may be stored as an int64 with any precision from 1 to 18 (Apache Parquet, LogicalTypes.md, "DECIMAL"); the physical type in the file
# says how long a value is. This writer stores int64, which hyparquet reads rightly. The package's reader goes by the precision instead:
# up to 9 it takes 4 bytes for a value. Every second value is then the upper half of the one before, and the last half of the column
# never comes. Files of other writers with such columns are read like that too. With a precision of 10 and more it is right. The
# writer multiplies by 10 to the scale and rounds down: 19.99 * 100 is 1998.9999999999998. No error follows in either case. This is the newest
# version that holds code: 1.9.3 was published without.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . @dsnp/parquetjs@1.8.9 hyparquet@1.33.0 >/dev/null
cat >run.mjs <<'JS'
import parquet from '@dsnp/parquetjs';
import { asyncBufferFromFile, parquetMetadata, parquetReadObjects } from 'hyparquet';
for (const [precision, prices] of [[9, [1, 2, 3, 4]], [18, [1, 2, 3, 4]], [18, [19.99, 0.29, -0.29, 0.25]]]) {
  const schema = new parquet.ParquetSchema({ price: { type: 'DECIMAL', precision, scale: 2 } });
  const writer = await parquet.ParquetWriter.openFile(schema, 'x.parquet');
  for (const price of prices) await writer.appendRow({ price });
  await writer.close();
  const cursor = (await parquet.ParquetReader.openFile('x.parquet')).getCursor();
  const own = [];
  for (let row = await cursor.next(); row; row = await cursor.next()) own.push(row.price);
  const file = await asyncBufferFromFile('x.parquet');
  const type = parquetMetadata(await file.slice(0, file.byteLength)).schema[1].type;
  const other = (await parquetReadObjects({ file })).map((row) => row.price);
  console.log(`precision ${precision}, stored as ${type}: written ${prices.join(', ')}; read ${own.join(', ')}; by hyparquet ${other.join(', ')}`);
}
JS
echo "@dsnp/parquetjs 1.8.9, and hyparquet 1.33.0 for comparison"
node run.mjs | tee out.txt
diff out.txt - <<'OUT'
precision 9, stored as INT64: written 1, 2, 3, 4; read 1, 0, 2, 0; by hyparquet 1, 2, 3, 4
precision 18, stored as INT64: written 1, 2, 3, 4; read 1, 2, 3, 4; by hyparquet 1, 2, 3, 4
precision 18, stored as INT64: written 19.99, 0.29, -0.29, 0.25; read 19.98, 0.28, -0.29, 0.25; by hyparquet 19.98, 0.28, -0.29, 0.25
OUT
echo "as found"
