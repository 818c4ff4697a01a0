#!/usr/bin/env bash
# The lower bound of a count-min sketch of Apache DataSketches for Go lies above the true count.
#
# A count-min sketch never counts too little: each count has a part of the others added to it. The true count lies between the estimate
# less e times the total, and the estimate (Cormode and Muthukrishnan 2005, theorem 1; the code names this paper). GetLowerBound
# returns the estimate itself, and GetUpperBound the estimate plus e times the total, so that both bounds lie on the wrong side. Of
# 10,000 items that were counted once each, none has its 1 between its bounds. A program that reports the items whose lower bound is above
# a threshold, to avoid false alarms, reports items that were seen once. The frequencies sketch of the same module has true bounds.
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

	"github.com/apache/datasketches-go/count"
	"github.com/apache/datasketches-go/frequencies"
)

const items = 10000

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// report counts the items, seen once each, whose bounds hold the count of 1.
func report(name string, lower, upper func(int64) int64) {
	inside := 0
	lowest, highest := lower(0), lower(0)
	for i := range int64(items) {
		lo, hi := lower(i), upper(i)
		if lo <= 1 && 1 <= hi {
			inside++
		}
		lowest, highest = min(lowest, lo), max(highest, lo)
	}
	fmt.Printf("%s: the count of 1 is within the bounds of %d of %d items; lower bounds from %d to %d\n", name, inside, items, lowest, highest)
}

func main() {
	cm, err := count.NewCountMinSketch(5, 272, 1) // relative error 1%
	check(err)
	freq, err := frequencies.NewLongsSketchWithMaxMapSize(256)
	check(err)
	for i := range int64(items) {
		check(cm.UpdateUint64(uint64(i), 1))
		check(freq.Update(i))
	}
	report("count-min", func(i int64) int64 { return cm.GetLowerBoundUint64(uint64(i)) },
		func(i int64) int64 { return cm.GetUpperBoundUint64(uint64(i)) })
	report("frequencies", func(i int64) int64 { lo, err := freq.GetLowerBound(i); check(err); return lo },
		func(i int64) int64 { hi, err := freq.GetUpperBound(i); check(err); return hi })
}
GO
export GOFLAGS=-mod=mod
go get github.com/apache/datasketches-go@v0.2.0 2>/dev/null
echo "datasketches-go v0.2.0"
go run . | tee out.txt
diff out.txt - <<'OUT'
count-min: the count of 1 is within the bounds of 0 of 10000 items; lower bounds from 19 to 43
frequencies: the count of 1 is within the bounds of 10000 of 10000 items; lower bounds from 0 to 1
OUT
echo "as found"
