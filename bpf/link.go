package bpf

import "pktvisor/linktype"

var linkNames = map[linktype.Type]string{
	linktype.Null: "BSD loopback", linktype.ATM: "ATM", linktype.Ethernet: "Ethernet", linktype.PPP: "PPP", linktype.Raw: "raw IP",
	linktype.PPPHDLC: "PPP", linktype.PPPEther: "PPPoE", linktype.CHDLC: "Cisco HDLC",
	linktype.IEEE80211: "802.11", linktype.Loop: "OpenBSD loopback", linktype.LinuxSLL: "Linux cooked",
	linktype.Radiotap: "802.11 with radiotap", linktype.IPv4: "raw IPv4", linktype.IPv6: "raw IPv6",
	linktype.NFLOG: "NFLOG", linktype.LinuxSLL2: "Linux cooked v2",
}

// offset is a point in the packet: a constant, plus for some the content of a scratch slot. The slot is allocated at
// first use.
type offset struct {
	off  uint32
	slot *slotRef
}

type slotRef struct {
	n     uint32
	given bool
}

func (o *offset) get(g *gen) *value {
	if o.slot == nil {
		return nil
	}
	if !o.slot.given {
		o.slot.n, o.slot.given = g.newSlot(), true
	}
	return g.values.slot(o.slot.n)
}

// linkState is where the layers of a packet are, after the vlan, mpls, pppoes and geneve that came earlier in the
// expression.
type linkState struct {
	typeOf   linktype.Type // of the innermost link layer
	hdr      offset        // the innermost link layer's header
	typ      offset        // its type field
	payload  offset
	nl       uint32 // the network layer, from payload, after an LLC and SNAP header
	nlNoSNAP uint32 // the same, after an LLC header alone

	outerHdr offset
	labels   int // mpls
	vlans    int
	geneve   bool
}

// startLink sets up the link layer. ok is false if it is not supported.
func (g *gen) startLink(link linktype.Type) (ok bool) {
	l := &g.link
	switch link {
	case linktype.Raw12, linktype.Raw14:
		link = linktype.Raw
	}
	if linkNames[link] == "" {
		return false
	}
	l.typeOf = link
	set := func(typ, payload uint32) { l.typ.off, l.payload.off = typ, payload }
	switch link {
	case linktype.Ethernet:
		set(12, 14)
		l.nlNoSNAP = 3
	case linktype.Null, linktype.Loop:
		set(0, 4)
	case linktype.PPP, linktype.PPPHDLC, linktype.CHDLC:
		set(2, 4)
	case linktype.PPPEther:
		set(6, 8)
	case linktype.LinuxSLL:
		set(14, 16)
	case linktype.LinuxSLL2:
		set(0, 20)
	case linktype.ATM:
		set(0, 0)
		l.nl, l.nlNoSNAP = 8, 3
	case linktype.NFLOG:
		g.nflog = &slotRef{}
		l.payload.slot = g.nflog
	case linktype.Radiotap:
		g.wlan.hdr = &slotRef{}
		l.hdr.slot = g.wlan.hdr
		fallthrough
	case linktype.IEEE80211:
		g.wlan.payload = &slotRef{}
		l.payload.slot = g.wlan.payload
		l.typ.off = 24
		l.nl, l.nlNoSNAP = 8, 3
	}
	l.outerHdr = l.hdr
	return true
}

func (g *gen) isEther() bool { return g.link.typeOf == linktype.Ethernet }

func (g *gen) isWLAN() bool {
	return g.link.typeOf == linktype.IEEE80211 || g.link.typeOf == linktype.Radiotap
}

// unsupported is the error for a feature that the current link does not have.
func (g *gen) unsupported(what string) *cond {
	return g.fail("%s is not supported on %s links", what, linkNames[g.link.typeOf])
}

// carries returns a test that the link layer carries a protocol, given by its Ethernet type or LLC address.
func (g *gen) carries(proto uint32) *cond {
	if g.link.labels > 0 {
		return g.mplsCarries(proto)
	}
	switch g.link.typeOf {
	case linktype.Ethernet:
		return g.etherCarries(proto)
	case linktype.CHDLC:
		if proto == llcISO {
			proto = llcISO<<8 | llcISO
		}
		return g.is(fromLinkType, 0, 2, proto)
	case linktype.IEEE80211, linktype.Radiotap:
		return and(g.wlanDataFrame(), g.llcCarries(proto))
	case linktype.ATM:
		return g.llcCarries(proto)
	case linktype.LinuxSLL:
		return g.sllCarries(proto)
	case linktype.PPP, linktype.PPPHDLC, linktype.PPPEther:
		return g.is(fromLinkType, 0, 2, pppProtocol(proto))
	case linktype.LinuxSLL2:
		return g.is(fromLinkType, 0, 2, proto)
	case linktype.Null, linktype.Loop:
		return g.loopCarries(proto)
	case linktype.Raw:
		switch proto {
		case etherIP:
			return g.masked(fromLinkHdr, 0, 1, 0x40, 0xf0)
		case etherIP6:
			return g.masked(fromLinkHdr, 0, 1, 0x60, 0xf0)
		}
		return always(false)
	case linktype.IPv4:
		return always(proto == etherIP)
	case linktype.IPv6:
		return always(proto == etherIP6)
	}
	return g.nflogCarries(proto)
}

