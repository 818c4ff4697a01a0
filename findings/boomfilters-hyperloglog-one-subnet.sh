#!/usr/bin/env bash
# A HyperLogLog of BoomFilters (Go) counts the 256 addresses of a /24 as one.
#
# The registers are chosen by the upper bits of the hash, and need hashed values that are spread evenly over all bits (Flajolet, Fusy,
# Gandouet, Meunier 2007, the paper that the code names). The default here is FNV-1, which multiplies and then XORs the octet: the last
# octet of a key reaches only the lowest 8 bits. Keys that differ there alone share a register and, but for rare cases, its value. The third
# octet of an address is spread little more: a /16 is counted as 258. Random keys are counted well, which is what one tests with.
# The error that was asked for is 1%. SetHash, with the same function's variant FNV-1a (XOR first), counts the /24 right and the /16 half too high.
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
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"

	boom "github.com/tylertreat/BoomFilters"
)

func count(n int, fnv1a bool, key func(i uint32) uint32) uint64 {
	h, err := boom.NewDefaultHyperLogLog(0.01)
	if err != nil {
		panic(err)
	}
	if fnv1a {
		h.SetHash(fnv.New32a())
	}
	for i := range uint32(n) {
		h.Add(binary.BigEndian.AppendUint32(nil, key(i)))
	}
	return h.Count()
}

func main() {
	in10 := func(i uint32) uint32 { return 10<<24 + i }
	fmt.Printf("10.0.0.0/24, 256 addresses: %d (with FNV-1a: %d)\n", count(256, false, in10), count(256, true, in10))
	fmt.Printf("10.0.0.0/16, 65536 addresses: %d (with FNV-1a: %d)\n", count(65536, false, in10), count(65536, true, in10))
	random := rand.New(rand.NewPCG(1, 2)).Perm(1 << 24)
	fmt.Printf("65536 addresses at random: %d\n", count(65536, false, func(i uint32) uint32 { return uint32(random[i]) * 251 }))
}
GO
export GOFLAGS=-mod=mod
go get github.com/tylertreat/BoomFilters@v0.0.0-20251001182300-5b3723cc64ae 2>/dev/null
echo "BoomFilters 5b3723cc64ae (2025-10-01)"
go run . | tee out.txt
diff out.txt - <<'OUT'
10.0.0.0/24, 256 addresses: 1 (with FNV-1a: 258)
10.0.0.0/16, 65536 addresses: 258 (with FNV-1a: 96793)
65536 addresses at random: 65782
OUT
echo "as found"
