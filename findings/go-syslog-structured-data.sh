#!/usr/bin/env bash
# go-syslog drops all but the last of repeated parameters in structured data, and refuses a message with a Windows path in a value.
#
# "An SD-PARAM MAY be repeated multiple times inside an SD-ELEMENT" (RFC 5424, section 6.3.3), as in the RFC's own example of a host with
# two addresses (7.2.5). The parser has a map from name to value, and later values overwrite earlier ones, without an error.
# A backslash before any other character than '"', '\' and ']' "MUST be treated as a regular backslash", and the sequence "MUST NOT be
# altered" (6.3.3). The parser refuses the message instead. With best effort, as below, the value and the text of the message
# are lost.
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

	"github.com/leodido/go-syslog/v4/rfc5424"
)

func main() {
	for _, data := range []string{
		`[origin ip="192.0.2.1" ip="192.0.2.129"]`,
		`[file@32473 path="C:\\Temp"]`,
		`[file@32473 path="C:\Temp"]`,
	} {
		line := `<165>1 2003-10-11T22:14:15.003Z host app 77 ID47 ` + data + ` text`
		parsed, err := rfc5424.NewParser(rfc5424.WithBestEffort()).Parse([]byte(line))
		m := parsed.(*rfc5424.SyslogMessage)
		fmt.Printf("sent %s text\n  read", data)
		if m.StructuredData != nil {
			fmt.Printf(" %v", *m.StructuredData)
		}
		if m.Message != nil {
			fmt.Printf(" %s", *m.Message)
		}
		fmt.Printf("\n  error: %v\n", err)
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/leodido/go-syslog/v4@v4.6.0 2>/dev/null
echo "go-syslog v4.6.0"
go run . | tee out.txt
diff out.txt - <<'OUT'
sent [origin ip="192.0.2.1" ip="192.0.2.129"] text
  read map[origin:map[ip:192.0.2.129]] text
  error: <nil>
sent [file@32473 path="C:\\Temp"] text
  read map[file@32473:map[path:C:\Temp]] text
  error: <nil>
sent [file@32473 path="C:\Temp"] text
  read map[file@32473:map[]]
  error: expecting chars `]`, `"`, and `\` to be escaped within param value [col 70]
OUT
echo "as found"
