package sketch

import (
	"bytes"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// stream is a Frequent and the exact weights.
type stream struct {
	f     *Frequent
	truth map[string]uint64
	total uint64
}

func newStream(slots int) *stream {
	return &stream{f: NewFrequent(slots), truth: map[string]uint64{}}
}

func (s *stream) add(key string, weight uint64) {
	s.f.Add([]byte(key), weight)
	s.truth[key] += weight
	s.total += weight
}

// merge merges o into s, both sketch and truth.
func (s *stream) merge(o *stream) {
	s.f.Merge(o.f)
	for k, w := range o.truth {
		s.truth[k] += w
	}
	s.total += o.total
}

func (s *stream) clone() *stream {
	return &stream{s.f.Clone(), maps.Clone(s.truth), s.total}
}

// check fails the test unless lower ≤ true ≤ upper for every key, and Top shows the right keys.
func (s *stream) check(t interface {
	Helper()
	Errorf(string, ...any)
}) {
	t.Helper()
	if s.f.Total() != s.total {
		t.Errorf("total %d, want %d", s.f.Total(), s.total)
	}
	for key, w := range s.truth {
		if lower, upper := s.f.Bounds([]byte(key)); lower > w || w > upper {
			t.Errorf("%q: %d to %d, truly %d", key, lower, upper, w)
		}
	}
	for key, lower := range s.f.All() {
		if w, ok := s.truth[string(key)]; !ok || lower == 0 || lower > w {
			t.Errorf("holds %q with %d, truly %d", key, lower, w)
		}
	}
	rows := s.f.Top(nil, s.f.Len())
	if !slices.IsSortedFunc(rows, compareRows) {
		t.Errorf("Top is not sorted")
	}
	if few := s.f.Top(nil, 10); len(rows) >= 10 && !slices.Equal(few, rows[:10]) {
		t.Errorf("Top(10) %v is not the head of Top(all) %v", few, rows[:10])
	}
}

func compareRows(a, b Row) int {
	switch {
	case a.Lower > b.Lower:
		return -1
	case a.Lower < b.Lower:
		return 1
	}
	return strings.Compare(a.Key, b.Key)
}

// zipf fills a stream with n packets over keys Zipf names. Every flood-th packet has a name of its own.
func zipf(slots, n, keys, flood int, seed uint64) *stream {
	s := newStream(slots)
	r := rand.New(rand.NewPCG(seed, 1))
	z := rand.NewZipf(r, 1.1, 1, uint64(keys-1))
	for i := range n {
		if flood > 0 && i%flood == 0 {
			s.add("flood"+strconv.FormatUint(r.Uint64(), 36), 1)
			continue
		}
		s.add("name"+strconv.FormatUint(z.Uint64(), 10)+".example.com", 1+uint64(i)%3)
	}
	return s
}

func TestFrequentBounds(t *testing.T) {
	for seed := range uint64(4) {
		for name, s := range map[string]*stream{
			"zipf":      zipf(256, 60_000, 5000, 0, seed),
			"flood":     zipf(256, 60_000, 100, 2, seed),
			"all flood": zipf(256, 30_000, 100, 1, seed),
			"default":   zipf(0, 120_000, 100_000, 3, seed),
		} {
			s.check(t)
			slots := uint64(1) << s.f.lg()
			if limit := s.total * 1000 / (375 * slots); s.f.MaxError() > limit {
				t.Errorf("%s, seed %d: error %d beyond %d", name, seed, s.f.MaxError(), limit)
			}
			if s.f.Len() > int(slots)*3/4 {
				t.Errorf("%s: %d keys in %d slots", name, s.f.Len(), slots)
			}
			for key, w := range s.truth { // a key heavier than the error is held
				if lower, _ := s.f.Bounds([]byte(key)); lower == 0 && w > s.f.MaxError() {
					t.Errorf("%s: %q with %d is missing, the error is %d", name, key, w, s.f.MaxError())
				}
			}
		}
	}
}

// TestFrequentFloodShowsNoGiants: after a flood of names seen once, none has a large lower bound. The original showed
// such names with thousands.
func TestFrequentFloodShowsNoGiants(t *testing.T) {
	f := NewFrequent(0)
	key := []byte("random-00000000.example.com")
	for i := range 400_000 {
		copy(key[7:], strconv.AppendInt(nil, 10_000_000+int64(i), 10))
		f.Add(key, 1)
		if i%1000 == 0 {
			f.Add([]byte("www.example.com"), 1000)
		}
	}
	rows := f.Top(nil, 10)
	if rows[0].Key != "www.example.com" || rows[0].Lower < 400_000-f.MaxError() || rows[0].Upper < 400_000 {
		t.Errorf("the heavy name is %+v", rows[0])
	}
	for _, r := range rows[1:] {
		if r.Lower != 1 {
			t.Errorf("a name seen once has %+v", r)
		}
	}
	if e := f.MaxError(); e == 0 || e > 800_000/3072 {
		t.Errorf("error %d", e)
	}
}

func TestFrequentExactUpToCapacity(t *testing.T) {
	s := newStream(1024)
	for round := range 3 {
		for i := range 768 {
			s.add("k"+strconv.Itoa(i), uint64(1+i+round))
		}
	}
	s.check(t)
	if s.f.MaxError() != 0 || s.f.Len() != 768 {
		t.Errorf("error %d, %d keys", s.f.MaxError(), s.f.Len())
	}
	want := []Row{{"k767", 2307, 2307}, {"k766", 2304, 2304}}
	if diff := cmp.Diff(want, s.f.Top(nil, 2)); diff != "" {
		t.Error(diff)
	}
}

func TestFrequentTopBreaksTiesByKey(t *testing.T) {
	f := NewFrequent(0)
	for _, k := range []string{"c", "a", "", "b", "aa"} {
		f.Add([]byte(k), 7)
	}
	f.Add([]byte("z"), 8)
	f.Add([]byte("nothing"), 0)
	want := []Row{{"z", 8, 8}, {"", 7, 7}, {"a", 7, 7}, {"aa", 7, 7}, {"b", 7, 7}}
	if diff := cmp.Diff(want, f.Top(nil, 5)); diff != "" {
		t.Error(diff)
	}
	if got := f.Top([]Row{{Key: "kept"}}, 1); len(got) != 2 || got[0].Key != "kept" || got[1].Key != "z" {
		t.Errorf("Top does not append: %v", got)
	}
	if got := f.Top(nil, -1); got != nil {
		t.Errorf("Top(-1) is %v", got)
	}
}

// TestFrequentIsDeterministic: another seed of the table hash gives the same bytes, through growth and purges.
func TestFrequentIsDeterministic(t *testing.T) {
	build := func(twist uint32) []byte {
		f := NewFrequent(64)
		r := rand.New(rand.NewPCG(5, 5))
		for range 20_000 {
			key := strconv.AppendUint(nil, uint64(math.Sqrt(float64(r.IntN(200_000)))), 10)
			h, _ := Hash(key)
			f.total++
			f.add(key, uint32(h)*twist>>3, 1)
		}
		return f.AppendBinary(nil)
	}
	if !bytes.Equal(build(1), build(0x9e3779b1)) || !bytes.Equal(build(1), build(0)) {
		t.Error("the result depends on the table's hash")
	}
}

func TestFrequentTrim(t *testing.T) {
	for _, n := range []int{0, 1, 10, 100, 5000} {
		s := zipf(512, 50_000, 3000, 7, 9)
		want := s.f.Top(nil, n)
		s.f.Trim(n)
		s.check(t)
		got := s.f.Top(nil, n)
		for i := range want {
			if got[i].Key != want[i].Key || got[i].Lower != want[i].Lower {
				t.Fatalf("n=%d: row %d is %v, was %v", n, i, got[i], want[i])
			}
		}
		for i := range 4000 { // the stream continues
			s.add("later"+strconv.Itoa(i%500), 2)
		}
		s.check(t)
	}
}

func TestFrequentLongKeys(t *testing.T) {
	s := newStream(256)
	long := strings.Repeat("x", MaxKeyLen)
	for i := range 5000 {
		s.add(strconv.Itoa(i)+long[:MaxKeyLen-8], 1)
		s.add("popular"+long[:MaxKeyLen-8], 1)
		if len(s.f.keys) > s.f.keyLimit() {
			t.Fatalf("%d bytes of keys", len(s.f.keys))
		}
	}
	s.check(t)
	if s.f.MaxError() > 5000 || s.f.Top(nil, 1)[0].Lower < 1 {
		t.Errorf("error %d, top %v", s.f.MaxError(), s.f.Top(nil, 1)[0].Lower)
	}
	f := NewFrequent(0)
	f.Add([]byte(long+"a"), 1)
	f.Add([]byte(long+"b"), 1)
	if got := f.Top(nil, 9); len(got) != 1 || got[0].Key != long || got[0].Lower != 2 {
		t.Errorf("%d rows", len(got))
	}
}

func TestFrequentSaturates(t *testing.T) {
	f := NewFrequent(0)
	f.Add([]byte("a"), math.MaxUint64)
	f.Add([]byte("a"), math.MaxUint64)
	f.Add([]byte("b"), 5)
	if f.Total() != math.MaxInt64 || f.Top(nil, 1)[0].Upper != math.MaxInt64 {
		t.Errorf("total %d, top %v", f.Total(), f.Top(nil, 1))
	}
}

func streamGen(label string, slots int) *rapid.Generator[*stream] {
	return rapid.Custom(func(t *rapid.T) *stream {
		s := newStream(slots)
		n := rapid.SampledFrom([]int{0, 1, 10, 40, 400}).Draw(t, label+" n")
		keys := rapid.SampledFrom([]uint64{3, 30, 300}).Draw(t, label+" keys")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, label), 0))
		for range n {
			s.add("k"+strconv.FormatUint(r.Uint64N(keys), 10), 1+r.Uint64N(1+r.Uint64N(50)))
		}
		if rapid.Bool().Draw(t, label+" trim") {
			s.f.Trim(20)
		}
		return s
	})
}

func TestFrequentMergeLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// With 512 slots, nothing is purged and merging is exact. With 32 it is within the bounds.
		slots := rapid.SampledFrom([]int{32, 512}).Draw(t, "slots")
		a, b, c := streamGen("a", slots).Draw(t, "a"), streamGen("b", slots).Draw(t, "b"), streamGen("c", slots).Draw(t, "c")
		before := b.f.AppendBinary(nil)
		ab, ba, abc := a.clone(), b.clone(), a.clone()
		ab.merge(b)
		ba.merge(a)
		abc.merge(b)
		abc.merge(c)
		bc := b.clone()
		bc.merge(c)
		a2 := a.clone()
		a2.merge(bc)
		for _, s := range []*stream{ab, ba, abc, a2} {
			s.check(t)
		}
		if slots == 512 {
			all := func(s *stream) []Row { return s.f.Top(nil, s.f.Len()) }
			if !slices.Equal(all(ab), all(ba)) || ab.f.MaxError() != ba.f.MaxError() {
				t.Error("not commutative")
			}
			if !slices.Equal(all(abc), all(a2)) || abc.f.MaxError() != a2.f.MaxError() {
				t.Error("not associative")
			}
		}
		id, into := a.f.Clone(), NewFrequent(slots)
		id.Merge(NewFrequent(slots))
		into.Merge(a.f)
		if want := a.f.AppendBinary(nil); !bytes.Equal(id.AppendBinary(nil), want) || !bytes.Equal(into.AppendBinary(nil), want) {
			t.Error("identity does not hold")
		}
		if !bytes.Equal(b.f.AppendBinary(nil), before) {
			t.Error("merging changed its argument")
		}
		back := NewFrequent(slots)
		if err := back.UnmarshalBinary(abc.f.AppendBinary(nil)); err != nil || !bytes.Equal(back.AppendBinary(nil), abc.f.AppendBinary(nil)) {
			t.Errorf("round trip: %v", err)
		}
	})
}

