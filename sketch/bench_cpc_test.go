//go:build !386 && !arm

package sketch

import (
	"strconv"
	"testing"

	"github.com/apache/datasketches-go/cpc"
)

// The library's package cpc does not build where an int has 32 bits.

func BenchmarkLibraryCPCAdd(b *testing.B) {
	s, _ := cpc.NewCpcSketchWithDefault(13)
	key := floodName()
	for i := 0; b.Loop(); i++ {
		_ = s.UpdateByteSlice(nextName(key, i))
	}
}

func libraryCPC(n int) *cpc.CpcSketch {
	s, _ := cpc.NewCpcSketchWithDefault(13)
	for i := range n {
		_ = s.UpdateByteSlice([]byte("k" + strconv.Itoa(i)))
	}
	return s
}

func BenchmarkLibraryCPCMerge(b *testing.B) {
	s := libraryCPC(100_000)
	u, _ := cpc.NewCpcUnionSketchWithDefault(13)
	for b.Loop() {
		_ = u.Update(s)
	}
}

func BenchmarkLibraryCPCAppend(b *testing.B) {
	s := libraryCPC(100_000)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = s.ToCompactSlice()
	}
	b.ReportMetric(float64(len(buf)), "blob-bytes")
}
