package sketch

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// sent returns the stream as another program reads it.
func (s *stream) sent(t interface{ Fatal(...any) }, slots int) *stream {
	c := s.clone()
	c.f = NewFrequent(slots)
	if err := c.f.UnmarshalBounds(s.f.AppendBinary(nil), s.f.AppendBounds(nil)); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestBoundsOfTrees: the bounds hold for every key, held or not, over any tree of merges, trims, purges, batches, late keys
// and the wire.
func TestBoundsOfTrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		slots := rapid.SampledFrom([]int{8, 32, 64, 512}).Draw(t, "slots")
		streams := []*stream{newStream(slots)}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			s := streams[r.IntN(len(streams))]
			switch op := rapid.IntRange(0, 7).Draw(t, "op"); op {
			case 0, 1:
				s = newStream(slots)
				for range r.IntN(200) {
					s.add("k"+strconv.Itoa(int(float64(100)*r.Float64()*r.Float64())), 1+r.Uint64N(1<<r.IntN(12)))
				}
				streams = append(streams, s)
			case 2, 3:
				s.merge(streams[r.IntN(len(streams))].clone())
			case 4:
				s.f.Trim(r.IntN(2 * slots / 3))
			case 5:
				streams = append(streams, s.sent(t, slots))
			case 6:
				s.add("k"+strconv.Itoa(r.IntN(100)), 1+r.Uint64N(9))
			case 7:
				weights := make([]uint64, 100)
				for i := range weights {
					weights[i] = r.Uint64N(20)
				}
				s.addBatch(batchKeys(r.IntN(50), len(weights)), weights)
			}
			streams[len(streams)-1].check(t)
			s.check(t)
			if len(streams) > 6 {
				streams = streams[len(streams)-3:]
			}
		}
		all := streams[0].sent(t, 16) // fewer slots than it has keys
		for _, s := range streams[1:] {
			all.merge(s.sent(t, 2*slots))
		}
		all.check(t)
		back := all.sent(t, 16)
		if !bytes.Equal(back.f.AppendBinary(nil), all.f.AppendBinary(nil)) || !bytes.Equal(back.f.AppendBounds(nil), all.f.AppendBounds(nil)) {
			t.Error("what was sent differs")
		}
	})
}

// TestBoundsOfTrims checks each rule by numbers.
func TestBoundsOfTrims(t *testing.T) {
	weights := func(w ...uint64) *Frequent {
		f := NewFrequent(8)
		for i, n := range w {
			f.Add([]byte{'a' + byte(i)}, n)
		}
		return f
	}
	check := func(what string, f *Frequent, offset uint64, want ...Row) {
		t.Helper()
		if got := f.Top(nil, 10); fmt.Sprint(got) != fmt.Sprint(want) || f.MaxError() != offset {
			t.Errorf("%s: %v, error %d; want %v, %d", what, got, f.MaxError(), want, offset)
		}
		for _, row := range want {
			if lower, upper := f.Bounds([]byte(row.Key)); lower != row.Lower || upper != row.Upper {
				t.Errorf("%s: %s has %d to %d", what, row.Key, lower, upper)
			}
		}
		if lower, upper := f.Bounds([]byte("not held")); lower != 0 || upper != offset {
			t.Errorf("%s: a key that is not held has %d to %d", what, lower, upper)
		}
	}
	f := weights(10, 7, 5, 3)
	f.Trim(2)
	check("a trim leaves the kept keys exact", f, 5, Row{"a", 10, 10}, Row{"b", 7, 7})
	f.Add([]byte("c"), 4)
	check("a dropped key that comes back may have had the error", f, 5, Row{"a", 10, 10}, Row{"b", 7, 7}, Row{"c", 4, 9})
	f.Trim(2)
	check("the error rises to the greatest upper bound that is dropped", f, 9, Row{"a", 10, 10}, Row{"b", 7, 7})

	g := weights(1, 0, 20, 2)
	g.Trim(1) // keeps c, drops at most 2
	m := f.Clone()
	m.Merge(g)
	check("a sketch that lacks a key adds its error", m, 11, Row{"c", 20, 29}, Row{"a", 10, 12}, Row{"b", 7, 9})
	m.Merge(weights(100))
	check("an exact sketch adds nothing", m, 11, Row{"a", 110, 112}, Row{"c", 20, 29}, Row{"b", 7, 9})
	for i := range 4 { // the seventh key purges 5 from all, which drops it and the three before
		m.Add([]byte{'w' + byte(i)}, 5)
	}
	check("a purge takes from lower bounds only", m, 16, Row{"a", 105, 112}, Row{"c", 15, 29}, Row{"b", 2, 9})
	m.Trim(2)
	check("a trim below the error costs nothing", m, 16, Row{"a", 105, 112}, Row{"c", 15, 29})
	m.Trim(1)
	check("29 were dropped", m, 29, Row{"a", 105, 112})
	m.Merge(m)
	check("with itself", m, 58, Row{"a", 210, 224})
	empty := NewFrequent(8)
	empty.Merge(m)
	check("into an empty one", empty, 58, Row{"a", 210, 224})
	m.Trim(0)
	check("nothing is left", m, 224)
	m.Merge(f)
	check("what was dropped is still in the error", m, 233, Row{"a", 10, 234}, Row{"b", 7, 231})
}

