package bpf

import "pktvisor/linktype"

// operand is an arithmetic value with the condition under which it is defined: ip[0] only for IPv4 packets. guard is
// nil for numbers.
type operand struct {
	v     *value
	guard *cond
}

// compare generates a comparison of two arithmetic expressions. It holds only for packets that have the fields that
// it reads.
func (g *gen) compare(e relExpr) *cond {
	l, r := g.arith(e.l), g.arith(e.r)
	if g.err != nil {
		return always(false)
	}
	c := g.values.test(l.v, e.rel, r.v)
	if e.not {
		c = not(c)
	}
	return and(l.guard, r.guard, c)
}

var aluOf = map[arithOp]uint16{
	opAdd: aluAdd, opSub: aluSub, opMul: aluMul, opDiv: aluDiv, opMod: aluMod,
	opAnd: aluAnd, opOr: aluOr, opXor: aluXor, opLsh: aluLsh, opRsh: aluRsh,
}

func (g *gen) arith(a *arith) operand {
	vs := g.values
	switch a.op {
	case opNum:
		return operand{v: vs.num(a.num)}
	case opLen:
		return operand{v: vs.length()}
	case opLoad:
		return g.field(a)
	case opNeg:
		o := g.arith(a.l)
		return operand{vs.neg(o.v), o.guard}
	}
	l, r := g.arith(a.l), g.arith(a.r)
	if r.v.op == valConst {
		switch {
		case r.v.k == 0 && (a.op == opDiv || a.op == opMod):
			g.pos = a.pos
			g.fail("division by zero")
		case r.v.k > 31 && (a.op == opLsh || a.op == opRsh):
			g.pos = a.pos
			g.fail("shift by more than 31 bits")
		}
	}
	// As in libpcap, a sum is guarded by its left operand only.
	return operand{vs.bin(aluOf[a.op], l.v, r.v), l.guard}
}

// field returns the value of proto[index:size].
func (g *gen) field(a *arith) operand {
	idx := g.arith(a.l)
	if g.err != nil {
		return operand{v: g.values.num(0)}
	}
	g.pos = a.pos
	size := uint8(a.size)
	at := func(o origin, off uint32) *value {
		base, start := g.place(o)
		if base != nil {
			base = g.values.bin(aluAdd, base, idx.v)
		} else {
			base = idx.v
		}
		return g.values.load(base, start+off, size)
	}
	switch a.proto {
	case keyRadio:
		if g.link.typeOf != linktype.Radiotap {
			return operand{v: g.values.num(0), guard: g.unsupported("radio[…]")}
		}
		return operand{g.values.load(idx.v, 0, size), idx.guard}
	case keyLink:
		return operand{at(fromLinkHdr, 0), idx.guard}
	case keyIP, keyARP, keyRARP, keyAtalk, keyDECnet, keySCA, keyLAT, keyMOPRC, keyMOPDL, keyIP6:
		return operand{at(fromPayload, 0), and(idx.guard, g.protocol(a.proto))}
	case keySCTP, keyTCP, keyUDP, keyICMP, keyIGMP, keyIGRP, keyPIM, keyVRRP, keyCARP:
		// Only in IPv4, and not in later fragments.
		v := at(fromIPv4Transport, 0)
		return operand{v, and(g.carries(etherIP), idx.guard, g.protocol(a.proto), g.firstFragment())}
	case keyICMP6:
		guard := and(idx.guard, g.carries(etherIP6), g.is(fromPayload, 6, 1, protoICMPv6))
		return operand{at(fromIPv6Transport, 0), guard}
	}
	return operand{v: g.values.num(0), guard: g.fail("the bytes of %s cannot be read with […]", protoNames[a.proto])}
}
