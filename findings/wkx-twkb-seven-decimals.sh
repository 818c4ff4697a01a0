#!/usr/bin/env bash
# wkx and twkb (npm): Tokyo, in TWKB with seven decimals, is read as a place in the Atlantic.
#
# Tiny WKB multiplies coordinates by ten to the precision, which four bits hold as a signed number (TWKB specification 0.23, the type and precision byte), rounds
# them, and writes them as varints in zigzag. PostGIS's ST_AsTWKB(geom, 7) does so with about a centimetre a step. Both packages assemble the numbers
# with JavaScript's operators for 32 bits: what is more than 1,073,741,823 after the multiplication loses its highest bit. That begins at the 107.4th degree of
# longitude with seven decimals, and at 10,737 km with the centimetres of a projected map. 139.69 East becomes 75.06 West, without an
# error, and the latitude is right. twkb also returns the bounding box as it stands in the file, undivided. simplefeatures (Go) reads both lines right.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . wkx@0.5.0 twkb@0.2.2 >/dev/null
cat >go.mod <<'MOD'
module finding

go 1.24
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/peterstace/simplefeatures/geom"
)

// main writes a line of two points as TWKB with a bounding box, in hex, and what simplefeatures reads in it.
func main() {
	precision, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	g, err := geom.UnmarshalWKT(os.Args[1])
	if err != nil {
		panic(err)
	}
	b, err := geom.MarshalTWKB(g, precision, geom.TWKBBoundingBoxHeader())
	if err != nil {
		panic(err)
	}
	back, err := geom.UnmarshalTWKB(b)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%x %s\n", b, back.AsText())
}
GO
cat >run.js <<'JS'
const [hex, go] = process.argv[2].split(/ (.*)/);
const { Geometry } = require('wkx');
const { read } = require('twkb');
const bytes = Buffer.from(hex, 'hex');
const [line] = read(bytes);
console.log(`simplefeatures: ${go}\n  wkx: ${Geometry.parseTwkb(bytes).toWkt()}\n  twkb: ${line.coordinates}; box ${line.bbox}`);
JS
export GOFLAGS=-mod=mod
go get github.com/peterstace/simplefeatures@v0.50.0 2>/dev/null
go build -o write .
echo "wkx 0.5.0, twkb 0.2.2, and simplefeatures v0.50.0 for comparison"
for precision in 6 7; do
  node run.js "$(./write 'LINESTRING(139.691711 35.689487,139.7 35.7)' $precision)"
done 2>/dev/null | tee out.txt
diff out.txt - <<'OUT'
simplefeatures: LINESTRING(139.691711 35.689487,139.7 35.7)
  wkx: LINESTRING(139.691711 35.689487,139.7 35.7)
  twkb: 139.691711,35.689487,139.7,35.7; box 139691711,35689487,139700000,35700000
simplefeatures: LINESTRING(139.691711 35.689487,139.7 35.7)
  wkx: LINESTRING(-75.0566538 35.689487,-75.0483648 35.7)
  twkb: -75.0566538,35.689487,-75.0483648,35.7; box -750566538,356894870,-750483648,357000000
OUT
echo "as found"
