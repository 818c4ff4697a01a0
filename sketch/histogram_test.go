package sketch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// aboveBoundary reports, exactly, whether v > 2^(p/64).
func aboveBoundary(v uint64, p int) bool {
	left := new(big.Int).Exp(new(big.Int).SetUint64(v), big.NewInt(perOctave), nil)
	return left.Cmp(new(big.Int).Lsh(big.NewInt(1), uint(p))) > 0
}

// checkPosition checks v's position against the definition: 2^((p-1)/64) < v ≤ 2^(p/64).
func checkPosition(t *testing.T, v uint64) {
	t.Helper()
	p := position(v)
	if aboveBoundary(v, p) || p > 0 && !aboveBoundary(v, p-1) {
		t.Errorf("%d is at position %d", v, p)
	}
	if first, last := positionRange(p); v < first || v > last || position(first) != p || position(last) != p {
		t.Errorf("position %d of %d has the range %d to %d", p, v, first, last)
	}
}

func TestPositionIsExact(t *testing.T) {
	for v := uint64(1); v < 5000; v++ {
		checkPosition(t, v)
	}
	for p := range numPositions { // both sides of every boundary
		first, last := positionRange(p)
		if first > last {
			if p > 408 {
				t.Errorf("no integer at position %d", p)
			}
			continue
		}
		checkPosition(t, first)
		checkPosition(t, last)
		if first > 1 && position(first-1) >= p {
			t.Errorf("position %d does not start at %d", p, first)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		checkPosition(t, max(1, r.Uint64()>>r.IntN(64)))
	}
	checkPosition(t, math.MaxUint64)
	if position(math.MaxUint64) != numPositions-1 {
		t.Error("the last position is not the greatest value's")
	}
}

func TestBoundariesAreRoots(t *testing.T) {
	for j, b := range boundaries[:perOctave] { // b^64 ≤ 2^(j+63*64) < (b+1)^64
		want := new(big.Int).Lsh(big.NewInt(1), uint(j+63*perOctave))
		n := new(big.Int).SetUint64(b)
		next := new(big.Int).Add(n, big.NewInt(1))
		if n.Exp(n, big.NewInt(perOctave), nil).Cmp(want) > 0 || next.Exp(next, big.NewInt(perOctave), nil).Cmp(want) <= 0 {
			t.Errorf("boundary %d is %#x", j, b)
		}
	}
}

// TestBucketsAreOpenTelemetrys compares with the specification's formula for an index: ceil(log2(v) * 2^scale) - 1.
func TestBucketsAreOpenTelemetrys(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		v := max(1, r.Uint64()>>r.IntN(64))
		exact := math.Log2(float64(v)) * 64
		if math.Abs(exact-math.Round(exact)) < 1e-6 {
			continue // too close to a boundary for floating point
		}
		var h Histogram
		h.Record(v)
		for i, n := range h.Buckets() {
			if want := int(math.Ceil(exact)) - 1; i != want || n != 1 {
				t.Fatalf("%d is in bucket %d, want %d", v, i, want)
			}
		}
	}
	for v, want := range map[uint64]int{1: -1, 2: 63, 4: 127, 1 << 40: 40*64 - 1, 1<<40 + 1: 40 * 64} {
		if got := position(v) - 1; got != want {
			t.Errorf("%d is in bucket %d, want %d", v, got, want)
		}
	}
}

// shapes are value distributions that operators meet.
var shapes = map[string]func(r *rand.Rand) uint64{
	"latency, log-normal": func(r *rand.Rand) uint64 { return uint64(math.Exp(r.NormFloat64()*1.7 + 8)) },
	"cache or not": func(r *rand.Rand) uint64 {
		if r.IntN(10) < 8 {
			return 100 + r.Uint64N(200)
		}
		return uint64(30_000 + r.ExpFloat64()*80_000)
	},
	"DNS sizes": func(r *rand.Rand) uint64 {
		return []uint64{64, 78, 92, 120, 512, 1232, 4096}[r.IntN(7)] + r.Uint64N(30)
	},
	"small numbers": func(r *rand.Rand) uint64 { return r.Uint64N(90) },
	"one value":     func(*rand.Rand) uint64 { return 1_234_567 },
	"all of uint64": func(r *rand.Rand) uint64 { return r.Uint64() >> r.IntN(64) },
}

