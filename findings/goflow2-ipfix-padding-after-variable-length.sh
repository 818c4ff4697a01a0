#!/usr/bin/env bash
# goflow2 loses a whole IPFIX message whose data set is padded, when its template has a field of variable length.
#
# A set may end with padding that is shorter than any record it can hold (RFC 7011 section 3.3.1). The least record of a
# template with a 2-byte field and a string is 3 bytes, since the string has a length byte: 2 bytes of padding are allowed, and
# align the set to 4. The decoder counts 0 bytes for a string, takes the padding for a record, and reports an unexpected end.
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

	"github.com/netsampler/goflow2/v2/decoders/netflow"
)

var be = binary.BigEndian

func set(id uint16, body []byte) []byte {
	return append(be.AppendUint16(be.AppendUint16(nil, id), uint16(4+len(body))), body...)
}

func message(sets ...[]byte) []byte {
	body := bytes.Join(sets, nil)
	h := be.AppendUint16(be.AppendUint16(nil, 10), uint16(16+len(body)))
	h = be.AppendUint32(be.AppendUint32(be.AppendUint32(h, 1_700_000_000), 0), 1)
	return append(h, body...)
}

func main() {
	// Template 256: sourceTransportPort in 2 bytes, interfaceName of variable length.
	template := set(2, []byte{1, 0, 0, 2, 0, 7, 0, 2, 0, 82, 0xff, 0xff})
	record := []byte{0, 53, 3, 'e', 'm', '1'}
	for _, padding := range []int{0, 2} {
		data := set(256, append(bytes.Clone(record), make([]byte, padding)...))
		var m netflow.IPFIXPacket
		err := netflow.DecodeMessageVersion(bytes.NewBuffer(message(template, data)), netflow.CreateTemplateSystem(), nil, &m)
		records := 0
		for _, s := range m.FlowSets {
			if d, ok := s.(netflow.DataFlowSet); ok {
				records += len(d.Records)
			}
		}
		fmt.Printf("padding %d: %d records, error %v\n", padding, records, err != nil)
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/netsampler/goflow2/v2@v2.2.6 2>/dev/null
echo "goflow2 v2.2.6"
go run . | tee out.txt
diff out.txt - <<'OUT'
padding 0: 1 records, error false
padding 2: 0 records, error true
OUT
echo "as found"
