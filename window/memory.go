package window

import "pktvisor/metric"

// The bounds on the slots of a top table in a sealed bucket. The maximum is the size of the largest table. With the
// minimum, a reader still gets tens of rows.
const (
	maxSealedSlots = 8192
	minSealedSlots = 64
)

// SealedSlots returns the maximum number of slots of a top table in a sealed bucket, for a window of the given number
// of periods. At scale 0, the sealed buckets of up to 256 periods together take the memory of eight full buckets. With
// more periods, each has 256 slots a table. A step of the scale doubles or halves the slots.
func SealedSlots(periods, scale int) int {
	slots := maxSealedSlots
	for n := periods; n > 8 && slots > 256; n /= 2 {
		slots /= 2
	}
	if scale < 0 {
		return max(slots>>-scale, minSealedSlots)
	}
	return min(slots<<scale, maxSealedSlots)
}

// Memory returns the maximum memory in bytes of a window's buckets, two open and the others sealed, with the given
// slots of sealed top tables.
func Memory(tables []*metric.Table, periods, slots int) int64 {
	var open, sealed int64
	for _, t := range tables {
		for i := range t.Descs {
			o, s := t.Descs[i].Memory(slots)
			open, sealed = open+o, sealed+s
		}
	}
	return 2*open + int64(periods-1)*sealed
}
