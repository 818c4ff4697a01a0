#!/usr/bin/env bash
# influxdata/tdigest (Go): of a million values on 100 hosts, the merged digest counts 65,689, and its p99 is 65,032 instead of 990,000.
#
# AddCentroidList "can quickly add multiple centroids", and Centroids is "useful when aggregating multiple t-digests", say their comments. Added centroids wait in a
# buffer, which is sorted in when one more than its 8,000 places are needed. AddCentroidList adds as many as there are places, leaves out one, and looks again: now there
# is no place, so it leaves out each of the rest. As the buffer is full and not over-full, it is never sorted in, and all later lists are left
# out whole. No error follows. A digest that is asked for a quantile between the lists sorts the buffer in, so that a test that looks after each merge
# shows nothing. The fault was fixed in 2020, after v0.0.1. There is no later version, so that "go get" brings this one.
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

	"github.com/influxdata/tdigest"
)

const values = 10000 // of each host

// merged is the digest of all hosts; host h has seen the values from h*10000 on. It may be asked after each host.
func merged(hosts int, ask bool) *tdigest.TDigest {
	all := tdigest.New()
	for h := range hosts {
		one := tdigest.New()
		for i := range values {
			one.Add(float64(h*values+i), 1)
		}
		all.AddCentroidList(one.Centroids())
		if ask {
			all.Quantile(0.5)
		}
	}
	return all
}

func main() {
	for _, hosts := range []int{1, 5, 10, 100} {
		for _, ask := range []bool{true, false} {
			d := merged(hosts, ask)
			fmt.Printf("%3d hosts, %7d values, asked after each %-5v: count %7.0f, p50 %6.0f, p99 %6.0f\n", hosts, hosts*values, ask, d.Count(), d.Quantile(0.5), d.Quantile(0.99))
		}
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/influxdata/tdigest@v0.0.1 2>/dev/null
echo "influxdata/tdigest v0.0.1; the newest version is $(go list -m -f '{{.Version}}' github.com/influxdata/tdigest@latest)"
go run . | tee out.txt
diff out.txt - <<'OUT'
  1 hosts,   10000 values, asked after each true : count   10000, p50   5000, p99   9900
  1 hosts,   10000 values, asked after each false: count   10000, p50   5000, p99   9900
  5 hosts,   50000 values, asked after each true : count   50000, p50  25000, p99  49500
  5 hosts,   50000 values, asked after each false: count   50000, p50  25000, p99  49500
 10 hosts,  100000 values, asked after each true : count  100000, p50  50000, p99  99000
 10 hosts,  100000 values, asked after each false: count   65689, p50  32844, p99  65032
100 hosts, 1000000 values, asked after each true : count 1000000, p50 500000, p99 990000
100 hosts, 1000000 values, asked after each false: count   65689, p50  32844, p99  65032
OUT
echo "as found"
