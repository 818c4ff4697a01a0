package packets

import (
	"pktvisor/analyze"
	"pktvisor/decode"
)

// numFirstFragments is the number of datagrams whose first fragment is remembered. A later datagram may replace an earlier
// one.
const numFirstFragments = 256

// firstFragment is the protocol of a datagram according to its first fragment.
type firstFragment struct {
	hash  uint64 // of the addresses and the identification
	proto uint8
}

// fragment makes all fragments of a datagram count by the protocol of the first one. A later fragment does not name that
// protocol if extension headers follow the fragment header, and it may name another one (RFC 8200, section 4.5). The packet
// was already counted by its own header; fragment moves it to the right cell.
func (a *Analyzer) fragment(p *analyze.Packet) {
	if p.Version == 4 && protocolCell[p.FragProto] != 0 {
		return // each fragment names the protocol in its IPv4 header
	}
	seed := a.cfg.Seed
	hash := seed.Words5(p.Src.Lo, p.Dst.Lo, p.Src.Hi, p.Dst.Hi, uint64(p.Version)<<32|uint64(p.FragID))
	f := &a.firstFragments[hash%numFirstFragments]
	if p.Flags&decode.FlagLaterFragment == 0 {
		*f = firstFragment{hash, p.Proto}
		return
	}
	if f.hash != hash || protocolCell[f.proto] == protocolCell[p.Proto] {
		return
	}
	cells := a.cells[uint(p.Direction)<<3|uint(p.Version&2)<<1:]
	from, to := &cells[protocolCell[p.Proto]], &cells[protocolCell[f.proto]]
	from.packets, from.bytes = from.packets-1, from.bytes-uint64(p.WireLen)
	to.packets, to.bytes = to.packets+1, to.bytes+uint64(p.WireLen)
}
