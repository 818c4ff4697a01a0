#!/usr/bin/env bash
# DataDog's sketches-go: halving every weight of a sketch moves its quantiles, and makes the median of positive values negative.
#
# Reweight multiplies the weight of each value, which is how a sketch decays over time. The quantiles of what is left should
# stay where they were. The library looks for rank q*(count-1), which is a rule for whole values of weight 1: as the total
# weight falls, every quantile falls with it. Below a total of 1 the rank is negative, and the answer is -1.01, the first bin of
# a store of negative values that is empty. No error is returned.
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

	"github.com/DataDog/sketches-go/ddsketch"
)

func main() {
	s, err := ddsketch.NewDefaultDDSketch(0.01)
	if err != nil {
		panic(err)
	}
	for i := 1; i <= 100; i++ {
		if err := s.Add(float64(i)); err != nil {
			panic(err)
		}
	}
	for range 8 {
		median, err := s.GetValueAtQuantile(0.5)
		least, _ := s.GetMinValue()
		fmt.Printf("weight %7.3f: least %.2f, median %.2f, error %v\n", s.GetCount(), least, median, err)
		if err := s.Reweight(0.5); err != nil {
			panic(err)
		}
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/DataDog/sketches-go@v1.4.8 2>/dev/null
echo "sketches-go v1.4.8, the values 1 to 100"
go run . | tee out.txt
diff out.txt - <<'OUT'
weight 100.000: least 1.01, median 49.90, error <nil>
weight  50.000: least 1.01, median 49.90, error <nil>
weight  25.000: least 1.01, median 48.91, error <nil>
weight  12.500: least 1.01, median 47.00, error <nil>
weight   6.250: least 1.01, median 43.38, error <nil>
weight   3.125: least 1.01, median 34.82, error <nil>
weight   1.562: least 1.01, median 19.11, error <nil>
weight   0.781: least 1.01, median -1.01, error <nil>
OUT
echo "as found"
