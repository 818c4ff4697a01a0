package sketch

import (
	"math/bits"
	"slices"
)

// Trim reduces s to at most n pairs, with at most size bytes of keys. The same pairs give the same result, in whatever
// order they came, if s is trimmed to its [Spread.Capacity] at the end.
func (s *Spread) Trim(n, size int) { s.settle(min(n, s.Capacity()), size) }

// Trimmed returns a copy with at most n pairs and at most size bytes of keys. It does not change s.
func (s *Spread) Trimmed(n, size int) *Spread {
	c := s.Clone()
	c.Trim(n, size)
	return c
}

// settle lowers the thresholds until there are at most n pairs with size bytes of keys, and removes what is not below them.
//
// First, the pairs of all keys are limited to as many a key as fit, but no less than a share of n. Then the common threshold
// falls. Both depend only on the pairs. They are monotonic: more pairs never allow more of a key, or a higher threshold. So a
// sketch that was settled before holds all the pairs that it needs, and the result does not depend on when that was.
func (s *Spread) settle(n, size int) {
	for {
		if s.group() > n {
			if fit := s.mostOf(n, max(n/fullShare, 1)); s.most == 0 || fit < s.most {
				s.most = fit
			}
		}
		if s.most > 0 {
			s.limitKeys(s.most)
		}
		if len(s.pairs) > n {
			s.above = everything - s.nthRank(s.pairs, n)
			s.dropPairs()
		}
		s.dropKeys()
		if len(s.text) <= size || n == 0 {
			break
		}
		n /= 2 // the keys are long
	}
	if len(s.keyIndex) > 0 { // otherwise, it is made when it is needed
		s.indexKeys(len(s.keyIndex))
	}
	if len(s.pairIndex) > 0 {
		s.indexPairs(len(s.pairIndex))
	}
}

// group sorts the pairs by key, without those that are not below their threshold, and counts them. It returns how many there are.
func (s *Spread) group() int {
	for i := range s.keys {
		s.keys[i].n = 0
	}
	live, threshold := s.pairs[:0], s.Threshold()
	for _, p := range s.pairs {
		if k := &s.keys[p.key]; uint64(p.hash) < uint64(p.weight)*min(threshold, k.limit) {
			k.n++
			live = append(live, p)
		}
	}
	at := uint32(0)
	for i := range s.keys { // n becomes the place of the key's next pair
		k := &s.keys[i]
		k.n, at = at, at+k.n
	}
	if cap(s.spare) < len(live) {
		s.spare = make([]spreadPair, cap(s.pairs))
	}
	sorted := s.spare[:len(live)]
	for _, p := range live {
		k := &s.keys[p.key]
		sorted[k.n] = p
		k.n++
	}
	s.pairs, s.spare = sorted, live[:0]
	at = 0
	for i := range s.keys { // and a number again
		k := &s.keys[i]
		k.n, at = k.n-at, k.n
	}
	return len(live)
}

// mostOf returns the most pairs of a key, but at least least, with which all keys together have at most n.
func (s *Spread) mostOf(n, least int) uint32 {
	great, others := s.ranks[:0], 0 // only the keys with more pairs than least depend on the result, and they are few
	low, high := uint32(least), uint32(least)
	for i := range s.keys {
		if k := s.keys[i].n; k > low {
			great = append(great, k)
			high = max(high, k)
		} else {
			others += int(k)
		}
	}
	s.ranks = great
	if low < high {
		high = 1 << maxLgSlots
	}
	for low < high {
		middle := low + (high-low+1)/2
		sum := others
		for _, k := range great {
			sum += int(min(k, middle))
		}
		if sum > n {
			high = middle - 1
		} else {
			low = middle
		}
	}
	return low
}

// limitKeys lowers the limits of keys with more than most pairs so that they have most. The pairs are grouped.
func (s *Spread) limitKeys(most uint32) {
	kept, start := s.pairs[:0], 0
	for i := range s.keys {
		k := &s.keys[i]
		pairs := s.pairs[start : start+int(k.n)]
		start += int(k.n)
		if k.n <= most {
			kept = append(kept, pairs...)
			continue
		}
		k.limit = s.nthRank(pairs, int(most))
		for _, p := range pairs {
			if p.rank() < k.limit {
				kept = append(kept, p)
			}
		}
	}
	s.pairs = kept
}

// nthRank returns the rank of the pair that comes after n others in ascending order. It sorts only the ranks that share their
// upper bits with the result, and in a way that no choice of hashes makes slow.
func (s *Spread) nthRank(pairs []spreadPair, n int) uint64 {
	all := uint64(0)
	for i := range pairs {
		all |= pairs[i].rank()
	}
	const classes = 256
	shift := max(bits.Len64(all)-8, 0)
	var counts [classes]uint32
	for i := range pairs {
		counts[pairs[i].rank()>>shift%classes]++
	}
	class := 0
	for ; n >= int(counts[class]); class++ {
		n -= int(counts[class])
	}
	same := s.ranks[:0]
	for i := range pairs {
		if r := pairs[i].rank(); r>>shift == uint64(class) {
			same = append(same, uint32(r))
		}
	}
	s.ranks = same
	slices.Sort(same)
	return uint64(same[n])
}

// dropPairs removes the pairs that are not below the common threshold.
func (s *Spread) dropPairs() {
	kept, threshold := s.pairs[:0], s.Threshold()
	for _, p := range s.pairs {
		if p.rank() < threshold {
			kept = append(kept, p)
		}
	}
	s.pairs = kept
}

// dropKeys removes the keys without pairs. The pairs are grouped.
func (s *Spread) dropKeys() {
	kept, start, end, next := 0, uint32(0), uint32(0), 0
	for i := range s.keys {
		k := s.keys[i]
		from := start
		start = k.end
		if next == len(s.pairs) || s.pairs[next].key != uint32(i) {
			continue
		}
		for ; next < len(s.pairs) && s.pairs[next].key == uint32(i); next++ {
			s.pairs[next].key = uint32(kept)
		}
		end += uint32(copy(s.text[end:], s.text[from:k.end]))
		k.end = end
		s.keys[kept] = k
		kept++
	}
	s.keys, s.text = s.keys[:kept], s.text[:end]
}
