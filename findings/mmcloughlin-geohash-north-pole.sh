#!/usr/bin/env bash
# mmcloughlin/geohash (Go): the North Pole has the geohash of the South Pole.
#
# A geohash halves the range of -90 to 90 degrees again and again, and writes which half holds the latitude; 90 is in the upper half each time. The package
# computes the position in one step, as a share of the range times 2^32, and keeps 32 bits of it. For 90 this is 2^32 itself, of which 32 bits are 0: the position
# of -90. The decoded place is 20,000 km away, without an error. 89.9999999 is right. 180 degrees of longitude become -180 in the same way, and that is the same place.
# The northern neighbour of a cell at the North Pole is at the South Pole, too. ngeohash and latlon-geohash (npm) have the last cell for 90.
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

	"github.com/mmcloughlin/geohash"
)

func main() {
	for _, lat := range []float64{89.99, 89.9999999, 90, -90} {
		hash := geohash.EncodeWithPrecision(lat, 10, 6)
		at, _ := geohash.DecodeCenter(hash)
		fmt.Printf("latitude %v: %s, decoded as %.4f\n", lat, hash, at)
	}
	hash := geohash.EncodeWithPrecision(89.99, 10, 4)
	north := geohash.Neighbor(hash, geohash.North)
	at, _ := geohash.DecodeCenter(north)
	fmt.Printf("north of %s: %s, at latitude %.4f\n", hash, north, at)
}
GO
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . ngeohash@0.6.4 latlon-geohash@2.0.0 >/dev/null
cat >run.mjs <<'JS'
import ngeohash from 'ngeohash';
import Geohash from 'latlon-geohash';

console.log(`latitude 90 by ngeohash: ${ngeohash.encode(90, 10, 6)}, by latlon-geohash: ${Geohash.encode(90, 10, 6)}`);
JS
export GOFLAGS=-mod=mod
go get github.com/mmcloughlin/geohash@v0.10.0 2>/dev/null
echo "mmcloughlin/geohash v0.10.0; ngeohash 0.6.4 and latlon-geohash 2.0.0 for comparison; longitude 10"
{ go run . && node run.mjs; } | tee out.txt
diff out.txt - <<'OUT'
latitude 89.99: upzpgw, decoded as 89.9918
latitude 89.9999999: upzpgx, decoded as 89.9973
latitude 90: h0p058, decoded as -89.9973
latitude -90: h0p058, decoded as -89.9973
north of upzp: h0p0, at latitude -89.9121
latitude 90 by ngeohash: upzpgx, by latlon-geohash: upzpgx
OUT
echo "as found"
