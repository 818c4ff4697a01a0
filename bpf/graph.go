package bpf

import "slices"

// node is a step of a program: a test with two successors, an assignment with one, or an end. Successors are always
// made earlier, so there are no loops.
type node struct {
	op   nodeOp
	x, y *value // nodeTest: x rel y; nodeAssign: x
	rel  relation
	slot uint32 // nodeAssign
	k    uint32 // nodeReturn: number of bytes to keep, or 0 to reject

	t, f *node // the successors; nodeAssign: only t

	// The fields below are for the passes over the graph.
	mark  int
	facts facts
	seen  bool // facts holds the facts of a first path into the node
}

type nodeOp uint8

const (
	nodeReturn nodeOp = iota
	nodeTest
	nodeAssign
)

// graph makes nodes. Equal nodes are one node.
type graph struct {
	nodes          map[nodeKey]*node
	mark           int
	accept, reject *node
}

type nodeKey struct {
	op   nodeOp
	x, y *value
	rel  relation
	slot uint32
	k    uint32
	t, f *node
}

func newGraph(snapLen uint32) *graph {
	g := &graph{nodes: make(map[nodeKey]*node)}
	g.accept = g.intern(node{op: nodeReturn, k: snapLen})
	g.reject = g.intern(node{op: nodeReturn})
	return g
}

func (g *graph) intern(n node) *node {
	if n.op != nodeReturn && n.t == g.reject && (n.f == g.reject || n.op == nodeAssign) {
		return g.reject // as for a read beyond the packet's end
	}
	key := nodeKey{n.op, n.x, n.y, n.rel, n.slot, n.k, n.t, n.f}
	if old := g.nodes[key]; old != nil {
		return old
	}
	g.nodes[key] = &n
	return &n
}

// build lays out a condition that continues at t if it holds, and at f otherwise.
func (g *graph) build(c *cond, t, f *node) *node {
	switch c.op {
	case condTrue:
		return t
	case condFalse:
		return f
	case condReject:
		return g.reject
	case condAnd:
		return g.build(c.l, g.build(c.r, t, f), f)
	case condOr:
		return g.build(c.l, t, g.build(c.r, t, f))
	case condNot:
		return g.build(c.l, f, t)
	case condAssign:
		return g.intern(node{op: nodeAssign, x: c.x, slot: c.slot, t: t})
	}
	return g.intern(node{op: nodeTest, x: c.x, y: c.y, rel: c.rel, t: t, f: f})
}

// sorted returns the nodes that can be reached from root, each before its successors, and the returns last. The
// successor t directly follows its node if possible.
func (g *graph) sorted(root *node) []*node {
	g.mark++
	var post, returns []*node
	type frame struct {
		n     *node
		state uint8
	}
	stack := []frame{{n: root}}
	root.mark = g.mark
	push := func(n *node) {
		if n != nil && n.mark != g.mark {
			n.mark = g.mark
			stack = append(stack, frame{n: n})
		}
	}
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		top.state++
		switch top.state {
		case 1:
			push(top.n.f)
		case 2:
			push(top.n.t)
		default:
			if top.n.op == nodeReturn {
				returns = append(returns, top.n)
			} else {
				post = append(post, top.n)
			}
			stack = stack[:len(stack)-1]
		}
	}
	post = append(returns, post...)
	slices.Reverse(post)
	return post
}
