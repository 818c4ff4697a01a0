#!/usr/bin/env bash
# Four MaxMind DB readers of npm answer for an IPv6 address in an IPv4-only database, with the record of another host.
#
# They follow the address's first 32 bits through the IPv4 tree: 2001:db8::1 gets what 32.1.13.184 has. All global
# IPv6 unicast addresses so far (2000::/3) land in 32.0.0.0 to 63.255.255.255, which is in use. Go's reader and libmaxminddb refuse.
# The database is made with MaxMind's own writer.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . maxmind@5.0.7 mmdb-lib@3.0.3 mmdb-reader@1.2.0 maxmind-db-reader@0.2.1 >/dev/null 2>&1
cat >go.mod <<'MOD'
module finding

go 1.24
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"log"
	"net"
	"net/netip"
	"os"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/oschwald/maxminddb-golang/v2"
)

func main() {
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Example", RecordSize: 24, IPVersion: 4})
	if err != nil {
		log.Fatal(err)
	}
	_, network, _ := net.ParseCIDR("32.0.0.0/8")
	if err := w.Insert(network, mmdbtype.Map{"network": mmdbtype.String("32.0.0.0/8")}); err != nil {
		log.Fatal(err)
	}
	f, err := os.Create("v4.mmdb")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := w.WriteTo(f); err != nil {
		log.Fatal(err)
	}
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
	r, err := maxminddb.Open("v4.mmdb")
	if err != nil {
		log.Fatal(err)
	}
	var record any
	err = r.Lookup(netip.MustParseAddr("2001:db8::1")).Decode(&record)
	fmt.Println("Go maxminddb: refused:", err != nil)
}
GO
export GOFLAGS=-mod=mod
go get github.com/maxmind/mmdbwriter@v1.2.0 github.com/oschwald/maxminddb-golang/v2@v2.9.0 2>/dev/null
cat >run.js <<'JS'
const fs = require('fs');
const ip = '2001:db8::1';
const say = (name, record) => console.log(`${name}: ${JSON.stringify(record)}`);
(async () => {
  say('maxmind 5.0.7', (await require('maxmind').open('v4.mmdb')).get(ip));
  say('mmdb-lib 3.0.3', new (require('mmdb-lib').Reader)(fs.readFileSync('v4.mmdb')).get(ip));
  say('mmdb-reader 1.2.0', new (require('mmdb-reader'))('v4.mmdb').lookup(ip));
  say('maxmind-db-reader 0.2.1', require('maxmind-db-reader').openSync('v4.mmdb').getGeoDataSync(ip));
})();
JS
echo "2001:db8::1 in an IPv4-only database (mmdbwriter 1.2.0) of 32.0.0.0/8 alone"
{ go run . && node run.js; } | tee out.txt
diff out.txt - <<'OUT'
Go maxminddb: refused: true
maxmind 5.0.7: {"network":"32.0.0.0/8"}
mmdb-lib 3.0.3: {"network":"32.0.0.0/8"}
mmdb-reader 1.2.0: {"network":"32.0.0.0/8"}
maxmind-db-reader 0.2.1: {"network":"32.0.0.0/8"}
OUT
echo "as found"
