package reassemble

import (
	"pktvisor/decode"
	"pktvisor/internal/memory"
	"pktvisor/internal/seedhash"
)

// lru is a hash table of fixed capacity whose entries stand in an order, oldest first. Its
// hash is seeded, so that nobody can choose keys that collide. Entries are known by their
// index; 0 is none. Memory that was never used is never touched.
//
// An entry can also stand in one of a few queues, for what it waits for.
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

// numQueues is one more than there are queues: an entry in queue 0 is in none.
const numQueues = 4

// queue is a list of entries, those that have waited longest first.
type queue struct{ first, last uint32 }

// key is whose pieces belong together: two addresses, and what else tells one stream or datagram between
// them from the next.
type key struct {
	src, dst decode.Addr
	what     uint64
}

type node[V any] struct {
	key          key
	chain        uint32 // the next entry with the same head
	older, newer uint32
	ahead, after uint32 // in its queue
	since        int64  // when it was put there, in nanoseconds
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

// insert adds k, which must not be there yet, as the newest entry, with a zero value. The
// table must not be full.
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

// remove takes entry i out.
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

// enqueue puts entry i at the end of a queue, where it waits since now, and takes it out of that
// where it was.
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

// dequeue takes entry i out of its queue, if it is in one.
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

// due returns the first entry of a queue if it has waited for longer than the given time, or is
// from so far ahead that the clock must have been set back, and 0 otherwise.
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
