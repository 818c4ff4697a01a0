#!/usr/bin/env bash
# edifact (npm): a price of "10 + 20" becomes two values, or a company's name another segment, depending on where a stream is cut.
#
# In EDIFACT, the release character takes its meaning away from the character after it: ?+ is a plus sign in a text, and ?' an apostrophe (ISO 9735,
# service characters). The package is "an ES6 streaming parser reading UN/EDIFACT messages": its write takes the next part of a message, which ends anywhere. If it ends
# with the release character, this is forgotten. The character at the beginning of the next part, which belongs to the text, is then a separator of
# elements or the end of the segment. At most other places the same message is read as when it comes whole. No error follows.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . edifact@1.2.12 >/dev/null
cat >run.js <<'JS'
const { Parser } = require('edifact');
const message = "UNH+1+ORDERS:D:96A:UN'FTX+AAI+++PRICE 10 ?+ 20'NAD+BY+O?'BRIEN'UNT+4+1'";
function read(...parts) {
  const parser = new Parser();
  const segments = [];
  parser.on('opensegment', (name) => segments.push([name]));
  parser.on('element', () => segments.at(-1).push([]));
  parser.on('component', (text) => segments.at(-1).at(-1).push(text));
  for (const part of parts) parser.write(part);
  parser.end();
  return segments.map((s) => s.map((e) => [e].flat().join(':')).join(' | ')).slice(1, -1).join('; ');
}
const whole = read(message);
console.log(`whole: ${whole}`);
for (let i = 1; i < message.length; i++) {
  const cut = read(message.slice(0, i), message.slice(i));
  if (cut !== whole) console.log(`cut after ${message.slice(i - 5, i)}: ${cut}`);
}
JS
echo "edifact 1.2.12"
node run.js | tee out.txt
diff out.txt - <<'OUT'
whole: FTX | AAI |  |  | PRICE 10 + 20; NAD | BY | O'BRIEN
cut after  10 ?: FTX | AAI |  |  | PRICE 10  |  20; NAD | BY | O'BRIEN
cut after BY+O?: FTX | AAI |  |  | PRICE 10 + 20; NAD | BY | O; BRIEN
OUT
echo "as found"
