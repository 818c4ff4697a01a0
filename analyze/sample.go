package analyze

import (
	"math"
	"math/bits"

	"pktvisor/decode"
)

// Sampler decides which packets and messages are analysed deeply. It decides by flow or by transaction, and not by packet,
// so that a query and its response are both in the sample or both out of it.
//
// The decision is the same in each run over the same packets, so it is predictable: a sender that wants to stay out of the
// tables of a sampled agent can choose its ports accordingly. The counters still count it.
type Sampler struct {
	below uint32
	// pairs says that everything between two addresses gets the same answer, by the kernel's hash with the seed.
	pairs bool
	seed  uint32
}

// NewSampler returns a sampler of the given percentage of flows, from 0 to 100.
func NewSampler(percent int) Sampler {
	return Sampler{below: Threshold(percent)}
}

// NewPairSampler returns a sampler that decides by the pair of addresses alone, as the program of package capture/count does
// with the same seed and [Threshold].
func NewPairSampler(percent int, seed uint32) Sampler {
	return Sampler{below: Threshold(percent), pairs: true, seed: seed}
}

// Threshold returns the number below which a hash is in a sample of the given percentage, from 0 to 100. All ones stand for
// everything.
func Threshold(percent int) uint32 { return uint32(uint64(math.MaxUint32) * uint64(percent) / 100) }

// Flow reports whether the packets of p's flow are analysed deeply. Both directions of a flow get the same answer. All
// fragments between two addresses are one flow, so all fragments of a datagram get the same answer.
func (s Sampler) Flow(p *Packet) bool { return s.All() || s.flow(p) }

// All reports whether everything is analysed deeply.
func (s Sampler) All() bool { return s.below == math.MaxUint32 }

func (s Sampler) flow(p *Packet) bool {
	if s.pairs {
		return s.pair(p.Src, p.Dst)
	}
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
	if s.pairs {
		return s.All() || s.pair(src, dst)
	}
	return s.All() || s.in(src.PairHash(dst)^ports(srcPort, dstPort)^uint32(id)<<16)
}

// pair reports whether everything between two addresses is in the sample. The hash is that of capture/count/program/count.c: the
// finalizer of MurmurHash3, of the sum of the addresses' words as a little-endian CPU reads them.
func (s Sampler) pair(src, dst decode.Addr) bool {
	h := s.seed + words(src) + words(dst)
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h^h>>16 < s.below
}

// words sums up the words of an address.
func words(a decode.Addr) uint32 {
	sum := bits.ReverseBytes32(uint32(a.Lo))
	if !a.Is4() {
		sum += bits.ReverseBytes32(uint32(a.Lo>>32)) + bits.ReverseBytes32(uint32(a.Hi)) + bits.ReverseBytes32(uint32(a.Hi>>32))
	}
	return sum
}

func (s Sampler) in(h uint32) bool {
	h ^= h >> 16
	h *= 0x7feb352d // Chris Wellons' lowbias32 constants: github.com/skeeto/hash-prospector
	h ^= h >> 15
	h *= 0x846ca68b
	h ^= h >> 16
	return h < s.below
}
