#!/bin/sh
# Runs before a removal, as dpkg's prerm, RPM's %preun and Alpine's pre-deinstall. Dpkg and RPM also run it before an upgrade,
# with the argument "upgrade" or 1, and the service then goes on.
set -e

case "$1" in
upgrade | failed-upgrade | deconfigure | 1) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl disable --now @SERVICE@.service
fi
if [ -x /sbin/rc-service ] && [ -e /etc/init.d/@SERVICE@ ]; then
	rc-service --ifstarted @SERVICE@ stop
fi
