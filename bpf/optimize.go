package bpf

import "slices"

// optimizer shortens a graph without changing which packets it accepts. This includes packets that are cut short: a
// read that could reject a packet because it is beyond its end stays where it was.
type optimizer struct {
	graph  *graph
	values *values
}

const (
	maxPasses = 20
	// maxHops bounds the tests that one path is led past in a pass. If there are more, the next pass continues,
	// and covers twice as far, because the paths that it joins were also shortened.
	maxHops = 64
)

// run returns the root of the shortened graph.
func (o *optimizer) run(root *node) *node {
	for range maxPasses {
		before := len(o.graph.nodes)
		changed := o.thread(root)
		root = o.rebuild(root)
		if !changed && len(o.graph.nodes) == before {
			break
		}
	}
	root = o.group(root)
	return root
}

// thread leads every path past the tests whose outcome is known on it.
func (o *optimizer) thread(root *node) (changed bool) {
	order := o.graph.sorted(root)
	for _, n := range order {
		n.seen, n.facts = false, facts{}
	}
	for _, n := range order {
		known := n.facts
		switch n.op {
		case nodeAssign:
			known = o.afterAssign(n, known)
			changed = o.lead(&n.t, known) || changed
		case nodeTest:
			known = known.read(n.x).read(n.y)
			changed = o.lead(&n.t, o.afterTest(n, known, true)) || changed
			changed = o.lead(&n.f, o.afterTest(n, known, false)) || changed
		}
	}
	return changed
}

// lead redirects a path on which something is known, and returns the node that it leads to.
func (o *optimizer) lead(way **node, known facts) (changed bool) {
	n := *way
	for hops := 0; hops < maxHops && n.op == nodeTest && known.safe(n.x) && known.safe(n.y); hops++ {
		outcome, ok := true, n.t == n.f
		if !ok {
			outcome, ok = o.decide(n, known)
		}
		if !ok {
			break
		}
		if outcome {
			n = n.t
		} else {
			n = n.f
		}
	}
	changed = n != *way
	*way = n
	if n.seen {
		n.facts = n.facts.intersect(known)
	} else {
		n.facts, n.seen = known, true
	}
	return changed
}

// subject returns the value that a test is about, and the comparison with it. For a test of bits these are the bits,
// and for a comparison of two values the outcome of that comparison.
func (o *optimizer) subject(n *node) (v *value, rel relation, k uint32, not bool) {
	switch {
	case n.y.op != valConst:
		v = o.values.intern(value{op: valCompare, alu: uint16(n.rel), l: n.x, r: n.y, max: 1})
		return v, relEQ, 1, false
	case n.rel == relSet:
		return o.values.bin(aluAnd, n.x, n.y), relEQ, 0, true
	}
	return n.x, n.rel, n.y.k, false
}

func (o *optimizer) decide(n *node, known facts) (outcome, ok bool) {
	if n.y.op == valConst {
		if outcome, ok = known.of(n.x).decide(n.rel, n.y.k); ok {
			return outcome, true
		}
	}
	v, rel, k, not := o.subject(n)
	outcome, ok = known.of(v).decide(rel, k)
	return outcome != not, ok
}

// afterTest adds the outcome of a test to the facts.
func (o *optimizer) afterTest(n *node, known facts, outcome bool) facts {
	v, rel, k, not := o.subject(n)
	if v.op == valConst {
		return known
	}
	return known.set(known.of(v).narrow(rel, k, outcome != not))
}

func (o *optimizer) afterAssign(n *node, known facts) facts {
	known = known.read(n.x)
	k, ok := known.constant(n.x)
	known = known.forget(n.slot)
	if ok {
		known = known.set(fact{v: o.values.slot(n.slot), lo: k, hi: k})
	}
	return known
}

// rebuild builds the graph again from its ends, so that equal nodes become one.
func (o *optimizer) rebuild(root *node) *node {
	order := o.graph.sorted(root)
	g := o.graph
	g.nodes = make(map[nodeKey]*node, len(order))
	now := make(map[*node]*node, len(order))
	for i := len(order) - 1; i >= 0; i-- {
		n := order[i]
		c := node{op: n.op, x: n.x, y: n.y, rel: n.rel, slot: n.slot, k: n.k, t: now[n.t], f: now[n.f]}
		now[n] = g.intern(c)
		if n == g.reject {
			g.reject = now[n]
		}
	}
	return now[root]
}

// group sorts runs of tests with a common exit, so that the tests of one value come together and the value is loaded
// once: "host a or b or c" tests the sources, then the destinations. It moves only tests of values that were read
// before the run.
func (o *optimizer) group(root *node) *node {
	o.thread(root)
	order := o.graph.sorted(root)
	from := make(map[*node]*node, len(order)) // the only node that leads here
	for _, n := range order {
		for _, to := range []*node{n.t, n.f} {
			if to == nil {
				continue
			}
			if _, several := from[to]; several {
				from[to] = nil
			} else {
				from[to] = n
			}
		}
	}
	done := make(map[*node]bool)
	for _, n := range order {
		if done[n] {
			continue
		}
		run := longestRun(n, from)
		for _, m := range run {
			done[m] = true
		}
		if len(run) > 2 {
			regroup(run, from[n])
		}
	}
	return o.rebuild(root)
}

// longestRun returns the tests from n on that follow each other if they fail and lead to the same node if they hold,
// or the reverse.
func longestRun(n *node, from map[*node]*node) []*node {
	or := runOf(n, from, true)
	if and := runOf(n, from, false); len(and) > len(or) {
		return and
	}
	return or
}

func runOf(n *node, from map[*node]*node, or bool) []*node {
	ways := func(m *node) (out, on *node) {
		if or {
			return m.t, m.f
		}
		return m.f, m.t
	}
	var run []*node
	for m := n; m.op == nodeTest && n.facts.safe(m.x) && n.facts.safe(m.y); {
		out, on := ways(m)
		if first, _ := ways(n); out != first || len(run) > 0 && from[m] == nil {
			break
		}
		run = append(run, m)
		m = on
	}
	return run
}

// regroup reorders the tests of a run: the tests of each value are together, in order of first appearance, but those
// of the value that before was about come first.
func regroup(run []*node, before *node) {
	rank := make(map[*value]int)
	if before != nil && before.op == nodeTest {
		rank[before.x] = 0
	}
	tests := make([]node, len(run))
	for i, n := range run {
		tests[i] = *n
		if _, ok := rank[n.x]; !ok {
			rank[n.x] = len(rank)
		}
	}
	slices.SortStableFunc(tests, func(a, b node) int { return rank[a.x] - rank[b.x] })
	for i, n := range run {
		n.x, n.rel, n.y = tests[i].x, tests[i].rel, tests[i].y
	}
}
