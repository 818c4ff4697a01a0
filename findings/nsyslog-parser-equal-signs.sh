#!/usr/bin/env bash
# nsyslog-parser (npm): the URL of a CEF or LEEF event ends at its first equal sign.
#
# An equal sign in the value of a CEF extension is written "\=", and a pipe in a header field "\|" (ArcSight CEF Implementation Standard,
# "Character Encoding", where the first event below stands). The package splits at each equal sign, and keeps what is before the second one: the rest
# of the value is lost, or becomes another field. The backslash stays. In LEEF 1.0, fields are separated by tabs, and neither "=" nor "|" in a value
# is special (IBM, "LEEF event components"). There too, a value is cut at "="; a "|" ends the event, and all fields after it are lost.
# So an investigator sees a request for /item, not the injected query.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . nsyslog-parser@0.10.1 >/dev/null
cat >run.js <<'JS'
const parse = require('nsyslog-parser');
for (const event of [
  'CEF:0|security|threatmanager|1.0|100|detected a = in message|10|src=10.0.0.1 act=blocked a \\= dst=1.1.1.1',
  'CEF:0|Acme|WAF|1.0|100|SQL injection|10|src=192.0.2.1 request=https://shop.example/item?id\\=1%20OR%201\\=1 act=passed',
  'LEEF:1.0|Acme|WAF|1.0|100|src=192.0.2.1\turl=https://shop.example/item?id=1%20OR%201=1\taction=passed',
  'LEEF:1.0|Acme|WAF|1.0|100|src=192.0.2.1\tpolicy=web|shop\taction=passed\tdst=192.0.2.80',
]) {
  console.log(event.replaceAll('\t', '<tab>'));
  console.log('  ' + JSON.stringify(parse('<134>Feb 14 19:04:54 www1 ' + event).fields));
}
JS
echo "nsyslog-parser 0.10.1"
node run.js | tee out.txt
diff out.txt - <<'OUT'
CEF:0|security|threatmanager|1.0|100|detected a = in message|10|src=10.0.0.1 act=blocked a \= dst=1.1.1.1
  {"src":"10.0.0.1","act":"blocked a","\\":"","dst":"1.1.1.1"}
CEF:0|Acme|WAF|1.0|100|SQL injection|10|src=192.0.2.1 request=https://shop.example/item?id\=1%20OR%201\=1 act=passed
  {"src":"192.0.2.1","request":"https://shop.example/item?id\\","act":"passed"}
LEEF:1.0|Acme|WAF|1.0|100|src=192.0.2.1<tab>url=https://shop.example/item?id=1%20OR%201=1<tab>action=passed
  {"src":"192.0.2.1","url":"https://shop.example/item?id","action":"passed"}
LEEF:1.0|Acme|WAF|1.0|100|src=192.0.2.1<tab>policy=web|shop<tab>action=passed<tab>dst=192.0.2.80
  {"src":"192.0.2.1","policy":"web"}
OUT
echo "as found"
