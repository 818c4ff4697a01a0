package bpf

// value is a number that a program computes from the packet: a node of an expression graph. Equal values are one node
// (see [values]), so that comparing pointers shows whether two tests are about the same value.
//
// Reading a value may reject the packet: if it is beyond the captured bytes, or for a division by zero. No pass may
// remove such a read, or move it to where it was not certain to happen.
type value struct {
	op    valueOp
	alu   uint16 // valBin: aluAdd …
	size  uint8  // valLoad: 1, 2 or 4
	k     uint32 // constant, offset, slot or ancillary number
	l, r  *value // valBin: operands; valLoad: l is added to k, nil for none; valNeg: l
	id    int    // in order of creation, so operands come first
	slots uint16 // scratch slots that it is read from
	never bool   // reading it always rejects the packet
	max   uint32 // no value is greater
}

type valueOp uint8

const (
	valConst   valueOp = iota
	valLen             // the packet's length on the wire
	valLoad            // size bytes at k (+ l)
	valIPHdr           // 4 × the low four bits of the byte at k: the length of an IPv4 header
	valSlot            // scratch slot k
	valAncil           // what Linux knows in addition to the bytes: k is one of ancillary…
	valBin             // l alu r
	valNeg             // –l
	valNowhere         // beyond any packet: reading it rejects
	valCompare         // whether l alu r holds; used only in facts
)

// values makes values and folds constants.
type values struct {
	all map[valueKey]*value
}

type valueKey struct {
	op   valueOp
	alu  uint16
	size uint8
	k    uint32
	l, r *value
}

func newValues() *values { return &values{all: make(map[valueKey]*value)} }

func (vs *values) intern(v value) *value {
	key := valueKey{v.op, v.alu, v.size, v.k, v.l, v.r}
	if old := vs.all[key]; old != nil {
		return old
	}
	v.id = len(vs.all)
	for _, o := range []*value{v.l, v.r} {
		if o != nil {
			v.slots |= o.slots
			v.never = v.never || o.never
		}
	}
	vs.all[key] = &v
	return &v
}

func (vs *values) num(k uint32) *value {
	return vs.intern(value{op: valConst, k: k, max: k})
}

func (vs *values) length() *value {
	return vs.intern(value{op: valLen, max: 0xffffffff})
}

func (vs *values) slot(n uint32) *value {
	return vs.intern(value{op: valSlot, k: n, slots: 1 << n, max: 0xffffffff})
}

func (vs *values) ancillary(n uint32) *value {
	return vs.intern(value{op: valAncil, k: n, max: 0xffffffff})
}

// maxOffset bounds the offset of a load, because the kernel gives offsets from 1<<31 on a special meaning.
const maxOffset = 1<<31 - 1

// load returns the size bytes at base + off. base may be nil.
func (vs *values) load(base *value, off uint32, size uint8) *value {
	for base != nil && base.op == valBin && base.alu == aluAdd && base.r.op == valConst &&
		base.l.max <= maxOffset && base.r.k <= maxOffset {
		off += base.r.k
		base = base.l
	}
	if base != nil && base.op == valConst {
		off += base.k
		base = nil
	}
	if off > maxOffset && base == nil {
		return vs.intern(value{op: valNowhere, never: true})
	}
	if off > maxOffset { // a negative offset: let the addition wrap around
		base, off = vs.binary(aluAdd, base, vs.num(off), false), 0
	}
	return vs.intern(value{op: valLoad, size: size, k: off, l: base, max: 0xffffffff >> (32 - 8*size)})
}

// ipHeaderLen returns the length of the IPv4 header at base + off.
func (vs *values) ipHeaderLen(base *value, off uint32) *value {
	if base == nil {
		return vs.intern(value{op: valIPHdr, k: off, max: 60})
	}
	n := vs.bin(aluAnd, vs.load(base, off, 1), vs.num(0xf))
	return vs.bin(aluLsh, n, vs.num(2))
}

func (vs *values) neg(v *value) *value {
	if v.op == valConst {
		return vs.num(-v.k)
	}
	return vs.intern(value{op: valNeg, l: v, max: 0xffffffff})
}

