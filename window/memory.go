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

// The maximum memory of the parts of a bucket, in bytes.
const (
	slotBytes        = 12 // entries: 16 bytes each, three for four slots
	slotIndexBytes   = 8
	slotKeyBytes     = 64 // keys, on average over a table; the sketch enforces it
	maxKeyBytes      = 255
	cardinalityBytes = 20 << 10
	histogramBytes   = 4 << 10
	otherBytes       = 1 << 10
)

// Memory returns the maximum memory in bytes of a window's buckets, two open and the others sealed, with the given
// slots of sealed top tables.
func Memory(tables []*metric.Table, periods, slots int) int64 {
	open, sealed := int64(0), int64(0)
	for _, t := range tables {
		for i := range t.Descs {
			d := &t.Descs[i]
			switch d.Kind {
			case metric.KindTop:
				all := int64(d.Slots)
				kept := min(all, int64(slots))
				open += all * (slotBytes + slotIndexBytes + slotKeyBytes)
				sealed += kept*slotBytes + min(all*slotKeyBytes, kept/4*3*maxKeyBytes)
				continue
			case metric.KindCardinality:
				open, sealed = open+cardinalityBytes, sealed+cardinalityBytes
			case metric.KindHistogram:
				open, sealed = open+histogramBytes, sealed+histogramBytes
			default:
				open, sealed = open+otherBytes, sealed+otherBytes
			}
		}
	}
	return 2*open + int64(periods-1)*sealed
}
