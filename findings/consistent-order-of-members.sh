#!/usr/bin/env bash
# consistent (StatHat, Go): two clients with the same members send a key to different ones, if they were added in another order.
#
# A consistent hash maps a key by the set of members alone: clients agree without talking to each other, and a member that comes and goes
# leaves nothing behind (Karger et al. 1997). Each member has 20 points, at the hashes of a number followed by its name, such as
# 0 to 19 and "7". Where names are numbers, "1" + "11" and "11" + "1" are one point, which belongs to the last one added. When that one is
# removed, the point goes too, and the other member has lost it for good. Names like "cache-1" are not affected.
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
	"slices"

	"github.com/stathat/consistent"
)

func ring(names []string) *consistent.Consistent {
	c := consistent.New()
	for _, n := range names {
		c.Add(n)
	}
	return c
}

func differ(a, b *consistent.Consistent) int {
	n := 0
	for i := range 100_000 {
		key := fmt.Sprint("user:", i)
		x, _ := a.Get(key)
		y, _ := b.Get(key)
		if x != y {
			n++
		}
	}
	return n
}

func main() {
	for _, prefix := range []string{"", "cache-"} {
		var names []string
		for i := 1; i <= 24; i++ {
			names = append(names, fmt.Sprint(prefix, i))
		}
		a, b, c := ring(names), ring(names), ring(names)
		slices.Reverse(names)
		fmt.Printf("members %s1 to %s24: %d of 100000 keys elsewhere when added in reverse", prefix, prefix, differ(a, ring(names)))
		b.Add(prefix + "25")
		b.Remove(prefix + "25")
		fmt.Printf(", %d after %s25 was added and removed", differ(a, b), prefix)
		c.Remove(prefix + "11")
		c.Add(prefix + "11")
		c.Remove(prefix + "1")
		c.Add(prefix + "1")
		fmt.Printf(", %d after %s11 and %s1 were away\n", differ(a, c), prefix, prefix)
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/stathat/consistent@v1.0.0 2>/dev/null
echo "stathat/consistent v1.0.0"
go run . | tee out.txt
diff out.txt - <<'OUT'
members 1 to 24: 1077 of 100000 keys elsewhere when added in reverse, 232 after 25 was added and removed, 195 after 11 and 1 were away
members cache-1 to cache-24: 0 of 100000 keys elsewhere when added in reverse, 0 after cache-25 was added and removed, 0 after cache-11 and cache-1 were away
OUT
echo "as found"
