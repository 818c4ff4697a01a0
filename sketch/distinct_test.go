package sketch

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/apache/datasketches-go/hll"
	"pgregory.net/rapid"
)

// libraryDir returns the folder of blobs that the C++ and Java libraries wrote, which the Apache library's Go module has for
// its own tests. It skips the test if there is no go command to ask for it.
func libraryDir(t testing.TB) string {
	t.Helper()
	dir, err := libraryModule()
	if err != nil {
		t.Skipf("the Apache library's module is not here: %v", err)
	}
	return filepath.Join(dir, "serialization_test_data")
}

var libraryModule = sync.OnceValues(func() (dir string, err error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/apache/datasketches-go").Output()
	return strings.TrimSpace(string(out)), err
})

// libraryFile returns the blob called name, of the C++ or Java library.
func libraryFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(libraryDir(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// libraryFiles returns all blobs of less than 10 kB.
func libraryFiles(t testing.TB) [][]byte {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(libraryDir(t), "*", "*.sk"))
	var blobs [][]byte
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) < 10_000 {
			blobs = append(blobs, b)
		}
	}
	if len(blobs) == 0 {
		t.Fatal("no blobs in the Apache library's module")
	}
	return blobs
}

// distinctOf returns a sketch of the keys "from" to "to", as decimal numbers after a prefix.
func distinctOf(prefix string, from, to int) *Distinct {
	d := NewDistinct()
	b := []byte(prefix)
	for i := from; i < to; i++ {
		d.Add(strconv.AppendInt(b[:len(prefix)], int64(i), 10))
	}
	return d
}

