package reassemble

import (
	"pktvisor/decode"
	"pktvisor/internal/memory"
	"pktvisor/internal/seedhash"
)

// lru is a hash table of fixed capacity whose entries are ordered, oldest first. Its hash is seeded, so that an
// attacker cannot choose keys that collide. Entries are identified by their index; 0 means none. The table does not
// touch memory that it has never used.
//
// An entry can also be in one of a few queues, according to what it waits for.
type lru[V any] struct {
	seed           seedhash.Seed
	heads          []uint32 // by hash, the first entry of a chain
	nodes          []node[V]
	fresh          uint32 // the first entry never used
	free           uint32 // a list, by chain
	oldest, newest uint32
	count          int
	queues         [numQueues]queue
}

// numQueues is the number of queues plus one: an entry in queue 0 is in none.
const numQueues = 4

// queue is a list of entries, the one that has waited longest first.
type queue struct{ first, last uint32 }

// key identifies the stream or datagram that a piece belongs to: two addresses, and the fields that distinguish
// streams or datagrams between them.
type key struct {
	src, dst decode.Addr
	what     uint64
}

type node[V any] struct {
	key          key
	chain        uint32 // the next entry with the same head
	older, newer uint32
	ahead, after uint32 // in its queue
	since        int64  // when it was put into the queue, in nanoseconds
	queue        uint8
	val          V
}

func newLRU[V any](capacity int) lru[V] {
	heads := 1
	for heads < capacity {
		heads <<= 1
	}
	return lru[V]{
		seed:  seedhash.New(),
		heads: memory.Make[uint32](heads),
		nodes: make([]node[V], capacity+1),
		fresh: 1,
	}
}

func (l *lru[V]) head(k key) *uint32 {
	hash := l.seed.Mix(l.seed.Words(k.src.Lo, k.dst.Lo, k.src.Hi, k.dst.Hi), k.what)
	return &l.heads[hash&uint64(len(l.heads)-1)]
}

// find returns k's entry, or 0.
func (l *lru[V]) find(k key) uint32 {
	i := *l.head(k)
	for i != 0 && l.nodes[i].key != k {
		i = l.nodes[i].chain
	}
	return i
}

func (l *lru[V]) val(i uint32) *V { return &l.nodes[i].val }

func (l *lru[V]) full() bool { return l.free == 0 && int(l.fresh) == len(l.nodes) }

// insert adds k as the newest entry, with a zero value. The table must not be full, and must not contain k.
func (l *lru[V]) insert(k key) uint32 {
	i := l.free
	if i != 0 {
		l.free = l.nodes[i].chain
	} else {
		i = l.fresh
		l.fresh++
	}
	head := l.head(k)
	l.nodes[i] = node[V]{key: k, chain: *head}
	*head = i
	l.link(i)
	l.count++
	return i
}

// remove removes entry i.
func (l *lru[V]) remove(i uint32) {
	n := &l.nodes[i]
	at := l.head(n.key)
	for *at != i {
		at = &l.nodes[*at].chain
	}
	*at = n.chain
	l.unlink(i)
	l.dequeue(i)
	n.chain, l.free = l.free, i
	l.count--
}

// touch makes entry i the newest.
func (l *lru[V]) touch(i uint32) {
	if l.newest != i {
		l.unlink(i)
		l.link(i)
	}
}

func (l *lru[V]) link(i uint32) {
	n := &l.nodes[i]
	n.older, n.newer = l.newest, 0
	if l.newest != 0 {
		l.nodes[l.newest].newer = i
	} else {
		l.oldest = i
	}
	l.newest = i
}

func (l *lru[V]) unlink(i uint32) {
	n := &l.nodes[i]
	if n.older != 0 {
		l.nodes[n.older].newer = n.newer
	} else {
		l.oldest = n.newer
	}
	if n.newer != 0 {
		l.nodes[n.newer].older = n.older
	} else {
		l.newest = n.older
	}
}

// enqueue moves entry i from the queue that it is in to the end of queue q, where it waits since now.
func (l *lru[V]) enqueue(i uint32, q uint8, now int64) {
	l.dequeue(i)
	n, to := &l.nodes[i], &l.queues[q]
	n.queue, n.since, n.ahead, n.after = q, now, to.last, 0
	if to.last != 0 {
		l.nodes[to.last].after = i
	} else {
		to.first = i
	}
	to.last = i
}

// dequeue removes entry i from its queue, if it is in one.
func (l *lru[V]) dequeue(i uint32) {
	n := &l.nodes[i]
	if n.queue == 0 {
		return
	}
	from := &l.queues[n.queue]
	if n.ahead != 0 {
		l.nodes[n.ahead].after = n.after
	} else {
		from.first = n.after
	}
	if n.after != 0 {
		l.nodes[n.after].ahead = n.ahead
	} else {
		from.last = n.ahead
	}
	n.queue = 0
}

// due returns the first entry of a queue if it has waited for longer than the given time. It also returns the entry
// if its time is so far ahead that the clock must have been set back. Otherwise it returns 0.
func (l *lru[V]) due(q uint8, now, wait int64) uint32 {
	i := l.queues[q].first
	if i == 0 {
		return 0
	}
	if waited := now - l.nodes[i].since; waited > wait || waited < -maxBack {
		return i
	}
	return 0
}
