package bpf

// cond is a condition on the packet, or an assignment on the way, before it is laid out as a graph of jumps. The
// right operand of an and or an or is evaluated only if the left one does not decide. If it then reads beyond the
// packet, the packet is rejected.
type cond struct {
	op   condOp
	l, r *cond
	x, y *value // condTest: x rel y; condAssign: x
	rel  relation
	slot uint32 // condAssign
}

type condOp uint8

const (
	condTrue condOp = iota
	condFalse
	condReject // the packet is rejected, whatever the rest of the expression says
	condTest
	condAnd
	condOr
	condNot
	condAssign // true, after storing x in a slot
)

func and(cs ...*cond) *cond { return chain(condAnd, cs) }

func or(cs ...*cond) *cond { return chain(condOr, cs) }

// chain joins conditions from left to right. It leaves out nil conditions.
func chain(op condOp, cs []*cond) *cond {
	var all *cond
	for _, c := range cs {
		switch {
		case c == nil:
		case all == nil:
			all = c
		default:
			all = &cond{op: op, l: all, r: c}
		}
	}
	return all
}

func not(c *cond) *cond { return &cond{op: condNot, l: c} }

func always(is bool) *cond {
	if is {
		return &cond{op: condTrue}
	}
	return &cond{op: condFalse}
}

func assign(slot uint32, x *value) *cond {
	if x.never {
		return &cond{op: condReject}
	}
	return &cond{op: condAssign, slot: slot, x: x}
}

// test returns the condition x rel y, in the form that takes the fewest instructions.
func (vs *values) test(x *value, rel relation, y *value) *cond {
	switch {
	case x.never || y.never:
		return &cond{op: condReject}
	case x.op == valConst && y.op == valConst:
		return always(rel.holds(x.k, y.k))
	case x.op == valConst && (rel == relEQ || rel == relSet):
		return vs.test(y, rel, x)
	case x.op == valConst && rel == relGT:
		return not(vs.test(y, relGE, x))
	case x.op == valConst && rel == relGE:
		return not(vs.test(y, relGT, x))
	}
	if rel == relEQ && y.op == valConst && x.op == valBin && x.r.op == valConst {
		switch k := x.r.k; {
		case x.alu == aluAnd && y.k == 0:
			return not(vs.test(x.l, relSet, x.r))
		case x.alu == aluAnd && y.k == k && k&(k-1) == 0:
			return vs.test(x.l, relSet, x.r)
		case x.alu == aluAdd:
			return vs.test(x.l, relEQ, vs.num(y.k-k))
		}
	}
	return &cond{op: condTest, x: x, rel: rel, y: y}
}
