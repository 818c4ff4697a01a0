package sketch

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/apache/datasketches-go/common"
	"github.com/apache/datasketches-go/frequencies"
	"github.com/apache/datasketches-go/hll"
)

// Benchmarks named Library… do the same with the Apache library, to compare both in one run.

// nextName writes the i-th name of a flood of different names into buf, which starts with letters.
func nextName(buf []byte, i int) []byte {
	binary.LittleEndian.PutUint64(buf, uint64(i)*0x9e3779b97f4a7c15)
	for j := range 8 {
		buf[j] = 'a' + buf[j]&15
	}
	binary.LittleEndian.PutUint32(buf[8:], uint32(i))
	return buf
}

func floodName() []byte { return []byte("abcdefgh0123.www.example.com") }

func BenchmarkHash(b *testing.B) {
	key := floodName()
	for b.Loop() {
		Hash(key)
	}
}

// BenchmarkFlood measures what a flush costs for a key that was never seen before: both sketches.
func BenchmarkFlood(b *testing.B) {
	var d Distinct
	var f Frequent
	key := floodName()
	for i := 0; b.Loop(); i++ {
		nextName(key, i)
		d.Add(key)
		f.Add(key, 1)
	}
}

func BenchmarkDistinctAdd(b *testing.B) {
	var d Distinct
	key := floodName()
	for i := 0; b.Loop(); i++ {
		d.Add(nextName(key, i))
	}
}

func BenchmarkLibraryHLLAdd(b *testing.B) {
	s, _ := hll.NewHllSketch(14, hll.TgtHllTypeHll8)
	key := floodName()
	for i := 0; b.Loop(); i++ {
		_ = s.UpdateSlice(nextName(key, i))
	}
}

func BenchmarkDistinctMerge(b *testing.B) {
	sealed := distinctOf("k", 0, 100_000)
	sealed.Compact()
	var window Distinct
	for b.Loop() {
		window.Merge(sealed)
	}
}

func BenchmarkLibraryHLLMerge(b *testing.B) {
	s := libraryHLL(b, 14, hll.TgtHllTypeHll4, "k", 0, 100_000)
	u, _ := hll.NewUnion(14)
	for b.Loop() {
		_ = u.UpdateSketch(s)
	}
}

func BenchmarkDistinctEstimate(b *testing.B) {
	d := distinctOf("k", 0, 100_000)
	for b.Loop() {
		_ = d.Estimate()
	}
}

func BenchmarkDistinctAppend(b *testing.B) {
	d := distinctOf("k", 0, 100_000)
	d.Compact()
	var buf []byte
	for b.Loop() {
		buf = d.AppendBinary(buf[:0])
	}
	b.ReportMetric(float64(len(buf)), "blob-bytes")
}

func BenchmarkDistinctUnmarshal(b *testing.B) {
	blob := distinctOf("k", 0, 100_000).AppendBinary(nil)
	var d Distinct
	b.ReportAllocs()
	for b.Loop() {
		_ = d.UnmarshalBinary(blob)
	}
}

func BenchmarkDistinctBorrow(b *testing.B) {
	blob := distinctOf("k", 0, 100_000).AppendBinary(nil)
	var d Distinct
	b.ReportAllocs()
	for b.Loop() {
		_ = d.Borrow(blob)
	}
}

func BenchmarkLibraryHLLUnmarshal(b *testing.B) {
	blob := distinctOf("k", 0, 100_000).AppendBinary(nil)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = hll.NewHllSketchFromSlice(blob, true)
	}
}

func BenchmarkFrequentAddFlood(b *testing.B) {
	var f Frequent
	key := floodName()
	for i := 0; b.Loop(); i++ {
		f.Add(nextName(key, i), 1)
	}
}

func BenchmarkFrequentAddHeld(b *testing.B) {
	var f Frequent
	keys := make([][]byte, 4096)
	for i := range keys {
		keys[i] = nextName(floodName(), i)
	}
	for i := 0; b.Loop(); i++ {
		f.Add(keys[i&4095], 1)
	}
}

func newLibraryFrequent() *frequencies.ItemsSketch[string] {
	s, _ := frequencies.NewFrequencyItemsSketchWithMaxMapSize[string](DefaultSlots, common.ItemSketchStringHasher{}, common.ItemSketchStringSerDe{})
	return s
}

func BenchmarkLibraryFrequentAddFlood(b *testing.B) {
	s := newLibraryFrequent()
	key := floodName()
	for i := 0; b.Loop(); i++ {
		_ = s.UpdateMany(string(nextName(key, i)), 1)
	}
}

