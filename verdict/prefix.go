package verdict

import (
	"net/netip"
	"slices"
)

// The shortest prefixes that are named. A longer one is named instead if it has at least nearlyAll of what the shorter one has.
const (
	shortest4, shortest6 = 8, 32
	nearlyAll            = 0.75
	// leastNets is how many networks make a prefix worth its name: fewer can be named one by one.
	leastNets = 4
	// flatShare is the part of the whole below which the rows of a table say nothing by their numbers: all of them are light. If
	// there are at least flatRows of them, they are a sample of the networks.
	flatShare, flatRows = 0.1, 256
)

// shared is a prefix that many networks share.
type shared struct {
	prefix netip.Prefix
	nets   int // how many of the networks are below it, each with something
	weight float64
	share  float64 // of the whole
	// ofNets says that share is that of the networks in the table, and not of messages, because these come from more networks than a
	// table can count.
	ofNets bool
}

// weighed is a network and what it has.
type weighed struct {
	prefix netip.Prefix
	weight float64
}

// common returns the longest prefix that has nearly all of what the heaviest of the shortest ones has, and reports whether it has
// several networks.
func common(t *Table) (s shared, ok bool) {
	list, sum := make([]weighed, 0, len(t.Rows)), 0.0
	for i := range t.Rows {
		if p, err := netip.ParsePrefix(t.Rows[i].Name); err == nil {
			list = append(list, weighed{p, max(t.Rows[i].Lower, 0)})
			sum += list[len(list)-1].weight
		}
	}
	whole := t.Total
	ofNets := sum < flatShare*whole && len(list) >= flatRows
	if ofNets {
		for i := range list {
			list[i].weight = 1
		}
		whole = float64(len(list))
	}
	s, list = heaviest(list, func(p netip.Prefix) int {
		if p.Addr().Is4() {
			return shortest4
		}
		return shortest6
	})
	for s.nets >= leastNets {
		next, rest := heaviest(list, func(netip.Prefix) int { return s.prefix.Bits() + 1 })
		if next.nets < leastNets || next.weight < nearlyAll*s.weight || next.prefix.Bits() <= s.prefix.Bits() {
			break
		}
		s, list = next, rest
	}
	s.share, s.ofNets = part(s.weight, whole), ofNets
	return s, s.nets >= leastNets
}

// heaviest returns the prefix that has most, and the networks below it. The length of a prefix is at most that of the network.
func heaviest(list []weighed, length func(p netip.Prefix) int) (best shared, below []weighed) {
	sums := make(map[netip.Prefix]shared)
	for _, w := range list {
		p, err := w.prefix.Addr().Prefix(min(length(w.prefix), w.prefix.Bits()))
		if err != nil || w.weight <= 0 {
			continue
		}
		s := sums[p]
		s.prefix, s.nets, s.weight = p, s.nets+1, s.weight+w.weight
		sums[p] = s
		if s.weight > best.weight {
			best = s
		}
	}
	return best, slices.DeleteFunc(slices.Clone(list), func(w weighed) bool { return !best.prefix.Contains(w.prefix.Addr()) })
}
