package sketch

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// spreadPairs makes pairs: keys with n items each, in random order, with duplicates.
type rawPair struct {
	key    string
	item   uint64
	weight uint32
}

func rawPairs(r *rand.Rand, sizes map[string]int, weight func(i int) uint32) (all []rawPair, truth map[string]uint64) {
	truth = make(map[string]uint64)
	keys := make([]string, 0, len(sizes))
	for key := range sizes {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		for i := range sizes[key] {
			p := rawPair{key, r.Uint64(), weight(i)}
			truth[key] += uint64(p.weight)
			for range 1 + r.IntN(3) {
				all = append(all, p)
			}
		}
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all, truth
}

func one32(int) uint32 { return 1 }

func addRaw(s *Spread, pairs []rawPair) *Spread {
	for _, p := range pairs {
		s.Add([]byte(p.key), p.item, p.weight)
	}
	return s
}

// TestSpreadExact: with no more pairs than the capacity, all values are exact, whatever the duplicates.
func TestSpreadExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	pairs, truth := rawPairs(r, map[string]int{"a": 5000, "b": 1000, "c": 140, "d": 4}, func(i int) uint32 { return uint32(1 + i%7) })
	s := addRaw(NewSpread(0), pairs)
	s.Trim(s.Capacity(), 1<<20)
	if s.Pairs() != 6144 || s.Capacity() != 6144 || !s.Exact() {
		t.Fatalf("%d pairs, capacity %d, exact %v", s.Pairs(), s.Capacity(), s.Exact())
	}
	rows := s.Top(nil, 10)
	want := []Row{{"a", truth["a"], truth["a"]}, {"b", truth["b"], truth["b"]}, {"c", truth["c"], truth["c"]}, {"d", truth["d"], truth["d"]}}
	if !slices.Equal(rows, want) {
		t.Errorf("%v, want %v", rows, want)
	}
	if lower, upper := s.Bounds([]byte("absent")); lower != 0 || upper != 0 {
		t.Errorf("an absent key has %d to %d", lower, upper)
	}
	if got, want := s.Estimate(), float64(truth["a"]+truth["b"]+truth["c"]+truth["d"]); got != want {
		t.Errorf("estimate %v, want %v", got, want)
	}
}

// canonical trims a copy to the capacity, and returns everything about it except the order of its keys and what was added.
func canonical(s *Spread) string {
	s = s.Trimmed(s.Capacity(), 1<<30)
	var lines []string
	pairs := s.livePairs()
	for i := range pairs {
		k := pairs[i].key
		lines = append(lines, fmt.Sprint(string(s.key(int(k))), s.keys[k].limit, pairs[i].hash, pairs[i].weight))
	}
	slices.Sort(lines)
	return fmt.Sprint(s.above, s.most, lines)
}

// TestSpreadOrder: the sample depends only on the set of pairs, and a merge of sketches has the sample of the union.
func TestSpreadOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, sizes := range []map[string]int{
		{"a": 900, "b": 40, "c": 3},
		{"a": 5000, "b": 60, "c": 30, "d": 1},
		manyKeys(3000, 2),
		{"a": 3000, "b": 3000, "c": 3000, "x": 20},
	} {
		for _, weight := range []func(int) uint32{one32, func(i int) uint32 { return uint32(1 + i%50*i%50) }} {
			pairs, _ := rawPairs(r, sizes, weight)
			want := canonical(addRaw(NewSpread(256), pairs))
			for range 5 {
				r.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
				one := NewSpread(256)
				for i, p := range pairs {
					one.Add([]byte(p.key), p.item, p.weight)
					if r.IntN(500) == 0 {
						one.Trim(one.Capacity(), 1<<30)
					}
					if i == len(pairs)/2 {
						one.Compact()
					}
				}
				if got := canonical(one); got != want {
					t.Fatalf("another order gives\n%.300s\nwant\n%.300s", got, want)
				}
			}
		}
	}
}

func manyKeys(n, items int) map[string]int {
	sizes := make(map[string]int)
	for i := range n {
		sizes[fmt.Sprint("key", i)] = items
	}
	sizes["heavy"] = n
	return sizes
}

