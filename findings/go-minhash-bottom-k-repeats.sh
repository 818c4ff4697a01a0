#!/usr/bin/env bash
# go-minhash (Go): a bottom-k sketch counts repeats, doubles a union with itself, and says that a third of similarity is a half.
#
# A bottom-k sketch "of a set" keeps the k smallest different hashes (Cohen, Kaplan 2007; Beyer et al. 2007, which the package names).
# - Push and Merge add a hash that is already there once more. Items that come again, as they do in a stream, take the places of others,
#   and the estimated cardinality grows with each copy. Merging two sketches of overlapping sets does the same.
# - Similarity divides what two sketches share by k. The k smallest hashes of the union have to be the base (Beyer et al.).
#   For two sets of n items that share m, it gives m/n, not the Jaccard similarity m/(2n-m), which MinWise of the same package estimates.
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
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/dgryski/go-minhash"
)

const k = 1000

func hash(b []byte) uint64 {
	s := sha256.Sum256(b)
	return binary.BigEndian.Uint64(s[:])
}

func hash2(b []byte) uint64 {
	s := sha256.Sum256(b)
	return binary.BigEndian.Uint64(s[8:])
}

type set interface{ Push([]byte) }

// fill adds the items first to first+19999, each one times.
func fill[S set](s S, first, times int) S {
	for range times {
		for i := range 20_000 {
			s.Push(binary.BigEndian.AppendUint32(nil, uint32(first+i)))
		}
	}
	return s
}

func bottom() *minhash.BottomK { return minhash.NewBottomK(hash, k) }

func main() {
	fmt.Printf("20,000 items: cardinality %d\n", fill(bottom(), 0, 1).Cardinality())
	fmt.Printf("the same items ten times: %d\n", fill(bottom(), 0, 10).Cardinality())
	one := fill(bottom(), 0, 1)
	one.Merge(fill(bottom(), 0, 1))
	fmt.Printf("merged with the sketch of the same items: %d\n", one.Cardinality())
	fmt.Printf("two sets with Jaccard similarity 0.333: BottomK %.3f", fill(bottom(), 0, 1).Similarity(fill(bottom(), 10_000, 1)))
	wise := func(first int) *minhash.MinWise { return fill(minhash.NewMinWise(hash, hash2, k), first, 1) }
	fmt.Printf(", MinWise %.3f\n", wise(0).Similarity(wise(10_000)))
}
GO
export GOFLAGS=-mod=mod
go get github.com/dgryski/go-minhash@v0.0.0-20170608043002-7fe510aff544 2>/dev/null
echo "go-minhash 7fe510aff544 (2017-06-08)"
go run . | tee out.txt
diff out.txt - <<'OUT'
20,000 items: cardinality 19997
the same items ten times: 178680
merged with the sketch of the same items: 38591
two sets with Jaccard similarity 0.333: BottomK 0.503, MinWise 0.326
OUT
echo "as found"
