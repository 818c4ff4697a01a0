package dns

import (
	"encoding/binary"
	"math/bits"

	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/internal/memory"
	"pktvisor/internal/seedhash"
	"pktvisor/metric"
	"pktvisor/sketch"
)

// pairs is the exact set of the pairs of a client and a name that it has asked for since the last flush of pairs, by their
// positions in the tallies of clients and names. It is flushed before one of these is emptied. It has no slots if no metric
// needs it.
//
// What the tables of distinct names by client take is decided by fixed hashes, on which all hosts agree. Those of names and
// clients are computed once for each, and not for each pair.
type pairs struct {
	slots   []uint32 // the pair plus 1, or 0
	list    []uint32 // the position of the client in the upper half, and that of the name in the lower half
	shift   uint8
	names   []uint64 // the hashes of names, by position; 0 if not computed yet
	clients []pairKey
}

// pairKey has the hashes of a client and of its prefix, for [sketch.PairOf]. Both are 0 if not computed yet. The others say from
// which hash on the tables take no more pairs, as 2^32 minus that.
type pairKey struct {
	client, prefix           uint64
	clientAbove, prefixAbove uint32
}

func newPairs(s sizes, wanted bool) pairs {
	if !wanted {
		return pairs{}
	}
	return pairs{
		slots: memory.Make[uint32](2 * s.pairs), shift: uint8(64 - bits.Len(uint(2*s.pairs-1))), list: make([]uint32, 0, s.pairs),
		names: make([]uint64, s.names), clients: make([]pairKey, s.clients),
	}
}

// add adds a pair. The set must not be full.
func (p *pairs) add(seed *seedhash.Seed, client, name uint32) {
	pair := client<<16 | name
	for i := seed.Pair(uint64(client), uint64(name)) >> p.shift; ; i = (i + 1) & uint64(len(p.slots)-1) {
		switch p.slots[i] {
		case pair + 1:
			return
		case 0:
			p.slots[i] = pair + 1
			p.list = append(p.list, pair)
			return
		}
	}
}

// full reports whether the set may lack space for the pairs of the given number of groups.
func (p *pairs) full(groups int) bool {
	return p.slots != nil && len(p.list)+groups*analyze.GroupSize > cap(p.list)
}

// resetNames forgets the hashes of the first n names, when their tally is emptied.
func (p *pairs) resetNames(n int) {
	if p.names != nil {
		clear(p.names[:n])
	}
}

// resetClients forgets the hashes of the first n clients, when their tally is emptied.
func (p *pairs) resetClients(n int) {
	if p.clients != nil {
		clear(p.clients[:n])
	}
}

// nameHash returns the fixed hash of a name in wire form.
func (a *Analyzer) nameHash(at uint32) uint64 {
	hash := &a.pairs.names[at]
	if *hash == 0 {
		*hash, _ = sketch.Hash(a.names.name(&a.names.tally.Entries()[at]))
	}
	return *hash
}

// pairKey returns the fixed hashes of a client and its prefix as bytes.
func (a *Analyzer) pairKey(at uint32) *pairKey {
	key := &a.pairs.clients[at]
	if key.client|key.prefix == 0 {
		addr := a.clients.Entries()[at].addr
		bytes := addrBytesOf(addr)
		key.client, _ = sketch.Hash(bytes[:])
		bytes = addrBytesOf(prefixOf(addr))
		key.prefix, _ = sketch.Hash(append(a.batch.text[:0], bytes[:prefixLen(addr)/8]...))
	}
	return key
}

// flushPairs adds the pairs to the tables of distinct names by client and by prefix, in parts.
func (a *Analyzer) flushPairs(keys analyze.Keys) {
	p := &a.pairs
	for first := 0; first < len(p.list); first += batchSize {
		part := p.list[first:min(first+batchSize, len(p.list))]
		for i, pair := range part { // before the section is locked
			key, name := a.pairKey(pair>>16), a.nameHash(pair&0xffff)
			a.batch.hash2[i%batchSize] = uint64(sketch.PairOf(key.client, name))
			a.batch.hash3[i%batchSize] = uint64(sketch.PairOf(key.prefix, name))
		}
		m := metric.Of[Metrics](keys.Lock())
		if a.batch.wanted.clientNames {
			a.addPairs(&m.TopClientNames, part)
		}
		if a.batch.wanted.prefixNames {
			a.addPrefixPairs(&m.TopClientPrefixNames, part)
		}
		keys.Unlock()
	}
	if len(p.list) > 0 {
		clear(p.slots)
		p.list = p.list[:0]
	}
}

// addPairs adds pairs of clients, whose hashes are in hash2, to their table. Most pairs of a flood change nothing there.
func (a *Analyzer) addPairs(t *metric.Distinct, part []uint32) {
	passed := uint64(0)
	for i, pair := range part {
		hash, key := a.batch.hash2[i%batchSize], &a.pairs.clients[pair>>16]
		if hash >= min(t.Threshold(), 1<<32-uint64(key.clientAbove)) {
			passed++
			continue
		}
		text := a.clients.Entries()[pair>>16].appendAddr(a.batch.text[:0])
		key.clientAbove = uint32(1<<32 - t.AddLimited(text, uint32(hash)))
	}
	t.Pass(passed)
}

// addPrefixPairs does the same for pairs of prefixes, whose hashes are in hash3.
func (a *Analyzer) addPrefixPairs(t *metric.Distinct, part []uint32) {
	passed := uint64(0)
	for i, pair := range part {
		hash, key := a.batch.hash3[i%batchSize], &a.pairs.clients[pair>>16]
		if hash >= min(t.Threshold(), 1<<32-uint64(key.prefixAbove)) {
			passed++
			continue
		}
		prefix := client{addr: prefixOf(a.clients.Entries()[pair>>16].addr)}
		key.prefixAbove = uint32(1<<32 - t.AddLimited(prefix.appendPrefix(a.batch.text[:0]), uint32(hash)))
	}
	t.Pass(passed)
}

// addrBytesOf returns the bytes of an address in network order, of which those of IPv4 come first.
func addrBytesOf(addr decode.Addr) (b [16]byte) {
	word := addr.Hi
	if addr.Is4() {
		word = addr.Lo << 32
	}
	binary.BigEndian.PutUint64(b[:], word)
	binary.BigEndian.PutUint64(b[8:], addr.Lo)
	return b
}
