package filter

import (
	"pktvisor/internal/seedhash"
)

// Plan joins the filters of the policies that use a tap, so that a shard evaluates them together.
type Plan struct {
	filters []member
	names   *names
	// owner is the filter that needs a list of names, by the number of the list: only messages that match the list can pass it.
	// It is -1 for other lists.
	owner []int32
	// others are the filters that no list chooses. asked are those with a condition on the question.
	others, asked []int32
	geo           bool
}

// member is a filter of a plan.
type member struct {
	*Filter
	parts []node
}

// node is a condition with the numbers of its lists of names.
type node struct {
	*condition
	qname, suffix int32 // -1 without such a list
	// both are nested filters with the same result for a query and its response. rest are the others.
	both, rest []node
}

// NewPlan joins filters, which must not be nil. A message's name is looked up once for all of them. The seed is for the hashes of
// names.
func NewPlan(filters []*Filter, seed *seedhash.Seed) *Plan {
	p := &Plan{}
	var lists []listed
	for i, f := range filters {
		m := member{Filter: f}
		for _, c := range f.parts {
			m.parts = append(m.parts, newNode(c, &lists))
		}
		p.filters = append(p.filters, m)
		p.geo = p.geo || f.given&ofRemote != 0
		if f.given&ofQuestion != 0 {
			p.asked = append(p.asked, int32(i))
		}
		for len(p.owner) < len(lists) {
			p.owner = append(p.owner, -1)
		}
		if list := m.needed(); list >= 0 {
			p.owner[list] = int32(i)
		} else {
			p.others = append(p.others, int32(i))
		}
	}
	p.names = newNames(seed, lists)
	return p
}

// newNode numbers the lists of names of a condition.
func newNode(c *condition, lists *[]listed) node {
	n := node{condition: c, qname: -1, suffix: -1}
	if c.given&keyQname != 0 {
		n.qname = int32(len(*lists))
		*lists = append(*lists, listed{c.qnames, false})
	}
	if c.given&keySuffix != 0 {
		n.suffix = int32(len(*lists))
		*lists = append(*lists, listed{c.suffixes, true})
	}
	for _, nested := range c.not {
		if child := newNode(nested, lists); nested.all()&^(ofBoth|keyNot) == 0 {
			n.both = append(n.both, child)
		} else {
			n.rest = append(n.rest, child)
		}
	}
	return n
}

// needed returns a list of names that a message must match to pass, or -1.
func (m *member) needed() int32 {
	for i := range m.parts {
		if n := &m.parts[i]; n.qname >= 0 {
			return n.qname
		} else if n.suffix >= 0 {
			return n.suffix
		}
	}
	return -1
}
