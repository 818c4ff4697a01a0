#!/usr/bin/env bash
# MaxMind's mmdbwriter writes a record for one IPv4 /24 to nearly all IPv4 addresses if the address comes from net.ParseIP.
#
# In Go, an IPv4 net.IP may have 4 or 16 bytes, "this package accepts either" (documentation of net.IP), and net.ParseIP returns 16. A
# net.IPNet with 16 bytes and a mask of 24 of 32 bits is valid: its Contains and String give the same answers as with 4 bytes. The writer
# applies the 24 bits to the 16 bytes, which begin with zeros. The record becomes that of ::/24, where IPv6 databases keep all of IPv4.
# Insert returns no error, records that were there before are replaced, and the reserved networks are skipped, so that a look-up of
# 127.0.0.1 shows nothing unusual.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >go.mod <<'MOD'
module finding

go 1.24
MOD
cat >main.go <<'GO'
package main

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/oschwald/maxminddb-golang/v2"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	for _, ip := range []net.IP{{81, 2, 69, 0}, net.ParseIP("81.2.69.0")} {
		tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "test"})
		check(err)
		_, quad9, err := net.ParseCIDR("9.9.9.0/24")
		check(err)
		check(tree.Insert(quad9, mmdbtype.String("Quad9")))

		office := &net.IPNet{IP: ip, Mask: net.CIDRMask(24, 32)}
		check(tree.Insert(office, mmdbtype.String("our office")))
		fmt.Printf("%d bytes: wrote %v, which contains 9.9.9.9: %v\n", len(ip), office, office.Contains(net.IP{9, 9, 9, 9}))

		var file bytes.Buffer
		_, err = tree.WriteTo(&file)
		check(err)
		db, err := maxminddb.OpenBytes(file.Bytes())
		check(err)
		for _, addr := range []string{"81.2.69.7", "9.9.9.9", "198.41.0.4", "127.0.0.1"} {
			var record string
			check(db.Lookup(netip.MustParseAddr(addr)).Decode(&record))
			fmt.Printf("  %s: %q\n", addr, record)
		}
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/maxmind/mmdbwriter@v1.2.0 github.com/oschwald/maxminddb-golang/v2@v2.1.1 2>/dev/null
echo "mmdbwriter v1.2.0, read with maxminddb-golang v2.1.1; expected: the same records twice"
go run . | tee out.txt
diff out.txt - <<'OUT'
4 bytes: wrote 81.2.69.0/24, which contains 9.9.9.9: false
  81.2.69.7: "our office"
  9.9.9.9: "Quad9"
  198.41.0.4: ""
  127.0.0.1: ""
16 bytes: wrote 81.2.69.0/24, which contains 9.9.9.9: false
  81.2.69.7: "our office"
  9.9.9.9: "our office"
  198.41.0.4: "our office"
  127.0.0.1: ""
OUT
echo "as found"