// libraryHLL returns a sketch of the same keys made by the Apache library.
func libraryHLL(t testing.TB, lgK int, kind hll.TgtHllType, prefix string, from, to int) hll.HllSketch {
	t.Helper()
	s, err := hll.NewHllSketch(lgK, kind)
	if err != nil {
		t.Fatal(err)
	}
	b := []byte(prefix)
	for i := from; i < to; i++ {
		if err := s.UpdateSlice(strconv.AppendInt(b[:len(prefix)], int64(i), 10)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestHashIsTheLibrarys(t *testing.T) {
	// The coupon that the library makes contains 32 bits of its hash, for keys of every length.
	for n := 1; n < 200; n++ {
		key := bytes.Repeat([]byte{byte(n), 0xf1, 3}, n)[:n]
		s, _ := hll.NewHllSketch(14, hll.TgtHllTypeHll4)
		if err := s.UpdateSlice(key); err != nil {
			t.Fatal(err)
		}
		want, _ := s.ToCompactSlice()
		d := NewDistinct()
		d.Add(key)
		if got := d.AppendBinary(nil); !bytes.Equal(got, want) {
			t.Fatalf("length %d: got % x, want % x", n, got, want)
		}
	}
}

func TestDistinctReadsJavaAndCpp(t *testing.T) {
	for _, lib := range []string{"java", "cpp"} {
		for _, n := range []int{0, 1, 10, 100, 1000, 10_000, 100_000, 1_000_000} {
			b := libraryFile(t, fmt.Sprintf("%s_generated_files/hll4_n%d_%s.sk", lib, n, lib))
			var d Distinct
			if err := d.UnmarshalBinary(b); err != nil {
				t.Fatalf("%s, n=%d: %v", lib, n, err)
			}
			// The libraries counted them at lgK 12: 1.6% standard error.
			if got := d.Estimate(); math.Abs(got-float64(n)) > 0.033*float64(n) {
				t.Errorf("%s, n=%d: estimate %v", lib, n, got)
			}
			if n <= 10 && d.Estimate() != float64(n) {
				t.Errorf("%s, n=%d: estimate %v should be exact", lib, n, d.Estimate())
			}
		}
	}
}

func TestDistinctIsReadByLibrary(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 24, 25, 1000, 1536, 1537, 5000, 100_000, 1_000_000} {
		d := distinctOf("k", 0, n)
		for _, compacted := range []bool{false, true} {
			if compacted {
				d.Compact()
			}
			blob := d.AppendBinary(nil)
			s, err := hll.NewHllSketchFromSlice(blob, true)
			if err != nil {
				t.Fatalf("n=%d: %v", n, err)
			}
			got, err := s.GetEstimate()
			if err != nil {
				t.Fatal(err)
			}
			if want := d.Estimate(); math.Abs(got-want) > 0.004*want {
				t.Errorf("n=%d: the library estimates %v, this package %v", n, got, want)
			}
			if s.GetLgConfigK() != 14 {
				t.Errorf("n=%d: lgK %d", n, s.GetLgConfigK())
			}
			if err := s.UpdateString("one more"); err != nil {
				t.Errorf("n=%d: the library cannot continue: %v", n, err)
			}
		}
	}
}

func TestDistinctReadsLibrary(t *testing.T) {
	for _, kind := range []hll.TgtHllType{hll.TgtHllTypeHll4, hll.TgtHllTypeHll6, hll.TgtHllTypeHll8} {
		for _, n := range []int{0, 1, 7, 8, 1000, 1536, 1537, 20_000, 500_000} {
			b, err := libraryHLL(t, 14, kind, "k", 0, n).ToCompactSlice()
			if err != nil {
				t.Fatal(err)
			}
			var got Distinct
			if err := got.UnmarshalBinary(b); err != nil {
				t.Fatalf("kind %v n=%d: %v", kind, n, err)
			}
			want := distinctOf("k", 0, n)
			if !bytes.Equal(got.AppendBinary(nil), want.AppendBinary(nil)) {
				t.Errorf("kind %v n=%d: not the sketch of the same keys: %v, %v", kind, n, got.Estimate(), want.Estimate())
			}
		}
	}
}

func TestDistinctOtherPrecisions(t *testing.T) {
	for _, lgK := range []int{4, 7, 8, 12, 16, 21} {
		b, err := libraryHLL(t, lgK, hll.TgtHllTypeHll4, "k", 0, 300_000).ToCompactSlice()
		if err != nil {
			t.Fatal(err)
		}
		var d Distinct
		if err := d.UnmarshalBinary(b); err != nil {
			t.Fatalf("lgK %d: %v", lgK, err)
		}
		if got, bound := d.Estimate(), 2.5*d.RelativeError(); math.Abs(got-300_000) > 300_000*bound {
			t.Errorf("lgK %d: estimate %v", lgK, got)
		}
		other := distinctOf("k", 200_000, 500_000)
		ab, ba := d.Clone(), other.Clone()
		ab.Merge(other)
		ba.Merge(&d)
		if !bytes.Equal(ab.AppendBinary(nil), ba.AppendBinary(nil)) {
			t.Errorf("lgK %d: merging is not commutative", lgK)
		}
		if got, bound := ab.Estimate(), 2.5*ab.RelativeError(); math.Abs(got-500_000) > 500_000*bound {
			t.Errorf("lgK %d: merged estimate %v", lgK, got)
		}
	}
}

// TestDistinctAccuracy checks the bound over seeds and sizes, in one piece and merged from parts: 2% at 95%, which is
// 1.02% root mean square. It also checks that the estimate is not biased.
func TestDistinctAccuracy(t *testing.T) {
	tries, beyond := 0, 0
	for _, n := range []int{1600, 5000, 20_000, 60_000, 200_000} {
		seeds := 30
		if n > 20_000 {
			seeds = 10 // the test takes long under the race detector
		}
		var squares, sum float64
		inside := 0
		for seed := range seeds {
			prefix := "seed" + strconv.Itoa(seed) + "."
			d := NewDistinct()
			for part := range 5 {
				p := distinctOf(prefix, n*part/6, n*(part+2)/6) // parts overlap
				p.Compact()
				d.Merge(p)
			}
			e := d.Estimate()/float64(n) - 1
			squares += e * e
			sum += e
			tries++
			if math.Abs(e) > 0.02 {
				beyond++
			}
			if lower, upper := d.Bounds(); lower <= float64(n) && float64(n) <= upper {
				inside++
			}
		}
		rms, bias := math.Sqrt(squares/float64(seeds)), sum/float64(seeds)
		t.Logf("n=%d: rms %.2f%%, bias %+.2f%%, %d of %d within the bounds", n, 100*rms, 100*bias, inside, seeds)
		if rms > 0.0102 {
			t.Errorf("n=%d: rms error %.2f%%", n, 100*rms)
		}
		if math.Abs(bias) > 0.003 {
			t.Errorf("n=%d: bias %.2f%%", n, 100*bias)
		}
		if inside < seeds*85/100 {
			t.Errorf("n=%d: only %d of %d within the stated bounds", n, inside, seeds)
		}
	}
	if beyond*20 > tries {
		t.Errorf("%d of %d estimates are more than 2%% off", beyond, tries)
	}
}

func TestDistinctExactWhileSmall(t *testing.T) {
	for seed := range 200 {
		n := 1 + seed*3
		d := distinctOf("s"+strconv.Itoa(seed)+".", 0, n)
		d.Merge(distinctOf("s"+strconv.Itoa(seed)+".", 0, n/2))
		if got := d.Estimate(); got != float64(n) {
			t.Errorf("seed %d: %v of %d", seed, got, n)
		}
		if lower, upper := d.Bounds(); lower != upper || d.RelativeError() != 0 {
			t.Errorf("seed %d: bounds %v, %v, error %v", seed, lower, upper, d.RelativeError())
		}
	}
}

// distinctGen draws sketches of all forms, with overlapping keys.
func distinctGen(label string) *rapid.Generator[*Distinct] {
	return rapid.Custom(func(t *rapid.T) *Distinct {
		from := rapid.IntRange(0, 3000).Draw(t, label+" from")
		n := rapid.SampledFrom([]int{0, 1, 5, 8, 100, 1000, 1536, 1537, 2000, 9000}).Draw(t, label+" n")
		d := distinctOf("", from, from+n)
		if rapid.Bool().Draw(t, label+" compact") {
			d.Compact()
		}
		return d
	})
}

func TestDistinctMergeLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := distinctGen("a").Draw(t, "a"), distinctGen("b").Draw(t, "b"), distinctGen("c").Draw(t, "c")
		before := b.AppendBinary(nil)
		merged := func(parts ...*Distinct) []byte {
			d := parts[0].Clone()
			for _, p := range parts[1:] {
				d.Merge(p)
			}
			return d.AppendBinary(nil)
		}
		bc := b.Clone()
		bc.Merge(c)
		if !bytes.Equal(merged(a, b, c), merged(a, bc)) {
			t.Error("not associative")
		}
		if !bytes.Equal(merged(a, b), merged(b, a)) {
			t.Error("not commutative")
		}
		if same := a.AppendBinary(nil); !bytes.Equal(merged(a, NewDistinct()), same) || !bytes.Equal(merged(NewDistinct(), a), same) || !bytes.Equal(merged(a, a), same) {
			t.Error("identity does not hold")
		}
		if !bytes.Equal(b.AppendBinary(nil), before) {
			t.Error("merging changed its argument")
		}
		var back Distinct
		if err := back.UnmarshalBinary(merged(a, b)); err != nil || !bytes.Equal(back.AppendBinary(nil), merged(a, b)) {
			t.Errorf("round trip: %v", err)
		}
	})
}

