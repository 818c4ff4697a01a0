#!/usr/bin/env bash
# structured-headers (npm): the decimal 4.0004 is written as "4.", which no reader of structured fields accepts, its own included.
#
# RFC 8941, section 4.1.5 (RFC 9651 the same): a decimal is rounded to three digits behind the point, to the even one if both are as near, and has at least one digit
# there: "4.0". This serializer drops zeros at the end and leaves the point. A tie is rounded up, to 0.003 for 0.0025, where the RFC says 0.002.
# structured-field-values, for comparison, writes what the RFC says.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . structured-headers@2.1.0 structured-field-values@2.0.4 >/dev/null 2>&1
cat >run.js <<'JS'
const one = require('structured-headers');
const other = require('structured-field-values');
const read = (text) => {
  try {
    return one.parseItem(text)[0];
  } catch (e) {
    return e.message;
  }
};
for (const n of [1.5, 4.0004, 0.0004, 1.9996, 0.0025]) {
  const text = one.serializeItem([n, new Map()]);
  console.log(`${n}: structured-headers writes "${text}" and reads it as ${read(text)}; structured-field-values writes "${other.encodeItem(n)}"`);
}
JS
echo "structured-headers 2.1.0, and structured-field-values 2.0.4 for comparison"
node run.js | tee out.txt
diff out.txt - <<'OUT'
1.5: structured-headers writes "1.5" and reads it as 1.5; structured-field-values writes "1.5"
4.0004: structured-headers writes "4." and reads it as Parse error: Decimal cannot end on a period at offset 2; structured-field-values writes "4.0"
0.0004: structured-headers writes "0." and reads it as Parse error: Decimal cannot end on a period at offset 2; structured-field-values writes "0.0"
1.9996: structured-headers writes "2." and reads it as Parse error: Decimal cannot end on a period at offset 2; structured-field-values writes "2.0"
0.0025: structured-headers writes "0.003" and reads it as 0.003; structured-field-values writes "0.002"
OUT
echo "as found"
