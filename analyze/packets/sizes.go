package packets

import (
	"reflect"

	"pktvisor/analyze"
)

// tallySize is the number of distinct addresses that a shard counts between flushes by default, and the maximum. With fewer
// than minTallySize, the shard would flush every few groups.
const (
	tallySize    = 1 << 15
	minTallySize = 1 << 11
)

// sizeAt returns the size of the tally at a scale.
func sizeAt(scale int) int { return analyze.Scaled(tallySize, scale, minTallySize, tallySize) }

// locationBytes is the memory that the sum of a location or network takes, in a map and a slice.
const locationBytes = 80

// otherBytes is the memory that an analyzer takes besides its tables.
const otherBytes = 32 << 10

// bytesAt returns the maximum number of bytes that an analyzer takes at a scale, with the wanted metrics.
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
			bytes += locationBytes * size
		}
	}
	return bytes
}
