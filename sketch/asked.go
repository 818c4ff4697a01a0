package sketch

import "math"

// Asked is what is known of the queries of a key of an [Amplification]. The zero value stands for no queries.
type Asked struct {
	Bytes uint64 // of queries
	// Queries and Truncated count queries over UDP and responses with the TC bit over UDP. They saturate.
	Queries, Truncated uint32
	// Port and TTL are those of a query over UDP, if there is one.
	Port  uint16
	TTL   uint8
	Flags AskedFlags
}

// AskedFlags are facts about all queries of a key.
type AskedFlags uint8

// The flags. A flag that is set stays set in every merge.
const (
	// PortsDiffer and TTLsDiffer report that not all queries over UDP had Port, or TTL.
	PortsDiffer AskedFlags = 1 << iota
	TTLsDiffer
	// AskedTCP reports at least one query over TCP.
	AskedTCP

	allAskedFlags = 1<<iota - 1
)

// Query adds a query over UDP.
func (a *Asked) Query(bytes uint64, port uint16, ttl uint8) {
	if a.Queries == 0 {
		a.Port, a.TTL = port, ttl
	} else {
		if a.Port != port {
			a.Flags |= PortsDiffer
		}
		if a.TTL != ttl {
			a.Flags |= TTLsDiffer
		}
	}
	a.Queries++
	a.Bytes += bytes
}

// Merge adds the queries of o. A fact holds for the sum only if it holds for all queries.
func (a *Asked) Merge(o *Asked) {
	switch {
	case o.Queries == 0:
	case a.Queries == 0:
		a.Port, a.TTL = o.Port, o.TTL
	default:
		if a.Port != o.Port {
			a.Flags |= PortsDiffer
		}
		if a.TTL != o.TTL {
			a.Flags |= TTLsDiffer
		}
	}
	a.Flags |= o.Flags
	a.Bytes = addWeight(a.Bytes, o.Bytes)
	a.Queries = addSaturating32(a.Queries, o.Queries)
	a.Truncated = addSaturating32(a.Truncated, o.Truncated)
}

func addSaturating32(a, b uint32) uint32 { return uint32(min(uint64(a)+uint64(b), math.MaxUint32)) }
