package bpf

import (
	"net/netip"
)

// gen turns a syntax tree into a condition. It walks the expression in order, because vlan, mpls, pppoes and geneve
// shift the offsets of everything after them, whatever the logic between: "vlan or ip" looks for an IP packet in a
// VLAN.
type gen struct {
	values *values
	opts   Options
	link   linkState
	err    *Error
	pos    int // position of the current primitive, for errors

	slots   uint32  // scratch slots in use
	prelude []*cond // assignments at the start of the program
	wlan    wlanState
	nflog   *slotRef // offset of the packet in an NFLOG message
	size    int      // number of conditions made
}

// maxConds bounds the conditions that one expression may expand to.
const maxConds = 40000

func (g *gen) fail(format string, args ...any) *cond {
	if g.err == nil {
		g.err = errorAt(g.pos, format, args...)
	}
	return always(false)
}

func (g *gen) expr(e expr) *cond {
	if g.err != nil {
		return always(false)
	}
	switch e := e.(type) {
	case andExpr:
		l := g.expr(e.l)
		return and(l, g.expr(e.r))
	case orExpr:
		l := g.expr(e.l)
		return or(l, g.expr(e.r))
	case notExpr:
		return not(g.expr(e.x))
	}
	g.pos = e.position()
	switch e := e.(type) {
	case *idExpr:
		return g.id(e)
	case protoExpr:
		return g.protocol(e.proto)
	case castExpr:
		if e.multi {
			return g.multicast(e.proto)
		}
		return g.broadcast(e.proto)
	case relExpr:
		return g.compare(e)
	case wordExpr:
		return g.word(e)
	case byteExpr:
		return g.byteTest(e)
	case wlanExpr:
		return g.wlanBits(e)
	case llcExpr:
		return g.llc(e.test)
	}
	return g.fail("internal error: unknown expression")
}

// newSlot allocates a scratch slot. It is never freed.
func (g *gen) newSlot() uint32 {
	if g.slots >= scratchSlots-4 {
		g.fail("the expression is too complex: too many layers to keep track of")
		return 0
	}
	g.slots++
	return g.slots - 1
}

// An origin is a point in the packet from which offsets count.
type origin uint8

const (
	fromLinkHdr  origin = iota
	fromLinkType        // the field that says what the link layer carries
	fromLLC             // the payload with its LLC header, if the link has one
	fromPayload         // the network layer
	fromPayloadNoSNAP
	fromIPv4Transport
	fromIPv6Transport
)

func (g *gen) place(o origin) (base *value, off uint32) {
	l := &g.link
	switch o {
	case fromLinkHdr:
		return l.hdr.get(g), l.hdr.off
	case fromLinkType:
		return l.typ.get(g), l.typ.off
	case fromLLC:
		return l.payload.get(g), l.payload.off
	case fromPayloadNoSNAP:
		return l.payload.get(g), l.payload.off + l.nlNoSNAP
	case fromIPv6Transport:
		return l.payload.get(g), l.payload.off + l.nl + 40
	case fromIPv4Transport:
		payload, off := g.place(fromPayload)
		n := g.values.ipHeaderLen(payload, off)
		if payload != nil {
			n = g.values.bin(aluAdd, n, payload)
		}
		return n, off
	}
	return l.payload.get(g), l.payload.off + l.nl
}

// load returns the size bytes at off from an origin.
func (g *gen) load(o origin, off uint32, size uint8) *value {
	base, at := g.place(o)
	return g.values.load(base, at+off, size)
}

// is returns a test that a field of size bytes has a value.
func (g *gen) is(o origin, off uint32, size uint8, want uint32) *cond {
	return g.masked(o, off, size, want, 0xffffffff)
}

// masked returns a test that the bits of a mask have a value. If the mask is 0, the field is not read.
func (g *gen) masked(o origin, off uint32, size uint8, want, mask uint32) *cond {
	if mask == 0 {
		return always(want == 0)
	}
	x := g.values.bin(aluAnd, g.load(o, off, size), g.values.num(mask))
	return g.testNum(x, relEQ, want)
}

// anyBit returns a test that a byte has at least one of the mask's bits set.
func (g *gen) anyBit(o origin, off, mask uint32) *cond {
	return g.testNum(g.load(o, off, 1), relSet, mask)
}

func (g *gen) testNum(x *value, rel relation, k uint32) *cond {
	if g.size++; g.size > maxConds {
		return g.fail("the expression is too complex: more than %d tests", maxConds)
	}
	return g.values.test(x, rel, g.values.num(k))
}

// bytes returns a test for a string of bytes, in words from its end, as libpcap does it.
func (g *gen) bytes(o origin, off uint32, want []byte) *cond {
	var cs []*cond
	for n := len(want); n > 0; {
		size := 4
		for size > n {
			size /= 2
		}
		n -= size
		v := uint32(0)
		for _, b := range want[n : n+size] {
			v = v<<8 | uint32(b)
		}
		cs = append(cs, g.is(o, off+uint32(n), uint8(size), v))
	}
	return and(cs...)
}

// bothWays applies one to source and destination, as the direction says.
func bothWays(d direction, one func(direction) *cond) *cond {
	switch d {
	case dirAnd:
		return and(one(dirSrc), one(dirDst))
	case dirDefault, dirOr:
		return or(one(dirSrc), one(dirDst))
	}
	return one(d)
}

// isWLANDirection reports whether d is one of an 802.11 header's addresses.
func isWLANDirection(d direction) bool { return d >= dirAddr1 }

func (g *gen) wlanDirectionError() *cond {
	return g.fail("addr1 to addr4, ra and ta are only for MAC addresses on 802.11 links")
}

// resolve looks up a host name, if that is allowed.
func (g *gen) resolve(name string) []netip.Addr {
	if g.opts.Resolve == nil {
		g.fail("expected a host address, got %q (host names are not looked up)", name)
		return nil
	}
	addrs, err := g.opts.Resolve(name)
	if err != nil || len(addrs) == 0 {
		g.fail("cannot resolve %q: %v", name, err)
		return nil
	}
	return addrs
}
