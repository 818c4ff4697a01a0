#!/usr/bin/env bash
# miekg/dns fails on a message with an AMTRELAY record whose discovery bit is set, and packs such a record without its relay.
#
# RFC 8777 section 4.2.2 puts a bit, "discovery optional", above the 7 bits of the relay's type. The library takes all 8 bits for the
# type. With the bit set no type is known: a record from the wire is an error, which loses the whole message, and one from
# text is packed as two bytes, which no reader takes.
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
	"encoding/hex"
	"fmt"
	"log"

	"github.com/miekg/dns"
)

func main() {
	for _, discovery := range []byte{0, 0x80} {
		// Precedence 10, relay type 1 (an IPv4 address), 203.0.113.15.
		rdata := []byte{10, discovery | 1, 203, 0, 113, 15}
		record := []byte{0, 1, 4, 0, 1, 0, 0, 0, 60, 0, byte(len(rdata))} // owner ".", type 260, class IN, TTL 60
		_, _, err := dns.UnpackRR(append(record, rdata...), 0)
		fmt.Printf("discovery bit %d: unpack error: %v\n", discovery>>7, err)
	}
	rr, err := dns.NewRR("x. 60 IN AMTRELAY 10 1 1 203.0.113.15") // the RFC's own presentation form, section 4.3.1
	if err != nil {
		log.Fatal(err)
	}
	buf := make([]byte, 64)
	n, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("packed rdata from text:", hex.EncodeToString(buf[13:n]))
}
GO
export GOFLAGS=-mod=mod
go get github.com/miekg/dns@v1.1.73 2>/dev/null
echo "miekg/dns v1.1.73"
go run . | tee out.txt
diff out.txt - <<'OUT'
discovery bit 0: unpack error: <nil>
discovery bit 1: unpack error: dns: bad rdlength
packed rdata from text: 0a81
OUT
echo "as found: the rdata should be 0a81cb00710f"
