package sketch

import "hash/maphash"

// AddLimited is like [Spread.AddPair] for a pair of weight 1 that is below the threshold. It returns a bound: a pair of the same key
// with this hash or a greater one changes nothing but [Spread.Added], until s is reset. So the caller can leave out most pairs of
// a heavy key without a look-up, and count them with [Spread.Pass]. The bound is from 1 to 2^32.
func (s *Spread) AddLimited(key []byte, hash uint32) (bound uint64) {
	s.added = addWeight(s.added, 1)
	key = key[:min(len(key), MaxKeyLen)]
	at := s.keyFor(key, uint32(maphash.Bytes(tableSeed, key)))
	bound = s.keys[at].limit
	s.insert(at, hash, 1)
	if len(s.pairs) > 1<<s.lg() || len(s.text) > s.textLimit() {
		s.settle(s.Capacity(), s.textLimit())
	}
	return bound
}