// fullFrequent returns a sketch that holds 6000 names.
func fullFrequent() *Frequent {
	var f Frequent
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 6000 {
		f.Add(nextName(floodName(), i), 1+uint64(100*r.ExpFloat64()))
	}
	return &f
}

func BenchmarkFrequentMerge(b *testing.B) {
	o := fullFrequent()
	o.Compact()
	f := o.Clone()
	for b.Loop() {
		f.Merge(o)
	}
}

func BenchmarkFrequentTop10(b *testing.B) {
	f := fullFrequent()
	var rows []Row
	b.ReportAllocs()
	for b.Loop() {
		rows = f.Top(rows[:0], 10)
	}
}

func BenchmarkFrequentTrim(b *testing.B) {
	f := fullFrequent()
	for b.Loop() {
		c := f.Clone()
		c.Trim(1000)
	}
}

func BenchmarkFrequentTrimOfFlood(b *testing.B) {
	var f Frequent
	for i := range 6000 {
		f.Add(nextName(floodName(), i), 1)
	}
	for b.Loop() {
		c := f.Clone()
		c.Trim(1000)
	}
}

func BenchmarkFrequentAppend(b *testing.B) {
	f := fullFrequent()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = f.AppendBinary(buf[:0])
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkLibraryFrequentAppend(b *testing.B) {
	s := newLibraryFrequent()
	for key, w := range fullFrequent().All() {
		_ = s.UpdateMany(string(key), int64(w))
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = s.ToSlice()
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkFrequentUnmarshal(b *testing.B) {
	blob := fullFrequent().AppendBinary(nil)
	b.SetBytes(int64(len(blob)))
	b.ReportAllocs()
	var f Frequent
	for b.Loop() {
		_ = f.UnmarshalBinary(blob)
	}
}

// sentFrequent returns the bytes of 384 of 6000 keys, as a snapshot has them.
func sentFrequent() []byte {
	f := fullFrequent()
	f.Trim(384)
	return f.AppendBinary(nil)
}

func BenchmarkFrequentReadAndMerge(b *testing.B) {
	blob, into := sentFrequent(), fullFrequent()
	var v FrequentView
	var scratch Scratch
	b.ReportAllocs()
	for b.Loop() {
		_ = v.Open(blob, nil, 0, &scratch)
		into.MergeView(&v)
	}
}

func BenchmarkLibraryFrequentReadAndMerge(b *testing.B) {
	blob, into := sentFrequent(), newLibraryFrequent()
	for key, w := range fullFrequent().All() {
		_ = into.UpdateMany(string(key), int64(w))
	}
	b.ReportAllocs()
	for b.Loop() {
		s, _ := frequencies.NewFrequencyItemsSketchFromSlice[string](blob, common.ItemSketchStringHasher{}, common.ItemSketchStringSerDe{})
		_, _ = into.Merge(s)
	}
}

// latencies returns 4096 values like the round trips of a resolver, in microseconds.
func latencies() *[4096]uint64 {
	var v [4096]uint64
	r := rand.New(rand.NewPCG(1, 1))
	for i := range v {
		v[i] = shapes["latency, log-normal"](r)
	}
	return &v
}

func BenchmarkDenseRecord(b *testing.B) {
	var d DenseHistogram
	v := latencies()
	for i := 0; b.Loop(); i++ {
		d.Record(v[i&4095])
	}
}

func BenchmarkHistogramRecord(b *testing.B) {
	var h Histogram
	v := latencies()
	for i := 0; b.Loop(); i++ {
		h.Record(v[i&4095])
	}
}

func BenchmarkHistogramAddDenseAndReset(b *testing.B) {
	var h Histogram
	var d DenseHistogram
	v := latencies()
	for b.Loop() {
		d.Record(v[0])
		d.Record(v[1])
		h.AddDense(&d)
		d.Reset()
	}
}

func sealedHistogram() *Histogram {
	var h Histogram
	for _, v := range latencies() {
		h.Record(v)
	}
	h.Compact()
	return &h
}

func BenchmarkHistogramMerge(b *testing.B) {
	o := sealedHistogram()
	var h Histogram
	for b.Loop() {
		h.Merge(o)
	}
	b.ReportMetric(float64(len(o.packed)), "sealed-bytes")
}

func BenchmarkHistogramQuantile(b *testing.B) {
	h := sealedHistogram()
	h.Merge(h)
	for b.Loop() {
		_ = h.Quantile(0.99)
	}
}

func BenchmarkPosition(b *testing.B) {
	v := latencies()
	sum := 0
	for i := 0; b.Loop(); i++ {
		sum += position(v[i&4095])
	}
}
