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

// makeTables makes the tables that the wanted metrics need, for a number of addresses.
func (a *Analyzer) makeTables(size int) {
	if a.wanted.addresses() {
		a.peers, a.lowest = analyze.NewTally[peer](size), analyze.Ingress
	}
	if a.wanted.top4 || a.wanted.top6 {
		a.weights = make([]uint64, 0, size)
	}
}

// reserve makes room for the addresses of a group: it flushes, or makes the tables before the first group.
func (a *Analyzer) reserve() {
	if !a.idle {
		a.cfg.Flush()
		return
	}
	a.idle = false
	a.makeTables(sizeAt(a.cfg.Scale))
}
