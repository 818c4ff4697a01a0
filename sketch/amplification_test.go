package sketch

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

// ampTruth is what an Amplification is compared with.
type ampTruth map[string]*ampKey

type ampKey struct {
	responses, queries uint64
	n, truncated       uint32
	ports              map[uint16]bool
	ttls               map[uint8]bool
	tcp                bool
}

func (w ampTruth) at(key string) *ampKey {
	if w[key] == nil {
		w[key] = &ampKey{ports: map[uint16]bool{}, ttls: map[uint8]bool{}}
	}
	return w[key]
}

func (w ampTruth) merge(o ampTruth) {
	for key, k := range o {
		to := w.at(key)
		to.responses += k.responses
		to.queries += k.queries
		to.n += k.n
		to.truncated += k.truncated
		maps.Copy(to.ports, k.ports)
		maps.Copy(to.ttls, k.ttls)
		to.tcp = to.tcp || k.tcp
	}
}

// check compares the bounds of all keys with the truth. If the sketch is exact, everything must be equal.
func (w ampTruth) check(t *testing.T, a *Amplification, exact bool) {
	t.Helper()
	total := uint64(0)
	for key, k := range w {
		total += k.responses
		row, held := a.Find([]byte(key))
		if !held {
			row.Upper, row.QueriesUpper = a.MaxError(), a.f.asked.lost
		}
		if row.Lower > k.responses || row.Upper < k.responses || row.Bytes > k.queries || row.QueriesUpper < k.queries {
			t.Fatalf("%s: %d to %d and %d to %d, want %d and %d", key, row.Lower, row.Upper, row.Bytes, row.QueriesUpper, k.responses, k.queries)
		}
		if !exact {
			continue
		}
		if row.Lower != row.Upper || row.Bytes != row.QueriesUpper || row.Queries != k.n || row.Truncated != k.truncated ||
			row.Flags&PortsDiffer != 0 != (len(k.ports) > 1) || row.Flags&TTLsDiffer != 0 != (len(k.ttls) > 1) || row.Flags&AskedTCP != 0 != k.tcp {
			t.Fatalf("%s: %+v, want %+v", key, row, k)
		}
		if k.n > 0 && (!k.ports[row.Port] || !k.ttls[row.TTL]) {
			t.Fatalf("%s: port %d and TTL %d, want of %+v", key, row.Port, row.TTL, k)
		}
	}
	if a.Total() != total {
		t.Fatalf("total %d, want %d", a.Total(), total)
	}
	for i := range a.f.asked.rows {
		if a.f.asked.rows[i].missing > a.f.asked.lost {
			t.Fatalf("row %d misses more than any key may", i)
		}
	}
	if len(a.f.asked.rows) != a.Len() {
		t.Fatalf("%d rows for %d keys", len(a.f.asked.rows), a.Len())
	}
}

// flush adds a batch of random keys, as an analyzer does.
func (w ampTruth) flush(r *rand.Rand, a *Amplification, keys, population int) {
	type part struct {
		key       string
		responses uint64
		asked     Asked
	}
	var parts []part
	seen := map[string]bool{}
	for range keys {
		p := part{key: fmt.Sprintf("k%d", int(float64(population)*r.Float64()*r.Float64()*r.Float64()))}
		if seen[p.key] {
			continue
		}
		seen[p.key] = true
		k := w.at(p.key)
		for range r.IntN(4) {
			port, ttl, size := uint16(1024+len(p.key)%2*r.IntN(3)), uint8(64-r.IntN(20)/19), uint64(20+r.IntN(40))
			p.asked.Query(size, port, ttl)
			k.ports[port], k.ttls[ttl] = true, true
			k.queries += size
			k.n++
		}
		if r.IntN(9) == 0 {
			p.asked.Flags |= AskedTCP
			k.tcp = true
		}
		if r.IntN(4) == 0 {
			p.asked.Truncated++
			k.truncated++
		}
		if r.IntN(3) > 0 {
			p.responses = uint64(r.IntN(5000))
		}
		k.responses += p.responses
		parts = append(parts, p)
	}
	var weights []uint64
	for _, p := range parts {
		weights = append(weights, p.responses)
	}
	sieve := a.Shed(weights, func(i int) uint64 { return parts[i].asked.Bytes })
	for i := range parts {
		if p := &parts[i]; sieve.Passes(p.responses) {
			a.AddPrepared(Prepare([]byte(p.key)), p.responses, &p.asked)
		}
	}
}

