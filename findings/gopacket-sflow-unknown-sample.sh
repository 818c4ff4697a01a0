#!/usr/bin/env bash
# gopacket loses a whole sFlow datagram because of one sample or record that it does not know.
#
# Every sample and every record of sFlow version 5 has its format and its length in front, so that a collector skips what it does not
# know (sflow.org, sFlow version 5, section 5). Exporters make use of it: Linux hosts send discarded packets as samples of
# format 5 beside those of format 1 (sflow.org, "sFlow Dropped Packet Notification Structures"), and vendors add records of their
# own. The decoder skips a vendor's record in a flow sample. A sample of format 5, a vendor's sample, a standard record that it
# does not know, or a vendor's record among counters makes it give up: the flow samples in the same datagram are lost as well.
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
	"encoding/binary"
	"fmt"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

func words(v ...uint32) (b []byte) {
	for _, x := range v {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return b
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// tagged is a sample or a record: its format, its length, its content.
func tagged(format uint32, content []byte) []byte {
	return join(words(format, uint32(len(content))), content)
}

func flow(records ...[]byte) []byte {
	return tagged(1, join(words(1, 2, 100, 10_000, 0, 1, 2, uint32(len(records))), join(records...)))
}

func datagram(samples ...[]byte) []byte {
	return join(words(5, 1), []byte{192, 0, 2, 1}, words(0, 7, 1000, uint32(len(samples))), join(samples...))
}

func main() {
	// A raw packet header: Ethernet, 64 bytes, 4 stripped, 60 here.
	raw := tagged(1, join(words(1, 64, 4, 60), make([]byte, 60)))
	const vendor = 4413 << 12
	interfaceCounters := tagged(1, join(words(1, 6), make([]byte, 8), words(1, 3), make([]byte, 64)))
	for _, c := range []struct {
		name string
		data []byte
	}{
		{"a flow sample", datagram(flow(raw))},
		{"with a vendor's record", datagram(flow(raw, tagged(vendor|1, words(1))))},
		{"with a standard record 1036", datagram(flow(raw, tagged(1036, words(1))))},
		{"and a discarded packet", datagram(tagged(5, words(1, 0, 1, 0, 1, 2, 256, 0)), flow(raw))},
		{"and a vendor's sample", datagram(tagged(vendor|1, words(5, 6)), flow(raw))},
		{"and a vendor's counters", datagram(tagged(2, join(words(1, 3, 2), tagged(vendor|7, words(1)), interfaceCounters)), flow(raw))},
	} {
		p := gopacket.NewPacket(c.data, layers.LayerTypeSFlow, gopacket.Default)
		samples := 0
		if l, ok := p.Layer(layers.LayerTypeSFlow).(*layers.SFlowDatagram); ok {
			samples = len(l.FlowSamples)
		}
		fmt.Printf("%-28s %d flow samples, error %v\n", c.name+":", samples, p.ErrorLayer() != nil)
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/gopacket/gopacket@v1.7.7 2>/dev/null
echo "gopacket v1.7.7"
go run . | tee out.txt
diff out.txt - <<'OUT'
a flow sample:               1 flow samples, error false
with a vendor's record:      1 flow samples, error false
with a standard record 1036: 0 flow samples, error true
and a discarded packet:      0 flow samples, error true
and a vendor's sample:       0 flow samples, error true
and a vendor's counters:     0 flow samples, error true
OUT
echo "as found"
