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
func bytesAt(scale int, w wanted) int64 {
	size := int64(sizeAt(scale))
	bytes := otherBytes + int64(reflect.TypeFor[Analyzer]().Size())
	if w.addresses() {
		bytes += analyze.TallyBytes[peer](int(size))
	}
	if w.top4 || w.top6 {
		bytes += 8 * size
	}
	for _, located := range []bool{w.cities, w.networks} {
		if located {
			bytes += placeBytes * size
		}
	}
	return bytes
}
