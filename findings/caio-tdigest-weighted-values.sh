#!/usr/bin/env bash
# caio/go-tdigest: with weighted values, CDF leaves out the last one, and quantiles lie far outside of the data.
#
# AddWeighted is for "a sample that occurred multiple times". CDF(x) "computes the fraction in which all samples are less than or equal to"
# x. Its loop ends one centroid early: 999,000 of 1,000,000 samples are 100, and CDF(60) is 1. Quantile draws a line through the first two
# centroids and extends it to the left without looking at the data's minimum: the 10th percentile of 999,000 tens and 1,000 hundreds is -62.
# influxdata/tdigest, also a port of the same algorithm, stays near the data in both cases.
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

	caio "github.com/caio/go-tdigest/v4"
	influx "github.com/influxdata/tdigest"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// digests have seen 10 and 100 so many times.
func digests(tens, hundreds uint64) (*caio.TDigest, *influx.TDigest) {
	c, err := caio.New()
	check(err)
	check(c.AddWeighted(10, tens))
	check(c.AddWeighted(100, hundreds))
	i := influx.New()
	i.Add(10, float64(tens))
	i.Add(100, float64(hundreds))
	return c, i
}

func main() {
	c, i := digests(1000, 999000)
	fmt.Printf("0.1%% tens, the rest hundreds: CDF(60) is %.3f (influxdata: %.3f)\n", c.CDF(60), i.CDF(60))
	c, i = digests(999000, 1000)
	for _, q := range []float64{0.1, 0.25} {
		fmt.Printf("99.9%% tens, the rest hundreds: quantile %.2f is %.1f (influxdata: %.1f)\n", q, c.Quantile(q), i.Quantile(q))
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/caio/go-tdigest/v4@v4.1.0 github.com/influxdata/tdigest@v0.0.1 2>/dev/null
echo "caio/go-tdigest v4.1.0, influxdata/tdigest v0.0.1; expected: CDF(60) between 0.001 and about 0.5, quantiles of 10"
go run . | tee out.txt
diff out.txt - <<'OUT'
0.1% tens, the rest hundreds: CDF(60) is 1.000 (influxdata: 0.278)
99.9% tens, the rest hundreds: quantile 0.10 is -61.9 (influxdata: 10.0)
99.9% tens, the rest hundreds: quantile 0.25 is -34.9 (influxdata: 10.0)
OUT
echo "as found"
