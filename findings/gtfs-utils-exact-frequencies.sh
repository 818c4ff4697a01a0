#!/usr/bin/env bash
# gtfs-utils (npm): of a bus at 6:00, 6:30, 7:00 and 7:30, only the one at 7:30 remains, and one at midnight is added.
#
# frequencies.txt says that a trip runs again and again. With exact_times 1 it is a "compressed representation of schedule-based service": a trip starts at the
# start time and then after each headway, before the end time; stop_times.txt gives the intervals between the stops (GTFS Schedule Reference,
# frequencies.txt). Many feeds write this model trip as if it began at 0:00. The package writes all trips into one list, each over the one
# before, and adds the list after the last of them. It gives the model trip as a trip of its own too, also with exact_times 0,
# where all others are there.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . gtfs-utils@5.1.0 >/dev/null
cat >run.js <<'JS'
const { Readable } = require('stream');
const computeStopovers = require('gtfs-utils/compute-stopovers');
const tables = (exact) => ({
  stops: [['stop_id', 'stop_name'], ['a', 'Station'], ['b', 'Harbour']],
  trips: [['route_id', 'service_id', 'trip_id'], ['r', 's', 't']],
  calendar: [['service_id', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday', 'start_date', 'end_date'],
    ['s', '1', '1', '1', '1', '1', '1', '1', '20260601', '20260601']],
  calendar_dates: [['service_id', 'date', 'exception_type']],
  stop_times: [['trip_id', 'stop_sequence', 'stop_id', 'arrival_time', 'departure_time'], ['t', '1', 'a', '00:00:00', '00:00:00'], ['t', '2', 'b', '00:12:00', '00:12:00']],
  frequencies: [['trip_id', 'start_time', 'end_time', 'headway_secs', 'exact_times'], ['t', '06:00:00', '07:45:00', '1800', exact]],
});
(async () => {
  for (const exact of ['1', '0']) {
    const readFile = async (name) => {
      const [head, ...rows] = tables(exact)[name];
      return Readable.from(rows.map((row) => Object.fromEntries(row.map((v, i) => [head[i], v]))));
    };
    const at = { a: [], b: [] };
    for await (const s of computeStopovers(readFile, 'Etc/UTC')) at[s.stop_id].push(new Date(s.departure * 1000).toISOString().slice(11, 16));
    console.log(`exact_times ${exact}: from the station at ${at.a.join(', ')}; from the harbour at ${at.b.join(', ')}`);
  }
})();
JS
echo "gtfs-utils 5.1.0; a bus from 6:00 until 7:45, every 1800 s"
node run.js | tee out.txt
diff out.txt - <<'OUT'
exact_times 1: from the station at 00:00, 07:30; from the harbour at 00:12, 07:42
exact_times 0: from the station at 00:00, 06:00, 06:30, 07:00, 07:30; from the harbour at 00:12, 06:12, 06:42, 07:12, 07:42
OUT
echo "as found"
