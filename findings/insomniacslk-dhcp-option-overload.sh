#!/usr/bin/env bash
# insomniacslk/dhcp does not read the options that a DHCP server puts into the file and sname fields.
#
# A server whose options do not fit says so with option 52 (RFC 2132 section 9.3, RFC 2131 section 4.1: the fields then hold
# options). The library returns the message without them, and the options' bytes as the boot file's and the server's names. A client
# that is built with it has a lease without router and name servers, and may try to boot from three control characters.
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
	"fmt"
	"log"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

func main() {
	b := make([]byte, 240)
	b[0], b[1], b[2] = 2, 1, 6                    // a reply on Ethernet
	copy(b[44:], []byte{6, 4, 192, 0, 2, 53, 255}) // sname: name servers, end
	copy(b[108:], []byte{3, 4, 192, 0, 2, 1, 255}) // file: router, end
	copy(b[236:], []byte{99, 130, 83, 99})
	b = append(b, 53, 1, 2, 52, 1, 3, 1, 4, 255, 255, 255, 0, 255) // OFFER, overload both, subnet mask
	m, err := dhcpv4.FromBytes(b)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%v mask %v router %v dns %v file %q sname %q\n",
		m.MessageType(), m.SubnetMask(), m.Router(), m.DNS(), m.BootFileName, m.ServerHostName)
}
GO
export GOFLAGS=-mod=mod
version=v0.0.0-20260901064844-234b97448fae
go get github.com/insomniacslk/dhcp@$version 2>/dev/null
echo "insomniacslk/dhcp $version: an OFFER with router 192.0.2.1 in file and name server 192.0.2.53 in sname"
go run . | tee out.txt
diff out.txt - <<'OUT'
OFFER mask ffffff00 router [] dns [] file "\x03\x04\xc0" sname "\x06\x04\xc0"
OUT
echo "as found"
