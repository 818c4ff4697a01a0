package analyze

import (
	"math"

	"pktvisor/decode"
)

// Sampler decides which packets and messages are analysed deeply. It decides by flow or by transaction, and not by packet,
// so that a query and its response are both in the sample or both out of it.
//
// The decision is the same in each run over the same packets, so it is predictable: a sender that wants to stay out of the
// tables of a sampled agent can choose its ports accordingly. The counters still count it.
type Sampler struct{ below uint32 }

// NewSampler returns a sampler of the given percentage of flows, from 0 to 100.
func NewSampler(percent int) Sampler {
	return Sampler{uint32(uint64(math.MaxUint32) * uint64(percent) / 100)}
}

// Flow reports whether the packets of p's flow are analysed deeply. Both directions of a flow get the same answer. All
// fragments between two addresses are one flow, so all fragments of a datagram get the same answer.
func (s Sampler) Flow(p *Packet) bool { return s.All() || s.flow(p) }

// All reports whether everything is analysed deeply.
func (s Sampler) All() bool { return s.below == math.MaxUint32 }

func (s Sampler) flow(p *Packet) bool {
	h := p.PairHash() ^ uint32(p.Proto)<<24
	if p.Flags&decode.FlagFragment == 0 {
		h ^= ports(p.SrcPort, p.DstPort)
	}
	return s.in(h)
}

// ports mixes two ports, in either order.
func ports(p, q uint16) uint32 { return (uint32(p) + uint32(q)) * 0x9e3779b1 }

// Transaction reports whether the DNS message with the given addresses, ports and ID is analysed deeply. A query and its
// response get the same answer.
func (s Sampler) Transaction(src, dst decode.Addr, srcPort, dstPort, id uint16) bool {
	return s.All() || s.in(src.PairHash(dst)^ports(srcPort, dstPort)^uint32(id)<<16)
}

func (s Sampler) in(h uint32) bool {
	h ^= h >> 16
	h *= 0x7feb352d // Chris Wellons' lowbias32 constants: github.com/skeeto/hash-prospector
	h ^= h >> 15
	h *= 0x846ca68b
	h ^= h >> 16
	return h < s.below
}
