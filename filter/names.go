package filter

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"

	"pktvisor/dnswire"
	"pktvisor/internal/seedhash"
)

// names finds the lists of names that a name matches, of all filters of a plan. A list has whole names, or suffixes.
//
// It is a tree of labels in a hash table. A look-up goes from the last label to the first, and ends where no name of a list has
// these labels. So it takes one step for each label, whatever the number of lists and of their names. The hash of a label's
// place in the tree includes those behind it, and has a secret seed. A place is recognised by its 64-bit hash alone, as keys in
// [analyze.Tally] are.
type names struct {
	seed  *seedhash.Seed
	slots []place
	mask  uint64
	root  place
	sets  [][]int32 // sorted numbers of lists; the first is empty
}

// place is a name in the tree.
type place struct {
	hash uint64 // 0 in a free slot
	// within is the set of lists that a longer name matches whose last labels these are. exact is that of this very name.
	within, exact uint32
	longer        bool // the tree has longer names that end like this
}

// listed is a list of names of a plan.
type listed struct {
	names  []string // in lower case, without the last dot
	suffix bool     // the names are suffixes
}

// making is a name in the tree while it is being built: the lists that have it, and then its place.
type making struct {
	suffix, exact []int32
	place         *place
}

// newNames makes the tree of lists. The number of a list is its index.
func newNames(seed *seedhash.Seed, lists []listed) *names {
	n := &names{seed: seed, sets: [][]int32{nil}}
	all := collect(lists)
	order := make([]string, 0, len(all))
	for name := range all {
		order = append(order, name)
	}
	slices.SortFunc(order, func(a, b string) int { return labelsOf(a) - labelsOf(b) }) // parents first
	size := 1 << bits.Len(uint(2*len(order)))
	n.slots, n.mask = make([]place, size), uint64(size-1)
	numbers := map[string]uint32{"": 0}
	for _, name := range order {
		m := all[name]
		if name == "" {
			m.place = &n.root
		} else {
			parent := all[parentOf(name)].place
			label, _, _ := strings.Cut(name, ".")
			hash := n.child(parent.hash, []byte(label))
			m.place = n.slot(hash)
			m.place.hash, m.place.within, parent.longer = hash, parent.within, true
		}
		m.place.within = n.set(numbers, m.place.within, m.suffix)
		m.place.exact = n.set(numbers, m.place.within, m.exact)
	}
	return n
}

// collect returns all names of lists and the parents of these, each with its lists.
func collect(lists []listed) map[string]*making {
	all := map[string]*making{"": {}}
	for number, l := range lists {
		for _, name := range l.names {
			for parent := name; all[parent] == nil; parent = parentOf(parent) {
				all[parent] = new(making)
			}
			if to := all[name]; l.suffix {
				to.suffix = append(to.suffix, int32(number))
			} else {
				to.exact = append(to.exact, int32(number))
			}
		}
	}
	return all
}

// labelsOf returns the number of labels of a name. The root has none.
func labelsOf(name string) int {
	if name == "" {
		return 0
	}
	return 1 + strings.Count(name, ".")
}

func parentOf(name string) string {
	_, parent, _ := strings.Cut(name, ".")
	return parent
}

// set returns the number of the set that has the lists of a set and others. numbers has the sets so far.
func (n *names) set(numbers map[string]uint32, of uint32, others []int32) uint32 {
	if len(others) == 0 {
		return of
	}
	both := slices.Concat(n.sets[of], others)
	slices.Sort(both)
	both = slices.Compact(both)
	var key []byte
	for _, list := range both {
		key = binary.LittleEndian.AppendUint32(key, uint32(list))
	}
	number, ok := numbers[string(key)]
	if !ok {
		number = uint32(len(n.sets))
		numbers[string(key)] = number
		n.sets = append(n.sets, both)
	}
	return number
}

// child returns the hash of a label before a name that has the given hash. It is never 0.
func (n *names) child(parent uint64, label []byte) uint64 {
	var word uint64
	if len(label) < 8 {
		for i := len(label) - 1; i >= 0; i-- {
			word = word<<8 | uint64(label[i])
		}
		word |= uint64(len(label)) << 56
	} else {
		word = n.seed.Bytes(label)
	}
	return n.seed.Mix(parent, word) | 1
}

// slot returns the place with a hash, or the free slot for it.
func (n *names) slot(hash uint64) *place {
	for i := hash >> 1 & n.mask; ; i = (i + 1) & n.mask {
		if p := &n.slots[i]; p.hash == hash || p.hash == 0 {
			return p
		}
	}
}

// lookUp returns the number of the set of lists that a name in wire form matches.
func (n *names) lookUp(wire []byte) uint32 {
	var starts [dnswire.MaxName / 2]uint8
	labels := 0
	for off := 0; off < len(wire) && wire[off] != 0 && labels < len(starts); off += int(wire[off]) + 1 {
		starts[labels] = uint8(off)
		labels++
	}
	p := &n.root
	hash := uint64(0)
	for labels > 0 {
		if !p.longer {
			return p.within
		}
		labels--
		at := int(starts[labels])
		hash = n.child(hash, wire[at+1:at+1+int(wire[at])])
		next := n.slot(hash)
		if next.hash == 0 {
			return p.within
		}
		p = next
	}
	return p.exact
}
