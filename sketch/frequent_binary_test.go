package sketch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"testing"

	"github.com/apache/datasketches-go/common"
	"github.com/apache/datasketches-go/frequencies"
	"github.com/google/go-cmp/cmp"
)

func TestFrequentReadsJavaAndCpp(t *testing.T) {
	for _, lib := range []string{"java", "cpp"} {
		for _, n := range []int{10, 100, 1000, 1_000_000} {
			name := lib + "_generated_files/frequent_string_n" + strconv.Itoa(n) + "_" + lib + ".sk"
			f := NewFrequent(64)
			if err := f.UnmarshalBinary(libraryFile(t, name)); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			// The libraries counted the numbers from 1 to n, each once.
			if f.Total() != uint64(n) || (f.MaxError() > 0) != (n > 10) || f.Len() == 0 {
				t.Errorf("%s: total %d, error %d, %d keys", name, f.Total(), f.MaxError(), f.Len())
			}
			for key, w := range f.All() {
				if i, err := strconv.Atoi(string(key)); err != nil || i < 1 || i > n || w != 1 {
					t.Errorf("%s: %q has %d", name, key, w)
				}
			}
		}
	}
	f := NewFrequent(64)
	if err := f.UnmarshalBinary(libraryFile(t, "java_generated_files/frequent_string_utf8_java.sk")); err != nil {
		t.Fatal(err)
	}
	want := []Row{{"эюя", 7, 7}, {"шщъыь", 6, 6}, {"уфхцч", 5, 5}, {"опрст", 4, 4}, {"йклмн", 3, 3}, {"еёжзи", 2, 2}, {"абвгд", 1, 1}}
	if diff := cmp.Diff(want, f.Top(nil, 100)); diff != "" {
		t.Error(diff)
	}
	if err := f.UnmarshalBinary(libraryFile(t, "java_generated_files/frequent_long_n0_java.sk")); err != nil || f.Len() != 0 || f.Total() != 0 {
		t.Errorf("empty: %v, %d keys", err, f.Len())
	}
}

