package simulate

import (
	"maps"
	"slices"

	"pktvisor/minute"
)

// Sums are what a hub must report for a minute: exact sums over the snapshots of the fleet that begin in it.
type Sums struct {
	// Start is the start of the minute (Unix time in seconds).
	Start int64 `json:"start"`
	// All is the sum over all hosts, and Groups that of each group with a tag, by key=value. These have only a few counters.
	All    Sum            `json:"all"`
	Groups map[string]Sum `json:"groups"`
}

// Sum is the sum over some snapshots.
type Sum struct {
	Snapshots uint64            `json:"snapshots"`
	Lost      uint64            `json:"lost"`
	Counters  map[string]uint64 `json:"counters"` // by section.path
}

// groupCounters are the counters of groups with a tag.
var groupCounters = []string{"packets.total", "dns.wire_packets.total"}

func (s *Sum) add(lost uint64, counters map[string]uint64, only []string) {
	if s.Counters == nil {
		s.Counters = map[string]uint64{}
	}
	s.Snapshots++
	s.Lost += lost
	if only == nil {
		for path, n := range counters {
			s.Counters[path] += n
		}
		return
	}
	for _, path := range only {
		s.Counters[path] += counters[path]
	}
}

// Sums returns the exact sums of minutes 0 to n-1 of a fleet that begins at begin (Unix time), in the order of time. With
// clocks that are wrong, there are minutes before and after.
func (f *Fleet) Sums(begin int64, n int) []Sums {
	byStart := map[int64]*Sums{}
	for host := range f.cfg.Hosts {
		tags := f.Tags(host).List()
		for min := range n {
			start := f.Start(host, begin, min)
			at := byStart[start]
			if at == nil {
				at = &Sums{Start: start, Groups: map[string]Sum{}}
				byStart[start] = at
			}
			for _, s := range f.Of(host, min) {
				counters, lost := f.template(s).counters, f.Lost(s)
				at.All.add(lost, counters, nil)
				for _, tag := range tags {
					group := at.Groups[tag]
					group.add(lost, counters, groupCounters)
					at.Groups[tag] = group
				}
			}
		}
	}
	all := make([]Sums, 0, len(byStart))
	for _, start := range slices.Sorted(maps.Keys(byStart)) {
		all = append(all, *byStart[start])
	}
	return all
}

// Start returns the start of minute min of a host by the host's clock, in a fleet that begins at begin.
func (f *Fleet) Start(host int, begin int64, min int) int64 {
	return minute.Of(begin+int64(f.Clock(host).Seconds())) + int64(min)*minute.Seconds
}
