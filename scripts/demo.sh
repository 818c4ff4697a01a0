#!/usr/bin/env bash
# Plays the bundled capture through an agent, over and over, and opens the terminal UI on it. It does not need root, uses
# any free port, and leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
geo=testdata/geoip/demo.mmdb # invented places and networks
bin/pktvisord --replay -p 0 --geo-city $geo --geo-asn $geo -H 192.0.2.0/24,2001:db8:53::/48 testdata/captures/demo.pcap.gz 2>"$log" &
agent=$!
trap 'kill "$agent" 2>/dev/null; wait "$agent" 2>/dev/null || true; rm -f "$log"' EXIT

url=
for _ in $(seq 100); do
  url=$(sed -n 's/.*url=\(http[^ ]*\).*/\1/p' "$log" | head -n 1)
  [ -n "$url" ] && break
  kill -0 "$agent" 2>/dev/null || { cat "$log" >&2; exit 1; }
  sleep 0.1
done
[ -n "$url" ] || { echo "demo: the agent did not start:" >&2; cat "$log" >&2; exit 1; }
bin/pktvisor "$url" "$@"