func TestFrequentMergedErrorBound(t *testing.T) {
	whole := newStream(256)
	for seed := range uint64(12) {
		whole.merge(zipf(256, 20_000, 4000, 5, seed))
	}
	whole.check(t)
	if limit := whole.total * 1000 / (375 * 256); whole.f.MaxError() > limit {
		t.Errorf("error %d beyond %d", whole.f.MaxError(), limit)
	}
	self := whole.f.Clone()
	self.Merge(self)
	if self.Total() != 2*whole.total || self.Top(nil, 1)[0].Lower != 2*whole.f.Top(nil, 1)[0].Lower {
		t.Error("merging with itself does not double")
	}
}

func TestFrequentSelection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.Uint64(), 1, 100).Draw(t, "weights")
		f := NewFrequent(0)
		for _, w := range weights {
			f.entries = append(f.entries, entry{weight: w})
		}
		rank := rapid.IntRange(0, len(weights)-1).Draw(t, "rank")
		slices.Sort(weights)
		if got := f.nthWeight(rank); got != weights[rank] {
			t.Errorf("rank %d is %d, want %d", rank, got, weights[rank])
		}
	})
}

func TestFrequentAllocations(t *testing.T) {
	s := zipf(256, 20_000, 2000, 3, 1)
	f, o := s.f, s.f.Clone()
	o.Compact()
	key := []byte("flood-0000000000")
	buf := f.AppendBinary(make([]byte, 0, 1<<20))
	i := 0
	run := func() {
		for range 1000 { // through several purges
			i++
			copy(key[6:], strconv.AppendInt(buf[:0], int64(1_000_000_000+i), 10))
			f.Add(key, 1)
		}
		f.Merge(o)
		buf = o.AppendBinary(buf[:0])
	}
	run()
	if n := testing.AllocsPerRun(20, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// addBatch adds a batch of distinct keys without the light ones that Shed leaves out. It returns how many passed.
func (s *stream) addBatch(keys []string, weights []uint64) (passed int) {
	sieve := s.f.Shed(weights)
	for i, key := range keys {
		if w := weights[i]; sieve.Passes(w) {
			s.f.Add([]byte(key), w)
			passed++
		}
		w := min(weights[i], maxWeight)
		s.truth[key] = addWeight(s.truth[key], w)
		s.total = addWeight(s.total, w)
	}
	return passed
}

// batchKeys returns n names, numbered from first on.
func batchKeys(first, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = "k" + strconv.Itoa(first+i)
	}
	return keys
}

// checkLimit fails the test if the error exceeds its bound, which holds for any stream as long as the total does not saturate.
func (s *stream) checkLimit(t interface {
	Helper()
	Errorf(string, ...any)
}) {
	t.Helper()
	if limit := s.total / (3 << s.f.lg() / 8); s.f.MaxError() > limit && s.total < maxWeight {
		t.Errorf("error %d beyond %d", s.f.MaxError(), limit)
	}
}

// TestShedBounds: bounds, total and the error's limit hold over batches of all kinds of weights, mixed with keys that
// are added one by one.
func TestShedBounds(t *testing.T) {
	kinds := map[string]func(i int, r *rand.Rand) uint64{
		"ones":       func(int, *rand.Rand) uint64 { return 1 },
		"equal":      func(int, *rand.Rand) uint64 { return 1000 },
		"zeros":      func(_ int, r *rand.Rand) uint64 { return r.Uint64N(2) },
		"small":      func(_ int, r *rand.Rand) uint64 { return r.Uint64N(5) },
		"large":      func(_ int, r *rand.Rand) uint64 { return r.Uint64N(1 << 40) },
		"Pareto":     func(_ int, r *rand.Rand) uint64 { return uint64(1 / (1 - r.Float64())) },
		"two kinds":  func(i int, _ *rand.Rand) uint64 { return []uint64{1, 1000}[i%2] },
		"a few ones": func(i int, _ *rand.Rand) uint64 { return 1 + 1e6*uint64(min(i%50, 1)) },
		"geometric":  func(i int, _ *rand.Rand) uint64 { return uint64(math.Pow(1.01, float64(i%2000))) },
		"too few":    func(i int, _ *rand.Rand) uint64 { return 1 + 9999*(1-uint64(min(i/73, 1))) },
		// Σ weights ≤ w is a little less than w times half the capacity, for each w: never enough.
		"never enough": func(i int, _ *rand.Rand) uint64 { return uint64(math.Exp(float64(i) / 95)) },
		"greatest":     func(_ int, r *rand.Rand) uint64 { return math.MaxUint64 - r.Uint64N(100) },
		"2^63":         func(_ int, r *rand.Rand) uint64 { return 1<<63 - 50 + r.Uint64N(100) },
		"2^50":         func(_ int, r *rand.Rand) uint64 { return 1<<50 + r.Uint64N(100) },
	}
	for name, weight := range kinds {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 1))
			s := newStream(256)
			for round := range 20 {
				keys := batchKeys(r.IntN(2)*round*500, 100+r.IntN(1500))
				weights := make([]uint64, len(keys))
				for i := range weights {
					weights[i] = weight(i, r)
				}
				s.addBatch(keys, weights)
				s.check(t)
				s.checkLimit(t)
				s.add("single"+strconv.Itoa(round), 1)
			}
		})
	}
}

func TestShedRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStream(rapid.SampledFrom([]int{8, 32, 256}).Draw(t, "slots"))
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			exponents := rapid.SliceOfN(rapid.IntRange(0, 55), 0, 600).Draw(t, "weights")
			r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
			weights := make([]uint64, len(exponents))
			for i, e := range exponents {
				weights[i] = r.Uint64N(1 << e)
			}
			s.addBatch(batchKeys(r.IntN(600), len(weights)), weights)
		}
		s.check(t)
		s.checkLimit(t)
	})
}

// TestShedLeavesExactAlone: a batch that fits changes nothing, whatever the sketch holds.
func TestShedLeavesExactAlone(t *testing.T) {
	for _, s := range []*stream{newStream(1024), zipf(1024, 50_000, 5000, 3, 1)} {
		before := s.f.AppendBinary(nil)
		weights := make([]uint64, 5000)
		for i := range s.f.Capacity() {
			weights[7*i%5000] = uint64(1 + i/700)
		}
		if sieve := s.f.Shed(weights); sieve != (Sieve{}) || !bytes.Equal(s.f.AppendBinary(nil), before) {
			t.Errorf("%+v", sieve)
		}
		for i := range weights {
			weights[i] = min(weights[i], 1)
		}
		weights[1]++ // one more key that has a weight
		e := s.f.MaxError()
		if sieve := s.f.Shed(weights); sieve.light != 1 || s.f.MaxError() != e+1 {
			t.Errorf("%+v, error %d after %d", sieve, s.f.MaxError(), e)
		}
	}
	var sieve Sieve
	if sieve.Passes(0) || !sieve.Passes(1) {
		t.Error("the zero sieve is wrong")
	}
}

