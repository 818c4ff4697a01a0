package analyze

import (
	"testing"

	"pktvisor/decode"
	"pktvisor/internal/seedhash"
)

// BenchmarkTally looks up keys that the tally has, and adds keys until it is full and is emptied.
func BenchmarkTally(b *testing.B) {
	type entry struct{ n [8]uint64 }
	seed := seedhash.New()
	hashes := make([]uint64, 1<<14)
	for i := range hashes {
		hashes[i] = seed.Mix(uint64(i), 0)
	}
	t := NewTally[entry](len(hashes))
	b.Run("hit", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			e, _, _ := t.At(hashes[i%4096])
			e.n[0]++
		}
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if t.Full(1) {
				t.Reset()
			}
			t.At(hashes[i%len(hashes)])
		}
	})
}

// BenchmarkHosts finds the direction of a packet.
func BenchmarkHosts(b *testing.B) {
	hosts, err := ParseHosts("192.0.2.0/24,198.51.100.0/24,2001:db8:53::/48")
	if err != nil {
		b.Fatal(err)
	}
	src, dst := decode.AddrFrom4(0xcb007109), decode.AddrFrom4(0xc0000235)
	n := 0
	for b.Loop() {
		n += int(hosts.Direction(src, dst))
	}
	if n == 0 {
		b.Fatal("the direction is unknown")
	}
}
