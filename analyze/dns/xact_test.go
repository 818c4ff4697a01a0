package dns

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pktvisor/internal/seedhash"
)

// kept is a waiting query in the model.
type kept struct {
	key, nameHash uint64
	question      uint32
	time          int64
	name          []byte
	at            int32
}

// matches reports whether a message with the key and the question belongs to the query.
func (k *kept) matches(key, nameHash uint64, question uint32) bool {
	return k.key == key && (nameHash == 0 || k.nameHash == 0 || k.nameHash == nameHash && k.question == question)
}

// checkLinks compares the list by age and the hash table with the model. The list has the model's queries in order, and the hash
// table finds each of them.
func checkLinks(t *rapid.T, x *transactions, model []kept) {
	if x.n != len(model) {
		t.Fatalf("%d queries, want %d", x.n, len(model))
	}
	older, i := int32(none), x.oldest()
	for _, want := range model {
		q := &x.queries[i]
		if q.nameHash != want.nameHash || q.time != want.time || q.older != older || !bytes.Equal(x.names.get(q.name), want.name) {
			t.Fatalf("the list has name %d of %d, %q; want %+v", q.nameHash, q.time, x.names.get(q.name), want)
		}
		if found, slot := x.find(want.key, want.nameHash, want.question); found != q || x.slots[slot] != i {
			t.Fatalf("%+v is not found", want)
		}
		if q.prev == none && q.key != want.key {
			t.Fatalf("%+v is the first with its key, but is not found by it", want)
		}
		older, i = i, q.newer
	}
	if i != none || x.newest() != older {
		t.Fatal("the list does not end where it should")
	}
	used := 0
	for _, s := range x.slots {
		if s != 0 {
			used++
		}
	}
	if used != len(model) {
		t.Fatalf("%d slots are in use, for %d queries", used, len(model))
	}
}

// TestTransactionsModel compares the table of waiting queries with a list. The keys compete for the same slots, also at the end
// and the beginning of the hash table, and have many questions each.
func TestTransactionsModel(t *testing.T) {
	seed := seedhash.New()
	rapid.Check(t, func(t *rapid.T) {
		var model, expired []kept
		var x *transactions
		x = newTransactions(&seed, maxWaiting, 100, func(q *waiting, evicted bool) {
			if evicted {
				t.Fatal("a query was evicted from a table that is not full")
			}
			expired = append(expired, kept{nameHash: q.nameHash, time: q.time, name: bytes.Clone(x.names.get(q.name))})
		})
		key := rapid.OneOf(rapid.Uint64Range(505, 515), rapid.Uint64Range(0, 3), rapid.Map(rapid.Uint64Range(0, 8), func(n uint64) uint64 { return n << 32 }))
		name := rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Uint64Range(1, 100))
		now := int64(0)
		for range rapid.IntRange(0, 400).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "do") {
			default:
				k, hash, question := key.Draw(t, "key"), name.Draw(t, "name"), rapid.Uint32Range(1, 2).Draw(t, "question")
				matches := func(m kept) bool { return m.matches(k, hash, question) }
				q, slot := x.find(k, hash, question)
				if (q != nil) != slices.ContainsFunc(model, matches) {
					t.Fatalf("key %d, name %d: found %v", k, hash, q != nil)
				}
				if q != nil {
					break
				}
				text := bytes.Repeat([]byte{byte(hash)}, rapid.SampledFrom([]int{0, 1, 32, 33, 64, 65, 200, 255}).Draw(t, "length"))
				q = x.add(slot, k, hash, question, now)
				q.name = x.names.put(text)
				model = append(model, kept{k, hash, question, now, text, x.newest()})
			case 5, 6, 7:
				k, hash, question := key.Draw(t, "key"), name.Draw(t, "name"), rapid.Uint32Range(1, 2).Draw(t, "question")
				matches := func(m kept) bool { return m.matches(k, hash, question) }
				q, slot := x.find(k, hash, question)
				if (q != nil) != slices.ContainsFunc(model, matches) {
					t.Fatalf("key %d, name %d: found %v", k, hash, q != nil)
				}
				if q != nil {
					j := slices.IndexFunc(model, func(m kept) bool { return m.at == x.slots[slot] })
					if !matches(model[j]) {
						t.Fatalf("key %d, name %d: found %+v", k, hash, model[j])
					}
					x.remove(slot)
					model = slices.Delete(model, j, j+1)
				}
			case 8:
				now += rapid.Int64Range(0, 150).Draw(t, "pass")
				expired = nil
				var want []kept
				for len(model) > 0 && now-model[0].time > 100 {
					want, model = append(want, model[0]), model[1:]
				}
				for x.overdue(now) {
					x.expire(x.oldest(), false)
				}
				if len(expired) != len(want) {
					t.Fatalf("%d queries expired, want %d", len(expired), len(want))
				}
				for i, w := range want {
					if e := expired[i]; e.nameHash != w.nameHash || e.time != w.time || !bytes.Equal(e.name, w.name) {
						t.Fatalf("expired %+v, want %+v", e, w)
					}
				}
			}
			checkLinks(t, x, model)
		}
	})
}

