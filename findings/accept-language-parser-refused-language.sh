#!/usr/bin/env bash
# accept-language-parser (npm): a language that the client refuses with q=0 is picked, though the header exists to prevent that.
#
# RFC 9110, section 12.4.2: "a value of 0 means not acceptable". pick() treats 0 as the least preferred. It also ignores the range "*", which
# stands for every language that is not named. negotiator, for comparison, does both as the RFC says.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . accept-language-parser@1.5.0 negotiator@1.0.0 >/dev/null 2>&1
cat >run.js <<'JS'
const { pick } = require('accept-language-parser');
const Negotiator = require('negotiator');
for (const [offered, header] of [
  [['en', 'de'], 'de;q=0.5, en'],
  [['en'], 'de, en;q=0'],
  [['en', 'fr'], '*, en;q=0'],
  [['de'], 'fr, *;q=0.1'],
]) {
  const other = new Negotiator({ headers: { 'accept-language': header } }).language(offered);
  console.log(`offered ${offered.join(' or ')}, asked for "${header}": accept-language-parser ${pick(offered, header) ?? 'none'}, negotiator ${other ?? 'none'}`);
}
JS
echo "accept-language-parser 1.5.0, and negotiator 1.0.0 for comparison"
node run.js | tee out.txt
diff out.txt - <<'OUT'
offered en or de, asked for "de;q=0.5, en": accept-language-parser en, negotiator en
offered en, asked for "de, en;q=0": accept-language-parser en, negotiator none
offered en or fr, asked for "*, en;q=0": accept-language-parser en, negotiator fr
offered de, asked for "fr, *;q=0.1": accept-language-parser none, negotiator de
OUT
echo "as found"
