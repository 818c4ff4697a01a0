#!/bin/bash
# Records testdata/captures again: real DNS servers answer real clients, in separate network
# namespaces. See testdata/README.md for what each capture holds.
#
# Needs root and: iproute2 tcpdump tshark(dumpcap, editcap) bind9 unbound knot knot-dnsutils
# bind9-dnsutils dnsperf zstd. Takes about a minute. Afterwards run
#   go test ./internal/testkit -run TestCaptureAnswers -update
# to have tshark compute the answers again.
#
#   client ---- resolver ---- servers
#   198.51.100.7   .1 | 192.0.2.10   192.0.2.53 bind, .55 knot, .56 unused
#   2001:db8:c::7  ::1 | 2001:db8:53::10   ::53, ::55, ::56
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"
out=$(cd "$(dirname "$0")/.." && pwd)/testdata/captures
prefix=testkit
work=$(mktemp -d)
pids=()
cleanup() {
	kill "${pids[@]}" 2>/dev/null || true
	for ns in cli res srv; do ip netns del $prefix-$ns 2>/dev/null || true; done
	rm -rf "$work"
}
trap cleanup EXIT
for tool in ip tcpdump dumpcap editcap named dnssec-keygen dnssec-signzone unbound knotd dig kdig nsupdate dnsperf zstd; do
	command -v $tool >/dev/null || { echo "record-fixtures: $tool is missing" >&2; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "record-fixtures: must be root" >&2; exit 1; }
chmod 755 "$work"

cli() { ip netns exec $prefix-cli "$@"; }
res() { ip netns exec $prefix-res "$@"; }

network() {
	for ns in cli res srv; do
		ip netns add $prefix-$ns
		ip -n $prefix-$ns link set lo up
		ip netns exec $prefix-$ns sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0
	done
	ip -n $prefix-res link add cli0 type veth peer name eth0 netns $prefix-cli
	ip -n $prefix-res link add srv0 type veth peer name eth0 netns $prefix-srv
	for l in "cli eth0" "res cli0" "res srv0" "srv eth0"; do
		set -- $l
		ip -n $prefix-$1 link set "$2" up
		ip netns exec $prefix-$1 ethtool -K "$2" tx off rx off gso off tso off gro off >/dev/null 2>&1 || true
	done
	ip -n $prefix-cli addr add 198.51.100.7/24 dev eth0; ip -n $prefix-cli addr add 2001:db8:c::7/64 dev eth0 nodad
	ip -n $prefix-res addr add 198.51.100.1/24 dev cli0; ip -n $prefix-res addr add 2001:db8:c::1/64 dev cli0 nodad
	ip -n $prefix-res addr add 192.0.2.10/24 dev srv0; ip -n $prefix-res addr add 2001:db8:53::10/64 dev srv0 nodad
	for h in 53 55; do
		ip -n $prefix-srv addr add 192.0.2.$h/24 dev eth0; ip -n $prefix-srv addr add 2001:db8:53::$h/64 dev eth0 nodad
	done
	ip -n $prefix-cli route add default via 198.51.100.1; ip -n $prefix-cli route add default via 2001:db8:c::1
	ip -n $prefix-srv route add default via 192.0.2.10; ip -n $prefix-srv route add default via 2001:db8:53::10
	res sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	# No host has .56. Packets to it reach the servers' machine, which does not answer them.
	local mac
	mac=$(ip -n $prefix-srv -br link show eth0 | awk '{print $3}')
	ip -n $prefix-res neigh add 192.0.2.56 lladdr "$mac" dev srv0 nud permanent
	ip -n $prefix-res neigh add 2001:db8:53::56 lladdr "$mac" dev srv0 nud permanent
}

zone() { # name: a zone of hosts, mail, long names, and TXT records too large for one packet
	cat <<ZONE
\$ORIGIN $1.
\$TTL 3600
@ SOA ns1 hostmaster 2024030101 7200 3600 1209600 300
@ NS ns1
@ NS ns2
ns1 A 192.0.2.53
ns1 AAAA 2001:db8:53::53
ns2 A 192.0.2.55
ns2 AAAA 2001:db8:53::55
@ MX 10 mail
@ TXT "v=spf1 mx -all"
mail A 192.0.2.25
www A 192.0.2.80
www AAAA 2001:db8:53::80
blog CNAME www
api.eu A 192.0.2.81
*.wild A 192.0.2.82
_sip._udp SRV 10 5 5060 www
a-rather-long-host-name-of-more-than-32-bytes.edge A 192.0.2.83
odd\.dot A 192.0.2.84
v6only AAAA 2001:db8:53::86
ZONE
	for i in $(seq 1 60); do echo "host$i A 192.0.2.$((i + 100))"; done
	for i in $(seq 1 14); do printf 'large TXT "%s%02d"\n' "$(printf 'x%.0s' $(seq 1 190))" "$i"; done
}

