#!/usr/bin/env bash
# paulmach/orb (Go): the box of 50 km around a village in Fiji does not hold the village, and the map tile of 180 degrees is not valid.
#
# geo.NewBoundAroundPoint "creates a new bound given a center point, and a distance from the center point in meters". Where the box goes over the 180th degree, the
# function takes that edge round to the other side, so that the western edge is at 179.5 and the eastern at -179.5. But a Bound of this module goes from the
# lesser number to the greater: Contains is false for each point of the earth, the centre among them. A search for what is within the box finds nothing, without an
# error. geo.BoundPad, for the same box, stops at 180 instead. maptile.At "Will create a valid tile for the zoom", say the comments. Of 180
# degrees, a valid longitude and the edge of many polygons of countries, it makes column 8 of 0 to 7, and Valid is false.
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

	"github.com/paulmach/orb"
	"github.com/paulmach/orb/geo"
	"github.com/paulmach/orb/maptile"
)

func main() {
	for _, p := range []orb.Point{{178.44, -18.14}, {-179.99, -16.79}, {179.9, -16.7}} {
		b := geo.NewBoundAroundPoint(p, 50_000)
		padded := geo.BoundPad(p.Bound(), 50_000)
		fmt.Printf("%v: from %.2f to %.2f degrees, %.0f km wide, holds it: %v; BoundPad: from %.2f to %.2f, holds it: %v\n", p, b.Min[0], b.Max[0], geo.BoundWidth(b)/1000,
			b.Contains(p), padded.Min[0], padded.Max[0], padded.Contains(p))
	}
	for _, p := range []orb.Point{{-180, -16.7}, {179.999, -16.7}, {180, -16.7}} {
		t := maptile.At(p, 3)
		fmt.Printf("tile of %v at zoom 3: column %d, row %d, valid: %v\n", p, t.X, t.Y, t.Valid())
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/paulmach/orb@v0.14.0 2>/dev/null
echo "paulmach/orb v0.14.0"
go run . | tee out.txt
diff out.txt - <<'OUT'
[178.44 -18.14]: from 177.97 to 178.91 degrees, 100 km wide, holds it: true; BoundPad: from 177.97 to 178.91, holds it: true
[-179.99 -16.79]: from 179.54 to -179.52 degrees, 100 km wide, holds it: false; BoundPad: from -180.00 to -179.52, holds it: true
[179.9 -16.7]: from 179.43 to -179.63 degrees, 100 km wide, holds it: false; BoundPad: from 179.43 to 180.00, holds it: true
tile of [-180 -16.7] at zoom 3: column 0, row 4, valid: true
tile of [179.999 -16.7] at zoom 3: column 7, row 4, valid: true
tile of [180 -16.7] at zoom 3: column 8, row 4, valid: false
OUT
echo "as found"
