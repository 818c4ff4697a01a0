package reassemble

import (
	"pktvisor/decode"
	"pktvisor/internal/memory"
	"pktvisor/internal/seedhash"
)

// lru is a hash table of fixed capacity whose entries stand in an order, oldest first. Its
// hash is seeded, so that nobody can choose keys that collide. Entries are known by their
// index; 0 is none. Memory that was never used is never touched.
type lru[V any] struct {
	seed           seedhash.Seed
	heads          []uint32 // by hash, the first entry of a chain
	nodes          []node[V]
	fresh          uint32 // the first entry never used
	free           uint32 // a list, by chain
	oldest, newest uint32
	count          int
}

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
