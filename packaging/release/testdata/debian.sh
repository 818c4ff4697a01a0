#!/bin/sh
# Installs the Debian packages AGENT and HUB in an overlay over this system, upgrades, removes and purges them. It must run in a
# mount namespace of its own: nothing outside of it changes. Exit code 77 means that this system cannot mount an overlay.
set -eu
agent=$1 hub=$2
fail() { echo "FAILED: $*"; exit 1; }

work=$(mktemp -d)
mount -t tmpfs tmpfs "$work" || exit 77
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay overlay -o lowerdir=/,upperdir="$work/upper",workdir="$work/work" "$work/root" || exit 77
mount -t tmpfs tmpfs "$work/root/tmp"
mount -t tmpfs tmpfs "$work/root/run"
mount -t proc proc "$work/root/proc"
rm -f "$work/root/var/lib/man-db/auto-update" # its index is not needed, and takes seconds
mkdir "$work/root/tmp/packages"
cp "$agent" "$hub" "$work/root/tmp/packages"
inside() { chroot "$work/root" "$@"; }

echo "install"
inside dpkg --force-depends -i "/tmp/packages/$(basename "$agent")" "/tmp/packages/$(basename "$hub")"
inside pktvisord --version
inside pktvisor --version
inside pktvisor-hub --version
inside getent passwd pktvisor || fail "no user"
for path in /usr/lib/systemd/system/pktvisord.service /etc/default/pktvisord /usr/share/man/man8/pktvisord.8.gz \
	/usr/share/bash-completion/completions/pktvisor /usr/share/zsh/vendor-completions/_pktvisor-hub /usr/lib/sysusers.d/pktvisor-hub.conf; do
	[ -e "$work/root$path" ] || fail "no $path"
done
[ ! -e "$work/root/etc/init.d/pktvisord" ] || fail "a script of OpenRC"

echo "upgrade: the configuration and what was kept stay"
echo "PKTVISORD_TARGET=eth7" >"$work/root/etc/default/pktvisord"
mkdir -p "$work/root/var/lib/pktvisor" && echo kept >"$work/root/var/lib/pktvisor/minute"
mkdir "$work/root/tmp/next"
inside dpkg-deb -R "/tmp/packages/$(basename "$agent")" /tmp/next
sed -i 's/^Version: .*/Version: 99.0-1/' "$work/root/tmp/next/DEBIAN/control"
echo "# a new default" >>"$work/root/tmp/next/etc/default/pktvisord"
inside dpkg-deb -Znone -b /tmp/next /tmp/next.deb
inside dpkg --force-confdef --force-confold -i /tmp/next.deb </dev/null
[ "$(inside dpkg-query -Wf '${Version}' pktvisor)" = 99.0-1 ] || fail "not upgraded"
grep -q eth7 "$work/root/etc/default/pktvisord" || fail "the configuration was replaced"
[ -e "$work/root/var/lib/pktvisor/minute" ] || fail "the state was deleted by an upgrade"

echo "downgrade"
inside dpkg --force-confdef --force-confold -i "/tmp/packages/$(basename "$agent")" </dev/null
[ -e "$work/root/var/lib/pktvisor/minute" ] || fail "the state was deleted by a downgrade"

echo "remove: the state stays"
inside dpkg -r pktvisor
[ ! -e "$work/root/usr/bin/pktvisord" ] || fail "the program is still there"
[ -e "$work/root/usr/bin/pktvisor-hub" ] || fail "the hub was removed with the agent"
[ -e "$work/root/var/lib/pktvisor/minute" ] || fail "the state was deleted by a removal"

echo "purge: nothing stays but the user"
inside dpkg -P pktvisor pktvisor-hub
[ ! -e "$work/root/var/lib/pktvisor" ] || fail "the state is still there"
[ ! -e "$work/root/etc/default/pktvisord" ] || fail "the configuration is still there"
left=$(find "$work/upper" -name '*pktvisor*' ! -type c | sed "s#$work/upper##" | grep -v '^/tmp' || true)
[ -z "$left" ] || fail "left: $left"
echo "all is well"
