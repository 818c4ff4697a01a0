#!/usr/bin/env bash
# cbor-sync (npm) reads the RFC's own date of 2013 as one in January 1970.
#
# The content of tag 1 counts seconds since 1970, as an integer or a float (RFC 8949 section 3.4.2; RFC 7049 section 2.4.1, which the package
# names, is the same). Appendix A has both as examples. The number is handed to JavaScript's Date, which counts milliseconds. So a
# session that another program encoded, valid until 2030, has expired in 1970. The package itself writes tag 0, a string, so that its own dates come back right.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . cbor-sync@1.0.4 borc@3.0.0 >/dev/null
cat >run.js <<'JS'
const sync = require('cbor-sync');
const borc = require('borc');
// From RFC 8949 appendix A: 1(1363896240), 1(1363896240.5), 0("2013-03-21T20:04:00Z").
for (const hex of ['c11a514b67b0', 'c1fb41d452d9ec200000', 'c074323031332d30332d32315432303a30343a30305a']) {
  const [a, b] = [sync, borc].map((c) => c.decode(Buffer.from(hex, 'hex')).toISOString());
  console.log(`${hex}: cbor-sync ${a}, borc ${b}`);
}
const written = Buffer.from(borc.encode(new Date('2030-01-01T00:00:00Z')));
console.log(`2030-01-01 written by borc: cbor-sync ${sync.decode(written).toISOString()}`);
JS
echo "cbor-sync 1.0.4, and borc 3.0.0 for comparison"
node run.js | tee out.txt
diff out.txt - <<'OUT'
c11a514b67b0: cbor-sync 1970-01-16T18:51:36.240Z, borc 2013-03-21T20:04:00.000Z
c1fb41d452d9ec200000: cbor-sync 1970-01-16T18:51:36.240Z, borc 2013-03-21T20:04:00.500Z
c074323031332d30332d32315432303a30343a30305a: cbor-sync 2013-03-21T20:04:00.000Z, borc 2013-03-21T20:04:00.000Z
2030-01-01 written by borc: cbor-sync 1970-01-22T21:57:36.000Z
OUT
echo "as found"
