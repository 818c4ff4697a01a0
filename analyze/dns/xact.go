package dns

import (
	"pktvisor/analyze"
	"pktvisor/internal/memory"
	"pktvisor/internal/seedhash"
	"pktvisor/minute"
)

// minWaiting is the number of queries for which a new table has space.
const minWaiting = 256

// maxAhead is the maximum time in nanoseconds by which a packet may be ahead of the shard's clock. Frames that are less than a
// minute out of order do not set the clock back.
const maxAhead = minute.Late * 1e9

// none is a position without a query. The list by age begins and ends there.
const none = 0

// waiting is a query that has no response yet, or a response whose query has not come yet. It fills one line of the CPU's
// cache.
type waiting struct {
	// key is the hash by which the message is found. Several messages may share addresses, ports, transport and ID. The key
	// of the first is the hash of these alone. The keys of the others include the question.
	key      uint64
	nameHash uint64 // the hash of the qname; 0 without a question
	time     int64  // nanoseconds
	// older and newer link all messages by age. newer also links the free positions.
	older, newer int32
	// prev and next link the messages that share addresses, ports, transport and ID. The first has no prev.
	prev, next int32
	// entry is the position of the name in the names' tally while the tally's generation is gen. After that, name is the
	// place of the name. For a response, gen is the number of its repeats.
	entry, gen uint32
	name       nameRef
	question   uint32 // type and class
	size       uint32
	// directionLg is the direction, and in the upper bits the lg of the [messageSample] when the message came.
	directionLg uint8
	flags       uint8  // of a response, see early.go; of a query, see saveClients
	client      uint16 // the position of the client in its tally, unless that was emptied since; or notSampled
}

const directionBits = 2

func directionLg(d analyze.Direction, lg uint8) uint8 { return uint8(d) | lg<<directionBits }

func (q *waiting) direction() analyze.Direction {
	return analyze.Direction(q.directionLg & (1<<directionBits - 1))
}

// lg returns the lg of the [messageSample] when the message came, and whether it is in the sample.
func (q *waiting) lg() (lg uint8, sampled bool) {
	return q.directionLg >> directionBits, q.client != notSampled
}

// transactions holds messages that wait for their counterpart. A hash table finds the message for its counterpart, and a list
// by age finds the messages that have waited longer than the timeout. Both are bounded. When they are full, the oldest message
// is given up.
//
// Each operation takes a few steps, whatever the keys. The hashes are secret, so an attacker cannot choose keys that share a
// slot, and no two entries have the same key. A client may have many queries with the same port and ID at once, as flood tools
// do. The first of them is found by the hash of addresses, ports, transport and ID, so that a message whose question cannot be
// read finds it. Each of the others is found by a hash that includes its question. When the first is removed, the newest of the
// others takes its place.
type transactions struct {
	slots    []int32 // positions in queries, or none
	mask     uint64
	queries  []waiting // at position none, newer is the oldest query and older is the newest
	free     int32
	n        int
	max      int
	names    nameStore
	seed     *seedhash.Seed
	timeout  int64
	onExpire func(q *waiting, evicted bool)
}

// newTransactions makes a table of at most max entries, a power of two.
func newTransactions(seed *seedhash.Seed, limit int, timeout int64, onExpire func(q *waiting, evicted bool)) *transactions {
	t := &transactions{seed: seed, max: limit, timeout: timeout, onExpire: onExpire}
	t.names.classBytes = maxClassBytes
	t.resize(minWaiting)
	return t
}

// resize grows the table to n queries, a power of two.
func (t *transactions) resize(n int) {
	queries := make([]waiting, max(len(t.queries), 1), 1+n)
	copy(queries, t.queries)
	t.queries = queries
	// When a quarter of the slots is in use, most searches end at their first slot.
	t.slots = memory.Make[int32](4 * n)
	t.mask = uint64(4*n - 1)
	for i := t.oldest(); i != none; i = t.queries[i].newer {
		t.slots[t.freeSlot(t.queries[i].key)] = i
	}
}

// position returns the position of q.
func (t *transactions) position(q *waiting) int32 { return t.queries[q.older].newer }

func (t *transactions) oldest() int32 { return t.queries[none].newer }
func (t *transactions) newest() int32 { return t.queries[none].older }

// freeSlot returns the slot where a search for a missing key ends.
func (t *transactions) freeSlot(key uint64) uint64 {
	s := key & t.mask
	for t.slots[s] != none {
		s = (s + 1) & t.mask
	}
	return s
}

// slotOf returns the slot of query i.
func (t *transactions) slotOf(i int32) uint64 {
	s := t.queries[i].key & t.mask
	for t.slots[s] != i {
		s = (s + 1) & t.mask
	}
	return s
}

// noSlot stands for the slot of an entry that is not the first with its addresses, ports, transport and ID.
const noSlot = 1 << 63

// find returns the message that waits with the key and the question, and its slot. If there is none, it returns nil and a slot
// for add. A question that could not be read, on either side, matches any question.
func (t *transactions) find(key, nameHash uint64, question uint32) (q *waiting, slot uint64) {
	if q, slot = t.first(key); q != nil && !q.matches(nameHash, question) {
		return t.other(key, nameHash, question)
	}
	return q, slot
}

