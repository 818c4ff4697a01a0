#!/usr/bin/env bash
# Starts a hub and fifty agents in five POPs, which play generated traffic over and over, and opens the terminal UI on the
# hub. It does not need root, uses any free ports, and leaves nothing behind.
#
#   HOSTS=50     number of agents
#   UI=pktvisor  the program to open on the hub's URL
set -euo pipefail
cd "$(dirname "$0")/.."

hosts=${HOSTS:-50}
geo=testdata/geoip/demo.mmdb # invented places and networks
pops=(ams1:nl fra1:de lhr1:gb nrt1:jp sin1:sg)
dir=$(mktemp -d)
pids=()
stop() {
  kill "${pids[@]}" 2>/dev/null || true
  wait "${pids[@]}" 2>/dev/null || true
  rm -rf "$dir"
}
trap stop EXIT

url_of() { # the URL that a program serves, from its log
  local log=$1 pid=$2 url=
  for _ in $(seq 200); do
    url=$(sed -n 's/.*url=\(http[^ ]*\).*/\1/p' "$log" | head -n 1)
    [ -n "$url" ] && { echo "$url"; return; }
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  echo "fleet: a program did not start:" >&2
  cat "$log" >&2
  return 1
}

# Each POP has traffic of its own.
for i in "${!pops[@]}"; do
  bin/pktgen -preset demo -seed $((i + 1)) -o "$dir/${pops[i]%:*}.pcap" >/dev/null
done
args=()
for i in $(seq 1 "$hosts"); do
  pop=${pops[$((i % ${#pops[@]}))]}
  name=$(printf 'ns%02d.%s' "$i" "${pop%:*}")
  role=$([ $((i % 3)) = 0 ] && echo resolver || echo authoritative)
  bin/pktvisord --replay --replay-speed "$((1 + i % 4))" --shards 1 -p 0 --geo-city "$geo" --geo-asn "$geo" \
    -H 192.0.2.0/24,2001:db8:53::/48 --name "$name" --tag "pop=${pop%:*},country=${pop#*:},role=$role" "$dir/${pop%:*}.pcap" 2>"$dir/$name.log" &
  pids+=($!)
  last=$!
  names+=("$name:$last")
done
for entry in "${names[@]}"; do
  url=$(url_of "$dir/${entry%%:*}.log" "${entry##*:}")
  args+=(--agent "$url")
done
bin/pktvisor-hub -p 0 --data "$dir/hub" "${args[@]}" 2>"$dir/hub.log" &
pids+=($!)
url=$(url_of "$dir/hub.log" $!)
echo "fleet: the hub is at $url; the first minute is complete in $((62 - $(date +%-S))) seconds" >&2
${UI:-bin/pktvisor} "$url" "$@"