func TestDistinctPartsAreTheWhole(t *testing.T) {
	whole := distinctOf("k", 0, 60_000)
	parts := NewDistinct()
	for i := range 60 {
		p := distinctOf("k", i*1000, (i+1)*1000)
		p.Compact()
		parts.Merge(p)
	}
	if !bytes.Equal(whole.AppendBinary(nil), parts.AppendBinary(nil)) {
		t.Errorf("whole %v, parts %v", whole.Estimate(), parts.Estimate())
	}
}

func TestDistinctCompactKeepsAll(t *testing.T) {
	for _, n := range []int{0, 3, 500, 1537, 100_000, 1_000_000} {
		d := distinctOf("k", 0, n)
		blob, estimate := d.AppendBinary(nil), d.Estimate()
		d.Compact()
		if !bytes.Equal(d.AppendBinary(nil), blob) || d.Estimate() != estimate {
			t.Errorf("n=%d: changed by Compact", n)
		}
		d.Merge(distinctOf("more", 0, 50))
		d.Add([]byte("and one"))
		want := distinctOf("k", 0, n)
		want.Merge(distinctOf("more", 0, 50))
		want.Add([]byte("and one"))
		if !bytes.Equal(d.AppendBinary(nil), want.AppendBinary(nil)) {
			t.Errorf("n=%d: cannot continue after Compact", n)
		}
	}
}

