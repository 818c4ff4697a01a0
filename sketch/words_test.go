package sketch

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
)

// TestDistinctOf: a sketch of few registers counts the hashes of words within its stated error, exactly while they are few, and keeps
// its precision in every merge.
func TestDistinctOf(t *testing.T) {
	const n = 200_000
	var hashes []uint64
	for i := range uint64(n) {
		hashes = append(hashes, HashWord(i<<40, 24))
	}
	d := DistinctOf(4096)
	d.AddWords(hashes[:384])
	if d.Estimate() != 384 || d.RelativeError() != 0 {
		t.Errorf("%v of 384 keys, error %v", d.Estimate(), d.RelativeError())
	}
	d.AddWords(hashes)
	d.AddWords(hashes[n/2:])
	if got := d.RelativeError(); math.Abs(got-0.0318) > 0.0001 {
		t.Errorf("the stated error is %v", got)
	}
	if got := d.Estimate(); math.Abs(got/n-1) > 0.0318 {
		t.Errorf("%v of %d keys", got, n)
	}
	one, many := DistinctOf(4096), NewDistinct()
	one.AddWords(hashes[:1])
	many.AddWords(hashes)
	for name, m := range map[string]Distinct{"few": DistinctOf(4096), "one": one, "many": d} {
		m.Merge(many)
		if got := m.Estimate(); got != d.Estimate() || m.RelativeError() != d.RelativeError() {
			t.Errorf("%s and all: %v within %v, want %v", name, got, m.RelativeError(), d.Estimate())
		}
	}
	d.Compact()
	d.AddWords(hashes[:10]) // a sketch in its compact form
	if got := d.Estimate(); math.Abs(got/n-1) > 0.0318 {
		t.Errorf("%v of %d keys", got, n)
	}
	for _, registers := range []int{0, 15, 17, 8, 1 << 15, -1} {
		if d := DistinctOf(registers); d.k() != maxLgK {
			t.Errorf("%d registers make 2^%d", registers, d.k())
		}
	}
}

// TestHashItem: items that differ in one byte or in their length have different hashes, and so have pairs. All bits of the hashes of pairs are
// set half of the time, whether keys or items count up.
func TestHashItem(t *testing.T) {
	seen := map[uint64]bool{}
	item := make([]byte, 40)
	add := func(b []byte) {
		h := HashItem(b)
		if seen[h] {
			t.Errorf("%x has the hash of another item", b)
		}
		seen[h] = true
	}
	for n := range item {
		add(item[:n])
		for i := range n {
			for _, bit := range []byte{1, 0x80} {
				item[i] ^= bit
				add(item[:n])
				item[i] ^= bit
			}
		}
	}
	const n = 20_000
	var ones [2][32]int
	for i := range uint64(n) {
		binary.BigEndian.PutUint64(item[3:], i)
		for k, pair := range [2]uint32{ItemOf(HashWords(0, 7, 0), HashItem(item[:20])), ItemOf(HashWords(i<<16, 0, 1), HashItem(item[12:]))} {
			for bit := range ones[k] {
				ones[k][bit] += int(pair >> bit & 1)
			}
		}
	}
	for k := range ones {
		for bit, got := range ones[k] {
			if math.Abs(float64(got)-n/2) > 5*math.Sqrt(n)/2 {
				t.Errorf("bit %d is set %d of %d times", bit, got, n)
			}
		}
	}
}

// TestLower: a sketch that begins with the threshold of another loses nothing that the other would keep.
func TestLower(t *testing.T) {
	whole, first, second := NewSpread(64), NewSpread(64), NewSpread(64)
	add := func(s *Spread, from, to int) {
		for i := from; i < to; i++ {
			s.Add([]byte{byte(i % 97)}, HashWord(uint64(i), 9), 1)
		}
	}
	add(whole, 0, 3000)
	add(first, 0, 2000)
	first.Trim(first.Capacity(), 1<<20)
	second.Lower(first.Threshold())
	if second.Threshold() != first.Threshold() || first.Threshold() == everything {
		t.Errorf("the thresholds are %d and %d", second.Threshold(), first.Threshold())
	}
	second.Lower(everything)
	if second.Threshold() != first.Threshold() {
		t.Error("a threshold has risen")
	}
	add(second, 2000, 3000)
	first.Merge(second)
	whole.Trim(whole.Capacity(), 1<<20)
	first.Trim(first.Capacity(), 1<<20)
	if got, want := first.Top(nil, 10), whole.Top(nil, 10); len(got) != 10 || !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