servers() {
	mkdir "$work/knot"
	zone lab.example >"$work/lab.zone"
	zone knot.example >"$work/knot.zone"
	echo 'this is no zone' >"$work/broken.zone"
	(cd "$work" && dnssec-keygen -q -a ECDSAP256SHA256 lab.example >/dev/null && dnssec-keygen -q -a ECDSAP256SHA256 -f KSK lab.example >/dev/null &&
		dnssec-signzone -S -q -o lab.example lab.zone >/dev/null)
	cat >"$work/named.conf" <<CONF
options { directory "$work"; pid-file none; recursion no; listen-on { 192.0.2.53; }; listen-on-v6 { 2001:db8:53::53; };
	allow-transfer { any; }; max-udp-size 4096; edns-udp-size 4096; minimal-responses no; notify no; check-names primary ignore; dnssec-validation no; session-keyfile none; };
controls { };
zone "lab.example" { type primary; file "lab.zone.signed"; };
zone "broken.example" { type primary; file "broken.zone"; };
CONF
	cat >"$work/knot.conf" <<CONF
server:
  rundir: "$work"
  listen: [ 192.0.2.55@53, 2001:db8:53::55@53 ]
  user: root
database:
  storage: "$work/knot"
acl:
  - id: all
    action: [ transfer, notify ]
zone:
  - domain: knot.example
    file: "$work/knot.zone"
    acl: all
    dnssec-signing: on
    zonefile-sync: -1
CONF
	cat >"$work/unbound.conf" <<CONF
server:
  directory: "$work"
  username: ""
  chroot: ""
  pidfile: ""
  use-syslog: no
  interface: 198.51.100.1
  interface: 2001:db8:c::1
  access-control: 198.51.100.0/24 allow
  access-control: 2001:db8:c::/64 allow
  module-config: "iterator"
  do-not-query-localhost: no
  local-zone: "example." nodefault
  num-threads: 1
remote-control:
  control-enable: no
stub-zone:
  name: lab.example
  stub-addr: 192.0.2.53
  stub-addr: 2001:db8:53::53
stub-zone:
  name: knot.example
  stub-addr: 192.0.2.55
  stub-addr: 2001:db8:53::55
stub-zone:
  name: broken.example
  stub-addr: 192.0.2.53
stub-zone:
  name: dead.example
  stub-addr: 192.0.2.56
CONF
	ip netns exec $prefix-srv named -g -c "$work/named.conf" >"$work/named.log" 2>&1 & pids+=($!)
	ip netns exec $prefix-srv knotd -c "$work/knot.conf" >"$work/knot.log" 2>&1 & pids+=($!)
	ip netns exec $prefix-res unbound -d -c "$work/unbound.conf" >"$work/unbound.log" 2>&1 & pids+=($!)
	for at in "192.0.2.53 www.lab.example" "192.0.2.55 www.knot.example"; do
		set -- $at
		for _ in $(seq 50); do [ -n "$(cli dig +short +time=1 +tries=1 "@$1" "$2" 2>/dev/null)" ] && break; sleep 0.2; done
	done
	for _ in $(seq 50); do cli dig +time=1 +tries=1 @198.51.100.1 ns1.lab.example >/dev/null 2>&1 && break; sleep 0.2; done
}

# record FILE FUNCTION tcpdump-args...: runs the function while its traffic is recorded.
record() {
	local file=$1 what=$2
	shift 2
	rm -f "$work/tcpdump.log"
	ip netns exec $prefix-res tcpdump --immediate-mode -q -U -Z root -B 4096 -w "$work/$file" "$@" 2>"$work/tcpdump.log" &
	local pid=$!
	for _ in $(seq 50); do grep -qs 'listening on' "$work/tcpdump.log" && break; sleep 0.1; done
	$what >"$work/$what.log" 2>&1 || true
	sleep 0.5
	kill -TERM $pid # ip has executed tcpdump in its own process
	wait $pid || true
}

