#!/usr/bin/env bash
# goavro and hamba/avro (Go) write noon of 15 June 1950 as the date 16 June 1950.
#
# A date "stores the number of days from the unix epoch" (Avro specification, logical types, "Date"). Noon of 1950-06-15 is in the day -7140. Both
# packages take a time.Time, and divide its seconds by those of a day. Go's division rounds towards zero, and gives -7139. Before 1970, only
# midnight in UTC comes out right. A date of birth, taken at midnight in New York, is right in 1990 and a day late in 1950.
# Decimals go the other way: what does not fit the scale is rounded down, without an error. A price of 19.99 in a float64, which is a
# little less than that, becomes 19.98.
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
	"math/big"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/linkedin/goavro/v2"
)

const (
	date    = `{"type":"int","logicalType":"date"}`
	decimal = `{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}`
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func goavroTrip(schema string, v any) any {
	c, err := goavro.NewCodec(schema)
	check(err)
	b, err := c.BinaryFromNative(nil, v)
	check(err)
	out, _, err := c.NativeFromBinary(b)
	check(err)
	return out
}

func hambaTrip(schema string, v, out any) {
	s := avro.MustParse(schema)
	b, err := avro.Marshal(s, v)
	check(err)
	check(avro.Unmarshal(s, b, out))
}

func main() {
	newYork := time.FixedZone("EDT", -4*3600)
	for _, t := range []time.Time{
		time.Date(1950, 6, 15, 0, 0, 0, 0, time.UTC), time.Date(1950, 6, 15, 12, 0, 0, 0, time.UTC), time.Date(1950, 6, 15, 0, 0, 0, 0, newYork),
		time.Date(1990, 6, 15, 12, 0, 0, 0, time.UTC), time.Date(1990, 6, 15, 0, 0, 0, 0, newYork),
	} {
		var h time.Time
		hambaTrip(date, t, &h)
		fmt.Printf("%s: goavro %s, hamba %s\n", t.Format("2006-01-02 15:04 MST"), goavroTrip(date, t).(time.Time).Format(time.DateOnly), h.Format(time.DateOnly))
	}
	for _, f := range []float64{19.99, 0.25} {
		r := new(big.Rat).SetFloat64(f)
		h := new(big.Rat)
		hambaTrip(decimal, r, &h)
		fmt.Printf("%.2f: goavro %s, hamba %s\n", f, goavroTrip(decimal, r).(*big.Rat).FloatString(2), h.FloatString(2))
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/linkedin/goavro/v2@v2.15.0 github.com/hamba/avro/v2@v2.31.0 2>/dev/null
echo "goavro v2.15.0, hamba/avro v2.31.0"
go run . | tee out.txt
diff out.txt - <<'OUT'
1950-06-15 00:00 UTC: goavro 1950-06-15, hamba 1950-06-15
1950-06-15 12:00 UTC: goavro 1950-06-16, hamba 1950-06-16
1950-06-15 00:00 EDT: goavro 1950-06-16, hamba 1950-06-16
1990-06-15 12:00 UTC: goavro 1990-06-15, hamba 1990-06-15
1990-06-15 00:00 EDT: goavro 1990-06-15, hamba 1990-06-15
19.99: goavro 19.98, hamba 19.98
0.25: goavro 0.25, hamba 0.25
OUT
echo "as found"
