#!/usr/bin/env bash
# dns-zonefile (npm) gives a record to another owner, and drops others, in a zone that RFC 1035 section 5.1 allows.
#
# - A line that begins with white space belongs to the last stated owner. The AAAA below mail goes to the zone's apex.
# - Class and TTL may stand in either order. "www IN 300 A" disappears, while "www 300 IN A" is read.
# - TTLs with units (1h), which BIND, Knot, NSD and PowerDNS read, make the record disappear.
# No error is thrown, so that a zone that is parsed and generated again has lost them.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . dns-zonefile@0.3.2 >/dev/null
cat >zone <<'ZONE'
$ORIGIN example.com.
$TTL 3600
@ IN SOA ns.example.com. hostmaster.example.com. ( 1 7200 3600 1209600 300 )
@ IN NS ns.example.com.
www 300 IN A 192.0.2.1
www IN 300 A 192.0.2.2
mail IN A 192.0.2.3
     IN AAAA 2001:db8::3
unit 1h IN A 192.0.2.4
ZONE
cat >run.js <<'JS'
const zone = require('dns-zonefile').default.parse(require('fs').readFileSync('zone', 'utf8'));
for (const type of ['a', 'aaaa']) for (const r of zone[type]) console.log(type, r.name, r.ip);
JS
echo "dns-zonefile 0.3.2"
node run.js | tee out.txt
diff out.txt - <<'OUT'
a www 192.0.2.1
a mail 192.0.2.3
aaaa @ 2001:db8::3
OUT
echo "as found: 192.0.2.2 and 192.0.2.4 are gone, and the AAAA of mail is the apex's"
