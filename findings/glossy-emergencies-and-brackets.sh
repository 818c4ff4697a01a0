#!/usr/bin/env bash
# glossy (npm): a kernel's emergency has no severity, and a message that ends in a bracket arrives empty.
#
# <0> is facility 0, kernel, and severity 0, "Emergency: system is unusable" (RFC 5424, section 6.2.1; RFC 3164 has the same). The parser takes the number 0 for
# a missing one, and gives neither facility nor severity: whoever selects what is worse than an error misses the worst. In a message of
# RFC 5424, the structured data ends at the bracket that closes its last element, and then comes the text (section 6.3). The parser looks for the last word of the
# whole line that ends in a bracket. In "link down on eth0 [code 17]", all of the text becomes structured data, and the message is empty. An element
# without parameters, which the grammar permits, swallows the next one. RFC 3164's messages with brackets are right.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . glossy@0.1.7 >/dev/null
cat >run.js <<'JS'
const { Parse } = require('glossy');
const head = '1 2026-02-05T17:32:18.003Z host app - ID47';
for (const line of [
  '<1>Feb  5 17:32:18 host kernel: alert', '<0>Feb  5 17:32:18 host kernel: emergency', `<0>${head} - emergency`,
  `<165>${head} [link@32473 if="eth0"] link down`, `<165>${head} [link@32473 if="eth0"] link down on eth0 [code 17]`, `<165>${head} [link@32473 if="eth0"] see [1] for more`,
  `<165>${head} [urgent@32473][link@32473 if="eth0"] link down`,
]) {
  const { facility, severity, structuredData, message } = Parse.parse(line);
  console.log(`${line}\n  ${facility}.${severity}, data ${JSON.stringify(structuredData)}, message "${message}"`);
}
JS
echo "glossy 0.1.7"
node run.js | tee out.txt
diff out.txt - <<'OUT'
<1>Feb  5 17:32:18 host kernel: alert
  kern.alert, data undefined, message "kernel: alert"
<0>Feb  5 17:32:18 host kernel: emergency
  undefined.undefined, data undefined, message "kernel: emergency"
<0>1 2026-02-05T17:32:18.003Z host app - ID47 - emergency
  undefined.undefined, data undefined, message "emergency"
<165>1 2026-02-05T17:32:18.003Z host app - ID47 [link@32473 if="eth0"] link down
  local4.notice, data {"link@32473":{"if":"eth0"}}, message "link down"
<165>1 2026-02-05T17:32:18.003Z host app - ID47 [link@32473 if="eth0"] link down on eth0 [code 17]
  local4.notice, data {"link@32473":{"if":"eth0"},"code":{}}, message ""
<165>1 2026-02-05T17:32:18.003Z host app - ID47 [link@32473 if="eth0"] see [1] for more
  local4.notice, data {"link@32473":{"if":"eth0"}}, message "for more"
<165>1 2026-02-05T17:32:18.003Z host app - ID47 [urgent@32473][link@32473 if="eth0"] link down
  local4.notice, data {"urgent@32473][link@32473":{"if":"eth0"}}, message "link down"
OUT
echo "as found"
