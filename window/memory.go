package window

import "pktvisor/metric"

// The slots of a top table of a sealed bucket: as many as any table has, and those of which a reader still gets tens of rows.
const (
	maxSealedSlots = 8192
	minSealedSlots = 64
)

// SealedSlots returns how many slots a top table of a sealed bucket has at most in a window of the given number of periods.
// At scale 0, the sealed buckets together take the memory of eight full ones up to 256 periods, and each has 256 slots a table with
// more. A step of the scale doubles or halves it.
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

// What the parts of a bucket take, in bytes, at most.
const (
	slotBytes        = 12 // of entries: 16 bytes each, three for four slots
	slotIndexBytes   = 8
	slotKeyBytes     = 64 // of keys, on the average of a table; the sketch sees to it
	maxKeyBytes      = 255
	cardinalityBytes = 20 << 10
	histogramBytes   = 4 << 10
	otherBytes       = 1 << 10
)

// Memory returns how many bytes the buckets of a window take at most, with the given slots of sealed top tables: two open ones
// and the sealed ones.
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