// TestSpreadMerge: parts that share pairs are merged to the same values as one sketch of everything, within the bounds, and
// straight from bytes to exactly the same sketch.
func TestSpreadMerge(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	inside, total := 0, 0
	for range 40 {
		pairs, truth := rawPairs(r, map[string]int{"a": 20_000, "b": 2000, "c": 400, "d": 100, "e": 7}, func(i int) uint32 { return uint32(1 + i%3) })
		hosts := make([]*Spread, 8)
		for i := range hosts {
			hosts[i] = NewSpread(1024)
		}
		for _, p := range pairs {
			hosts[r.IntN(8)].Add([]byte(p.key), p.item, p.weight)
		}
		up, down, views := NewSpread(4096), NewSpread(4096), NewSpread(4096)
		var v SpreadView
		for i := range hosts {
			few := hosts[i].Trimmed(256, 1<<20)
			up.Merge(few)
			if err := v.Open(few.AppendBinary(nil), 4096, new(Scratch)); err != nil {
				t.Fatal(err)
			}
			views.MergeView(&v)
			down.Merge(hosts[7-i])
		}
		a, b := NewSpread(4096), NewSpread(4096)
		if err := errors.Join(a.UnmarshalBinary(up.AppendBinary(nil)), b.UnmarshalBinary(views.AppendBinary(nil))); err != nil {
			t.Fatal(err)
		}
		if got, want := b.Top(nil, 100), a.Top(nil, 100); !slices.Equal(got, want) || up.Added() != views.Added() {
			t.Fatalf("merged from bytes: %v, want %v", got, want)
		}
		for key, want := range truth {
			for _, s := range []*Spread{up, down} {
				total++
				if lower, upper := s.Bounds([]byte(key)); lower <= want && want <= upper {
					inside++
				}
			}
		}
	}
	if share := float64(inside) / float64(total); share < 0.93 {
		t.Errorf("%d of %d values are within their bounds", inside, total)
	} else {
		t.Logf("%.1f%% of the values are within their bounds", 100*share)
	}
}

// TestSpreadBounds: both bounds hold as often as they say, for small and great keys, with and without weights.
func TestSpreadBounds(t *testing.T) {
	for _, weighted := range []bool{false, true} {
		low, high, total := 0, 0, 0
		bias := 0.0
		for round := range 30 {
			r := rand.New(rand.NewPCG(uint64(round), 4))
			sizes := make(map[string]int)
			for i := range 300 {
				sizes[fmt.Sprint("k", i)] = 1 + i*i/100
			}
			weight := one32
			if weighted {
				weight = func(int) uint32 { return uint32(math.Exp(r.Float64() * 6)) }
			}
			pairs, truth := rawPairs(r, sizes, weight)
			s := addRaw(NewSpread(2048), pairs)
			s.Trim(s.Capacity(), 1<<20)
			if s.Exact() {
				t.Fatal("nothing was left out")
			}
			sums := s.sums()
			none, most := s.Bounds([]byte("absent"))
			bounds := make(map[string]Row)
			for _, row := range s.Top(nil, len(sums)) {
				bounds[row.Key] = row
			}
			var sum, all float64
			for key, want := range truth {
				lower, upper := bounds[key].Lower, bounds[key].Upper
				if upper == 0 {
					lower, upper = none, most
				}
				total++
				if want < lower {
					low++
				}
				if want > upper {
					high++
				}
				all += float64(want)
			}
			for i := range sums {
				sum += sums[i].estimate()
			}
			bias += sum/all - 1
		}
		t.Logf("weighted %v: above %.2f%%, below %.2f%%, bias %.3f", weighted, 100*float64(high)/float64(total), 100*float64(low)/float64(total), bias/30)
		if l, h := float64(low)/float64(total), float64(high)/float64(total); l > 0.03 || h > 0.035 || math.Abs(bias/30) > 0.01 {
			t.Errorf("weighted %v: %.4f of the values are below the lower bound, %.4f above the upper one; bias %v", weighted, l, h, bias/30)
		}
	}
}

// TestSpreadUnderAttack: one key with nearly all items does not displace the others.
func TestSpreadUnderAttack(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	s := NewSpread(8192)
	for i := range 2_000_000 {
		s.Add([]byte("victim"), r.Uint64(), 1)
		if i%1000 == 0 {
			s.Add([]byte("second"), r.Uint64(), 1)
		}
		if i%400 == 0 {
			s.Add(fmt.Append(nil, "zone", i%30_000), uint64(i), 1)
		}
	}
	rows := s.Top(nil, 2)
	for i, want := range []Row{{"victim", 2_000_000, 0}, {"second", 2000, 0}} {
		if got := rows[i]; got.Key != want.Key || got.Lower > want.Lower || got.Upper < want.Lower || float64(got.Upper-got.Lower) > 0.3*float64(want.Lower) {
			t.Errorf("row %d is %v, want %v", i, got, want)
		}
	}
}

