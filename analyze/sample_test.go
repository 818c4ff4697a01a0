package analyze

import (
	"math"
	"math/rand/v2"
	"testing"

	"pktvisor/decode"
	"pktvisor/metric"
)

func packetBetween(src, dst decode.Addr, proto uint8, srcPort, dstPort uint16) *Packet {
	return &Packet{Packet: decode.Packet{Src: src, Dst: dst, Proto: proto, SrcPort: srcPort, DstPort: dstPort}}
}

// inPair reports whether the sample has the pair.
func inPair(s *Sampler, a, b decode.Addr) bool {
	_, in, _ := s.Pair(a, b)
	return in
}

// TestSampleShare: a sample of N% has N% of the address pairs, within five standard deviations, however similar they are and
// whatever the seed is.
func TestSampleShare(t *testing.T) {
	const n = 40_000
	rng := rand.New(rand.NewPCG(3, 4))
	host := decode.AddrFrom4(0xc0000235)
	for name, client := range map[string]func(uint32) decode.Addr{
		"random addresses": func(uint32) decode.Addr { return decode.Addr{Hi: rng.Uint64(), Lo: rng.Uint64()} },
		"a sweep of IPv4":  func(i uint32) decode.Addr { return decode.AddrFrom4(0x0a000000 + i) },
		"a sweep of /64s":  func(i uint32) decode.Addr { return decode.Addr{Hi: 0x20010db8<<32 + uint64(i), Lo: 1} },
	} {
		for _, percent := range []int{0, 1, 10, 33, 50, 90, 99, 100} {
			s := SeededSampler(rng.Uint32(), metric.Percent(percent))
			got := 0
			var classes [metric.LoadClasses]bool
			for i := range uint32(n) {
				class, in, _ := s.Pair(client(i), host)
				if in {
					got++
					classes[class] = true
				}
			}
			share := float64(percent) / 100
			if math.Abs(float64(got)-share*n) > 5*math.Sqrt(share*(1-share)*n) {
				t.Errorf("%s: %d of %d at %d%%", name, got, n, percent)
			}
			used := 0
			for _, yes := range classes {
				if yes {
					used++
				}
			}
			want := metric.LoadClasses * (1 - math.Exp(-share*n/metric.LoadClasses))
			if math.Abs(float64(used)-want) > 5*math.Sqrt(want+1) {
				t.Errorf("%s at %d%%: %d classes of pairs, want about %.0f", name, percent, used, want)
			}
		}
	}
}

// TestSampleAgrees: everything between two addresses is in the sample or out of it, and a pair in a sample is in any greater one.
func TestSampleAgrees(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		a, b := decode.Addr{Hi: rng.Uint64(), Lo: rng.Uint64()}, decode.AddrFrom4(rng.Uint32())
		there, back := packetBetween(a, b, 17, uint16(rng.Uint32()), 53), packetBetween(b, a, 6, 53, uint16(rng.Uint32()))
		back.Flags |= decode.FlagFragment | decode.FlagLaterFragment
		seed, percent := rng.Uint32(), rng.IntN(100)
		s, more := SeededSampler(seed, metric.Percent(percent)), SeededSampler(seed, metric.Percent(percent+1))
		class, in := s.Packet(there)
		if c, again := s.Packet(back); again != in || c != class {
			t.Fatalf("%d%%: the packets between two hosts disagree", percent)
		}
		if c, again, changed := s.Pair(b, a); again != in || c != class || changed {
			t.Fatalf("%d%%: messages and packets disagree", percent)
		}
		if in && !inPair(more, a, b) {
			t.Fatalf("in the sample of %d%%, but not of %d%%", percent, percent+1)
		}
	}
}

// TestSampleChanges: after a change, the sampler knows which pairs have joined or left, until the timeout is over.
func TestSampleChanges(t *testing.T) {
	const timeout, n = 5e9, 4000
	rng := rand.New(rand.NewPCG(7, 8))
	pairs := make([]decode.Addr, n)
	for i := range pairs {
		pairs[i] = decode.Addr{Hi: rng.Uint64(), Lo: rng.Uint64()}
	}
	was := map[int][]bool{}
	host := decode.AddrFrom4(1)
	for _, percent := range []int{100, 40, 10, 20} {
		s := NewSampler(percent)
		for _, a := range pairs {
			was[percent] = append(was[percent], inPair(s, a, host))
		}
	}
	s := NewSampler(100)
	check := func(what string, percent int, changed func(i int) bool) {
		t.Helper()
		for i, a := range pairs {
			_, in, c := s.Pair(a, host)
			if in != was[percent][i] || c != changed(i) {
				t.Fatalf("%s: pair %d: in the sample %v, changed %v", what, i, in, c)
			}
		}
	}
	never := func(int) bool { return false }
	check("at the start", 100, never)
	if !s.All() {
		t.Error("a sample of 100% is not all")
	}
	s.SetShare(metric.Percent(40), 0, timeout)
	check("down", 40, func(i int) bool { return !was[40][i] })
	s.SetShare(metric.Percent(10), 1e9, timeout)
	check("down twice", 10, func(i int) bool { return !was[10][i] })
	s.SetShare(metric.Percent(20), 2e9, timeout)
	check("down twice and up", 20, func(i int) bool { return !was[10][i] })
	s.Settle(7e9)
	check("5 s later", 20, func(i int) bool { return !was[10][i] })
	s.Settle(7e9 + 1)
	check("later", 20, never)
	s.SetShare(metric.Whole, 8e9, timeout)
	check("up", 100, func(i int) bool { return !was[20][i] })
	if s.All() {
		t.Error("a sample that was smaller a moment ago is all")
	}
	s.Settle(14e9)
	if check("settled", 100, never); !s.All() {
		t.Error("a sample of 100% is not all")
	}
}
