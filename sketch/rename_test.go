package sketch

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

// lastLetter renames a key to a letter, so that keys are joined; turned gives each key another name.
var (
	lastLetter = Renaming{Joins: true, Name: func(dst, key []byte) []byte { return append(dst, '.', key[len(key)-1]) }}
	turned     = Renaming{Name: func(dst, key []byte) []byte {
		for i := len(key) - 1; i >= 0; i-- {
			dst = append(dst, key[i])
		}
		return dst
	}}
)

func renamed(r Renaming, key string) string { return string(r.Name(nil, []byte(key))) }

// TestRenamed compares renamed sketches with the truth: bounds hold for each new name, held or not, and are exact as long as the sketch is.
func TestRenamed(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for name, r := range map[string]Renaming{"joined": lastLetter, "turned": turned} {
		for _, keys := range []int{1, 40, 48, 2000} {
			f, a := NewFrequent(64), NewAmplification(64)
			exact := map[string]uint64{}
			for range 4 * keys {
				key, weight := fmt.Sprintf("k%06d", rnd.IntN(keys)), uint64(rnd.IntN(1000))
				f.Add([]byte(key), weight)
				a.AddPrepared(Prepare([]byte(key)), weight, &Asked{Bytes: weight})
				exact[renamed(r, key)] += weight
			}
			if keys == 2000 {
				f.Trim(30)
			}
			before := map[string]uint64{}
			for key, w := range f.All() {
				before[renamed(r, string(key))] += w
			}
			g, b := f.Renamed(r), a.Renamed(r)
			if g.Total() != f.Total() || b.Total() != a.Total() {
				t.Errorf("%s, %d keys: the total is %d and %d, was %d and %d", name, keys, g.Total(), b.Total(), f.Total(), a.Total())
			}
			after := map[string]uint64{}
			for key, w := range g.All() {
				after[string(key)] = w
			}
			if !maps.Equal(before, after) {
				t.Errorf("%s, %d keys: %v, want %v", name, keys, after, before)
			}
			for key, n := range exact {
				for what, of := range map[string]func([]byte) (uint64, uint64){"frequent": g.Bounds, "amplification": b.Bounds} {
					if low, high := of([]byte(key)); low > n || high < n || keys <= f.Capacity() && low != high {
						t.Errorf("%s, %d keys: %s says %d to %d of %s, which has %d", name, keys, what, low, high, key, n)
					}
				}
				if row, ok := b.Find([]byte(key)); ok && (row.Bytes > n || row.QueriesUpper < n || keys <= f.Capacity() && row.Bytes != n) {
					t.Errorf("%s, %d keys: queries of %s are %d to %d, want %d", name, keys, key, row.Bytes, row.QueriesUpper, n)
				}
			}
			if name == "turned" && g.MaxError() != f.MaxError() {
				t.Errorf("%d keys: the error rose from %d to %d", keys, f.MaxError(), g.MaxError())
			}
		}
	}
}

// TestSpreadRenamed: items of several keys of one new name count once. The sketch is that of the new names from the beginning.
func TestSpreadRenamed(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, items := range []int{10, 400, 5000} {
		s, want := NewSpread(512), NewSpread(512)
		for range items {
			key, item := fmt.Sprintf("k%d", rnd.IntN(40)), uint32(HashWord(uint64(rnd.IntN(items)), 0))
			s.AddPair([]byte(key), item, 1)
			want.AddPair([]byte(renamed(lastLetter, key)), item, 1)
		}
		got := s.Renamed(lastLetter)
		if got.Added() != want.Added() {
			t.Errorf("%d items: %d added, want %d", items, got.Added(), want.Added())
		}
		for key, b := range want.Each() {
			low, high := got.Bounds(key)
			if exact := items <= 400; exact && (low != b.Lower || high != b.Upper) || !exact && (high < b.Lower || low > b.Upper) {
				t.Errorf("%d items: %s has %d to %d, want %d to %d", items, key, low, high, b.Lower, b.Upper)
			}
		}
		same := s.Renamed(turned).Renamed(turned)
		if a, b := same.Clone(), s.Clone(); !bytes.Equal(a.AppendBinary(nil), b.AppendBinary(nil)) {
			t.Errorf("%d items: renamed twice, it is another sketch", items)
		}
	}
}

// TestBlind: blind hashes depend on the key, are different for different hashes, and count like others.
func TestBlind(t *testing.T) {
	one, same, other := NewBlind(&[BlindKeyLen]byte{1}), NewBlind(&[BlindKeyLen]byte{1}), NewBlind(&[BlindKeyLen]byte{2})
	none := NewBlind(nil)
	h := HashKey([]byte("192.0.2.1"))
	if none.Word(7) != 7 || none.Key(h) != h {
		t.Error("no key changes hashes")
	}
	if one.Word(7) == 7 || one.Word(7) == one.Word(8) || one.Word(7) != same.Word(7) || one.Word(7) == other.Word(7) || one.Key(h) == h || one.Key(h) != same.Key(h) || one.Key(h) == other.Key(h) {
		t.Error("hashes do not depend on the key and the hash alone")
	}
	d, e := NewDistinct(), NewDistinct()
	for i := range 3000 {
		h := HashKey(fmt.Appendf(nil, "10.0.%d.%d", i>>8, i&255))
		d.AddHashed([]Hashed{one.Key(h)})
		e.AddHashed([]Hashed{same.Key(h)})
	}
	before := d.Estimate()
	d.Merge(e)
	if d.Estimate() != before || before < 2900 || before > 3100 {
		t.Errorf("%v of 3000, then %v", before, d.Estimate())
	}
}
