package bpf

import (
	"fmt"
	"slices"
)

// emitter turns a graph into instructions. It tracks what the registers hold on every path into a node, so that a
// value that is still there is not computed again.
type emitter struct {
	free uint32 // scratch slots from here on are for temporaries
	busy uint32 // the number of these in use, from the last one down
	regs registers
	code []RawInsn // code of the current node, without its jump
	err  error
}

// registers are the values that A and X hold, or nil if that is not known.
type registers struct{ a, x *value }

// block is a node's instructions. The jump of a test is the last of them.
type block struct {
	node *node
	code []RawInsn
}

// emit returns the program that starts at root.
func emit(order []*node, slots uint32) ([]RawInsn, error) {
	e := &emitter{free: slots}
	into := make(map[*node]registers, len(order)) // on all paths that were seen
	blocks := make([]block, len(order))
	for i, n := range order {
		e.regs, e.code = into[n], nil
		switch n.op {
		case nodeReturn:
			e.op(clsRet|retK, n.k)
		case nodeAssign:
			e.assign(n)
		case nodeTest:
			e.test(n)
		}
		if e.err != nil {
			return nil, e.err
		}
		blocks[i] = block{n, e.code}
		for _, to := range []*node{n.t, n.f} {
			if to == nil {
				continue
			}
			old, seen := into[to]
			if !seen {
				old = e.regs
			}
			if old.a != e.regs.a {
				old.a = nil
			}
			if old.x != e.regs.x {
				old.x = nil
			}
			into[to] = old
		}
	}
	return link(blocks)
}

func (e *emitter) op(code uint16, k uint32) {
	e.code = append(e.code, RawInsn{Code: code, K: k})
}

func (e *emitter) assign(n *node) {
	if e.regs.x == n.x && e.regs.a != n.x {
		e.op(clsStx, n.slot)
	} else {
		e.toA(n.x)
		e.op(clsSt, n.slot)
	}
	bit := uint16(1) << n.slot
	if v := e.regs.a; v != nil && v.slots&bit != 0 {
		e.regs.a = nil
	}
	if v := e.regs.x; v != nil && v.slots&bit != 0 {
		e.regs.x = nil
	}
}

func (e *emitter) test(n *node) {
	if n.y.op == valConst {
		e.toA(n.x)
		e.op(clsJmp|uint16(n.rel)|srcK, n.y.k)
		return
	}
	e.toAX(n.x, n.y)
	e.op(clsJmp|uint16(n.rel)|srcX, 0)
}

// ownX reports whether v can be loaded into X without passing through A. This is also true for a length, but
// golang.org/x/net/bpf takes that instruction for a different one.
func (v *value) ownX() bool {
	return v.op == valConst || v.op == valSlot || v.op == valIPHdr
}

// leavesX reports whether v can be computed in A without passing through X.
func (v *value) leavesX() bool {
	switch v.op {
	case valConst, valLen, valSlot, valAncil:
		return true
	case valLoad:
		return v.l == nil
	case valNeg:
		return v.l.leavesX()
	case valBin:
		return v.r.op == valConst && v.l.leavesX()
	}
	return false
}

// toAX computes a in A, and x in X.
func (e *emitter) toAX(a, x *value) {
	switch {
	case e.regs.x == x && (e.regs.a == a || a.leavesX()):
		e.toA(a)
	case x.ownX():
		e.toA(a)
		e.toX(x)
	case a.leavesX():
		e.toX(x)
		e.toA(a)
	default:
		e.toA(x)
		slot := e.temporary()
		e.op(clsSt, slot)
		e.toA(a)
		e.op(clsLdx|modeMem, slot)
		e.busy--
		e.regs.x = x
	}
}

func (e *emitter) temporary() uint32 {
	if e.free+e.busy >= scratchSlots {
		e.err = fmt.Errorf("the expression is too complex: too many intermediate results")
		return 0
	}
	e.busy++
	return scratchSlots - e.busy
}

// toX computes v in X, perhaps through A.
func (e *emitter) toX(v *value) {
	switch {
	case e.regs.x == v:
		return
	case e.regs.a == v:
		e.op(clsMisc|miscTAX, 0)
	case v.op == valConst:
		e.op(clsLdx|modeImm, v.k)
	case v.op == valSlot:
		e.op(clsLdx|modeMem, v.k)
	case v.op == valIPHdr:
		e.op(clsLdx|sizeB|modeMsh, v.k)
	default:
		e.toA(v)
		e.op(clsMisc|miscTAX, 0)
	}
	e.regs.x = v
}

var loadSizes = map[uint8]uint16{1: sizeB, 2: sizeH, 4: sizeW}