udp() {
	local q
	for s in 192.0.2.53 2001:db8:53::53; do
		for q in "www A" "www AAAA" "lab.example. MX" "lab.example. NS" "lab.example. SOA" "blog A" "api.eu A" "any.thing.wild A" "mail AAAA" "v6only A" "_sip._udp SRV" \
			"a-rather-long-host-name-of-more-than-32-bytes.edge A" 'odd\.dot A' "nothing A" "neither TXT" "WwW A"; do
			set -- $q
			cli dig +noedns +tries=1 +domain=lab.example @$s $1 $2
		done
		cli dig +tries=1 +dnssec @$s www.lab.example A
		cli dig +tries=1 +dnssec @$s nothing.lab.example A
		cli dig +tries=1 +dnssec +cdflag @$s lab.example DNSKEY
		cli dig +tries=1 +subnet=203.0.113.0/24 @$s www.lab.example A
		cli dig +tries=1 +subnet=2001:db8:aa::/48 @$s host1.lab.example A
		cli dig +tries=1 +nsid +cookie @$s host2.lab.example A
		cli dig +tries=1 @$s www.broken.example A
		cli dig +tries=1 @$s www.elsewhere.example HTTPS
		cli dig +tries=1 @$s -c CH version.bind TXT
	done
	for s in 192.0.2.55 2001:db8:53::55; do
		cli kdig +retry=0 @$s www.knot.example A
		cli kdig +retry=0 +dnssec @$s www.knot.example AAAA
		cli kdig +retry=0 +edns +padding=128 @$s blog.knot.example A
		cli kdig +retry=0 @$s nothing.knot.example ANY
		cli kdig +retry=0 @$s NOTIFY=2024030102 knot.example
		cli kdig +retry=0 @$s www.lab.example
		printf 'server %s\nzone knot.example\nupdate add new.knot.example 60 A 192.0.2.99\nsend\n' $s | cli nsupdate
	done
}
tcp() {
	for s in 192.0.2.53 2001:db8:53::53; do
		cli dig +tcp +tries=1 @$s www.lab.example A
		cli dig +tcp +tries=1 +dnssec @$s lab.example ANY
		cli dig +tcp +tries=1 @$s nothing.lab.example A
		cli dig +tcp +keepopen +tries=1 @$s host3.lab.example A host4.lab.example A large.lab.example TXT
	done
	cli dig +tries=1 @192.0.2.53 lab.example AXFR
	cli kdig +tcp +retry=0 +keepopen @192.0.2.55 host5.knot.example A host6.knot.example A
	cli kdig +retry=0 @2001:db8:53::55 knot.example AXFR
	for i in $(seq 1 40); do echo "host$i.lab.example A"; done >"$work/queries"
	cli dnsperf -s 192.0.2.53 -m tcp -d "$work/queries" -n 1 -q 10 -c 2
}
truncated() {
	for s in 192.0.2.53 2001:db8:53::53; do
		cli dig +tries=1 +noedns @$s large.lab.example TXT
		cli dig +tries=1 +bufsize=512 +dnssec @$s lab.example DNSKEY
		cli dig +tries=1 +bufsize=1232 @$s large.lab.example TXT
		cli dig +tries=1 +ignore +bufsize=512 @$s large.lab.example TXT
	done
}
fragments() {
	for s in 192.0.2.53 2001:db8:53::53; do
		for _ in 1 2 3; do cli dig +tries=1 +bufsize=4096 @$s large.lab.example TXT; done
		cli dig +tries=1 +bufsize=4096 +dnssec @$s large.lab.example TXT
		cli dig +tries=1 +bufsize=4096 @$s www.lab.example A
	done
}
resolver() {
	for r in 198.51.100.1 2001:db8:c::1; do
		for q in www.lab.example blog.lab.example nothing.lab.example www.knot.example host9.knot.example large.lab.example www.broken.example; do
			cli dig +tries=1 +time=2 @$r $q A
			cli dig +tries=1 +time=2 @$r $q TXT
		done
	done
	cli dig +tcp +tries=1 @198.51.100.1 host10.lab.example
	cli dig +tries=1 +norecurse @198.51.100.1 version.server CH TXT
	printf 'server 198.51.100.1\nzone lab.example\nupdate add new.lab.example 60 A 192.0.2.99\nsend\n' | cli nsupdate
	cli dig +tries=1 +time=3 @198.51.100.1 www.dead.example A
}
load() {
	for i in $(seq 1 60); do echo "host$i.lab.example A"; echo "host$((i * i)).lab.example AAAA"; done >"$work/queries"
	cli dnsperf -s 192.0.2.53 -d "$work/queries" -n 3 -q 20 -c 4 -e
	cli dnsperf -s 2001:db8:53::53 -d "$work/queries" -n 1 -q 20 -c 4 -D
}
unanswered() {
	cli dig +tries=2 +time=1 @192.0.2.56 www.lab.example A
	cli dig +tries=1 +time=1 @2001:db8:53::56 www.lab.example AAAA
	cli dig +tries=1 +time=1 @192.0.2.53 www.lab.example A
	cli dig +tries=1 +time=1 +tcp @192.0.2.53 -p 54 www.lab.example A
	sleep 6
	cli dig +tries=1 +time=1 @192.0.2.53 mail.lab.example A
}

network
servers
record dns-udp.pcap udp -i srv0
record dns-tcp.pcap tcp -i srv0
record dns-truncated.pcap truncated -i srv0
record dns-fragments.pcap fragments -i srv0
record resolver-any.pcap resolver -i any --nano
record dnsperf.pcap load -i srv0
record unanswered.pcap unanswered -i srv0

cd "$work"
mkdir -p "$out"
cp dns-udp.pcap dns-tcp.pcap dns-fragments.pcap unanswered.pcap resolver-any.pcap "$out"
editcap -F pcapng dns-truncated.pcap "$out/dns-truncated.pcapng"
editcap -F nsecpcap dns-truncated.pcap dns-nano.pcap
gzip -9nc dnsperf.pcap >"$out/dnsperf.pcap.gz"
zstd -q -19 -c dns-nano.pcap >"$out/dns-truncated-nano.pcap.zst"
ls -l "$out"
