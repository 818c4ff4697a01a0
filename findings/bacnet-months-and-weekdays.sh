#!/usr/bin/env bash
# bacstack, node-bacnet and @bacnet-js/client (npm): a controller's clock of 31 January is read as 3 March, and an alarm of the 17th as one of the 2nd.
#
# A BACnet date has the year minus 1900, the month with "1 = January", the day and the weekday with "1 = Monday" (ASHRAE 135, clause 20.2.12). The first
# two packages write and read JavaScript's months, which begin with 0: January is sent as month 0, and read as February. What they send to
# themselves is right, so it shows with other devices only: the TimeSynchronization of a November says October. The fork
# @bacnet-js/client has that right. For the date and time of an event (property Event_Time_Stamps), it takes the weekday for the day: all alarms are on
# the 1st to the 6th, or on the last of the month before. The other two have no date there at all.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . bacstack@0.0.1-beta.14 node-bacnet@0.2.4 @bacnet-js/client@3.3.2 >/dev/null 2>&1
cat >run.js <<'JS'
const path = require('path');
const fork = path.join(path.dirname(require.resolve('@bacnet-js/client')), 'lib/services');
const load = (name) => ['time-sync', 'read-property'].map((s) => require(`${name}/lib/services/${s}`));
const packages = {
  'bacstack': load('bacstack'),
  'node-bacnet': load('node-bacnet'),
  '@bacnet-js/client': ['TimeSync', 'ReadProperty'].map((s) => require(path.join(fork, s)).default),
};
const text = (date) => (Number.isNaN(date.getTime()) ? String(date) : date.toISOString().slice(0, 19));
for (const [name, [timeSync, readProperty]] of Object.entries(packages)) {
  const show = (hex) => text(timeSync.decode(Buffer.from(hex, 'hex'), 0, hex.length / 2).value);
  console.log(`${name}:`);
  const out = { buffer: Buffer.alloc(20), offset: 0 };
  timeSync.encode(out, new Date(2026, 0, 31, 12, 0, 0));
  const sent = out.buffer.subarray(0, out.offset).toString('hex');
  console.log(`  2026-01-31T12:00:00 is sent as ${sent}, and read back as ${show(sent)}`);
  // year 126, month 1, day 31, Saturday; year 92, month 11, day 17, Tuesday
  console.log(`  a device's a47e011f06 b40c000000, which is 2026-01-31T12:00:00, is read as ${show('a47e011f06b40c000000')}`);
  const stamp = '2ea45c0b1102b4162d1e462f';
  const answer = Buffer.from(`0c0000000119823e${stamp}${stamp}${stamp}3f`, 'hex');
  const { values } = readProperty.decodeAcknowledge(answer, 0, answer.length);
  console.log(`  an event's a45c0b1102 b4162d1e46, which is 1992-11-17T22:45:30, is read as ${text(values[0].value)}`);
}
JS
echo "bacstack 0.0.1-beta.14, node-bacnet 0.2.4, @bacnet-js/client 3.3.2"
TZ=UTC node run.js | tee out.txt
diff out.txt - <<'OUT'
bacstack:
  2026-01-31T12:00:00 is sent as a47e001f06b40c000000, and read back as 2026-01-31T12:00:00
  a device's a47e011f06 b40c000000, which is 2026-01-31T12:00:00, is read as 2026-03-03T12:00:00
  an event's a45c0b1102 b4162d1e46, which is 1992-11-17T22:45:30, is read as Invalid Date
node-bacnet:
  2026-01-31T12:00:00 is sent as a47e001f06b40c000000, and read back as 2026-01-31T12:00:00
  a device's a47e011f06 b40c000000, which is 2026-01-31T12:00:00, is read as 2026-03-03T12:00:00
  an event's a45c0b1102 b4162d1e46, which is 1992-11-17T22:45:30, is read as Invalid Date
@bacnet-js/client:
  2026-01-31T12:00:00 is sent as a47e011f06b40c000000, and read back as 2026-01-31T12:00:00
  a device's a47e011f06 b40c000000, which is 2026-01-31T12:00:00, is read as 2026-01-31T12:00:00
  an event's a45c0b1102 b4162d1e46, which is 1992-11-17T22:45:30, is read as 1992-11-02T22:45:30
OUT
echo "as found"
