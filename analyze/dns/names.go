package dns

import (
	"math"

	"pktvisor/analyze"
	"pktvisor/dnswire"
)

// nameEntry holds the counts of a name since the last flush.
type nameEntry struct {
	off      uint32 // of the name in the arena
	len      uint8
	messages uint32
	outcomes [numOutcomes]uint32 // of responses
	slowIn   uint32
	slowOut  uint32
	timeouts uint32
	bytes    uint64 // of responses
}

// names is the tally of qnames. It keeps a name in wire form; the flush converts it to text.
//
// If no metric needs the names, all messages share one entry, which is never flushed.
type names struct {
	tally *analyze.Tally[nameEntry]
	arena []byte
	mask  uint64 // of the hashes: all ones, or 0 if all messages share one entry
}

func newNames(s sizes, wanted bool) *names {
	if !wanted {
		n := &names{tally: analyze.NewTally[nameEntry](1)}
		n.tally.At(0)
		return n
	}
	return &names{tally: analyze.NewTally[nameEntry](s.names), arena: make([]byte, 0, s.nameBytes), mask: math.MaxUint64}
}

// shared reports whether all messages share one entry.
func (n *names) shared() bool { return n.mask == 0 }

// at returns the entry of a name in wire form, and its position.
func (n *names) at(hash uint64, name []byte) (*nameEntry, uint32) {
	e, at, fresh := n.tally.At(hash & n.mask)
	if fresh {
		e.off, e.len = uint32(len(n.arena)), uint8(len(name))
		if at := len(n.arena); len(name) <= dnswire.HeadLen && cap(name) >= dnswire.HeadLen {
			n.arena = n.arena[:at+dnswire.HeadLen] // a copy of a fixed length needs no branches
			to, from := (*[dnswire.HeadLen]byte)(n.arena[at:]), (*[dnswire.HeadLen]byte)(name[:dnswire.HeadLen])
			*(*[16]byte)(to[:]) = *(*[16]byte)(from[:]) // 16 bytes are copied in one register; 32 would take a call
			*(*[16]byte)(to[16:]) = *(*[16]byte)(from[16:])
			n.arena = n.arena[:at+len(name)]
		} else {
			n.arena = append(n.arena, name...)
		}
	}
	return e, at
}

// full reports whether the tally may lack space for the names of the given number of groups, or the arena for the bytes of
// one group.
func (n *names) full(groups int) bool {
	if n.shared() {
		return false
	}
	return n.tally.Full(groups*spareNames) || len(n.arena) > cap(n.arena)-spareNames*dnswire.MaxName
}

func (n *names) name(e *nameEntry) []byte { return n.arena[e.off : e.off+uint32(e.len)] }

func (n *names) reset() {
	n.tally.Reset()
	n.arena = n.arena[:0]
}
