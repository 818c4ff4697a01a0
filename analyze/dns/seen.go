package dns

import (
	"pktvisor/decode"
)

// seen has the clients of queries since the last flush while only a sample of the messages counts. Each client counts as a distinct
// one, in the sample or not. A small table recognises most of those that come again and again; it does not matter if a client is
// here twice.
type seen struct {
	wanted bool
	known  []uint32 // the lower bits of hashes, by their upper bits
	addrs  []decode.Addr
}

const (
	lgKnown      = 13
	knownClients = 1 << lgKnown
	maxSeen      = 1 << 13
)

// see notes the client of a query, whose address has the given hash.
func (s *seen) see(addr decode.Addr, hash uint64) {
	known := &s.known[hash>>(64-lgKnown)%knownClients]
	if *known == uint32(hash) {
		return
	}
	*known = uint32(hash)
	s.addrs = append(s.addrs, addr)
}

// start begins to note clients. No client has been seen yet.
func (s *seen) start() {
	if s.wanted && s.known == nil {
		s.known, s.addrs = make([]uint32, knownClients), make([]decode.Addr, 0, maxSeen)
	}
	clear(s.known)
}
