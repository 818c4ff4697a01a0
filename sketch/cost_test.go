package sketch

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"
)

// TestMixCoupon: with any secret, coupons that follow a rule are spread in a table as random ones are.
func TestMixCoupon(t *testing.T) {
	const n, size = 1500, 2048
	type family struct {
		name string
		make func(i uint32) uint32
	}
	var families []family
	for shift := range uint(21) {
		families = append(families, family{fmt.Sprintf("steps of 1<<%d", shift), func(i uint32) uint32 { return 1<<couponBits | 5 + i<<shift }})
	}
	for _, step := range []uint32{3, 5, 255, 257, 65535, 65537, 1<<20 - 1, 0x9e3779b1, 0xaaaaaaab, 0xffffffff} {
		families = append(families, family{fmt.Sprintf("steps of %#x", step), func(i uint32) uint32 { return 1<<couponBits + i*step }})
	}
	families = append(families,
		family{"values and two bits", func(i uint32) uint32 { return (1+i&31)<<couponBits | i>>5<<20 }},
		family{"reversed bits", bits.Reverse32},
		family{"Gray code", func(i uint32) uint32 { return (i ^ i>>1) << 12 }},
	)
	// Random coupons: 1500 in 2048 slots are found in (1 + 1/(1-0.73))/2 = 2.4 steps on average (Knuth, volume 3, 6.4).
	random := rand.New(rand.NewPCG(1, 2))
	worst := 0
	for range 2000 {
		secret := random.Uint64()
		if random.IntN(8) == 0 {
			secret >>= random.UintN(64) // a bad secret
		}
		for _, f := range families {
			var table [size]bool
			steps := 0
			for i := range uint32(n) {
				at := mixCoupon(f.make(i), secret) % size
				for steps++; table[at]; steps++ {
					at = (at + 1) % size
				}
				table[at] = true
			}
			worst = max(worst, steps)
			if steps > 6*n {
				t.Fatalf("secret %#x, %s: %d steps for %d coupons", secret, f.name, steps, n)
			}
		}
	}
	t.Logf("at most %.1f steps for a coupon", float64(worst)/n)
}

// TestDistinctCost: coupons that an attacker has chosen to collide in a table without a secret are found in a few
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
		if steps > 6*n {
			t.Errorf("%s: %d steps for %d coupons", c.name, steps, n)
		}
	}
}

// TestFrequentCost: no weights or lengths of keys make the table purge often. A purge takes about one step a slot.
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