func TestBoundsBytes(t *testing.T) {
	f := NewFrequent(64)
	for i := range 20 {
		f.Add([]byte{'a' + byte(i)}, uint64(100-i))
	}
	if got := f.AppendBounds(nil); got != nil {
		t.Errorf("an exact sketch has the bounds % x", got)
	}
	f.Trim(3) // a, b, c, and an error of 97 that concerns other keys
	if got := f.AppendBounds(nil); !bytes.Equal(got, []byte{97}) {
		t.Errorf("a trimmed sketch has the bounds % x", got)
	}
	g := f.Clone()
	g.Add([]byte("z"), 1)
	g.Merge(f)
	if got := g.AppendBounds(nil); !bytes.Equal(got, []byte{0, 194, 1, 194, 1, 194, 1, 0}) {
		t.Errorf("a merged sketch has the bounds % x", got)
	}
	g.Trim(3)
	if got := g.AppendBounds(nil); !bytes.Equal(got, []byte{195, 1}) { // z had 1 to 195
		t.Errorf("the bounds are % x", got)
	}
	blob := f.AppendBinary(nil)
	for name, b := range map[string][]byte{
		"more than the error":         {98},
		"no end":                      {0x80},
		"a key too few":               {10, 1, 2},
		"a key too many":              {10, 1, 2, 3, 4},
		"a key with more":             {97, 0, 0, 1},
		"a key with a great number":   {10, 1, 2, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1},
		"a number of eleven bytes":    {10, 1, 2, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 1},
		"a least beyond eight bytes":  {255, 255, 255, 255, 255, 255, 255, 255, 255, 1},
		"a least and an unfinished 1": {10, 1, 2, 0x80},
	} {
		var de *DecodeError
		if err := f.Clone().UnmarshalBounds(blob, b); !errors.As(err, &de) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := f.UnmarshalBounds(NewFrequent(8).AppendBinary(nil), []byte{0}); err == nil {
		t.Error("bounds of an empty sketch were read")
	}
	full := NewFrequent(8)
	full.Add([]byte("a"), math.MaxUint64)
	full.Trim(0)
	full.Add([]byte("b"), 5)
	if _, upper := full.Bounds([]byte("b")); upper != maxWeight {
		t.Errorf("a saturated sketch has %d", upper)
	}
}

// TestBoundsOfFleet: what is stated about a fleet's keys. The snapshots of 200 hosts, which keep 384 keys, are merged in
// groups of 20; these are trimmed to 1024 keys, sent, and merged. Names follow Zipf's law. Three quarters of the traffic
// is for names that all hosts see.
func TestBoundsOfFleet(t *testing.T) {
	const hosts, queries, shared, own = 200, 40_000, 3000, 1000
	var names [shared + own]string
	var mean [shared + own]float64
	sum := func(n int) (s float64) {
		for i := range n {
			s += math.Pow(float64(i+3), -1.1)
		}
		return s
	}
	shares, owns := 0.75/sum(shared), 0.25/sum(own)
	for i := range names {
		if i < shared {
			names[i], mean[i] = "name"+strconv.Itoa(i), queries*shares*math.Pow(float64(i+3), -1.1)
		} else {
			mean[i] = queries * owns * math.Pow(float64(i-shared+3), -1.1)
		}
	}
	fleet, group := newStream(0), newStream(0)
	for host := range uint64(hosts) {
		h := newStream(0)
		r := rand.New(rand.NewPCG(host, 7))
		for i, m := range mean {
			key := names[i]
			if i >= shared {
				key = "own" + strconv.Itoa(i) + ".host" + strconv.FormatUint(host, 10)
			}
			// About a Poisson number: as many as there are in a normal distribution.
			if n := m + math.Sqrt(m)*r.NormFloat64(); n >= 0.5 {
				h.add(key, uint64(n+0.5))
			}
		}
		h.f.Trim(384)
		if group.merge(h.sent(t, 0)); host%20 == 19 {
			group.f.Trim(1024)
			fleet.merge(group.sent(t, 0))
			group = newStream(0)
		}
	}
	fleet.check(t)
	rows := fleet.f.Top(nil, 100)
	stated := func(rank int) (own, offset float64) {
		row := rows[rank-1]
		return float64(row.Upper-row.Lower) / float64(row.Lower), float64(fleet.f.MaxError()) / float64(row.Lower)
	}
	for _, rank := range []int{1, 10, 50, 100} {
		own, offset := stated(rank)
		t.Logf("rank %d: %.4f of its weight, the error is %.3f of it", rank, own, offset)
	}
	if own, offset := stated(100); own > 0.05 || offset < 5*own {
		t.Errorf("at rank 100, %.3f of the weight is stated, the error is %.3f", own, offset)
	}
}

// TestBoundsCostNothing: a sketch that only counts, and is trimmed when it is sealed, has no memory for bounds.
func TestBoundsCostNothing(t *testing.T) {
	f := zipf(256, 10_000, 2000, 3, 1).f
	f.Trim(100)
	o := zipf(256, 1000, 100, 0, 2).f
	if o.MaxError() > 0 || f.covered != nil || f.absent == 0 {
		t.Fatalf("error %d, absent %d", o.MaxError(), f.absent)
	}
	o.Merge(o.Clone())
	if o.covered != nil {
		t.Error("exact sketches were merged with memory for bounds")
	}
	clone := f.Clone()
	clone.Merge(f)
	if len(clone.covered) != clone.Len() || len(f.covered) != 0 {
		t.Errorf("%d of %d entries have bounds, %d of the other sketch", len(clone.covered), clone.Len(), len(f.covered))
	}
	clone.Compact()
	if cap(clone.covered) > clone.Len()*9/8 {
		t.Error("Compact leaves memory for bounds")
	}
}