// TestShedKeepsTheHeavy: the heaviest keys pass, no more than are worth adding, and of a flood only a few.
func TestShedKeepsTheHeavy(t *testing.T) {
	keys, weights := batchKeys(0, 16_384), make([]uint64, 16_384)
	for i := range weights {
		weights[i] = uint64(16_384 * 10 / (1 + i))
	}
	s := newStream(0)
	if n := s.addBatch(keys, weights); n < 2000 || n > 3072 {
		t.Errorf("%d of a Zipf batch passed", n)
	}
	s.check(t)
	if lower, _ := s.f.Bounds([]byte("k0")); lower != weights[0] || s.f.Len() > 3072 {
		t.Errorf("the heaviest has %d, want %d; %d keys", lower, weights[0], s.f.Len())
	}

	s = newStream(0)
	for round := range 20 {
		weights := slices.Repeat([]uint64{1}, 16_384)
		weights[5000] = 50
		keys := batchKeys(1+round*16_384, 16_384)
		keys[5000] = "heavy"
		if n := s.addBatch(keys, weights); n != 192 {
			t.Errorf("%d of a flood passed", n)
		}
	}
	s.check(t)
	if got := s.f.Top(nil, 1)[0]; got != (Row{"heavy", 1000, 1020}) {
		t.Errorf("%+v", got)
	}
}

func TestWeightClasses(t *testing.T) {
	last := -1
	for _, w := range []uint64{0, 1, 63, 64, 65, 66, 127, 128, 1000, 1 << 20, 1<<63 - 1, 1 << 63, math.MaxUint64} {
		class := weightClass(w)
		if top := heaviestOf(class); class < last || top < w || weightClass(top) != class || top-w > w/32 {
			t.Errorf("%d: class %d after %d, up to %d", w, class, last, top)
		}
		if w < 64 && heaviestOf(class) != w {
			t.Errorf("%d is not alone", w)
		}
		last = class
	}
	if weightClass(math.MaxUint64) != weightClasses-1 {
		t.Error("classes are left")
	}
}

func TestShedAllocs(t *testing.T) {
	f := NewFrequent(0)
	weights := slices.Repeat([]uint64{1, 2, 3, 400}, 4096)
	if n := testing.AllocsPerRun(10, func() { f.Shed(weights) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
