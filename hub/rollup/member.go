package rollup

import (
	"cmp"
	"slices"
	"strings"

	"pktvisor/metric"
)

// All is the group of all hosts. The other groups are tags, as key=value.
const All = "all"

// Groups returns the groups that a host with the given tags belongs to: [All], then one for each tag. They are at most
// 1 + [metric.MaxTags].
func Groups(tags metric.Tags) []string {
	groups := append(make([]string, 0, 4), All)
	for _, tag := range tags.List() {
		if len(groups) <= metric.MaxTags {
			groups = append(groups, tag)
		}
	}
	return groups
}

// Member is one host-minute of a rollup of a minute, or what a host gave to a longer rollup. A longer rollup has one member
// for each host. Boot, Seq, Revision, Tags and Agent are then those of the host's newest minute.
type Member struct {
	Host                string
	Boot, Seq, Revision uint64
	// Start and End are the times of the host's bucket, or those of its oldest and its newest bucket.
	Start, End int64
	// Lost is the number of packets that the host lost before they could be counted.
	Lost  uint64
	Tags  metric.Tags
	Agent string
	// Arrived is the Unix time in seconds at which the store got the host-minute, or the newest one.
	Arrived int64
	// Minutes says which minutes the host gave: bit i is minute i of the rollup. In a rollup of a day, it is the number of
	// these minutes.
	Minutes uint64
}

// MemberKey identifies a host-minute in the rollups of one policy. A second host-minute with the same key is a duplicate. If
// it has a higher revision, it replaces the first one.
type MemberKey struct {
	Host      string
	Boot, Seq uint64
	Start     int64
}

// Key returns the member's key.
func (m *Member) Key() MemberKey { return MemberKey{m.Host, m.Boot, m.Seq, m.Start} }

// Compare orders keys by host, then by time.
func (k MemberKey) Compare(o MemberKey) int {
	return cmp.Or(strings.Compare(k.Host, o.Host), cmp.Compare(k.Start, o.Start), cmp.Compare(k.Boot, o.Boot), cmp.Compare(k.Seq, o.Seq))
}

func compareMembers(a, b Member) int { return a.Key().Compare(b.Key()) }

// Find returns the position of the member with the given key in members, which are in the order of the keys, or the position
// where to insert it.
func Find(members []Member, k MemberKey) (at int, found bool) {
	return slices.BinarySearchFunc(members, k, func(m Member, k MemberKey) int { return m.Key().Compare(k) })
}

// Presence says whether a rollup has a host-minute.
type Presence int

// A rollup lacks a host-minute, has it, or has an older revision of it.
const (
	Absent Presence = iota
	Present
	Older
)

// Has returns whether members, which are in the order of the keys, have the host-minute m.
func Has(members []Member, m *Member) Presence {
	switch at, found := Find(members, m.Key()); {
	case !found:
		return Absent
	case members[at].Revision < m.Revision:
		return Older
	}
	return Present
}

// HostMembers returns the members of one host. Members are in the order of the keys.
func HostMembers(members []Member, host string) []Member {
	from, _ := slices.BinarySearchFunc(members, host, func(m Member, host string) int { return strings.Compare(m.Host, host) })
	to := from
	for to < len(members) && members[to].Host == host {
		to++
	}
	return members[from:to]
}
