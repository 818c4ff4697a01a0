#!/usr/bin/env bash
# go-limiter (Go): a limit of 100,000 a second lets 10,000 a second pass.
#
# Tokens "is the number of tokens to allow per interval" (the package's memorystore.Config). The first interval has them all. For the later
# ones, the elapsed intervals are multiplied by the nanoseconds per token, instead of the tokens per interval. While tokens are few, that
# is more than the limit and is cut to it, which is why nobody notices. Above the square root of the interval in nanoseconds (31,622 a second,
# 244,948 a minute) it is less: a higher limit then lets fewer pass. Set() for a single key does the same.
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
	"context"
	"fmt"
	"time"

	"github.com/sethvargo/go-limiter"
	"github.com/sethvargo/go-limiter/memorystore"
)

// taken is how many tokens there are until the first refusal.
func taken(s limiter.Store) int {
	for n := 0; ; n++ {
		_, _, _, ok, err := s.Take(context.Background(), "key")
		if err != nil {
			panic(err)
		}
		if !ok {
			return n
		}
	}
}

func main() {
	for _, a := range []uint64{1_000, 20_000, 40_000, 100_000, 500_000} {
		s, err := memorystore.New(&memorystore.Config{Tokens: a, Interval: time.Second})
		if err != nil {
			panic(err)
		}
		start := time.Now()
		first := taken(s)
		time.Sleep(time.Until(start.Add(time.Second + time.Second/8)))
		fmt.Printf("limit %d a second: %d in the first second, %d in the next\n", a, first, taken(s))
		s.Close(context.Background())
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/sethvargo/go-limiter@v0.7.1 2>/dev/null
echo "go-limiter v0.7.1"
go run . | tee out.txt
diff out.txt - <<'OUT'
limit 1000 a second: 1000 in the first second, 1000 in the next
limit 20000 a second: 20000 in the first second, 20000 in the next
limit 40000 a second: 40000 in the first second, 25000 in the next
limit 100000 a second: 100000 in the first second, 10000 in the next
limit 500000 a second: 500000 in the first second, 2000 in the next
OUT
echo "as found"
