#!/usr/bin/env bash
# Runs the packages' services under a real systemd: in a Debian root that debootstrap makes, booted by systemd-nspawn. As root, after
# make release ONLY=linux/amd64. It needs the packages debootstrap and systemd-container, and takes some minutes.
#
#   scripts/systemd-check.sh [DIRECTORY]   keeps the Debian root in DIRECTORY for the next run
set -euo pipefail
cd "$(dirname "$0")/.."
release=$PWD/out/release
root=${1:-}
machine=pktvisor-check-$$
if [ -z "$root" ]; then
  root=$(mktemp -d)
  remove=$root
fi
cleanup() {
  [ -z "${nspawn:-}" ] || { kill "$nspawn" 2>/dev/null || true; wait "$nspawn" 2>/dev/null || true; }
  [ -z "${remove:-}" ] || rm -rf --one-file-system "$remove"
}
trap cleanup EXIT
fail() { echo "FAIL: $*" >&2; inside journalctl -n 12 --no-pager >&2 || true; exit 1; }

if [ ! -d "$root/etc" ]; then
  echo "== a Debian root in $root"
  debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,curl,procps,iproute2 bookworm "$root" >"$root.log" 2>&1 || { tail -5 "$root.log"; exit 1; }
  rm -f "$root.log"
fi
mkdir -p "$root/opt/packages"
cp "$release"/*.deb "$root/opt/packages/"

echo "== boot"
systemd-nspawn -q -D "$root" --boot --register=no --keep-unit --private-network --machine="$machine" \
  --system-call-filter="landlock_create_ruleset landlock_add_rule landlock_restrict_self bpf perf_event_open" --capability=CAP_BPF,CAP_PERFMON >"$root/var/log/boot.txt" 2>&1 </dev/null &
nspawn=$!
# The leader is the init of the container: the child of systemd-nspawn.
for _ in $(seq 300); do
  leader=$(pgrep -P "$nspawn" -x systemd || true)
  [ -n "$leader" ] && nsenter -t "$leader" -a systemctl is-system-running 2>/dev/null | grep -E 'running|degraded' >/dev/null && break
  kill -0 "$nspawn" || { tail "$root/var/log/boot.txt"; exit 1; }
  sleep 0.2
done
inside() { nsenter -t "$leader" -a env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
eventually() { # eventually SECONDS COMMAND…
  local n=$(($1 * 5)); shift
  for _ in $(seq "$n"); do "$@" && return; sleep 0.2; done
  fail "not in time: $*"
}
property() { inside systemctl show -P "$2" "$1"; }
answers() { inside curl -sf -o /dev/null "http://localhost:$1/readyz"; }
restarted() { [ "$(property "$1" NRestarts)" = "$2" ] && answers "$3"; }

echo "== install, start"
inside ip link set lo up
inside sh -c 'dpkg -i /opt/packages/*.deb >/dev/null'
inside sed -i 's/^PKTVISORD_TARGET=.*/PKTVISORD_TARGET=lo/' /etc/default/pktvisord
inside sed -i 's/^PKTVISOR_HUB_OPTIONS=.*/PKTVISOR_HUB_OPTIONS=-p 10854/' /etc/default/pktvisor-hub
inside systemctl enable --now pktvisord pktvisor-hub 2>/dev/null || fail "the services do not start"
for service in pktvisord:10853 pktvisor-hub:10854; do
  name=${service%:*} port=${service#*:}
  [ "$(property "$name" ActiveState)/$(property "$name" Type)/$(property "$name" StatusText)" ] || fail "$name has no state"
  [ "$(property "$name" ActiveState)" = active ] || fail "$name is not active"
  eventually 20 answers "$port"
  echo "$name: active, $(property "$name" StatusText), user $(property "$name" User), $(inside systemd-analyze security --no-pager "$name" 2>/dev/null | tail -1 | sed 's/^[^O]*Overall/overall/')"
done
pid=$(property pktvisord MainPID)
[ "$(inside sh -c "awk '/^Uid/{print \$2}' /proc/$pid/status")" = "$(inside id -u pktvisor)" ] || fail "the agent runs as another user"
inside sh -c "grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/$pid/status" | tr '\n' ' '; echo
inside curl -sf http://localhost:10853/api/v1/metrics/app | grep -o '"sandbox":{[^}]*}' || fail "the agent does not say how it is confined"

echo "== reload, counts stay"
inside sh -c 'for i in $(seq 20); do curl -s -o /dev/null http://localhost:10853/readyz; done'
inside systemctl reload pktvisord
[ "$(property pktvisord MainPID)" = "$pid" ] || fail "a reload has replaced the process"
eventually 10 answers 10853

echo "== killed: started again; stopped by SIGSTOP: the watchdog ends it"
inside kill -9 "$pid"
eventually 20 restarted pktvisord 1 10853
inside mkdir -p /run/systemd/system/pktvisord.service.d
printf '[Service]\nWatchdogSec=4\n' | inside tee /run/systemd/system/pktvisord.service.d/short.conf >/dev/null
inside systemctl daemon-reload
inside systemctl restart pktvisord
eventually 20 answers 10853
inside kill -STOP "$(property pktvisord MainPID)"
eventually 40 restarted pktvisord 1 10853
inside journalctl -u pktvisord --no-pager | grep 'Watchdog timeout' >/dev/null || fail "the journal has no watchdog timeout"

echo "== a bad option: one line in the journal, no crash loop that never ends"
inside sed -i 's/^PKTVISORD_OPTIONS=.*/PKTVISORD_OPTIONS=--periods 0/' /etc/default/pktvisord
inside systemctl restart pktvisord 2>/dev/null && fail "the agent starts with --periods 0" || true
inside journalctl -u pktvisord -n 20 --no-pager | grep -- '--periods' >/dev/null || fail "the journal does not name the bad option"
inside sed -i 's/^PKTVISORD_OPTIONS=.*/PKTVISORD_OPTIONS=/' /etc/default/pktvisord
inside systemctl reset-failed pktvisord
inside systemctl start pktvisord

echo "== upgrade restarts what runs; the state directory stays; purge leaves nothing running"
before=$(property pktvisord MainPID)
inside sh -c 'dpkg -i /opt/packages/pktvisor_*.deb >/dev/null'
eventually 20 answers 10853
[ "$(property pktvisord MainPID)" != "$before" ] || fail "the upgrade has not restarted the agent"
inside sh -c 'ls /var/lib/private/pktvisor /var/lib/pktvisor 2>/dev/null | head -3'
inside sh -c 'dpkg -P pktvisor pktvisor-hub >/dev/null 2>&1' || fail "purge fails"
[ -z "$(inside pgrep -x pktvisord)" ] || fail "the agent runs after the purge"
echo "== all is well"
