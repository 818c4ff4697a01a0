package bpf

import "pktvisor/linktype"

// word generates the test for a keyword that is a primitive by itself.
func (g *gen) word(e wordExpr) *cond {
	switch e.word {
	case keyLess:
		return not(g.testNum(g.values.length(), relGT, e.num))
	case keyGreater:
		return g.testNum(g.values.length(), relGE, e.num)
	case keyInbound:
		return g.outgoing(false)
	case keyOutbound:
		return g.outgoing(true)
	case keyIfIndex:
		return g.ifIndex(e.num)
	}
	limit := map[keyword]uint32{
		keyVLAN: 0xfff, keyMPLS: 0xfffff, keyPPPoES: 0xffff, keyGeneve: 0xffffff,
	}[e.word]
	if e.hasNum && e.num > limit {
		g.pos = e.numPos
		return g.fail("%d is too large: the maximum is %d", e.num, limit)
	}
	switch e.word {
	case keyVLAN:
		return g.vlan(e)
	case keyMPLS:
		return g.mpls(e)
	case keyPPPoED:
		return g.carries(etherPPPoED)
	case keyPPPoES:
		return g.pppoes(e)
	case keyGeneve:
		return g.geneve(e)
	}
	return g.fail("internal error: unknown keyword")
}

// outgoing tests the direction that the link layer notes, or in a live capture the kernel.
func (g *gen) outgoing(want bool) *cond {
	const outgoing = 4 // linux/if_packet.h: PACKET_OUTGOING
	var c *cond
	switch {
	case g.link.typeOf == linktype.LinuxSLL:
		c = g.is(fromLinkHdr, 0, 2, outgoing)
	case g.link.typeOf == linktype.LinuxSLL2:
		c = g.is(fromLinkHdr, 10, 1, outgoing)
	case g.opts.Live:
		c = g.testNum(g.values.ancillary(ancillaryPkt), relEQ, outgoing)
	default:
		return g.fail("the direction of a packet is not known in a file of %s frames",
			linkNames[g.link.typeOf])
	}
	if !want {
		return not(c)
	}
	return c
}

func (g *gen) ifIndex(n uint32) *cond {
	switch {
	case g.link.typeOf == linktype.LinuxSLL2:
		return g.is(fromLinkHdr, 4, 4, n)
	case g.opts.Live:
		return g.testNum(g.values.ancillary(ancillaryIface), relEQ, n)
	}
	return g.fail("the interface of a packet is not known in a file of %s frames",
		linkNames[g.link.typeOf])
}

// byteTest generates the test for "byte i op v" on the link layer's header.
func (g *gen) byteTest(e byteExpr) *cond {
	b := g.load(fromLinkHdr, e.idx, 1)
	switch e.op {
	case '=':
		return g.testNum(b, relEQ, e.val)
	case '>':
		return g.testNum(b, relGT, e.val)
	case '<':
		return not(g.testNum(b, relGE, e.val))
	case '&':
		return g.testNum(b, relSet, e.val)
	}
	return not(g.testNum(g.values.bin(aluOr, b, g.values.num(e.val)), relEQ, 0))
}

// llc generates the test for an LLC frame and for bits of its control field.
func (g *gen) llc(t llcTest) *cond {
	var frame *cond
	switch {
	case g.isEther():
		frame = and(g.isLength(), not(g.is(fromLLC, 0, 2, 0xffff)))
	case g.isWLAN():
		frame = g.wlanDataFrame()
	case g.link.typeOf == linktype.ATM:
		frame = always(true)
	default:
		return g.unsupported("llc")
	}
	switch {
	case t.any:
		return frame
	case t.notSet:
		return and(frame, not(g.anyBit(fromLLC, 2, t.mask)))
	}
	return and(frame, g.masked(fromLLC, 2, 1, t.value, t.mask))
}

// vlan tests for a VLAN tag, and moves the following layers to after it.
func (g *gen) vlan(e wordExpr) *cond {
	l := &g.link
	switch {
	case l.labels > 0:
		return g.fail("there is no VLAN after mpls")
	case !g.isEther() && !g.isWLAN():
		return g.unsupported("vlan")
	}
	inPacket := or(g.carries(ether8021Q), g.carries(ether8021AD), g.carries(etherQinQ))
	id := func() *value {
		return g.values.bin(aluAnd, g.load(fromPayload, 0, 2), g.values.num(0xfff))
	}
	defer func() { l.vlans++ }()
	if !g.opts.Live || l.vlans > 0 || !g.isEther() || l.hdr != l.outerHdr {
		c := inPacket
		if e.hasNum {
			c = and(c, g.testNum(id(), relEQ, e.num))
		}
		l.payload.off += 4
		l.typ.off += 4
		return c
	}
	return g.liveVLAN(e, inPacket, id())
}

