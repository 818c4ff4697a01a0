package sketch

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// readByRegister reads HLL_4 one register at a time, as the reader of other forms does.
func readByRegister(b []byte) (*Distinct, string) {
	d := new(Distinct)
	d.setLgK(b[3])
	d.regs = make([]byte, 1<<d.k())
	size := 1 << b[3] / 2
	return d, d.readNibbles(b[hllRegsStart:][:size], b[hllRegsStart+size:], b[6])
}

// nibbles makes a blob of HLL_4 registers, given their values, the base, and the slots in the order of the exceptions.
func nibbles(lgK, base byte, regs []byte, slots []int) []byte {
	b := make([]byte, hllRegsStart, hllRegsStart+len(regs))
	copy(b, []byte{10, hllVersion, hllFamily, lgK, 0, hllFlagCompact | hllFlagOutOfOrder, base, hllModeHLL})
	binary.LittleEndian.PutUint32(b[36:], uint32(len(slots)))
	b = appendNibbles(b, regs, base)
	for _, slot := range slots {
		b = binary.LittleEndian.AppendUint32(b, uint32(regs[slot&(len(regs)-1)])<<couponBits|uint32(slot))
	}
	return b
}

// TestDistinctBorrowsNibbles compares the reader that keeps registers as they are with the one that reads them one by
// one, for sound and for damaged blobs.
func TestDistinctBorrowsNibbles(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	borrowed, rejected := 0, 0
	var d Distinct // its memory is reused
	for round := range 20_000 {
		lgK := byte(4 + r.IntN(3))
		base := byte(r.IntN(4) * r.IntN(20))
		regs := make([]byte, 1<<lgK)
		var slots []int
		for i := range regs {
			regs[i] = min(base+byte(float64(18)*r.Float64()*r.Float64()), maxRegister)
			if regs[i]-base >= nibbleEscape {
				slots = append(slots, i)
			}
		}
		if r.IntN(3) == 0 {
			r.Shuffle(len(slots), func(i, j int) { slots[i], slots[j] = slots[j], slots[i] })
		}
		b := nibbles(lgK, base, regs, slots)
		switch r.IntN(4) {
		case 0:
			b[hllRegsStart+r.IntN(len(b)-hllRegsStart)] ^= byte(1 << r.IntN(8))
		case 1:
			b[6] = byte(r.IntN(70))
		case 2:
			if len(slots) > 1 { // one exception twice
				copy(b[len(b)-4:], b[len(b)-8:])
			}
		}
		want, reason := readByRegister(b)
		err := d.Borrow(b)
		if (err != nil) != (reason != "") || err != nil && err.Error() != distinctError(reason).Error() {
			t.Fatalf("round %d: %v, want %q", round, err, reason)
		}
		if err != nil {
			rejected++
			if !d.empty() {
				t.Fatal("not empty after an error")
			}
			continue
		}
		if d.packed {
			borrowed++
		}
		if !bytes.Equal(d.AppendBinary(nil), want.AppendBinary(nil)) || d.Estimate() != want.Estimate() {
			t.Fatalf("round %d: the registers differ", round)
		}
		sum, wantSum := distinctOf("k", 0, 100), distinctOf("k", 0, 100)
		sum.Merge(&d)
		wantSum.Merge(want)
		if !bytes.Equal(sum.AppendBinary(nil), wantSum.AppendBinary(nil)) {
			t.Fatalf("round %d: the unions differ", round)
		}
	}
	if borrowed < 5000 || rejected < 3000 {
		t.Errorf("%d borrowed, %d rejected", borrowed, rejected)
	}
}

// TestBorrowAllocates: reading again and merging allocate nothing, and change neither the bytes nor what was unmarshaled
// from them.
func TestBorrowAllocates(t *testing.T) {
	few, many := distinctOf("k", 0, 700).AppendBinary(nil), distinctOf("k", 0, 100_000).AppendBinary(nil)
	h := sealedHistogram().AppendBinary(nil)
	var whole Distinct
	if err := whole.UnmarshalBinary(many); err != nil {
		t.Fatal(err)
	}
	var d, sum Distinct
	var g, all Histogram
	run := func() {
		for _, b := range [][]byte{few, many, few} {
			if err := d.Borrow(b); err != nil {
				t.Fatal(err)
			}
			sum.Merge(&d)
		}
		if err := g.Borrow(h); err != nil {
			t.Fatal(err)
		}
		all.Merge(&g)
	}
	run()
	if n := testing.AllocsPerRun(10, run); n > 0 {
		t.Errorf("%v allocations", n)
	}
	before := bytes.Clone(many)
	if err := d.Borrow(many); err != nil {
		t.Fatal(err)
	}
	d.Add([]byte("one more"))
	if !bytes.Equal(many, before) {
		t.Error("writing to a sketch changed the bytes that it borrowed")
	}
	clear(many)
	if !bytes.Equal(whole.AppendBinary(nil), before) {
		t.Error("an unmarshaled sketch depends on the bytes that it was read from")
	}
	if g.Count() != 4096 || all.Count()%4096 != 0 {
		t.Errorf("%d and %d values", g.Count(), all.Count())
	}
}
