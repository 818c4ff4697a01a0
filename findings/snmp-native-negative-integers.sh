#!/usr/bin/env bash
# snmp-native (npm) sets an INTEGER to 56 when it is told to set -200.
#
# An INTEGER is in two's complement, in the fewest octets that hold it (ITU-T X.690 section 8.3; RFC 3417 section 8 gives these rules to SNMP).
# One octet holds -128 to 127. Here the number of octets is taken from the size alone, so that -129 to -255 get one octet, whose
# sign bit is then clear: 256-200. The same holds for -32769 to -65535, and so on. A manager that sets a limit of -20.0 degrees, in
# tenths, sets 5.6, without an error. The request is caught on a socket of the loopback interface, and OpenSSL reads the value.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . snmp-native@1.2.0 >/dev/null
cat >run.js <<'JS'
const dgram = require('dgram');
const { execFileSync } = require('child_process');
const fs = require('fs');
const snmp = require('snmp-native');
const values = [-1, -128, -129, -200, -256, -300, -40000, 200];
const agent = dgram.createSocket('udp4');
let session;
const next = () => {
  if (values.length === 0) return session.close(), agent.close();
  session.set({ oid: [1, 3, 6, 1, 4, 1, 8072, 1, 0], value: values[0], type: 2 }, () => {});
};
agent.on('message', (request) => {
  fs.writeFileSync('request.der', request);
  const lines = execFileSync('openssl', ['asn1parse', '-inform', 'DER', '-in', 'request.der'], { encoding: 'utf8' }).trim().split('\n');
  const hex = lines.pop().split(':').pop(); // the last element is the value of the variable binding
  console.log(`set ${values.shift()}: the request says ${parseInt(hex, 16)}`);
  next();
});
agent.bind(0, '127.0.0.1', () => {
  session = new snmp.Session({ host: '127.0.0.1', port: agent.address().port, community: 'c', timeouts: [60000] });
  next();
});
JS
echo "snmp-native 1.2.0"
node --no-deprecation run.js | tee out.txt
diff out.txt - <<'OUT'
set -1: the request says -1
set -128: the request says -128
set -129: the request says 127
set -200: the request says 56
set -256: the request says -256
set -300: the request says -300
set -40000: the request says 25536
set 200: the request says 200
OUT
echo "as found"