// first returns the first message that waits with the key, whatever its question, and its slot. If there is none, it returns
// nil and a free slot.
func (t *transactions) first(key uint64) (q *waiting, slot uint64) {
	for slot = key & t.mask; ; slot = (slot + 1) & t.mask {
		i := t.slots[slot]
		if i == none {
			return nil, slot
		}
		if q = &t.queries[i]; q.key == key {
			return q, slot
		}
	}
}

// matches reports whether q has the given question, or whether one of the two questions is not known.
func (q *waiting) matches(nameHash uint64, question uint32) bool {
	return q.nameHash == nameHash && q.question == question || nameHash == 0 || q.nameHash == 0
}

// other finishes find if the first message has another question.
func (t *transactions) other(key, nameHash uint64, question uint32) (q *waiting, slot uint64) {
	if q, slot = t.first(t.otherKey(key, nameHash, question)); q == nil {
		slot = noSlot
	}
	return q, slot
}

// otherKey returns the key of an entry that is not the first with its addresses, ports, transport and ID.
func (t *transactions) otherKey(key, nameHash uint64, question uint32) uint64 {
	const factor = 0x9e3779b97f4a7c15 // spreads types and classes over 64 bits
	return t.seed.Mix(key, nameHash+uint64(question)*factor)
}

// mayHave reports whether a message with the key may wait. It is a quick test, which is false for most keys without a message.
func (t *transactions) mayHave(key uint64) bool { return t.slots[key&t.mask] != none }

// add adds a message that find has not found, in the slot that find returned. The caller sets the other fields of the result.
func (t *transactions) add(slot, key, nameHash uint64, question uint32, time int64) *waiting {
	slots := t.slots
	if slot >= uint64(len(slots)) || 1+t.n == cap(t.queries) { // also if slot is noSlot
		return t.addSlowly(key, nameHash, question, time)
	}
	i := t.free
	if i == none {
		i = int32(len(t.queries))
		t.queries = t.queries[:i+1]
	} else {
		t.free = t.queries[i].newer
	}
	q, end := &t.queries[i], &t.queries[none]
	q.key, q.nameHash, q.question, q.time = key, nameHash, question, time
	q.name, q.prev, q.next = 0, none, none
	q.older, q.newer = end.older, none
	t.queries[end.older].newer = i
	end.older = i
	t.n++
	slots[slot] = i
	return q
}

// addSlowly does the same as add, also if the table is full or the message shares addresses, ports, transport and ID with
// others.
func (t *transactions) addSlowly(key, nameHash uint64, question uint32, time int64) *waiting {
	if 1+t.n == cap(t.queries) {
		if t.n < t.max {
			t.resize(2 * t.n)
		} else {
			t.expire(t.oldest(), true)
		}
	}
	q, slot := t.first(key)
	if q == nil {
		return t.add(slot, key, nameHash, question, time)
	}
	first := t.slots[slot]
	key = t.otherKey(key, nameHash, question)
	q = t.add(t.freeSlot(key), key, nameHash, question, time)
	t.join(t.newest(), first)
	return q
}

// join puts query i in the second position among the queries that share its addresses, ports, transport and ID. The
// parameter first is the first of them.
func (t *transactions) join(i, first int32) {
	f := &t.queries[first]
	t.queries[i].prev, t.queries[i].next = first, f.next
	t.queries[f.next].prev = i // without another query, this sets the prev of none, which is never read
	f.next = i
}

// remove removes the message in a slot. Its content stays readable until the next add.
func (t *transactions) remove(s uint64) {
	i := t.slots[s]
	q := &t.queries[i]
	if q.prev|q.next != none {
		s = t.leave(i, s)
	}
	// Close the gap: move up the entries whose search passes this slot (Knuth, volume 3, 6.4, algorithm R).
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

// leave separates query i, in slot s, from those that share its addresses, ports, transport and ID. It returns the slot where
// query i is afterwards: if it was the first, it changes places with the next.
func (t *transactions) leave(i int32, s uint64) uint64 {
	q := &t.queries[i]
	next := &t.queries[q.next]
	if q.prev != none {
		t.queries[q.prev].next = q.next
		next.prev = q.prev
		q.prev, q.next = none, none
		return s
	}
	slot := t.slotOf(q.next)
	t.slots[s], t.slots[slot] = q.next, i
	next.key, next.prev = q.key, none
	q.next = none
	return slot
}

// expire gives up query i.
func (t *transactions) expire(i int32, evicted bool) {
	t.onExpire(&t.queries[i], evicted)
	t.remove(t.slotOf(i))
}

// overdue reports whether the oldest query has waited longer than the timeout. It also reports a query that is so far ahead
// of the clock that the clock must have been set back: otherwise that query would keep all later ones waiting.
func (t *transactions) overdue(now int64) bool {
	if t.n == 0 {
		return false
	}
	waited := now - t.queries[t.oldest()].time
	return waited > t.timeout || waited < -maxAhead
}