// nearestRank is the definition of a quantile, on sorted values.
func nearestRank(sorted []uint64, q float64) uint64 {
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

func TestQuantileAccuracy(t *testing.T) {
	for name, draw := range shapes {
		for seed := range uint64(5) {
			for _, n := range []int{1, 2, 10, 1000, 50_000} {
				r := rand.New(rand.NewPCG(seed, uint64(n)))
				var h Histogram
				values := make([]uint64, n)
				for i := range values {
					values[i] = draw(r)
					h.Record(values[i])
				}
				slices.Sort(values)
				for _, q := range []float64{-1, 0, 0.001, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1, 2} {
					got, want := h.Quantile(q), nearestRank(values, q)
					diff := math.Abs(float64(got) - float64(want))
					if diff > min(0.0055*float64(want)+0.5, 0.01*float64(want)) || want <= 101 && got != want {
						t.Errorf("%s, n=%d: p%g is %d, want %d", name, n, 100*q, got, want)
					}
				}
				if h.Min() != values[0] || h.Max() != values[n-1] || h.Count() != uint64(n) {
					t.Errorf("%s: min %d, max %d, count %d", name, h.Min(), h.Max(), h.Count())
				}
			}
		}
	}
}

func TestCountAtOrBelow(t *testing.T) {
	for name, draw := range shapes {
		r := rand.New(rand.NewPCG(7, 7))
		var h Histogram
		values := make([]uint64, 5000)
		for i := range values {
			values[i] = draw(r)
			h.Record(values[i])
		}
		slices.Sort(values)
		atOrBelow := func(v uint64) uint64 {
			n, _ := slices.BinarySearchFunc(values, v, func(e, v uint64) int {
				if e <= v {
					return -1
				}
				return 1
			})
			return uint64(n)
		}
		for range 500 {
			v := draw(r)
			got, least := h.CountAtOrBelow(v), atOrBelow(v)
			most := least
			if v > 101 {
				_, end := positionRange(position(v))
				most = atOrBelow(end)
			}
			if got < least || got > most {
				t.Errorf("%s: %d values up to %d, want %d to %d", name, got, v, least, most)
			}
		}
	}
	var h Histogram
	if h.CountAtOrBelow(0) != 0 || h.CountAtOrBelow(5) != 0 || h.Quantile(0.5) != 0 || h.Min() != 0 || h.Max() != 0 {
		t.Error("an empty histogram has values")
	}
}

func TestHistogramSumsSaturate(t *testing.T) {
	var h Histogram
	h.RecordN(1<<40, 1<<30)
	if h.Sum() != math.MaxUint64 || h.Count() != 1<<30 {
		t.Errorf("sum %d, count %d", h.Sum(), h.Count())
	}
	h.RecordN(3, math.MaxUint64)
	if h.Count() != math.MaxUint64 || h.Quantile(0.5) != 3 {
		t.Errorf("count %d, median %d", h.Count(), h.Quantile(0.5))
	}
	h.RecordN(9, 0)
	if h.Max() != 1<<40 || h.Min() != 3 {
		t.Errorf("min %d, max %d", h.Min(), h.Max())
	}
}

func histogramGen(label string) *rapid.Generator[*Histogram] {
	return rapid.Custom(func(t *rapid.T) *Histogram {
		var h Histogram
		bits := rapid.IntRange(0, 64).Draw(t, label+" bits")
		for _, v := range rapid.SliceOfN(rapid.Uint64(), 0, 40).Draw(t, label) {
			h.RecordN(v>>bits, 1+v%5)
		}
		if rapid.Bool().Draw(t, label+" compact") {
			h.Compact()
		}
		return &h
	})
}

func TestHistogramMergeLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := histogramGen("a").Draw(t, "a"), histogramGen("b").Draw(t, "b"), histogramGen("c").Draw(t, "c")
		before := b.AppendBinary(nil)
		merged := func(parts ...*Histogram) []byte {
			h := parts[0].Clone()
			for _, p := range parts[1:] {
				h.Merge(p)
			}
			return h.AppendBinary(nil)
		}
		bc := b.Clone()
		bc.Merge(c)
		if !bytes.Equal(merged(a, b, c), merged(a, bc)) {
			t.Error("not associative")
		}
		if !bytes.Equal(merged(a, b), merged(b, a)) {
			t.Error("not commutative")
		}
		if same := a.AppendBinary(nil); !bytes.Equal(merged(a, new(Histogram)), same) || !bytes.Equal(merged(new(Histogram), a), same) {
			t.Error("identity does not hold")
		}
		if !bytes.Equal(b.AppendBinary(nil), before) {
			t.Error("merging changed its argument")
		}
		self, twice := a.Clone(), a.Clone()
		self.Merge(self)
		twice.Merge(a)
		if !bytes.Equal(self.AppendBinary(nil), twice.AppendBinary(nil)) {
			t.Error("merging with itself does not double")
		}
		var back Histogram
		if err := back.UnmarshalBinary(merged(a, b)); err != nil || !bytes.Equal(back.AppendBinary(nil), merged(a, b)) {
			t.Errorf("round trip: %v", err)
		}
	})
}

