#!/usr/bin/env bash
# tstorage (Go): a second metric with the same times erases the first one.
#
# "Specify a directory with data already exists, then it will be read as the initial data" (the package's NewStorage). A partition goes to a folder that is named by its first and last time alone. A later run that stores
# another metric over the same times, such as an import of one day metric by metric, makes a partition of the same name: the file of the
# first is truncated. InsertRows and Close return no error. If the second metric ends one second later, both stay.
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
	"time"

	"github.com/nakabonne/tstorage"
)

const day = 1_700_000_000

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func open(dir string) tstorage.Storage {
	s, err := tstorage.NewStorage(tstorage.WithDataPath(dir), tstorage.WithTimestampPrecision(tstorage.Seconds),
		tstorage.WithPartitionDuration(48*time.Hour), tstorage.WithRetention(20*365*24*time.Hour))
	check(err)
	return s
}

// store stores 24 hourly points, the last one later by some seconds.
func store(dir, metric string, late int64) {
	s := open(dir)
	for h := range int64(24) {
		at := day + h*3600
		if h == 23 {
			at += late
		}
		check(s.InsertRows([]tstorage.Row{{Metric: metric, DataPoint: tstorage.DataPoint{Timestamp: at, Value: float64(h)}}}))
	}
	check(s.Close())
}

func points(dir, metric string) int {
	s := open(dir)
	defer s.Close()
	p, _ := s.Select(metric, nil, day, day+2*86400)
	return len(p)
}

func main() {
	for _, late := range []int64{0, 1} {
		dir := fmt.Sprintf("data%d", late)
		store(dir, "rx", 0)
		fmt.Printf("rx stored: %d points of rx\n", points(dir, "rx"))
		store(dir, "tx", late)
		fmt.Printf("tx stored, ends %d s later: %d points of rx, %d of tx\n", late, points(dir, "rx"), points(dir, "tx"))
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/nakabonne/tstorage@v0.3.6 2>/dev/null
echo "tstorage v0.3.6"
go run . | tee out.txt
diff out.txt - <<'OUT'
rx stored: 24 points of rx
tx stored, ends 0 s later: 0 points of rx, 24 of tx
rx stored: 24 points of rx
tx stored, ends 1 s later: 24 points of rx, 24 of tx
OUT
echo "as found"
