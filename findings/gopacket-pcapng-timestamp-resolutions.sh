#!/usr/bin/env bash
# pcapgo of gopacket reads wrong times from pcapng interfaces whose resolution is a power of two, or whole seconds.
#
# if_tsresol with its highest bit set counts in 2^-n seconds (draft-ietf-opsawg-pcapng, section 4.2). Half a second is read as
# .499646464 with n = 20 and as .536870912 with n = 32: the fraction's divisor is not the resolution. if_tsresol 0 is 10^0,
# whole seconds: pcapgo takes it for the default and divides by a million, so that 2023 becomes 1970. tshark and tcpdump read
# all three right.
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
	"log"

	"github.com/gopacket/gopacket/pcapgo"
)

var le = binary.LittleEndian

// block frames a block's body, which is a multiple of four bytes.
func block(kind uint32, body []byte) []byte {
	n := uint32(12 + len(body))
	b := le.AppendUint32(le.AppendUint32(nil, kind), n)
	return le.AppendUint32(append(b, body...), n)
}

// file holds one packet on an interface of the given resolution.
func file(resolution byte, ticks uint64) []byte {
	section := le.AppendUint64(append(le.AppendUint32(nil, 0x1a2b3c4d), 1, 0, 0, 0), 1<<64-1)
	iface := append([]byte{1, 0, 0, 0, 0, 0, 1, 0}, 9, 0, 1, 0, resolution, 0, 0, 0, 0, 0, 0, 0)
	packet := le.AppendUint32(nil, 0)
	packet = le.AppendUint32(le.AppendUint32(packet, uint32(ticks>>32)), uint32(ticks))
	packet = le.AppendUint32(le.AppendUint32(packet, 60), 60)
	packet = append(packet, make([]byte, 60)...)
	return bytes.Join([][]byte{block(0x0a0d0d0a, section), block(1, iface), block(6, packet)}, nil)
}

func main() {
	const second = 1_700_000_000 // 2023-11-14T22:13:20Z
	for _, c := range []struct {
		name       string
		resolution byte
		ticks      uint64
	}{
		{"10^-3", 3, second*1000 + 500},
		{"2^-20", 0x80 | 20, second<<20 | 1<<19},
		{"2^-32", 0x80 | 32, second<<32 | 1<<31},
		{"10^0", 0, second},
	} {
		r, err := pcapgo.NewNgReader(bytes.NewReader(file(c.resolution, c.ticks)), pcapgo.DefaultNgReaderOptions)
		if err != nil {
			log.Fatal(err)
		}
		_, info, err := r.ReadPacketData()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(c.name, info.Timestamp.UTC().Format("2006-01-02T15:04:05.000000000"))
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/gopacket/gopacket@v1.7.7 2>/dev/null
echo "gopacket v1.7.7, pcapgo.NgReader: 2023-11-14T22:13:20.5 (the last one without the half)"
go run . | tee out.txt
diff out.txt - <<'OUT'
10^-3 2023-11-14T22:13:20.500000000
2^-20 2023-11-14T22:13:20.499646464
2^-32 2023-11-14T22:13:20.536870912
10^0 1970-01-01T00:28:20.000000000
OUT
echo "as found"
