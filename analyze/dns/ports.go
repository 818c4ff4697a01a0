package dns

// portSet is a set of ports as bits.
type portSet struct {
	// first is the first port of the set, which nearly all DNS messages use. In an empty set, its value is not a port.
	first uint64
	// coarse has a bit for the remainder by 64 of each port in the set. It excludes most other ports, so that the 8 KB of
	// bits are rarely read.
	coarse uint64
	bits   [1 << 10]uint64
}

func newPortSet(ports []uint16) portSet {
	s := portSet{first: 1 << 16}
	for i, p := range ports {
		if i == 0 {
			s.first = uint64(p)
		}
		s.coarse |= 1 << (p & 63)
		s.bits[p>>6] |= 1 << (p & 63)
	}
	return s
}

// hasAny reports whether at least one of the two ports is in the set. It does not branch on one port alone, because the CPU
// cannot predict which port is the server's.
func (s *portSet) hasAny(p, q uint16) bool {
	if (uint64(p)^s.first)*(uint64(q)^s.first) == 0 {
		return true
	}
	return (s.coarse>>(p&63)|s.coarse>>(q&63))&1 != 0 && (s.bits[p>>6]>>(p&63)|s.bits[q>>6]>>(q&63))&1 != 0
}
