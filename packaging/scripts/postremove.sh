#!/bin/sh
# Runs after a removal, as dpkg's postrm and RPM's %postun. Only dpkg's purge deletes what the service has kept. The user stays,
# because files elsewhere may belong to it.
set -e

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
if [ "$1" = purge ]; then
	rm -rf /var/lib/@NAME@
fi
