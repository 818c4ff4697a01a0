package analyze

import (
	"math"
	"math/rand/v2"
	"testing"

	"pktvisor/decode"
)

func packetBetween(src, dst decode.Addr, proto uint8, srcPort, dstPort uint16) *Packet {
	p := &Packet{Packet: decode.Packet{Src: src, Dst: dst, Proto: proto, SrcPort: srcPort, DstPort: dstPort}}
	return p
}

// TestSampleShare: a sample of N% has N% of flows or transactions, within five standard deviations, however similar they are:
// random flows, a sweep of a subnet, and the transactions of one pair of addresses.
func TestSampleShare(t *testing.T) {
	const n = 40_000
	rng := rand.New(rand.NewPCG(3, 4))
	host := decode.AddrFrom4(0xc0000235)
	random := func(int) (*Packet, uint16) {
		src := decode.Addr{Hi: rng.Uint64(), Lo: rng.Uint64()}
		return packetBetween(src, host, decode.ProtoUDP, uint16(rng.Uint32()), 53), uint16(rng.Uint32())
	}
	sweep := func(i int) (*Packet, uint16) {
		return packetBetween(decode.AddrFrom4(0x0a000000+uint32(i)), host, decode.ProtoUDP, 4096, 53), 7
	}
	pair := func(i int) (*Packet, uint16) {
		return packetBetween(decode.AddrFrom4(0x0a000001), host, decode.ProtoUDP, 4096, 53), uint16(i)
	}
	ports := func(i int) (*Packet, uint16) {
		return packetBetween(decode.AddrFrom4(0x0a000001), host, decode.ProtoUDP, uint16(i), 53), 7
	}
	flow := func(s Sampler, p *Packet, _ uint16) bool { return s.Flow(p) }
	transaction := func(s Sampler, p *Packet, id uint16) bool {
		return s.Transaction(p.Src, p.Dst, p.SrcPort, p.DstPort, id)
	}
	for _, c := range []struct {
		name string
		make func(int) (*Packet, uint16)
		in   func(Sampler, *Packet, uint16) bool
	}{
		{"flows between random addresses", random, flow}, {"flows of a sweep", sweep, flow},
		{"random transactions", random, transaction}, {"transactions of a sweep", sweep, transaction},
		{"transactions of one pair", pair, transaction}, {"transactions by port", ports, transaction},
	} {
		for _, percent := range []int{0, 1, 10, 33, 50, 90, 99, 100} {
			s := NewSampler(percent)
			got := 0
			for i := range n {
				if p, id := c.make(i); c.in(s, p, id) {
					got++
				}
			}
			share := float64(percent) / 100
			slack := 5 * math.Sqrt(share*(1-share)*n)
			if math.Abs(float64(got)-share*n) > slack {
				t.Errorf("%s: %d of %d at %d%%", c.name, got, n, percent)
			}
		}
	}
}

// TestSampleAgrees: both directions of a flow are in the sample or both are not. The same holds for all fragments of a datagram
// and for a query and its response. A flow in a sample is also in any greater sample.
func TestSampleAgrees(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		a, b := decode.Addr{Hi: rng.Uint64(), Lo: rng.Uint64()}, decode.AddrFrom4(rng.Uint32())
		pa, pb, id := uint16(rng.Uint32()), uint16(rng.Uint32()), uint16(rng.Uint32())
		there, back := packetBetween(a, b, 17, pa, pb), packetBetween(b, a, 17, pb, pa)
		first, later := packetBetween(a, b, 17, pa, pb), packetBetween(b, a, 17, 0, 0)
		first.Flags |= decode.FlagFragment
		later.Flags |= decode.FlagFragment | decode.FlagLaterFragment
		percent := rng.IntN(100)
		s, more := NewSampler(percent), NewSampler(percent+1)
		in := s.Flow(there)
		if s.Flow(back) != in {
			t.Fatalf("%d%%: the packets of a flow disagree", percent)
		}
		if s.Flow(first) != s.Flow(later) {
			t.Fatalf("%d%%: the fragments between two hosts disagree", percent)
		}
		whole := s.Transaction(a, b, pa, pb, id)
		if whole != s.Transaction(b, a, pb, pa, id) {
			t.Fatalf("%d%%: a query and its response disagree", percent)
		}
		if in && !more.Flow(there) || whole && !more.Transaction(a, b, pa, pb, id) {
			t.Fatalf("in the sample of %d%%, but not of %d%%", percent, percent+1)
		}
	}
}