// TestTransactionsGrow: queries of many clients, and of one port and ID, are found at every size of the table. They are also found
// after the table was full for a long time.
func TestTransactionsGrow(t *testing.T) {
	seed := seedhash.New()
	for _, c := range []struct {
		name string
		key  func(i uint64) uint64
	}{
		{"all different", func(i uint64) uint64 { return i * 0x9e3779b97f4a7c15 }},
		{"one port and ID", func(uint64) uint64 { return 77 }},
		{"ten to a port and ID", func(i uint64) uint64 { return i / 10 * 0x9e3779b97f4a7c15 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			evicted := uint64(0)
			x := newTransactions(&seed, maxWaiting, 1<<40, func(q *waiting, e bool) {
				if evicted++; !e || q.nameHash != evicted {
					t.Fatalf("gave up query %d, evicted %v; want the oldest, %d", q.nameHash, e, evicted)
				}
			})
			const n = 3 * maxWaiting / 2
			for i := range uint64(n) {
				q, slot := x.find(c.key(i), 1+i, 0)
				if q != nil {
					t.Fatalf("query %d is found before it is added", i)
				}
				q = x.add(slot, c.key(i), 1+i, 0, int64(i))
				q.name = x.names.put([]byte{1, 'a', 0})
			}
			if x.n != maxWaiting || evicted != n-maxWaiting {
				t.Fatalf("%d queries wait, %d were evicted", x.n, evicted)
			}
			for i := range uint64(n) {
				q, slot := x.find(c.key(i), 1+i, 0)
				if found := q != nil; found != (i >= n-maxWaiting) {
					t.Fatalf("query %d: found %v", i, found)
				}
				if i%3 == 0 && q != nil {
					x.remove(slot)
				}
			}
			for i := range uint64(n) {
				q, _ := x.find(c.key(i), 1+i, 0)
				if found := q != nil; found != (i >= n-maxWaiting && i%3 != 0) {
					t.Fatalf("query %d, after others were answered: found %v", i, found)
				}
			}
		})
	}
}

// TestNameStore compares the store with a map over random puts and frees, and checks its bounds.
func TestNameStore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := nameStore{classBytes: maxClassBytes}
		model := map[nameRef][]byte{}
		var refs []nameRef
		for i := range rapid.IntRange(0, 200).Draw(t, "steps") {
			if len(refs) > 0 && rapid.IntRange(0, 2).Draw(t, "free") == 0 {
				j := rapid.IntRange(0, len(refs)-1).Draw(t, "which")
				s.free(refs[j])
				delete(model, refs[j])
				refs = slices.Delete(refs, j, j+1)
				continue
			}
			name := bytes.Repeat([]byte{byte(i)}, rapid.IntRange(1, 255).Draw(t, "length"))
			ref := s.put(name)
			if _, taken := model[ref]; taken || ref == 0 {
				t.Fatalf("name %d is at %d, which is taken", i, ref)
			}
			model[ref] = name
			refs = append(refs, ref)
		}
		for ref, name := range model {
			if !bytes.Equal(s.get(ref), name) {
				t.Fatalf("name at %d is %q, want %q", ref, s.get(ref), name)
			}
		}
	})
	s := nameStore{classBytes: maxClassBytes}
	if s.put(nil) != 0 || s.get(0) != nil {
		t.Error("no name has a place")
	}
	s.free(0)
	for size, class := range map[int]int{32: 0, 64: 1, 128: 2, 255: 3} {
		name := make([]byte, size)
		n := 0
		for s.put(name) != 0 {
			n++
		}
		if want := maxClassBytes / (32 << class); n != want {
			t.Errorf("%d names of %d bytes fit, want %d", n, size, want)
		}
		if c := cap(s.classes[class].mem); c > 5<<20 {
			t.Errorf("class %d has %d bytes", class, c)
		}
	}
}