// TestHistogramPartsAreTheWhole records the same values at once, in parts, and through dense
// histograms that are reused.
func TestHistogramPartsAreTheWhole(t *testing.T) {
	for name, draw := range shapes {
		r := rand.New(rand.NewPCG(1, 1))
		var whole, parts, flushed Histogram
		var d DenseHistogram
		for range 40 {
			var part Histogram
			for range r.IntN(500) {
				v := draw(r)
				whole.Record(v)
				part.Record(v)
				d.Record(v)
			}
			part.Compact()
			parts.Merge(&part)
			flushed.AddDense(&d)
			d.Reset()
			if d != (DenseHistogram{}) {
				t.Fatalf("%s: Reset left something", name)
			}
		}
		want := whole.AppendBinary(nil)
		if !bytes.Equal(parts.AppendBinary(nil), want) {
			t.Errorf("%s: parts merged are not the whole", name)
		}
		if !bytes.Equal(flushed.AppendBinary(nil), want) {
			t.Errorf("%s: flushed dense histograms are not the whole", name)
		}
		whole.Compact()
		if !bytes.Equal(whole.AppendBinary(nil), want) || whole.Quantile(0.9) != parts.Quantile(0.9) {
			t.Errorf("%s: changed by Compact", name)
		}
	}
}

func TestHistogramBinaryForm(t *testing.T) {
	var h Histogram
	h.RecordN(0, 2)
	h.RecordN(1, 3)
	h.RecordN(1000, 300)
	// 1000 is at position 638: 2^(637/64) = 991.7, 2^(638/64) = 1002.5; 637-0 positions after 1's.
	want := []byte{1, 6, 2, 2, 0, 0xe8, 7, 0xe3, 0xa7, 0x12, 0, 3, 0xfd, 4, 0xac, 2}
	if got := h.AppendBinary(nil); !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
	if got := new(Histogram).AppendBinary([]byte{9}); !bytes.Equal(got, []byte{9, 1, 6, 0, 0}) {
		t.Errorf("empty: % x", got)
	}
}

func TestHistogramRejects(t *testing.T) {
	form := func(numbers ...uint64) []byte {
		b := []byte{histogramVersion, Scale}
		for _, n := range numbers {
			b = binary.AppendUvarint(b, n)
		}
		return b
	}
	if err := new(Histogram).UnmarshalBinary(form(2, 1, 0, 2, 6, 64, 3)); err != nil {
		t.Fatalf("the valid form that the cases below change: %v", err)
	}
	cases := map[string][]byte{
		"nothing":                 nil,
		"version":                 {2, 6, 0, 0},
		"scale":                   {1, 5, 0, 0},
		"cut in the header":       form(0),
		"cut in the extremes":     form(2, 0, 0),
		"cut in the pairs":        form(2, 1, 0, 2, 6, 64),
		"claims 2^60 pairs":       form(2, 1<<60, 0, 2, 6, 64, 3),
		"a tail":                  form(2, 1, 0, 2, 6, 64, 3, 0),
		"a count of 0":            form(2, 1, 0, 2, 6, 64, 0),
		"counts overflow":         form(2, 1, 0, 2, 6, 64, math.MaxUint64),
		"position out of range":   form(0, 1, 1, 1, 1, numPositions, 1),
		"position overflows":      form(0, 2, 1, math.MaxUint64, 1, 0, 1, math.MaxUint64, 1),
		"after the last position": form(0, 2, math.MaxUint64, math.MaxUint64, 1, numPositions-1, 1, 0, 1),
		"bucket without integers": form(0, 1, 2, 2, 2, 65, 1),
		"min beyond max":          form(2, 1, 3, 2, 6, 64, 3),
		"zeros, but a min":        form(2, 1, 1, 2, 6, 64, 3),
		"no zeros, but min is 0":  form(0, 1, 0, 2, 6, 64, 3),
		"max not in its bucket":   form(2, 1, 0, 9, 6, 64, 3),
		"min not in its bucket":   form(0, 2, 2, 2, 6, 0, 1, 63, 3),
		"only zeros, but a max":   form(2, 0, 0, 2, 6),
		"varint without end":      append(form(2), bytes.Repeat([]byte{0xff}, 11)...),
	}
	for name, b := range cases {
		var h Histogram
		h.Record(77)
		err := h.UnmarshalBinary(b)
		var de *DecodeError
		if !errors.As(err, &de) || de.Kind != "histogram" || de.Reason == "" {
			t.Errorf("%s: error %v", name, err)
		}
		if h.Count() != 1 || h.Max() != 77 {
			t.Errorf("%s: the receiver was changed", name)
		}
	}
}

