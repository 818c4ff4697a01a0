#!/usr/bin/env bash
# tiny-hl7 (npm): a message of a hospital that is parsed and written again has "Lab A|B" as two fields, and each field after it moves on.
#
# In a value, the delimiters | ^ & are written as \F\ \S\ \T\ (HL7 v2.5.1, section 2.7, "Use of escape sequences in text fields"). The parser gives back the characters
# themselves, and the writer escapes them again, but only up to the first field in a segment that has components. All after it are written as they are. A
# bar begins a new field, a caret a new component. Most segments have such a field: the patient's name, PID-5, is one. A second reading finds the
# values in other fields, without an error. Of two escapes side by side, the middle is decoded
# as one: the text \F\, sent as \E\F\E\, is read as \E|E\.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . tiny-hl7@1.0.7 >/dev/null
cat >run.js <<'JS'
const { parse, serialize } = require('tiny-hl7');
const head = 'MSH|^~\\&|LAB|A';
for (const segment of ['OBX|1|Lab A\\F\\B|Doe^John|final', 'OBX|1|Doe^John|Lab A\\F\\B|final', 'OBX|1|Doe^John|5 \\S\\ 3|x \\T\\ y', 'NTE|1|the text \\E\\F\\E\\ is a bar']) {
  const message = `${head}\r${segment}`;
  const read = parse(message);
  const written = serialize(read);
  const again = parse(written);
  const changed = JSON.stringify(read[1]) === JSON.stringify(again[1]) ? '' : `, and then ${JSON.stringify(again[1])}`;
  console.log(`${segment}\n  read as ${JSON.stringify(read[1])}${changed}\n  written as ${written.slice(head.length + 1)}`);
}
JS
echo "tiny-hl7 1.0.7"
node run.js | tee out.txt
diff out.txt - <<'OUT'
OBX|1|Lab A\F\B|Doe^John|final
  read as {"OBX.1":"1","OBX.2":"Lab A|B","OBX.3.1":"Doe","OBX.3.2":"John","OBX.4":"final"}
  written as OBX|1|Lab A\F\B|Doe^John|final
OBX|1|Doe^John|Lab A\F\B|final
  read as {"OBX.1":"1","OBX.2.1":"Doe","OBX.2.2":"John","OBX.3":"Lab A|B","OBX.4":"final"}, and then {"OBX.1":"1","OBX.2.1":"Doe","OBX.2.2":"John","OBX.3":"Lab A","OBX.4":"B","OBX.5":"final"}
  written as OBX|1|Doe^John|Lab A|B|final
OBX|1|Doe^John|5 \S\ 3|x \T\ y
  read as {"OBX.1":"1","OBX.2.1":"Doe","OBX.2.2":"John","OBX.3":"5 ^ 3","OBX.4":"x & y"}, and then {"OBX.1":"1","OBX.2.1":"Doe","OBX.2.2":"John","OBX.3.1":"5 ","OBX.3.2":" 3","OBX.4":"x & y"}
  written as OBX|1|Doe^John|5 ^ 3|x & y
NTE|1|the text \E\F\E\ is a bar
  read as {"NTE.1":"1","NTE.2":"the text \\E|E\\ is a bar"}
  written as NTE|1|the text \E\F\E\ is a bar
OUT
echo "as found"