// liveVLAN looks for a tag that the kernel has removed and keeps separately, or else for one in the packet. A slot
// stores which it was: 4 if the packet has the tag. Like libpcap's program, it sets the slot before it looks for that
// tag.
func (g *gen) liveVLAN(e wordExpr, inPacket *cond, id *value) *cond {
	l := &g.link
	shift := &slotRef{n: g.newSlot(), given: true}
	l.payload.slot, l.typ.slot = shift, shift
	g.prelude = append(g.prelude, assign(shift.n, g.values.num(0)))
	tagged := g.testNum(g.values.ancillary(ancillaryTagged), relEQ, 1)
	c := or(tagged, and(assign(shift.n, g.values.num(4)), inPacket))
	if !e.hasNum {
		return c
	}
	tci := g.values.bin(aluAnd, g.values.ancillary(ancillaryTCI), g.values.num(0xfff))
	return and(c, or(and(tagged, g.testNum(tci, relEQ, e.num)),
		and(not(tagged), g.testNum(id, relEQ, e.num))))
}

// mpls tests for a label, and moves the following layers to after it.
func (g *gen) mpls(e wordExpr) *cond {
	l := &g.link
	var c *cond
	switch {
	case l.labels > 0: // the previous label is not the bottom of the stack
		bottom := ^uint32(1)
		c = g.masked(fromPayload, bottom, 1, 0, 1)
	case g.isEther() || l.typeOf == linktype.CHDLC:
		c = g.carries(etherMPLS)
	case l.typeOf == linktype.PPP:
		c = g.carries(0x0281) // RFC 3032
	default:
		return g.unsupported("mpls")
	}
	if e.hasNum {
		c = and(c, g.masked(fromPayload, 0, 4, e.num<<12, 0xfffff000))
	}
	l.nl += 4
	l.nlNoSNAP += 4
	l.labels++
	return c
}

// pppoes tests for a PPPoE session packet. What follows in the expression applies to the PPP packet in it.
func (g *gen) pppoes(e wordExpr) *cond {
	l := &g.link
	c := g.carries(etherPPPoES)
	if e.hasNum {
		c = and(c, g.masked(fromPayload, 0, 4, e.num, 0xffff))
	}
	l.typeOf = linktype.PPP
	l.geneve = false
	l.hdr = offset{off: l.payload.off + l.nl + 6, slot: l.payload.slot}
	l.typ = l.hdr
	l.payload.off = l.hdr.off + 2
	l.nl, l.nlNoSNAP = 0, 0
	return c
}

// genevePort is RFC 8926's UDP port.
const genevePort = 6081

// geneve tests for a Geneve packet. What follows in the expression applies to the packet in it, which begins either
// with an Ethernet header or with the network layer.
func (g *gen) geneve(e wordExpr) *cond {
	l, vs := &g.link, g.values
	header := func(o origin) *cond { // version 0, and the virtual network
		c := g.masked(o, 8, 1, 0, 0xc0)
		if e.hasNum {
			c = and(c, g.masked(o, 12, 4, e.num<<8, 0xffffff00))
		}
		return c
	}
	hdr, typ, payload := &slotRef{}, &slotRef{}, &slotRef{}
	at := func(base *value, off uint32) *cond { // assigns the offsets; at this point there is a UDP header
		off += 8
		options := vs.bin(aluMul, vs.bin(aluAnd, vs.load(base, off, 1), vs.num(0x3f)), vs.num(4))
		inner := vs.bin(aluAdd, options, vs.num(off+8))
		protocol := vs.num(off + 2)
		if base != nil {
			inner = vs.bin(aluAdd, inner, base)
			protocol = vs.bin(aluAdd, base, protocol)
		}
		start := vs.slot(hdr.n)
		return and(
			assign(typ.n, protocol),
			assign(hdr.n, inner),
			or(
				and(g.testNum(vs.load(base, off+2, 2), relEQ, etherTEB),
					assign(typ.n, vs.bin(aluAdd, start, vs.num(12))),
					assign(payload.n, vs.bin(aluAdd, start, vs.num(14)))),
				assign(payload.n, start)))
	}
	udp4 := and(g.port4(genevePort, genevePort, onlyUDP, dirDst), header(fromIPv4Transport))
	udp6 := and(g.port6(genevePort, genevePort, onlyUDP, dirDst), header(fromIPv6Transport))
	base4, off4 := g.place(fromIPv4Transport)
	base6, off6 := g.place(fromIPv6Transport)
	for _, s := range []*slotRef{hdr, typ, payload} {
		*s = slotRef{n: g.newSlot(), given: true}
		// If the packet is not Geneve, a later "or" may still read there.
		g.prelude = append(g.prelude, assign(s.n, vs.num(0)))
	}
	c := or(and(udp4, at(base4, off4)), and(udp6, at(base6, off6)))
	l.typeOf, l.geneve = linktype.Ethernet, true
	l.hdr = offset{slot: hdr}
	l.typ = offset{slot: typ}
	l.payload = offset{slot: payload}
	l.nl = 0
	return c
}

// insideGeneve returns, after geneve, a test that the carried packet has an Ethernet header. It is nil elsewhere.
func (g *gen) insideGeneve() *cond {
	l := &g.link
	if !l.geneve {
		return nil
	}
	return not(g.values.test(l.hdr.get(g), relEQ, l.payload.get(g)))
}
