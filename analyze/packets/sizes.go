package packets

import (
	"reflect"

	"pktvisor/analyze"
)

// tallySize is how many distinct addresses a shard counts between flushes, by default and at most. With fewer than
// minTallySize, it would flush every few groups.
const (
	tallySize    = 1 << 15
	minTallySize = 1 << 11
)

// sizeAt is the size of the tally at a scale.
func sizeAt(scale int) int { return analyze.Scaled(tallySize, scale, minTallySize, tallySize) }

// placeBytes is what a place takes that addresses are summed up by, in a map and a slice.
const placeBytes = 80

// otherBytes is what else an analyzer takes, beside its tables.
const otherBytes = 32 << 10

// bytesAt returns how many bytes an analyzer takes at most, at a scale.
func bytesAt(scale int, locates bool) int64 {
	size := int64(sizeAt(scale))
	bytes := otherBytes + int64(reflect.TypeFor[Analyzer]().Size()) + analyze.TallyBytes[peer](int(size)) + 8*size
	if locates {
		bytes += 2 * placeBytes * size
	}
	return bytes
}
