package dns

import (
	"pktvisor/internal/memory"
	"pktvisor/window"
)

// The bounds of a shard's table of waiting queries: 10 MB of queries and 16 MB of names at the most.
const (
	minWaiting    = 256
	maxWaiting    = 1 << 17
	maxClassBytes = 4 << 20 // of names in each size class
)

// maxAhead is how far ahead of its clock a shard may have a packet, in nanoseconds: frames that are less
// than a minute out of order do not set it back.
const maxAhead = window.MaxStepBack * 1e9

// none is the place of no query: the list by age begins and ends there.
const none = 0

// waiting is a query that has no response yet.
type waiting struct {
	key      uint64 // hash of addresses, ports, transport and ID
	nameHash uint64 // of the qname; 0 without a question
	time     int64  // nanoseconds
	// older and newer link the queries by age; newer also links what is free.
	older, newer int32
	// entry is the name's place in the names' tally, as long as that is of generation gen; name is
	// where the name is then.
	entry, gen uint32
	name       nameRef
	size       uint32
	question   uint32 // type and class
	direction  uint8
}

// transactions holds the queries that wait for a response, in a hash table for the response to find
// and in a list by age for the timeout. Both are bounded; when they are full, the oldest query is
// given up.
type transactions struct {
	slots    []int32 // positions in queries, or none
	mask     uint64
	queries  []waiting // the first is none: its newer is the oldest query, its older the newest
	free     int32
	n        int
	names    nameStore
	timeout  int64
	onExpire func(q *waiting, evicted bool)
}

func newTransactions(timeout int64, onExpire func(q *waiting, evicted bool)) *transactions {
	t := &transactions{timeout: timeout, onExpire: onExpire}
	t.resize(minWaiting)
	return t
}

// resize makes room for n queries, a power of two.
func (t *transactions) resize(n int) {
	queries := make([]waiting, max(len(t.queries), 1), 1+n)
	copy(queries, t.queries)
	t.queries = queries
	// At a quarter full, most searches end at their first slot.
	t.slots = memory.Make[int32](4 * n)
	t.mask = uint64(4*n - 1)
	for i := t.oldest(); i != none; i = t.queries[i].newer {
		t.slots[t.freeSlot(t.queries[i].key)] = i
	}
}

func (t *transactions) oldest() int32 { return t.queries[none].newer }
func (t *transactions) newest() int32 { return t.queries[none].older }

// freeSlot returns the slot where a search for a key that is not there ends.
func (t *transactions) freeSlot(key uint64) uint64 {
	s := key & t.mask
	for t.slots[s] != none {
		s = (s + 1) & t.mask
	}
	return s
}

// find returns a query with the key and the question and its slot, or nil and the slot for it. A question
// that could not be read, on either side, matches any.
func (t *transactions) find(key, nameHash uint64, question uint32) (q *waiting, slot uint64) {
	for slot = key & t.mask; ; slot = (slot + 1) & t.mask {
		i := t.slots[slot]
		if i == none {
			return nil, slot
		}
		q = &t.queries[i]
		if q.key == key && (q.nameHash == nameHash && q.question == question || nameHash == 0 || q.nameHash == 0) {
			return q, slot
		}
	}
}

// add enters a query, where find has said, and returns it for the caller to fill in but for key and time.
func (t *transactions) add(slot, key uint64, time int64) *waiting {
	if 1+t.n == cap(t.queries) {
		if t.n < maxWaiting {
			t.resize(2 * t.n)
		} else {
			t.expire(t.oldest(), true)
		}
		slot = t.freeSlot(key)
	}
	i := t.free
	if i == none {
		i = int32(len(t.queries))
		t.queries = t.queries[:i+1]
	} else {
		t.free = t.queries[i].newer
	}
	q := &t.queries[i]
	end := &t.queries[none]
	*q = waiting{key: key, time: time, older: end.older, newer: none}
	t.queries[end.older].newer = i
	end.older = i
	t.n++
	t.slots[slot] = i
	return q
}

// remove takes the query of a slot out. Its content stays readable until the next add.
func (t *transactions) remove(s uint64) {
	i := t.slots[s]
	q := &t.queries[i]
	// Close the gap: what was probed past this slot moves up (Knuth, volume 3, 6.4, algorithm R).
	for next := (s + 1) & t.mask; t.slots[next] != none; next = (next + 1) & t.mask {
		home := t.queries[t.slots[next]].key & t.mask
		if (next-home)&t.mask >= (next-s)&t.mask {
			t.slots[s] = t.slots[next]
			s = next
		}
	}
	t.slots[s] = none
	t.queries[q.older].newer = q.newer
	t.queries[q.newer].older = q.older
	t.names.free(q.name)
	q.newer, t.free = t.free, i
	t.n--
}

// expire gives query i up.
func (t *transactions) expire(i int32, evicted bool) {
	q := &t.queries[i]
	t.onExpire(q, evicted)
	s := q.key & t.mask
	for t.slots[s] != i {
		s = (s + 1) & t.mask
	}
	t.remove(s)
}

// overdue tells whether the oldest query has waited longer than the timeout, or is from so far ahead that
// the clock must have been set back: it would keep all after it waiting until then.
func (t *transactions) overdue(now int64) bool {
	if t.n == 0 {
		return false
	}
	waited := now - t.queries[t.oldest()].time
	return waited > t.timeout || waited < -maxAhead
}

// nameRef is the place of a name in a nameStore: the slot and, in the low two bits, the size class,
// plus one. Zero is no name.
type nameRef uint32

// nameStore keeps names of up to 255 bytes in slots of 32, 64, 128 and 256 bytes, so that a name that
// is done with leaves room for any other of its class.
type nameStore struct{ classes [4]nameClass }

type nameClass struct {
	mem  []byte
	free []uint32
	lens []uint8
}

// put stores a name. Where its class is full, the name is left out and its query has none.
func (s *nameStore) put(name []byte) nameRef {
	if len(name) == 0 {
		return 0
	}
	class, size := 0, 32
	for size < len(name) {
		class, size = class+1, size*2
	}
	c := &s.classes[class]
	var slot uint32
	if n := len(c.free); n > 0 {
		slot, c.free = c.free[n-1], c.free[:n-1]
	} else {
		if len(c.mem)+size > maxClassBytes {
			return 0
		}
		slot = uint32(len(c.lens))
		c.lens = append(c.lens, 0)
		c.mem = append(c.mem, zeros[:size]...)
	}
	c.lens[slot] = uint8(len(name))
	copy(c.mem[int(slot)*size:], name)
	return nameRef(slot<<2|uint32(class)) + 1
}

var zeros [256]byte

func (s *nameStore) get(ref nameRef) []byte {
	if ref == 0 {
		return nil
	}
	class, slot := (ref-1)&3, uint32(ref-1)>>2
	c := &s.classes[class]
	at := int(slot) * (32 << class)
	return c.mem[at : at+int(c.lens[slot])]
}

func (s *nameStore) free(ref nameRef) {
	if ref == 0 {
		return
	}
	c := &s.classes[(ref-1)&3]
	c.free = append(c.free, uint32(ref-1)>>2)
}