func TestDistinctRejects(t *testing.T) {
	good := distinctOf("k", 0, 3_000_000).AppendBinary(nil)
	list := distinctOf("k", 0, 3).AppendBinary(nil)
	set := distinctOf("k", 0, 30).AppendBinary(nil)
	change := func(b []byte, at int, v byte) []byte {
		c := bytes.Clone(b)
		c[at] = v
		return c
	}
	cases := map[string][]byte{
		"nothing":                      nil,
		"short header":                 good[:7],
		"HLL cut short":                good[:len(good)-1],
		"HLL with a tail":              append(bytes.Clone(good), 0),
		"list cut short":               list[:len(list)-1],
		"list with a tail":             append(bytes.Clone(list), 0),
		"set cut short":                set[:20],
		"set that claims 2^32":         change(change(set, 10, 255), 11, 255),
		"exceptions, 2^32 of":          change(good, 39, 255),
		"other family":                 change(good, 2, 16),
		"other version":                change(good, 1, 2),
		"lgK 3":                        change(good, 3, 3),
		"lgK 22":                       change(good, 3, 22),
		"mode 3":                       change(good, 7, 3),
		"coupon of value 0":            change(list, 11, 0),
		"base beyond the range":        change(good, 6, 70),
		"an exception for no register": change(good, 36, good[36]+1),
		"no registers":                 append(append([]byte{10, 1, 7, 4, 0, 8, 0, 2}, make([]byte, 32)...), make([]byte, 8)...),
	}
	for name, b := range cases {
		d := distinctOf("k", 0, 5)
		err := d.UnmarshalBinary(b)
		var de *DecodeError
		if !errors.As(err, &de) || de.Kind != "distinct" || de.Reason == "" {
			t.Errorf("%s: error %v", name, err)
		}
		if d.Estimate() != 5 {
			t.Errorf("%s: the receiver was changed", name)
		}
	}
}

func TestDistinctAllocations(t *testing.T) {
	d := distinctOf("k", 0, 5000)
	o := distinctOf("k", 0, 20_000)
	packed := o.Clone()
	packed.Compact()
	key := []byte("www.example.com")
	buf := make([]byte, 0, 16<<10)
	if n := testing.AllocsPerRun(100, func() {
		d.Add(key)
		d.Merge(o)
		d.Merge(packed)
		buf = packed.AppendBinary(buf[:0])
		_ = d.Estimate()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDistinctUnmarshal(f *testing.F) {
	for _, b := range libraryFiles(f) {
		f.Add(b)
	}
	for _, n := range []int{0, 5, 30, 2000} {
		f.Add(distinctOf("k", 0, n).AppendBinary(nil))
	}
	for _, kind := range []hll.TgtHllType{hll.TgtHllTypeHll4, hll.TgtHllTypeHll6, hll.TgtHllTypeHll8} {
		b, err := libraryHLL(f, 4, kind, "k", 0, 1_000_000).ToCompactSlice()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := distinctOf("x", 0, 3)
		if err := d.UnmarshalBinary(b); err != nil {
			if d.Estimate() != 3 {
				t.Fatal("a rejected blob changed the receiver")
			}
			return
		}
		if e := d.Estimate(); math.IsNaN(e) || e < 0 || e > 1<<64 {
			t.Fatalf("estimate %v", e)
		}
		var again Distinct
		blob := d.AppendBinary(nil)
		if err := again.UnmarshalBinary(blob); err != nil {
			t.Fatalf("this package's own form is rejected: %v", err)
		}
		again.Compact()
		if !bytes.Equal(again.AppendBinary(nil), blob) {
			t.Fatal("the round trip is not the identity")
		}
		again.Merge(distinctOf("y", 0, 2000))
		d.Merge(&again)
	})
}
