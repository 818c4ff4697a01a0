#!/usr/bin/env bash
# Telegraf's JSON parser drops all rows of a list when an object follows the list, and keeps them when the object comes first.
#
# The members of a JSON object have no order (RFC 8259, section 1). The parser json_v2 makes a metric of each row of a list, with the
# other members of the object around it. When it then comes to a member that is an object, it throws away the metrics made so far. What
# remains is one metric without rows. There is no error, and the same document with its members in another order gives all rows.
# An empty object after the list loses the document as a whole.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >go.mod <<'MOD'
module finding

go 1.25.5
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/plugins/parsers/json_v2"
)

// logger prints what the parser says is wrong.
type logger struct{ telegraf.Logger }

func (logger) Debugf(string, ...any) {}
func (logger) Error(args ...any)     { fmt.Println(args...) }

func main() {
	for _, document := range []string{
		`{"server":{"cpu":7},"disks":[{"name":"sda","used":1},{"name":"sdb","used":2}]}`,
		`{"disks":[{"name":"sda","used":1},{"name":"sdb","used":2}],"server":{"cpu":7}}`,
		`{"disks":[{"name":"sda","used":1},{"name":"sdb","used":2}],"labels":{}}`,
	} {
		p := json_v2.Parser{Log: logger{}, Configs: []json_v2.Config{{
			MeasurementName: "m",
			JSONObjects:     []json_v2.Object{{Path: "@this", Tags: []string{"disks_name"}}},
		}}}
		if err := p.Init(); err != nil {
			panic(err)
		}
		metrics, err := p.Parse([]byte(document))
		fmt.Println(document)
		for _, m := range metrics {
			fmt.Print("  ", m.Tags(), " ")
			for _, name := range slices.Sorted(maps.Keys(m.Fields())) {
				fmt.Print(" ", name, "=", m.Fields()[name])
			}
			fmt.Println()
		}
		fmt.Println("  metrics:", len(metrics), " error:", err)
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/influxdata/telegraf@v1.37.2 2>/dev/null
echo "telegraf v1.37.2; expected: two metrics with sda and sdb each time"
go run . | tee out.txt
diff out.txt - <<'OUT'
{"server":{"cpu":7},"disks":[{"name":"sda","used":1},{"name":"sdb","used":2}]}
  map[disks_name:sda]  disks_used=1 server_cpu=7
  map[disks_name:sdb]  disks_used=2 server_cpu=7
  metrics: 2  error: <nil>
{"disks":[{"name":"sda","used":1},{"name":"sdb","used":2}],"server":{"cpu":7}}
  map[]  server_cpu=7
  metrics: 1  error: <nil>
{"disks":[{"name":"sda","used":1},{"name":"sdb","used":2}],"labels":{}}
  metrics: 0  error: <nil>
OUT
echo "as found"
