package analyze

import (
	"cmp"
	"slices"
	"sort"

	"pktvisor/decode"
)

// hostRanges is a set of many subnets, such as the addresses of an interface that has thousands: for each IP version, sorted
// ranges of addresses that do not overlap. A look-up is a binary search.
type hostRanges struct{ v4, v6 []hostRange }

// hostRange is the addresses from first to last, both included.
type hostRange struct{ first, last decode.Addr }

func newHostRanges(nets4 []hostNet4, nets6 []hostNet) *hostRanges {
	var v4, v6 []hostRange
	for _, n := range nets4 {
		v4 = append(v4, hostRange{decode.Addr{Lo: n.lo}, decode.Addr{Lo: n.lo | ^n.maskLo}})
	}
	for _, n := range nets6 {
		v6 = append(v6, hostRange{decode.Addr{Hi: n.hi, Lo: n.lo}, decode.Addr{Hi: n.hi | ^n.maskHi, Lo: n.lo | ^n.maskLo}})
	}
	return &hostRanges{joined(v4), joined(v6)}
}

func compareAddr(a, b decode.Addr) int {
	return cmp.Or(cmp.Compare(a.Hi, b.Hi), cmp.Compare(a.Lo, b.Lo))
}

// joined sorts ranges, and joins those that overlap.
func joined(ranges []hostRange) []hostRange {
	slices.SortFunc(ranges, func(a, b hostRange) int { return compareAddr(a.first, b.first) })
	kept := ranges[:0]
	for _, r := range ranges {
		if n := len(kept); n > 0 && compareAddr(r.first, kept[n-1].last) <= 0 {
			if compareAddr(r.last, kept[n-1].last) > 0 {
				kept[n-1].last = r.last
			}
			continue
		}
		kept = append(kept, r)
	}
	return kept
}

// direction does what [Hosts.Direction] does.
func (h *hostRanges) direction(src, dst decode.Addr) Direction {
	ranges := h.v6
	if dst.Is4() {
		ranges = h.v4
		src.Hi, dst.Hi = 0, 0
	}
	switch {
	case within(ranges, dst):
		return Ingress
	case within(ranges, src):
		return Egress
	}
	return Unknown
}

// within reports whether one of the ranges has the address.
func within(ranges []hostRange, a decode.Addr) bool {
	i := sort.Search(len(ranges), func(i int) bool { return compareAddr(ranges[i].last, a) >= 0 })
	return i < len(ranges) && compareAddr(ranges[i].first, a) <= 0
}