// TestSpreadChosenHashes: items that are chosen by their hashes cost bounded memory, and no key seems to have more than was added.
func TestSpreadChosenHashes(t *testing.T) {
	for _, weight := range []uint32{1, 1000} {
		s := NewSpread(64)
		for i := range uint32(100_000) {
			s.AddPair(fmt.Append(nil, "k", i%40), 100_000-i, weight)
			s.AddPair(fmt.Append(nil, "other", i), 0, weight)
			if len(s.pairs) > 64 || len(s.keys) > 65 {
				t.Fatalf("%d pairs, %d keys", len(s.pairs), len(s.keys))
			}
		}
		for _, row := range s.Top(nil, 100) {
			if row.Upper > s.Added() || row.Lower > row.Upper {
				t.Errorf("%+v of %d", row, s.Added())
			}
		}
		if got := s.Estimate(); got > float64(s.Added()) || s.Added() != 200_000*uint64(weight) {
			t.Errorf("%v in all, %d added", got, s.Added())
		}
	}
}

// TestSpreadLongKeys: the bytes of keys are bounded.
func TestSpreadLongKeys(t *testing.T) {
	s := NewSpread(1024)
	long := bytes.Repeat([]byte("x"), 2000)
	for i := range 5000 {
		s.Add(append(fmt.Append(nil, i), long...), 1, 1)
		if len(s.text) > s.textLimit() {
			t.Fatalf("%d bytes", len(s.text))
		}
	}
	if few := s.Trimmed(100, 5000); len(few.text) > 5000 || few.Pairs() == 0 {
		t.Errorf("%d bytes of %d pairs", len(few.text), few.Pairs())
	}
	sum := NewSpread(16)
	sum.Merge(s)
	if len(sum.text) > sum.textLimit() || sum.Added() != 5000 {
		t.Errorf("%d bytes, %d added", len(sum.text), sum.Added())
	}
}

// TestSpreadAllocates: adding to a full sketch allocates nothing.
func TestSpreadAllocates(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	s := NewSpread(256)
	key := make([]byte, 8)
	add := func() {
		for range 2000 {
			copy(key, fmt.Sprint(r.IntN(100)))
			s.AddPair(key, r.Uint32(), 1)
		}
	}
	text := testing.AllocsPerRun(1, func() {
		for range 2000 {
			copy(key, fmt.Sprint(r.IntN(100)))
		}
	})
	for range 100 {
		add()
	}
	s.Reset()
	if allocs := testing.AllocsPerRun(20, add); allocs > text {
		t.Errorf("%v allocations, %v of them for the keys", allocs, text)
	}
}

// TestSpreadReset: an emptied sketch is like a new one.
func TestSpreadReset(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	pairs, _ := rawPairs(r, manyKeys(2000, 1), one32)
	s := addRaw(NewSpread(256), pairs)
	s.Reset()
	if s.Added() != 0 || s.Pairs() != 0 || s.Len() != 0 || s.Threshold() != everything || len(s.Top(nil, 9)) > 0 {
		t.Error("not empty")
	}
	addRaw(s, pairs)
	if got, want := canonical(s), canonical(addRaw(NewSpread(256), pairs)); got != want {
		t.Errorf("%.200s\nwant\n%.200s", got, want)
	}
}

func spreadSeeds(add func(b []byte)) {
	r := rand.New(rand.NewPCG(8, 8))
	for _, sizes := range []map[string]int{{}, {"a": 1}, {"a": 30, "b": 3}, {"a": 400, "b": 3, "": 2}, manyKeys(100, 2)} {
		for _, weight := range []func(int) uint32{one32, func(i int) uint32 { return uint32(i*i + 1) }} {
			pairs, _ := rawPairs(r, sizes, weight)
			add(addRaw(NewSpread(64), pairs).AppendBinary(nil))
		}
	}
}

// FuzzSpread: any bytes are rejected or make a valid sketch, and then the view agrees with it.
func FuzzSpread(f *testing.F) {
	spreadSeeds(func(b []byte) { f.Add(b) })
	f.Fuzz(checkSpread)
}

func checkSpread(t *testing.T, b []byte) {
	s := NewSpread(64)
	s.Add([]byte("kept"), 1, 1)
	before := s.AppendBinary(nil)
	err := s.UnmarshalBinary(b)
	if err != nil {
		var typed *DecodeError
		if !errors.As(err, &typed) || typed.Kind != "spread" || !bytes.Equal(s.AppendBinary(nil), before) {
			t.Fatalf("%v, and the sketch may have changed", err)
		}
		return
	}
	if len(s.pairs) > 64 || len(s.text) > s.textLimit() {
		t.Fatalf("%d pairs, %d bytes", len(s.pairs), len(s.text))
	}
	direct, whole := NewSpread(64), NewSpread(64)
	var v SpreadView
	if err := v.Open(b, 64, new(Scratch)); err != nil {
		t.Fatal(err)
	}
	direct.Add([]byte("a"), 1, 1)
	whole.Add([]byte("a"), 1, 1)
	direct.MergeView(&v)
	whole.Merge(s)
	if !bytes.Equal(direct.AppendBinary(nil), whole.AppendBinary(nil)) {
		t.Fatal("merged from bytes, it is something else")
	}
	again := NewSpread(64)
	if err := again.UnmarshalBinary(s.AppendBinary(nil)); err != nil || !bytes.Equal(again.AppendBinary(nil), s.AppendBinary(nil)) {
		t.Fatalf("what was read differs once written and read again: %v", err)
	}
	for _, row := range s.Top(nil, 100) {
		if row.Lower > row.Upper {
			t.Fatalf("%+v", row)
		}
	}
	s.Merge(again)
	s.Trim(10, 100)
	s.Compact()
	s.AppendBinary(nil)
}