// isLength returns a test that the Ethernet type field is a length, so that an LLC header follows.
func (g *gen) isLength() *cond {
	return not(g.testNum(g.load(fromLinkType, 0, 2), relGT, etherMTU))
}

func (g *gen) etherCarries(proto uint32) *cond {
	switch {
	case proto == llcISO || proto == llcIP || proto == llcNetBEUI:
		return and(g.isLength(), g.is(fromLLC, 0, 2, proto<<8|proto))
	case proto == llcIPX:
		// Ethernet II, or 802.3 with LLC, with SNAP, or with neither.
		return or(g.is(fromLinkType, 0, 2, etherIPX),
			and(g.isLength(),
				or(g.snap(0, etherIPX), g.is(fromLLC, 0, 1, llcIPX), g.is(fromLLC, 0, 2, 0xffff))))
	case proto == etherAtalk:
		return or(g.is(fromLinkType, 0, 2, proto), and(g.isLength(), g.snap(0x080007, proto)))
	case proto == etherAARP:
		return or(g.is(fromLinkType, 0, 2, proto), and(g.isLength(), g.snap(0, proto)))
	case proto <= etherMTU:
		return and(g.isLength(), g.is(fromLinkType, 2, 1, proto))
	}
	return g.is(fromLinkType, 0, 2, proto)
}

// snap returns a test for an LLC header with a SNAP header of an organisation and type.
func (g *gen) snap(org, typ uint32) *cond {
	return g.bytes(fromLLC, 0, []byte{llcSNAP, llcSNAP, 3,
		byte(org >> 16), byte(org >> 8), byte(org), byte(typ >> 8), byte(typ)})
}

// llcCarries does what carries does, for links whose payload always has an LLC header.
func (g *gen) llcCarries(proto uint32) *cond {
	switch {
	case proto == llcIP || proto == llcISO || proto == llcNetBEUI:
		return g.is(fromLLC, 0, 2, proto<<8|proto)
	case proto == etherAtalk:
		return g.snap(0x080007, proto)
	case proto <= etherMTU:
		return g.is(fromLLC, 0, 1, proto)
	}
	return g.is(fromLLC, 6, 2, proto)
}

func (g *gen) sllCarries(proto uint32) *cond {
	const novell8023, llc = 1, 4 // linux/if_ether.h: ETH_P_802_3, ETH_P_802_2
	typ := func(t uint32) *cond { return g.is(fromLinkType, 0, 2, t) }
	switch {
	case proto == llcISO || proto == llcIP || proto == llcNetBEUI:
		return and(typ(llc), g.is(fromLLC, 0, 2, proto<<8|proto))
	case proto == llcIPX:
		return or(typ(etherIPX), typ(novell8023),
			and(typ(llc), or(g.is(fromLLC, 0, 1, llcIPX), g.snap(0, etherIPX))))
	case proto == etherAtalk:
		return or(typ(proto), and(typ(llc), g.snap(0x080007, proto)))
	case proto == etherAARP:
		return or(typ(proto), and(typ(llc), g.snap(0, proto)))
	case proto <= etherMTU:
		return and(typ(llc), g.is(fromLinkHdr, g.link.payload.off, 1, proto))
	}
	return typ(proto)
}

// loopCarries returns a test of the address family that a loopback header starts with. The three values for IPv6 are
// those of the BSDs and macOS. A NULL header is in the byte order of the machine that wrote it. The link type does
// not say which that is, so the test accepts both.
func (g *gen) loopCarries(proto uint32) *cond {
	var families []uint32
	switch proto {
	case etherIP:
		families = []uint32{2}
	case etherIP6:
		families = []uint32{24, 28, 30}
	default:
		return always(false)
	}
	var cs []*cond
	for _, f := range families {
		if g.link.typeOf == linktype.Null {
			cs = append(cs, g.is(fromLinkHdr, 0, 4, f<<24))
		}
		cs = append(cs, g.is(fromLinkHdr, 0, 4, f))
	}
	return or(cs...)
}

// pppProtocol returns the PPP number for an Ethernet type or LLC address. Other numbers do not change.
func pppProtocol(proto uint32) uint32 {
	switch proto {
	case etherIP:
		return 0x0021
	case etherIP6:
		return 0x0057
	case etherDECnet:
		return 0x0027
	case etherAtalk:
		return 0x0029
	case etherNS:
		return 0x0025
	case llcISO:
		return 0x0023
	case llcSTP:
		return 0x0031
	case llcIPX:
		return 0x002b
	}
	return proto
}

// mplsCarries does what carries does, for the packet after the bottom of an MPLS label stack.
func (g *gen) mplsCarries(proto uint32) *cond {
	version := uint32(0x40)
	switch proto {
	case etherIP:
	case etherIP6:
		version = 0x60
	default:
		return g.fail("after mpls, only IPv4 and IPv6 can be distinguished")
	}
	bottom := ^uint32(1) // two bytes before the network layer
	return and(g.masked(fromPayload, bottom, 1, 1, 1), g.masked(fromPayload, 0, 1, version, 0xf0))
}
