package bpf

// maxAttributes is how many attributes of an NFLOG message are searched for the packet. The kernel writes fewer.
const maxAttributes = 20

// nflogHeader finds the packet in a message of Linux's netfilter log. The message is a header of four bytes and a
// list of attributes: length and type, two bytes each in the byte order of the machine that wrote them, then the rest
// of that length, padded to four bytes. (libpcap does not search such messages.) A message without a packet is
// rejected. The result is nil if nothing reads the packet.
func (g *gen) nflogHeader() *cond {
	if g.nflog == nil || !g.nflog.given {
		return nil
	}
	vs := g.values
	at, payload := vs.slot(g.newSlot()), g.nflog.n
	typ := vs.load(at, 2, 2)
	// In the other byte order, the low byte comes first.
	const packet, packetSwapped = 0x0009, 0x0900
	swapped := g.testNum(typ, relGE, 0x100)
	advance := func(length *value) *cond {
		padded := vs.bin(aluAnd, vs.bin(aluAdd, length, vs.num(3)), vs.num(^uint32(3)))
		return assign(at.k, vs.bin(aluAdd, padded, at))
	}
	next := or(
		and(swapped, advance(vs.bin(aluOr, vs.bin(aluLsh, vs.load(at, 1, 1), vs.num(8)), vs.load(at, 0, 1)))),
		and(not(swapped), advance(vs.load(at, 0, 2))))
	isPacket := or(g.testNum(typ, relEQ, packetSwapped), g.testNum(typ, relEQ, packet))
	found := and(isPacket, assign(payload, vs.bin(aluAdd, at, vs.num(4))))

	search := &cond{op: condReject}
	for range maxAttributes {
		search = or(found, and(next, search))
	}
	return and(assign(at.k, vs.num(4)), search)
}

// nflogCarries returns a test of the address family in the message's header.
func (g *gen) nflogCarries(proto uint32) *cond {
	const inet, inet6 = 2, 10 // Linux's
	switch proto {
	case etherIP:
		return g.is(fromLinkHdr, 0, 1, inet)
	case etherIP6:
		return g.is(fromLinkHdr, 0, 1, inet6)
	}
	return always(false)
}
