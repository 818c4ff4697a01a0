#!/bin/sh
# Runs after an installation or an upgrade, as dpkg's postinst, RPM's %post, and Alpine's post-install and post-upgrade.
set -e

if command -v systemd-sysusers >/dev/null 2>&1; then
	systemd-sysusers @NAME@.conf
elif ! grep -q '^pktvisor:' /etc/passwd; then
	if command -v useradd >/dev/null 2>&1; then
		useradd --system --user-group --no-create-home --home-dir /var/lib/pktvisor --shell /usr/sbin/nologin pktvisor
	else
		addgroup -S pktvisor
		adduser -S -D -H -h /var/lib/pktvisor -s /sbin/nologin -G pktvisor pktvisor
	fi
fi

# A service that runs is started again with the new program. A new one waits for its configuration: systemctl enable --now @SERVICE@
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart @SERVICE@.service
fi