// TestSpreadDamaged: a cut or changed blob is rejected or makes a valid sketch.
func TestSpreadDamaged(t *testing.T) {
	spreadSeeds(func(b []byte) {
		for n := range b {
			cut := b[:n]
			if err := new(Spread).UnmarshalBinary(cut); err == nil {
				t.Errorf("%d of %d bytes are accepted", n, len(b))
			}
			for _, bit := range []byte{1, 128} {
				changed := slices.Clone(b)
				changed[n] ^= bit
				checkSpread(t, changed)
			}
		}
		if err := new(Spread).UnmarshalBinary(append(slices.Clone(b), 0)); err == nil {
			t.Error("a byte after the end is accepted")
		}
	})
}

func BenchmarkSpreadAdd(b *testing.B) {
	key := []byte("victim.example")
	for _, c := range []struct {
		name  string
		items uint64
	}{{"distinct", math.MaxUint64}, {"again", 5000}} {
		b.Run(c.name, func(b *testing.B) {
			s := NewSpread(8192)
			for i := range uint64(b.N) {
				s.AddPair(key, uint32(finalMix(i%c.items)), 1)
			}
		})
	}
}

// TestSpreadMergeThresholds: a merge has the lower of two common thresholds, and then all values are estimated from it.
func TestSpreadMergeThresholds(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	pairs, _ := rawPairs(r, manyKeys(20_000, 1), one32)
	full := addRaw(NewSpread(1024), pairs)
	for _, swapped := range []bool{false, true} {
		small := NewSpread(8192) // with space for all, so that nothing else lowers its threshold
		for i := range uint64(500) {
			small.Add([]byte("small"), i, 1)
		}
		a, b := small, full.Clone()
		if swapped {
			a, b = b, a
		}
		a.Merge(b)
		if a.Threshold() > full.Threshold() || full.Threshold() == everything {
			t.Errorf("threshold %d, want at most %d", a.Threshold(), full.Threshold())
		}
		for key, want := range map[string]uint64{"small": 500, "heavy": 20_000} {
			if lower, upper := a.Bounds([]byte(key)); lower > want || upper < want || lower == upper {
				t.Errorf("swapped %v: %s has %d to %d, want %d", swapped, key, lower, upper, want)
			}
		}
	}
}

// TestSpreadTotalBounds: the bounds of the whole hold about as often as they say, also after a merge, and the bounds of a key are the
// same by whatever method.
func TestSpreadTotalBounds(t *testing.T) {
	const rounds = 200
	missed := 0
	for round := range rounds {
		a, b, total := NewSpread(256), NewSpread(256), uint64(0)
		for i, n := range []int{2_000, 700, 90, 3, 1} {
			key := fmt.Appendf(nil, "key%d", i)
			for item := range n {
				h, _ := Hash(fmt.Appendf(nil, "%d %d", round, item))
				for _, s := range []*Spread{a, b}[item%2:] { // b has all, and a half of them
					s.Add(key, h, 1)
				}
			}
			total += uint64(n)
		}
		a.Merge(b)
		lower, upper := a.TotalBounds()
		if a.Exact() || lower == upper {
			t.Fatalf("exact: %v, from %d to %d", a.Exact(), lower, upper)
		}
		if total < lower || total > upper {
			missed++
		}
		if upper > 2*total || lower < total/2 {
			t.Errorf("from %d to %d, want about %d", lower, upper, total)
		}
		n := 0
		for key, got := range a.Each() {
			n++
			if lower, upper := a.Bounds(key); got != (Bounds{lower, upper}) {
				t.Errorf("%s: %+v, by itself %d to %d", key, got, lower, upper)
			}
		}
		if _, upper := a.Bounds([]byte("none")); n != a.Len() || upper != a.Missing() {
			t.Errorf("%d keys of %d; a key that is missing has %d, want %d", n, a.Len(), a.Missing(), upper)
		}
	}
	if missed > rounds/10 {
		t.Errorf("the true sum is outside the bounds in %d of %d rounds", missed, rounds)
	}
	s := NewSpread(256)
	s.Add([]byte("key"), 1, 5)
	if lower, upper := s.TotalBounds(); lower != 5 || upper != 5 || !s.Exact() {
		t.Errorf("of one item: %d to %d", lower, upper)
	}
}
