package sketch

import (
	"fmt"
	"testing"
)

// TestDistinctCost: coupons that somebody has chosen to lie in one place, had the table no secret, are found in a few
// steps.
func TestDistinctCost(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(i uint32) uint32
	}{
		{"one after the other", func(i uint32) uint32 { return 1<<couponBits | i }},
		{"the same lower bits", func(i uint32) uint32 { return 1<<couponBits | i<<13 | 5 }},
		{"the same address bits but two", func(i uint32) uint32 { return (1+i&31)<<couponBits | i>>5<<20 }},
	} {
		d := NewDistinct()
		const n = 1500
		for i := range uint32(n) {
			d.addCoupon(c.make(i))
		}
		if d.regs != nil || d.n != n {
			t.Fatalf("%s: %d coupons", c.name, d.n)
		}
		steps, mask := 0, len(d.coupons)-1
		for i := range uint32(n) {
			coupon := c.make(i)
			at := couponSlot(coupon) & mask
			for steps++; d.coupons[at] != coupon; steps++ {
				at = (at + 1) & mask
			}
		}
		// At three quarters full, a search takes two and a half steps on average (Knuth, volume 3, 6.4).
		if steps > 20*n {
			t.Errorf("%s: %d steps for %d coupons", c.name, steps, n)
		}
	}
}

// TestFrequentCost: no weights and lengths of keys make the table purge often: a purge takes about a step a slot.
func TestFrequentCost(t *testing.T) {
	long := make([]byte, MaxKeyLen-8)
	for _, c := range []struct {
		name string
		key  func(i int) (key []byte, weight uint64)
	}{
		{"distinct", func(i int) ([]byte, uint64) { return fmt.Appendf(nil, "%d", i), 1 }},
		{"long", func(i int) ([]byte, uint64) { return fmt.Appendf(long[:len(long):len(long)], "%d", i), 1 }},
		{"long and heavy ones, and light ones", func(i int) ([]byte, uint64) {
			if i < 500 {
				return fmt.Appendf(long[:len(long):len(long)], "%d", i), 1 << 40
			}
			return fmt.Appendf(nil, "%d", i), 1
		}},
		{"ever heavier", func(i int) ([]byte, uint64) { return fmt.Appendf(nil, "%060d", i), uint64(i) }},
		{"ever lighter", func(i int) ([]byte, uint64) { return fmt.Appendf(nil, "%060d", i), uint64(1<<20 - i) }},
	} {
		f := NewFrequent(0)
		const n = 40_000
		purges, before := 0, uint64(0)
		for i := range n {
			f.Add(c.key(i))
			if f.offset != before {
				purges, before = purges+1, f.offset
			}
		}
		if purges > n/200 {
			t.Errorf("%s: %d purges for %d keys", c.name, purges, n)
		}
	}
}
