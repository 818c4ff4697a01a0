package sketch

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// bytesOf returns all that a sketch has, as bytes that are equal for equal sketches.
func bytesOf(f *Frequent) []byte { return f.AppendBounds(f.AppendBinary(nil)) }

// TestFrequentView: a view is merged like the sketch that was read from the same bytes, into sketches of any size. A sketch that
// was used before and reset is as good as a new one.
func TestFrequentView(t *testing.T) {
	var v FrequentView
	var scratch Scratch
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		slots := rapid.SampledFrom([]int{8, 64, 1024, 8192}).Draw(t, "slots")
		byView, byRead := NewFrequent(slots), NewFrequent(slots)
		for range r.IntN(3) {
			old := newStream(64)
			for range 1 + r.IntN(200) {
				old.add("old"+strconv.Itoa(r.IntN(100)), 1+r.Uint64N(20))
			}
			old.f.Trim(r.IntN(40))
			byView.Merge(old.f)
			byView.Add([]byte("key1"), 3)
			byView.Merge(old.f)
			byView.Reset()
		}
		for range 6 {
			from := rapid.SampledFrom([]int{8, 64, 1024}).Draw(t, "slots of the other")
			s := newStream(from)
			for range r.IntN(2) {
				o := newStream(from)
				for range r.IntN(2 * from) {
					o.add("key"+strconv.Itoa(r.IntN(2*from)), 1+r.Uint64N(20))
				}
				o.f.Trim(r.IntN(from))
				s.merge(o)
			}
			for range r.IntN(2 * from) {
				s.add("key"+strconv.Itoa(r.IntN(2*from)), 1+r.Uint64N(20))
			}
			if r.IntN(2) == 0 {
				s.f.Trim(r.IntN(from))
			}
			blob, bounds := s.f.AppendBinary(nil), s.f.AppendBounds(nil)
			own := 512 >> (3 * r.IntN(3)) // the slots of the one that reads: sometimes too few
			read := NewFrequent(own)
			if err := read.UnmarshalBounds(blob, bounds); err != nil {
				t.Fatal(err)
			}
			if err := v.Open(blob, bounds, own, &scratch); err != nil {
				t.Fatal(err)
			}
			for range 1 + r.IntN(2) {
				byRead.Merge(read)
				byView.MergeView(&v)
				if !bytes.Equal(bytesOf(byView), bytesOf(byRead)) {
					t.Fatal("the merges differ")
				}
			}
			if r.IntN(3) == 0 {
				byView.Compact()
			}
		}
	})
}

// FuzzFrequentView: a view accepts exactly what UnmarshalBounds accepts, and says the same of the rest.
func FuzzFrequentView(f *testing.F) {
	for _, b := range libraryFiles(f) {
		f.Add(b, []byte{})
	}
	for _, n := range []int{0, 3, 100} {
		s := newStream(128)
		for i := range n {
			s.add("k"+strconv.Itoa(i), uint64(i+1))
		}
		s.f.Trim(n * 2 / 3)
		s.merge(s.clone())
		s.add("one", 1)
		f.Add(s.f.AppendBinary(nil), s.f.AppendBounds(nil))
	}
	var v FrequentView
	var scratch Scratch
	f.Fuzz(func(t *testing.T, b, bounds []byte) {
		for _, slots := range []int{16, 1024} {
			read := NewFrequent(slots)
			err, viewErr := read.UnmarshalBounds(b, bounds), v.Open(b, bounds, slots, &scratch)
			if err != nil || viewErr != nil {
				if err == nil || viewErr == nil || err.Error() != viewErr.Error() {
					t.Fatalf("%v, view %v", err, viewErr)
				}
			}
			byView, byRead := zipf(64, 100, 30, 0, 1).f, zipf(64, 100, 30, 0, 1).f
			byView.MergeView(&v)
			byRead.Merge(read)
			if !bytes.Equal(bytesOf(byView), bytesOf(byRead)) {
				t.Fatal("the merges differ")
			}
			if err := byRead.UnmarshalBounds(bytes.Clone(byView.AppendBinary(nil)), byView.AppendBounds(nil)); err != nil {
				t.Fatalf("this package's own form is rejected: %v", err)
			}
		}
	})
}

// TestViewAllocates: opening and merging again allocate nothing.
func TestViewAllocates(t *testing.T) {
	var v FrequentView
	var scratch Scratch
	f := zipf(0, 50_000, 5000, 0, 1).f
	s := zipf(0, 50_000, 5000, 0, 2).f
	s.Trim(384)
	o := zipf(0, 50_000, 5000, 0, 3).f
	o.Trim(384)
	s.Merge(o)
	blob, bounds := s.AppendBinary(nil), s.AppendBounds(nil)
	run := func() {
		if err := v.Open(blob, bounds, 0, &scratch); err != nil {
			t.Fatal(err)
		}
		f.MergeView(&v)
	}
	run()
	if n := testing.AllocsPerRun(10, run); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
