#!/usr/bin/env bash
# asn1 (npm) writes and reads other object identifiers than those that it is given.
#
# The first two arcs X and Y become one subidentifier 40*X+Y, in base 128 like the others. Under the arc 2, Y may be any number, as in the
# standard's own example 2.999.3, and a subidentifier has no upper bound (ITU-T X.690 sections 8.19.2 to 8.19.5). Here the first one is written as a
# single octet, whatever its size, and read as X = value/40 without the limit of 2. An arc of 2^31 or more turns negative when it is read.
# No error follows. Under 2.49.0, the World Meteorological Organization names weather alerts. OpenSSL reads the same octets for comparison.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . asn1@0.2.6 >/dev/null
cat >run.js <<'JS'
const { BerReader, BerWriter } = require('asn1');
const { execFileSync } = require('child_process');
const fs = require('fs');
const openssl = (der) => {
  fs.writeFileSync('oid.der', der);
  return execFileSync('openssl', ['asn1parse', '-inform', 'DER', '-in', 'oid.der'], { encoding: 'utf8' }).trim().split(':').pop();
};
for (const oid of ['2.16.840.1.101', '2.999.1.2', '2.49.0.1.840', '1.3.6.1.4.1.2147483648']) {
  const w = new BerWriter();
  w.writeOID(oid);
  console.log(`${oid} written, OpenSSL reads ${openssl(w.buffer)}, asn1 reads ${new BerReader(w.buffer).readOID()}`);
}
// 2.999.3, from X.690 section 8.19.5, is 06 03 88 37 03.
const der = Buffer.from('0603883703', 'hex');
console.log(`06 03 88 37 03: OpenSSL reads ${openssl(der)}, asn1 reads ${new BerReader(der).readOID()}`);
JS
echo "asn1 0.2.6"
node run.js | tee out.txt
diff out.txt - <<'OUT'
2.16.840.1.101 written, OpenSSL reads 2.16.840.1.101, asn1 reads 2.16.840.1.101
2.999.1.2 written, OpenSSL reads 1.15.1.2, asn1 reads 1.15.1.2
2.49.0.1.840 written, OpenSSL reads 2.48.1.840, asn1 reads 3.8.1.840
1.3.6.1.4.1.2147483648 written, OpenSSL reads 1.3.6.1.4.1.2147483648, asn1 reads 1.3.6.1.4.1.-2147483648
06 03 88 37 03: OpenSSL reads 2.999.3, asn1 reads 26.39.3
OUT
echo "as found"