// toA computes v in A, perhaps through X.
func (e *emitter) toA(v *value) {
	if e.err != nil || e.regs.a == v {
		return
	}
	if e.regs.x == v {
		e.op(clsMisc|miscTXA, 0)
		e.regs.a = v
		return
	}
	switch v.op {
	case valConst:
		e.op(clsLd|modeImm, v.k)
	case valLen:
		e.op(clsLd|modeLen, 0)
	case valSlot:
		e.op(clsLd|modeMem, v.k)
	case valAncil:
		size := map[uint32]uint16{ancillaryPkt: sizeH, ancillaryIface: sizeW}[v.k]
		if v.k == ancillaryTCI || v.k == ancillaryTagged {
			size = sizeB // as libpcap writes it; the kernel ignores it
		}
		e.op(clsLd|modeAbs|size, ancillaryBase+v.k)
	case valLoad:
		if v.l == nil {
			e.op(clsLd|modeAbs|loadSizes[v.size], v.k)
		} else {
			e.toX(v.l)
			e.op(clsLd|modeInd|loadSizes[v.size], v.k)
		}
	case valIPHdr:
		e.toX(v)
		e.op(clsMisc|miscTXA, 0)
	case valNeg:
		e.toA(v.l)
		e.op(clsALU|aluNeg, 0)
	case valBin:
		e.bin(v)
	default:
		e.err = fmt.Errorf("internal error: no code for a value")
	}
	e.regs.a = v
}

func (e *emitter) bin(v *value) {
	if v.r.op == valConst {
		e.toA(v.l)
		if v.alu == aluAdd && v.r.k > 1<<31 {
			e.op(clsALU|aluSub|srcK, -v.r.k)
		} else {
			e.op(clsALU|v.alu|srcK, v.r.k)
		}
		return
	}
	l, r := v.l, v.r
	commutes := v.alu == aluAdd || v.alu == aluMul || v.alu == aluAnd || v.alu == aluOr || v.alu == aluXor
	if commutes && !r.ownX() && (l.ownX() || !l.leavesX() && r.leavesX()) {
		l, r = r, l
	}
	e.toAX(l, r)
	e.op(clsALU|v.alu|srcX, 0)
}

// maxJump is the greatest distance of a conditional jump, in instructions.
const maxJump = 255

// link joins the blocks into a program. It works from the end, where all jumps lead. If a target is out of reach, it
// gets a stepping stone, which the jumps that are added later (and are earlier in the program) share.
func link(blocks []block) ([]RawInsn, error) {
	l := &linker{at: make(map[*node]int), same: make(map[*node]*node)}
	made := make(map[string]*node)
	for i := len(blocks) - 1; i >= 0 && l.err == nil; i-- {
		b := blocks[i]
		// Blocks with the same instructions and the same successors are one block, even if the registers
		// differ before them.
		n := *b.node
		n.t, n.f = l.same[n.t], l.same[n.f]
		key := fmt.Sprintf("%v %p %p", b.code, n.t, n.f)
		if made[key] != nil {
			l.same[b.node] = made[key]
			continue
		}
		made[key], l.same[b.node] = b.node, b.node
		switch b.node.op {
		case nodeTest:
			l.jump(&n, b.code[len(b.code)-1])
			b.code = b.code[:len(b.code)-1]
		case nodeAssign:
			if l.at[n.t] != len(l.rev) {
				l.add(RawInsn{Code: clsJmp | jmpJA, K: uint32(len(l.rev) - l.at[n.t])})
			}
		}
		for j := len(b.code) - 1; j >= 0; j-- {
			l.add(b.code[j])
		}
		l.at[b.node] = len(l.rev)
	}
	slices.Reverse(l.rev)
	return l.rev, l.err
}

// linker builds a program backwards.
type linker struct {
	rev []RawInsn     // the program, starting with its last instruction
	at  map[*node]int // where a node or its stone begins, as the length of rev at that point

	same map[*node]*node // the node whose block represents a node
	err  error
}

func (l *linker) add(in RawInsn) {
	if len(l.rev) >= maxInsns && l.err == nil {
		l.err = fmt.Errorf("the expression is too complex: its program would have more than %d instructions",
			maxInsns)
	}
	if l.err == nil {
		l.rev = append(l.rev, in)
	}
}

// jump adds the jump of a test, after it has made its targets reachable.
func (l *linker) jump(n *node, in RawInsn) {
	// A stone for one target moves the other target one instruction further away.
	for _, to := range []*node{n.f, n.t, n.f} {
		if len(l.rev)-l.at[to] > maxJump-1 {
			l.stone(to)
		}
	}
	in.Jt = uint8(len(l.rev) - l.at[n.t])
	in.Jf = uint8(len(l.rev) - l.at[n.f])
	l.add(in)
}

// stone adds a jump to a node. Even for a return it is a jump, not another return: when the kernel checks scratch
// slots, it assumes that execution continues after a return.
func (l *linker) stone(to *node) {
	l.add(RawInsn{Code: clsJmp | jmpJA, K: uint32(len(l.rev) - l.at[to])})
	l.at[to] = len(l.rev)
}