// bin returns l alu r, simplified.
func (vs *values) bin(alu uint16, l, r *value) *value { return vs.binary(alu, l, r, true) }

func (vs *values) binary(alu uint16, l, r *value, fold bool) *value {
	if fold {
		if v := vs.simplify(alu, l, r); v != nil {
			return v
		}
	}
	v := value{op: valBin, alu: alu, l: l, r: r, max: 0xffffffff}
	switch {
	case r.op != valConst:
	case alu == aluAnd:
		v.max = min(l.max, r.k)
	case alu == aluRsh:
		v.max = l.max >> r.k
	case alu == aluLsh && l.max <= 0xffffffff>>r.k:
		v.max = l.max << r.k
	case alu == aluDiv && r.k > 0:
		v.max = l.max / r.k
	case alu == aluMod && r.k > 0:
		v.max = min(l.max, r.k-1)
	case alu == aluAdd && l.max <= 0xffffffff-r.k:
		v.max = l.max + r.k
	}
	return vs.intern(v)
}

// simplify returns a simpler value, or nil if there is none.
func (vs *values) simplify(alu uint16, l, r *value) *value {
	if l.op == valConst && r.op == valConst {
		if k, ok := alulate(alu, l.k, r.k); ok {
			return vs.num(k)
		}
		return nil
	}
	if l.op == valConst && (alu == aluAdd || alu == aluMul || alu == aluAnd || alu == aluOr || alu == aluXor) {
		l, r = r, l // constants go to the right
		if alu != aluAdd {
			return vs.bin(alu, l, r)
		}
	}
	if r.op != valConst {
		return nil
	}
	if l.op == valBin && l.alu == aluAnd && l.r.op == valConst && l.r.k == 0xf &&
		l.l.op == valLoad && l.l.l == nil && l.l.size == 1 &&
		(alu == aluLsh && r.k == 2 || alu == aluMul && r.k == 4) {
		return vs.ipHeaderLen(nil, l.l.k)
	}
	switch k := r.k; {
	case k == 0 && (alu == aluAdd || alu == aluSub || alu == aluOr || alu == aluXor || alu == aluLsh || alu == aluRsh),
		k == 1 && (alu == aluMul || alu == aluDiv),
		alu == aluAnd && l.max&^k == 0 && isMask(l.max):
		return l
	case k == 0 && (alu == aluMul || alu == aluAnd) && !l.rejects():
		return r
	case alu == aluSub:
		return vs.bin(aluAdd, l, vs.num(-k))
	case alu == aluAdd && l.op == valBin && l.alu == aluAdd && l.r.op == valConst:
		return vs.bin(aluAdd, l.l, vs.num(l.r.k+k))
	case alu == aluAdd:
		return vs.binary(alu, l, r, false)
	}
	return nil
}

// isMask reports whether k is 2^n – 1.
func isMask(k uint32) bool { return k&(k+1) == 0 }

// alulate computes l alu r as BPF does; ok is false for a division by zero.
func alulate(alu uint16, l, r uint32) (k uint32, ok bool) {
	switch alu {
	case aluAdd:
		return l + r, true
	case aluSub:
		return l - r, true
	case aluMul:
		return l * r, true
	case aluAnd:
		return l & r, true
	case aluOr:
		return l | r, true
	case aluXor:
		return l ^ r, true
	case aluLsh:
		return l << r, true
	case aluRsh:
		return l >> r, true
	case aluDiv:
		if r != 0 {
			return l / r, true
		}
	case aluMod:
		if r != 0 {
			return l % r, true
		}
	}
	return 0, false
}

// mayReject reports whether reading v itself, not its operands, may reject the packet.
func (v *value) mayReject() bool {
	switch v.op {
	case valLoad, valIPHdr, valNowhere:
		return true
	case valBin:
		return (v.alu == aluDiv || v.alu == aluMod) && (v.r.op != valConst || v.r.k == 0)
	}
	return false
}

// rejects reports whether reading v may reject the packet.
func (v *value) rejects() bool {
	return v.mayReject() || v.l != nil && v.l.rejects() || v.r != nil && v.r.rejects()
}