// libraryFrequent reads a blob with the Apache library.
func libraryFrequent(t testing.TB, b []byte) *frequencies.ItemsSketch[string] {
	t.Helper()
	s, err := frequencies.NewFrequencyItemsSketchFromSlice[string](b, common.ItemSketchStringHasher{}, common.ItemSketchStringSerDe{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFrequentIsReadByLibrary(t *testing.T) {
	for _, n := range []int{0, 1, 6, 7, 100, 20_000} {
		s := newStream(1024)
		for i := range n {
			s.add("k"+strconv.Itoa(i*i%4001), uint64(1+i%5))
		}
		lib := libraryFrequent(t, s.f.AppendBinary(nil))
		if lib.GetStreamLength() != int64(s.total) || lib.GetMaximumError() != int64(s.f.MaxError()) || lib.GetNumActiveItems() != s.f.Len() {
			t.Errorf("n=%d: total %d, error %d, %d keys", n, lib.GetStreamLength(), lib.GetMaximumError(), lib.GetNumActiveItems())
		}
		for key, w := range s.f.All() {
			if got, err := lib.GetLowerBound(string(key)); err != nil || got != int64(w) {
				t.Errorf("n=%d: %q has %d, want %d (%v)", n, key, got, w, err)
			}
		}
		if err := lib.Update("one more"); err != nil {
			t.Errorf("n=%d: the library cannot continue: %v", n, err)
		}
	}
	// All keys were dropped: the total and the error must survive.
	f := NewFrequent(8)
	for i := range 7 {
		f.Add([]byte{'a' + byte(i)}, 1)
	}
	if f.Len() != 0 || f.Total() != 7 || f.MaxError() != 1 {
		t.Fatalf("%d keys, total %d, error %d", f.Len(), f.Total(), f.MaxError())
	}
	if lib := libraryFrequent(t, f.AppendBinary(nil)); lib.GetStreamLength() != 7 || lib.GetMaximumError() != 1 {
		t.Errorf("total %d, error %d", lib.GetStreamLength(), lib.GetMaximumError())
	}
	back := NewFrequent(8)
	if err := back.UnmarshalBinary(f.AppendBinary(nil)); err != nil || back.Total() != 7 || back.MaxError() != 1 {
		t.Errorf("total %d, error %d, %v", back.Total(), back.MaxError(), err)
	}
}

func TestFrequentReadsMoreThanItHolds(t *testing.T) {
	s := zipf(4096, 30_000, 20_000, 0, 3)
	small := NewFrequent(64)
	if err := small.UnmarshalBinary(s.f.AppendBinary(nil)); err != nil {
		t.Fatal(err)
	}
	s.f = small
	s.check(t)
	if small.Len() > 48 || small.lg() != 6 {
		t.Errorf("%d keys", small.Len())
	}
}

func TestFrequentRejects(t *testing.T) {
	f := NewFrequent(0)
	f.Add([]byte("ab"), 3)
	f.Add([]byte("cd"), 4)
	good := f.AppendBinary(nil)
	put := func(at int, v uint64) []byte {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint64(b[at:], v)
		return b
	}
	twice := bytes.Clone(good)
	copy(twice[len(twice)-2:], "ab")
	cases := map[string][]byte{
		"nothing":                        nil,
		"short":                          good[:31],
		"cut in the weights":             good[:40],
		"cut in a key":                   good[:len(good)-1],
		"a tail":                         append(bytes.Clone(good), 0),
		"version":                        append([]byte{4, 2}, good[2:]...),
		"family":                         append([]byte{4, 1, 7}, good[3:]...),
		"empty with a tail":              {1, 1, 10, 13, 3, 5, 0, 0, 0},
		"claims 2^32 keys":               put(8, math.MaxUint32),
		"total below weights":            put(16, 6),
		"total of zero":                  put(16, 0),
		"negative total":                 put(16, 1<<63),
		"error beyond total":             put(24, 8),
		"error and weights beyond total": put(24, 1),
		"weight of zero":                 put(32, 0),
		"negative weight":                put(32, math.MaxUint64),
		"key of 2^32 bytes":              put(48, math.MaxUint64),
		"the same key twice":             twice,
	}
	for name, b := range cases {
		g := f.Clone()
		err := g.UnmarshalBinary(b)
		var de *DecodeError
		if !errors.As(err, &de) || de.Kind != "frequent" || de.Reason == "" {
			t.Errorf("%s: error %v", name, err)
		}
		if !bytes.Equal(g.AppendBinary(nil), good) {
			t.Errorf("%s: the receiver was changed", name)
		}
	}
}

func FuzzFrequentUnmarshal(f *testing.F) {
	for _, b := range libraryFiles(f) {
		f.Add(b)
	}
	for _, n := range []int{0, 3, 100} {
		s := newStream(64)
		for i := range n {
			s.add("k"+strconv.Itoa(i), uint64(i+1))
		}
		f.Add(s.f.AppendBinary(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		g := NewFrequent(16)
		g.Add([]byte("x"), 1)
		if err := g.UnmarshalBinary(b); err != nil {
			if g.Len() != 1 || g.Total() != 1 {
				t.Fatal("a rejected blob changed the receiver")
			}
			return
		}
		again := NewFrequent(16)
		blob := g.AppendBinary(nil)
		if err := again.UnmarshalBinary(blob); err != nil {
			t.Fatalf("this package's own form is rejected: %v", err)
		}
		if !bytes.Equal(again.AppendBinary(nil), blob) {
			t.Fatal("the round trip is not the identity")
		}
		again.Merge(g)
		again.Trim(3)
		if again.Len() > 3 || again.MaxError() > again.Total() && again.Total() < maxWeight {
			t.Fatalf("%d keys, error %d of %d", again.Len(), again.MaxError(), again.Total())
		}
	})
}
