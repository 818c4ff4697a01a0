package bpf

import "slices"

// facts is what is known at a point in a program, whatever path led there: the bounds of values that were read on all
// paths. A value that has facts can be read again without rejecting the packet.
type facts struct {
	list   []fact // by value.id; never changed in place
	minLen uint32 // the packet has at least this many bytes
}

// fact is what is known about a value: it is in lo to hi, and is not one of the values in not.
type fact struct {
	v      *value
	lo, hi uint32
	not    []uint32
}

const (
	maxFacts    = 256 // at one point; further ones are dropped
	maxExcluded = 64  // excluded values in one fact
)

func (f facts) find(v *value) (int, bool) {
	return slices.BinarySearchFunc(f.list, v.id, func(e fact, id int) int { return e.v.id - id })
}

// of returns what is known about v, which may be only that it fits its size.
func (f facts) of(v *value) fact {
	if i, ok := f.find(v); ok {
		return f.list[i]
	}
	if k, ok := f.constant(v); ok {
		return fact{v: v, lo: k, hi: k}
	}
	return fact{v: v, hi: v.max}
}

// constant computes v if its operands are known.
func (f facts) constant(v *value) (uint32, bool) {
	if v.op == valConst {
		return v.k, true
	}
	if i, ok := f.find(v); ok && f.list[i].lo == f.list[i].hi {
		return f.list[i].lo, true
	}
	if v.op != valBin {
		return 0, false
	}
	r, ok := f.constant(v.r)
	if !ok {
		return 0, false
	}
	l, ok := f.constant(v.l)
	if !ok {
		return 0, false
	}
	return alulate(v.alu, l, r)
}

// safe reports whether v can be read without rejecting the packet.
func (f facts) safe(v *value) bool {
	if v.l != nil && !f.safe(v.l) || v.r != nil && !f.safe(v.r) {
		return false
	}
	if !v.mayReject() {
		return true
	}
	if _, ok := f.find(v); ok {
		return true
	}
	if v.op != valLoad && v.op != valIPHdr {
		return false
	}
	end := v.end()
	if v.l == nil {
		return end <= f.minLen
	}
	for _, e := range f.list { // a load that ends further on, from the same base
		if e.v.op == valLoad && e.v.l == v.l && e.v.end() >= end {
			return true
		}
	}
	return false
}

// end returns the offset after the bytes that a load reads.
func (v *value) end() uint32 {
	if v.op == valIPHdr {
		return v.k + 1
	}
	return v.k + uint32(v.size)
}

// set returns the facts with e in place of what was known about its value.
func (f facts) set(e fact) facts {
	i, ok := f.find(e.v)
	if !ok && len(f.list) >= maxFacts {
		return f
	}
	list := make([]fact, 0, len(f.list)+1)
	list = append(append(list, f.list[:i]...), e)
	if ok {
		i++
	}
	f.list = append(list, f.list[i:]...)
	return f
}

// read returns the facts after v was read.
func (f facts) read(v *value) facts {
	if v.l != nil {
		f = f.read(v.l)
	}
	if v.r != nil {
		f = f.read(v.r)
	}
	if v.mayReject() {
		if _, ok := f.find(v); !ok {
			f = f.set(f.of(v))
		}
		if v.l == nil && (v.op == valLoad || v.op == valIPHdr) {
			f.minLen = max(f.minLen, v.end())
		}
	}
	return f
}

// forget returns the facts after slot n is assigned.
func (f facts) forget(n uint32) facts {
	bit := uint16(1) << n
	if !slices.ContainsFunc(f.list, func(e fact) bool { return e.v.slots&bit != 0 }) {
		return f
	}
	f.list = slices.DeleteFunc(slices.Clone(f.list), func(e fact) bool { return e.v.slots&bit != 0 })
	return f
}

// intersect returns the facts that hold in both f and g.
func (f facts) intersect(g facts) facts {
	out := facts{minLen: min(f.minLen, g.minLen)}
	for i, j := 0, 0; i < len(f.list) && j < len(g.list); {
		a, b := f.list[i], g.list[j]
		switch {
		case a.v.id < b.v.id:
			i++
		case a.v.id > b.v.id:
			j++
		default:
			out.list = append(out.list, a.intersect(b))
			i++
			j++
		}
	}
	return out
}

func (e fact) intersect(o fact) fact {
	m := fact{v: e.v, lo: min(e.lo, o.lo), hi: max(e.hi, o.hi)}
	if len(e.not) == 0 && len(o.not) == 0 {
		return m
	}
	for _, k := range e.not {
		if o.excludes(k) {
			m.not = append(m.not, k)
		}
	}
	for _, k := range o.not {
		if e.excludes(k) && !slices.Contains(m.not, k) {
			m.not = append(m.not, k)
		}
	}
	return m
}

func (e fact) excludes(k uint32) bool {
	return k < e.lo || k > e.hi || slices.Contains(e.not, k)
}

// decide returns the outcome of a comparison with a constant, and whether it is known.
func (e fact) decide(rel relation, k uint32) (outcome, known bool) {
	switch rel {
	case relEQ:
		if e.excludes(k) {
			return false, true
		}
		return true, e.lo == e.hi
	case relGT:
		return e.lo > k, e.lo > k || e.hi <= k
	case relGE:
		return e.lo >= k, e.lo >= k || e.hi < k
	}
	if e.lo == e.hi {
		return e.lo&k != 0, true
	}
	return false, k == 0 || e.hi < k&-k
}

// narrow returns the fact after a comparison with a constant.
func (e fact) narrow(rel relation, k uint32, outcome bool) fact {
	switch {
	case rel == relEQ && outcome:
		return fact{v: e.v, lo: k, hi: k}
	case rel == relEQ && k == e.lo && e.lo < e.hi:
		e.lo++
	case rel == relEQ && k == e.hi && e.lo < e.hi:
		e.hi--
	case rel == relEQ && !e.excludes(k):
		old := e.not
		if len(old) == maxExcluded {
			old = old[1:]
		}
		e.not = append(slices.Clip(old), k)
	case rel == relGT && outcome && k < 0xffffffff:
		e.lo = max(e.lo, k+1)
	case rel == relGT && !outcome:
		e.hi = min(e.hi, k)
	case rel == relGE && outcome:
		e.lo = max(e.lo, k)
	case rel == relGE && !outcome && k > 0:
		e.hi = min(e.hi, k-1)
	}
	return e
}
