package analyze

import (
	"testing"

	"pktvisor/decode"
	"pktvisor/internal/seedhash"
)

// TestTallyCost: addresses that an attacker has chosen are found in as few steps as others, although they differ only in a few
// bits.
func TestTallyCost(t *testing.T) {
	const size = 1 << 15
	for _, c := range []struct {
		name string
		addr func(i uint64) decode.Addr
	}{
		{"one after the other", func(i uint64) decode.Addr { return decode.AddrFrom4(uint32(i)) }},
		{"the same lower bits", func(i uint64) decode.Addr { return decode.AddrFrom4(uint32(i) << 16) }},
		{"IPv6, the upper bits", func(i uint64) decode.Addr { return decode.Addr{Hi: i << 48} }},
		{"IPv6, the lower half", func(i uint64) decode.Addr { return decode.Addr{Hi: 1 << 61, Lo: i} }},
		{"IPv6, both halves alike", func(i uint64) decode.Addr { return decode.Addr{Hi: i << 32, Lo: i << 32} }},
	} {
		seed := seedhash.New()
		tally := NewTally[int](size)
		for i := range uint64(size) {
			tally.At(seed.Addr(c.addr(i)))
		}
		total, most := 0, 0
		for i := range uint64(size) {
			hash := seed.Addr(c.addr(i))
			_, p, fresh := tally.At(hash)
			if fresh {
				t.Fatalf("%s: address %d is missing", c.name, i)
			}
			steps := 1
			for at := hash & tally.mask; tally.slots[at]&positionMask != uint64(p)+1; at = (at + 1) & tally.mask {
				steps++
			}
			total, most = total+steps, max(most, steps)
		}
		// When half of the slots are in use, a search takes one and a half steps on average (Knuth, volume 3, 6.4).
		if n := len(tally.Entries()); total > 2*n || most > 256 {
			t.Errorf("%s: %d steps for %d addresses, and up to %d for one", c.name, total, n, most)
		}
	}
}
