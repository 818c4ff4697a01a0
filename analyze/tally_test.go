package analyze

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pktvisor/decode"
	"pktvisor/internal/seedhash"
	"pktvisor/internal/testkit"
)

type tallied struct{ key, n uint64 }

// TestTallyModel compares a tally with a map and a list. The hashes compete for the same slots.
func TestTallyModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 16
		tally := NewTally[tallied](size)
		model := map[uint64]uint64{}
		var order []uint64
		hash := rapid.OneOf(rapid.Uint64(), rapid.Map(rapid.Uint64Range(0, 40), func(n uint64) uint64 { return n<<16 | 31 }),
			rapid.Map(rapid.Uint64Range(0, 40), func(n uint64) uint64 { return n<<58 | n&3 }))
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			if tally.Full(1) != (len(order) == size) || tally.Full(5) != (len(order) > size-5) {
				t.Fatalf("Full is wrong at %d keys", len(order))
			}
			if tally.Full(1) || rapid.IntRange(0, 30).Draw(t, "reset") == 0 {
				gen, empty := tally.Generation(), len(order) == 0
				tally.Reset()
				if (tally.Generation() == gen) != empty {
					t.Fatalf("generation went from %d to %d, with %d keys", gen, tally.Generation(), len(order))
				}
				clear(model)
				order = order[:0]
			}
			h := hash.Draw(t, "hash")
			if slices.ContainsFunc(order, func(o uint64) bool { return o != h && o&^positionMask == h&^positionMask }) {
				continue // the tally cannot distinguish these keys: their hashes share 48 bits
			}
			e, position, fresh := tally.At(h)
			if _, known := model[h]; known == fresh {
				t.Fatalf("key %x: fresh %v", h, fresh)
			}
			if fresh {
				if *e != (tallied{}) {
					t.Fatalf("a fresh entry is %+v", *e)
				}
				e.key = h
				order = append(order, h)
			}
			if order[position] != h || &tally.Entries()[position] != e {
				t.Fatalf("key %x is at %d, want %d", h, position, slices.Index(order, h))
			}
			e.n++
			model[h]++
		}
		if len(tally.Entries()) != len(order) {
			t.Fatalf("%d entries, want %d", len(tally.Entries()), len(order))
		}
		for i, e := range tally.Entries() {
			if e.key != order[i] || e.n != model[e.key] {
				t.Fatalf("entry %d is %+v, want key %x with %d", i, e, order[i], model[order[i]])
			}
		}
	})
}

// TestTallyFull: the largest tally can be filled completely, and then each key is found at its position.
func TestTallyFull(t *testing.T) {
	const size = 1 << 15
	seed := seedhash.New()
	tally := NewTally[uint32](size)
	for round := range 2 {
		for i := range uint64(size) {
			e, position, fresh := tally.At(seed.Mix(i, 0))
			if !fresh || position != uint32(i) {
				t.Fatalf("round %d: key %d is at %d, fresh %v", round, i, position, fresh)
			}
			*e = uint32(i)
		}
		if !tally.Full(1) || tally.Full(0) {
			t.Error("Full is false for a full tally")
		}
		for i := range uint64(size) {
			if e, _, fresh := tally.At(seed.Mix(i, 0)); fresh || *e != uint32(i) {
				t.Fatalf("round %d: key %d is %d, fresh %v", round, i, *e, fresh)
			}
		}
		tally.Reset()
	}
}

func TestTallyAllocs(t *testing.T) {
	seed := seedhash.New()
	tally := NewTally[tallied](1024)
	n := uint64(0)
	testkit.NoAllocs(t, "Tally", 5000, func() {
		if tally.Full(1) {
			tally.Reset()
		}
		e, _, _ := tally.At(seed.Addr(decode.Addr{Lo: n % 700}))
		e.n++
		n++
	})
}