func TestHistogramAllocations(t *testing.T) {
	var d DenseHistogram
	var h, o Histogram
	o.RecordN(5000, 7)
	o.RecordN(123456, 7)
	packed := o.Clone()
	packed.Compact()
	h.Merge(&o)
	v := uint64(5000)
	buf := make([]byte, 0, 1000)
	if n := testing.AllocsPerRun(100, func() {
		v = v*5%100_000 + 5000
		d.Record(v)
		h.Record(v)
		h.AddDense(&d)
		d.Reset()
		h.Merge(&o)
		h.Merge(packed)
		_ = h.Quantile(0.9)
		_ = h.CountAtOrBelow(v)
		buf = h.AppendBinary(buf[:0])
		for range h.Buckets() {
			continue
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzHistogramUnmarshal(f *testing.F) {
	f.Add([]byte{1, 6, 0, 0})
	for _, draw := range shapes {
		r := rand.New(rand.NewPCG(1, 1))
		var h Histogram
		for range 100 {
			h.Record(draw(r))
		}
		f.Add(h.AppendBinary(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Histogram
		h.Record(77)
		if err := h.UnmarshalBinary(b); err != nil {
			if h.Count() != 1 {
				t.Fatal("a rejected blob changed the receiver")
			}
			return
		}
		blob := h.AppendBinary(nil)
		var again Histogram
		if err := again.UnmarshalBinary(blob); err != nil {
			t.Fatalf("our own form is rejected: %v", err)
		}
		again.Record(77)
		again.Compact()
		h.Merge(&again)
		for _, q := range []float64{0, 0.1, 0.5, 0.9, 1} {
			if v := h.Quantile(q); v < h.Min() || v > h.Max() {
				t.Fatalf("p%g is %d", 100*q, v)
			}
		}
		if h.CountAtOrBelow(h.Max()) != h.Count() {
			t.Fatal("values above the greatest")
		}
	})
}

// TestHistogramSubtract: subtracting what was merged leaves the buckets of the rest, compacted or not.
func TestHistogramSubtract(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := make([]Histogram, 3)
		var all, rest Histogram
		for i := range parts {
			for _, v := range rapid.SliceOfN(rapid.Uint64Range(0, 1<<40), 0, 30).Draw(t, "values") {
				parts[i].Record(v)
			}
			if rapid.Bool().Draw(t, "compact") {
				parts[i].Compact()
			}
			all.Merge(&parts[i])
		}
		gone := rapid.IntRange(0, 2).Draw(t, "gone")
		all.Subtract(&parts[gone])
		for i := range parts {
			if i != gone {
				rest.Merge(&parts[i])
			}
		}
		if all.Count() != rest.Count() || all.Sum() != rest.Sum() || all.ZeroCount() != rest.ZeroCount() {
			t.Fatalf("%d values, %d zeros, sum %d; want %d, %d, %d", all.Count(), all.ZeroCount(), all.Sum(), rest.Count(), rest.ZeroCount(), rest.Sum())
		}
		for v := uint64(0); v < 1<<41; v += 1 + v/100 {
			if got, want := all.CountAtOrBelow(v), rest.CountAtOrBelow(v); got != want && v < rest.Max() {
				t.Fatalf("%d values up to %d, want %d", got, v, want)
			}
		}
	})
}

// TestSparsePositions: from numSparse on, each bucket holds an integer.
func TestSparsePositions(t *testing.T) {
	if holdsInteger(numSparse - 1) {
		t.Errorf("numSparse is too great")
	}
	for p := numSparse; p < numPositions; p++ {
		if !holdsInteger(p) {
			t.Fatalf("position %d holds no integer", p)
		}
	}
}
