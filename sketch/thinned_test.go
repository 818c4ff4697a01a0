package sketch

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// thinnedPart is a part of a stream that is sampled with a chance of 1/k.
type thinnedPart struct {
	k      uint64
	counts []int // the items of each key
	size   func(r *rand.Rand) uint64
	most   uint64 // that size returns
}

// TestThinnedBounds: the bounds of a sketch of samples hold as often as they say: for keys of any weight, items of equal and of very unequal
// weight, parts of a stream with other chances than the rest or without a sample, merges of hosts, and what was sent.
func TestThinnedBounds(t *testing.T) {
	one := func(*rand.Rand) uint64 { return 1 }
	bytes := func(r *rand.Rand) uint64 { // mostly small
		if r.IntN(100) == 0 {
			return 4000
		}
		return 60 + r.Uint64N(60)
	}
	counts := []int{1, 3, 30, 300, 3000, 20_000}
	streams := map[string][]thinnedPart{
		"one chance":             {{16, counts, one, 1}},
		"little is in it":        {{1024, counts, one, 1}},
		"a half":                 {{2, counts, one, 1}},
		"all, then a sample":     {{1, counts, one, 1}, {64, counts, one, 1}},
		"mostly all":             {{1, []int{100, 1000, 5000, 0, 20_000, 1}, one, 1}, {64, []int{10, 0, 200, 500, 3, 0}, one, 1}},
		"down and up":            {{4, counts, one, 1}, {64, counts, one, 1}, {256, counts, one, 1}, {8, counts, one, 1}},
		"bytes":                  {{32, counts, bytes, 4000}},
		"bytes, all, a sample":   {{1, counts, bytes, 4000}, {128, counts, bytes, 4000}},
		"another key in the end": {{8, []int{5000, 100, 0, 0, 0, 0}, one, 1}, {32, []int{0, 0, 100, 50, 2000, 10}, one, 1}},
	}
	trials := 150
	if testing.Short() {
		trials = 40
	}
	for name, parts := range streams {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			below, above, n := make([]int, len(counts)), make([]int, len(counts)), 0
			for range trials {
				truth := make([]uint64, len(counts))
				hosts := [2]*Frequent{NewFrequent(64), NewFrequent(64)}
				for i, part := range parts {
					f := hosts[i%2]
					weights, sum := make([]uint64, len(counts)), uint64(0)
					for key, items := range part.counts {
						for range items {
							size := part.size(r)
							truth[key] += size
							if r.Uint64N(part.k) == 0 {
								weights[key] += part.k * size
							}
						}
						sum += weights[key]
					}
					if part.k > 1 {
						f.Sampled(Thinning{part.k * part.most, sum})
					}
					for key, w := range weights {
						f.Add(fmt.Append(nil, key), w)
					}
				}
				merged := NewFrequent(64)
				merged.Merge(hosts[0])
				var v FrequentView
				if err := v.Open(hosts[1].AppendBinary(nil), hosts[1].AppendBounds(nil), 64, new(Scratch)); err != nil {
					t.Fatal(err)
				}
				v.Sampled(hosts[1].SampledBy())
				merged.MergeView(&v)
				merged = merged.Trimmed(6)
				for key, want := range truth {
					lower, upper := merged.Bounds(fmt.Append(nil, key))
					if lower > want {
						below[key]++
					}
					if upper < want {
						above[key]++
					}
				}
				n++
			}
			most := 0.025*float64(n) + 3*math.Sqrt(0.025*float64(n))
			for key := range counts {
				if float64(max(below[key], above[key])) > most {
					t.Errorf("key %d: of %d, the truth is below %d times and above %d times", key, n, below[key], above[key])
				}
			}
		})
	}
}

// TestThinnedWidth: the bounds of a heavy key are near, and those of what was not sampled are equal.
func TestThinnedWidth(t *testing.T) {
	f := NewFrequent(64)
	f.Add([]byte("a"), 1000)
	if lower, upper := f.Bounds([]byte("a")); lower != 1000 || upper != 1000 {
		t.Errorf("%d to %d", lower, upper)
	}
	f.Sampled(Thinning{64, 6400})
	f.Add([]byte("b"), 6400)
	for key, want := range map[string]Bounds{"a": {312, 1963}, "b": {4661, 8391}, "none": {0, 473}} {
		if lower, upper := f.Bounds([]byte(key)); (Bounds{lower, upper}) != want {
			t.Errorf("%s: %d to %d, want %v", key, lower, upper, want)
		}
	}
	rows := f.Top(nil, 2)
	if rows[0] != (Row{"b", 4661, 8391}) || rows[1] != (Row{"a", 312, 1963}) {
		t.Errorf("%v", rows)
	}
	if f.Missing() != 473 || f.Clone().Missing() != 473 || f.Trimmed(1).SampledBy() != (Thinning{64, 6400}) {
		t.Errorf("missing %d", f.Missing())
	}
	if twice := f.Times(2).SampledBy(); twice != (Thinning{128, 12_800}) {
		t.Errorf("%v", twice)
	}
	f.Reset()
	f.Add([]byte("a"), 5)
	if lower, upper := f.Bounds([]byte("a")); lower != 5 || upper != 5 {
		t.Errorf("after Reset: %d to %d", lower, upper)
	}
}
