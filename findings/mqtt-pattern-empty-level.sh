#!/usr/bin/env bash
# mqtt-pattern (npm): "+" does not match an empty level, and "sport/#rest" not "sport".
#
# "/finance" matches "+/+" and "/+", by the MQTT standard's own example (MQTT 5.0 section 4.7.1.3): a topic level may be empty, and devices
# that start their topics with a slash have one at the front. The package takes it for a missing one, so that a subscriber gets the message from
# the broker, and its handler is never called. "#" includes the parent level (section 4.7.1.2), which works here until the wildcard gets a name.
# "#" also matches topics that start with "$", which it must not (section 4.7.2). mqtt-match has the first two right.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . mqtt-pattern@2.1.1 mqtt-match@3.0.0 >/dev/null
cat >run.js <<'JS'
const pattern = require('mqtt-pattern');
const match = require('mqtt-match');
for (const [filter, topic, right] of [
  ['+/+', '/finance', true],
  ['/+', '/finance', true],
  ['+', '/finance', false],
  ['+room/+device/temperature', '/kitchen/temperature', true],
  ['sensor/+/value', 'sensor//value', true],
  ['sport/#', 'sport', true],
  ['sport/#rest', 'sport', true],
  ['#', '$SYS/uptime', false],
]) {
  const other = match(pattern.clean(filter), topic);
  console.log(`${filter} and ${topic}: by MQTT ${right}, mqtt-pattern ${pattern.matches(filter, topic)}, mqtt-match ${other}`);
}
JS
echo "mqtt-pattern 2.1.1, and mqtt-match 3.0.0 for comparison"
node run.js | tee out.txt
diff out.txt - <<'OUT'
+/+ and /finance: by MQTT true, mqtt-pattern false, mqtt-match true
/+ and /finance: by MQTT true, mqtt-pattern true, mqtt-match true
+ and /finance: by MQTT false, mqtt-pattern false, mqtt-match false
+room/+device/temperature and /kitchen/temperature: by MQTT true, mqtt-pattern false, mqtt-match true
sensor/+/value and sensor//value: by MQTT true, mqtt-pattern false, mqtt-match true
sport/# and sport: by MQTT true, mqtt-pattern true, mqtt-match true
sport/#rest and sport: by MQTT true, mqtt-pattern false, mqtt-match true
# and $SYS/uptime: by MQTT false, mqtt-pattern true, mqtt-match true
OUT
echo "as found"