// TestAmplification adds, merges, trims and copies random sketches, and compares them with the truth after each step.
func TestAmplification(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 5))
		exact := seed%3 == 0
		population := 5000
		if exact {
			population = 30
		}
		var sketches [3]*Amplification
		var truths [3]ampTruth
		for i := range sketches {
			sketches[i], truths[i] = NewAmplification(64), ampTruth{}
		}
		for range 60 {
			i, k := r.IntN(3), r.IntN(3)
			switch r.IntN(6) {
			case 0:
				sketches[i].Merge(sketches[k])
				copied := ampTruth{}
				copied.merge(truths[k])
				truths[i].merge(copied)
			case 1:
				data, queries := sketches[i].AppendBinary(nil), sketches[i].AppendQueries(nil)
				if err := sketches[i].UnmarshalBinary(data, queries); err != nil {
					t.Fatal(err)
				}
				view := NewAmplification(64)
				view.AddPrepared(Prepare([]byte("old")), 1, &Asked{})
				if err := view.Load(data, queries); err != nil {
					t.Fatal(err)
				}
				truths[i].check(t, view, exact)
			case 2:
				if !exact {
					sketches[i].Trim(r.IntN(40))
				}
			case 3:
				sketches[i] = sketches[i].Clone()
			default:
				truths[i].flush(r, sketches[i], 1+r.IntN(200), population)
			}
			truths[i].check(t, sketches[i], exact)
		}
		rows := sketches[0].Top(nil, 5)
		for i := 1; i < len(rows); i++ {
			if rows[i].Lower > rows[i-1].Lower {
				t.Errorf("rows are not in order: %v", rows)
			}
		}
		sketches[0].Reset()
		ampTruth{}.check(t, sketches[0], true)
	}
}

// TestAmplificationKeepsQueries: a key whose responses come later, or at another host, has its queries.
func TestAmplificationKeepsQueries(t *testing.T) {
	a, b := NewAmplification(16), NewAmplification(16)
	a.AddPrepared(Prepare([]byte("x")), 0, &Asked{Bytes: 40, Queries: 1, Port: 7, TTL: 64})
	b.AddPrepared(Prepare([]byte("x")), 4000, &Asked{})
	c := *NewAmplification(16)
	if err := c.UnmarshalBinary(a.AppendBinary(nil), a.AppendQueries(nil)); err != nil {
		t.Fatal(err)
	}
	b.Merge(&c)
	if row := b.Top(nil, 1)[0]; row.Lower != 4000 || row.Bytes != 40 || row.QueriesUpper != 40 || row.Port != 7 || row.Queries != 1 {
		t.Errorf("%+v", row)
	}
}

// FuzzAmplification reads any bytes. What can be read can be written and read again.
func FuzzAmplification(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{0, 1, 5, 300} {
		a := NewAmplification(64)
		ampTruth{}.flush(r, a, n, 1000)
		f.Add(a.AppendBinary(nil), a.AppendQueries(nil))
		a.Trim(3)
		f.Add(a.AppendBinary(nil), a.AppendQueries(nil))
	}
	f.Fuzz(func(t *testing.T, data, queries []byte) {
		a := NewAmplification(64)
		if err := a.UnmarshalBinary(data, queries); err != nil {
			if a.Len() > 0 || a.Total() > 0 || a.f.asked.lost > 0 {
				t.Fatalf("a rejected blob has changed the sketch: %v", err)
			}
			return
		}
		b := NewAmplification(64)
		if err := b.Load(a.AppendBinary(nil), a.AppendQueries(nil)); err != nil {
			t.Fatalf("cannot read its own form: %v", err)
		}
		before, after := a.Top(nil, 100), b.Top(nil, 100)
		if fmt.Sprint(before) != fmt.Sprint(after) {
			t.Fatalf("%v, then %v", before, after)
		}
		b.Merge(a)
		ampTruth{}.checkShape(t, b)
	})
}

// checkShape checks what must hold for any content.
func (ampTruth) checkShape(t *testing.T, a *Amplification) {
	for i := range a.f.asked.rows {
		if a.f.asked.rows[i].missing > a.f.asked.lost {
			t.Fatalf("row %d misses more than any key may", i)
		}
	}
}
