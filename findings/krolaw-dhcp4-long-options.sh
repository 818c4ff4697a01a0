#!/usr/bin/env bash
# dhcp4 (krolaw, Go): an answer with 40 routes has 8 of them, a mask of 24 bytes and no router; of an option in two parts, the last is read.
#
# An option's length is one byte. What is longer is sent as several options of the same code, which the receiver joins (RFC 3396, section 5; RFC 3442
# wants it for classless routes). AddOption writes length mod 256 and then the whole value: the client takes the rest of the routes for options of
# their own. What they say depends on the addresses, and the options after it may be lost. ParseOptions keeps the last part, without an
# error: of 40 routes that another server sends correctly, the first 31 are missing, and most of the 32nd.
# insomniacslk/dhcp is there for comparison.
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
	"maps"
	"slices"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/krolaw/dhcp4"
)

// routes are 40 routes of 8 bytes: 10.I.6.0/24 via 10.0.0.1.
func routes() []byte {
	var b []byte
	for i := range 40 {
		b = append(b, 24, 10, byte(i), 6, 10, 0, 0, 1)
	}
	return b
}

func main() {
	p := dhcp4.NewPacket(dhcp4.BootReply)
	p.AddOption(dhcp4.OptionDHCPMessageType, []byte{byte(dhcp4.ACK)})
	p.AddOption(dhcp4.OptionClasslessRouteFormat, routes())
	p.AddOption(dhcp4.OptionRouter, []byte{10, 0, 0, 1})
	fmt.Println("written by krolaw/dhcp4: message type, 40 routes, router")
	read(p)

	ack, err := dhcpv4.New(dhcpv4.WithMessageType(dhcpv4.MessageTypeAck),
		dhcpv4.WithGeneric(dhcpv4.OptionClasslessStaticRoute, routes()), dhcpv4.WithGeneric(dhcpv4.OptionRouter, []byte{10, 0, 0, 1}))
	if err != nil {
		panic(err)
	}
	fmt.Println("written by insomniacslk/dhcp: the same")
	read(ack.ToBytes())
}

func read(p []byte) {
	options := dhcp4.Packet(p).ParseOptions()
	fmt.Print("  read by krolaw/dhcp4:")
	for _, code := range slices.Sorted(maps.Keys(options)) {
		fmt.Printf(" %d (%d bytes)", code, len(options[code]))
	}
	fmt.Print("\n  read by insomniacslk/dhcp:")
	m, err := dhcpv4.FromBytes(p)
	if err != nil {
		fmt.Println(" error:", err)
		return
	}
	for _, code := range slices.Sorted(maps.Keys(m.Options)) {
		fmt.Printf(" %d (%d bytes)", code, len(m.Options[code]))
	}
	fmt.Printf(", %d routes\n", len(m.ClasslessStaticRoute()))
}
GO
export GOFLAGS=-mod=mod
go get github.com/krolaw/dhcp4@v0.0.0-20180925202202-7cead472c414 github.com/insomniacslk/dhcp@v0.0.0-20260901064844-234b97448fae 2>/dev/null
echo "krolaw/dhcp4 7cead472c414 (2018-09-25); insomniacslk/dhcp for comparison"
go run . | tee out.txt
diff out.txt - <<'OUT'
written by krolaw/dhcp4: message type, 40 routes, router
  read by krolaw/dhcp4: 1 (24 bytes) 10 (0 bytes) 24 (10 bytes) 53 (1 bytes) 121 (64 bytes)
  read by insomniacslk/dhcp: error: error collecting options: buffer too short at position 310: have 22 bytes, want 24 bytes
written by insomniacslk/dhcp: the same
  read by krolaw/dhcp4: 3 (4 bytes) 53 (1 bytes) 121 (65 bytes)
  read by insomniacslk/dhcp: 3 (4 bytes) 53 (1 bytes) 121 (320 bytes), 40 routes
OUT
echo "as found"
