package bpf

import (
	"strings"

	"pktvisor/linktype"
)

// protoNames are the keywords that name protocols, as users write them.
var protoNames = func() map[keyword]string {
	m := make(map[keyword]string)
	for name, k := range keywords {
		if old, ok := m[k]; k.isProto() && (!ok || name < old) {
			m[k] = name
		}
	}
	m[keyLink] = "ether"
	return m
}()

// linkProtocols are the protocols that the link layer distinguishes.
var linkProtocols = map[keyword]uint32{
	keyIP: etherIP, keyARP: etherARP, keyRARP: etherRARP, keyAtalk: etherAtalk,
	keyAARP: etherAARP, keyDECnet: etherDECnet, keySCA: etherSCA, keyLAT: etherLAT,
	keyMOPDL: etherMOPDL, keyMOPRC: etherMOPRC, keyIP6: etherIP6, keyISO: llcISO,
	keySTP: llcSTP, keyIPX: llcIPX, keyNetBEUI: llcNetBEUI,
}

// carriedProtocols are the protocols inside another one. keyNone stands for IPv4 and IPv6.
var carriedProtocols = map[keyword]struct {
	in     keyword
	number uint32
}{
	keySCTP: {keyNone, protoSCTP}, keyTCP: {keyNone, protoTCP}, keyUDP: {keyNone, protoUDP},
	keyPIM: {keyNone, protoPIM}, keyAH: {keyNone, protoAH}, keyESP: {keyNone, protoESP},
	keyICMP: {keyIP, protoICMP}, keyIGMP: {keyIP, protoIGMP}, keyIGRP: {keyIP, protoIGRP},
	keyVRRP: {keyIP, protoVRRP}, keyCARP: {keyIP, protoVRRP},
	keyICMP6: {keyIP6, protoICMPv6},
	keyESIS:  {keyISO, osiESIS}, keyISIS: {keyISO, osiISIS}, keyCLNP: {keyISO, osiCLNP},
}

// IS-IS PDU types.
const (
	isisHello1    = 15 // level 1 LAN
	isisHello2    = 16 // level 2 LAN
	isisHelloPTP  = 17 // point to point
	isisLSP1      = 18
	isisLSP2      = 20
	isisComplete1 = 24
	isisComplete2 = 25
	isisPartial1  = 26
	isisPartial2  = 27
)

// isisTypes are the PDU types that a keyword means.
var isisTypes = map[keyword][]uint32{
	keyL1:   {isisPartial1, isisComplete1, isisLSP1, isisHello1, isisHelloPTP},
	keyL2:   {isisPartial2, isisComplete2, isisLSP2, isisHello2, isisHelloPTP},
	keyIIH:  {isisHelloPTP, isisHello1, isisHello2},
	keyLSP:  {isisLSP1, isisLSP2},
	keySNP:  {isisPartial2, isisPartial1, isisComplete1, isisComplete2},
	keyCSNP: {isisComplete1, isisComplete2},
	keyPSNP: {isisPartial1, isisPartial2},
}

// protocol generates the test for the name of a protocol alone.
func (g *gen) protocol(k keyword) *cond {
	if proto, ok := linkProtocols[k]; ok {
		return g.carries(proto)
	}
	if c, ok := carriedProtocols[k]; ok {
		return g.inside(c.in, c.number)
	}
	var cs []*cond
	for _, t := range isisTypes[k] {
		cs = append(cs, g.inside(keyISIS, t))
	}
	if len(cs) == 0 {
		return g.fail("%s alone says nothing: it qualifies what follows", protoNames[k])
	}
	return or(cs...)
}

// inside returns a test that a protocol carries another one.
func (g *gen) inside(outer keyword, number uint32) *cond {
	switch outer {
	case keyNone:
		return or(g.inside(keyIP, number), g.inside(keyIP6, number))
	case keyLink:
		return g.carries(number)
	case keyIP:
		return and(g.carries(etherIP), g.is(fromPayload, 9, 1, number))
	case keyIP6:
		// In the fixed header, or in a fragment header directly after it.
		return and(g.carries(etherIP6),
			or(g.is(fromPayload, 6, 1, number),
				and(g.is(fromPayload, 6, 1, protoFrag), g.is(fromPayload, 40, 1, number))))
	case keyISO:
		if g.link.typeOf == linktype.CHDLC {
			return and(g.carries(llcISO<<8|llcISO), g.is(fromPayloadNoSNAP, 1, 1, number))
		}
		return and(g.carries(llcISO), g.is(fromPayloadNoSNAP, 0, 1, number))
	case keyISIS:
		return and(g.inside(keyISO, osiISIS), g.is(fromPayloadNoSNAP, 4, 1, number))
	}
	return g.fail("%s does not carry another protocol by number", protoNames[outer])
}

// protoID generates the test for "proto x" after ip, ip6, ether, iso or nothing.
func (g *gen) protoID(e *idExpr) *cond {
	if e.qual.dir != dirDefault {
		return g.fail("a protocol has no direction")
	}
	switch e.id.kind {
	case tokNumber:
		return g.inside(e.qual.proto, e.id.num)
	case tokWord:
	default:
		return g.fail("expected a protocol number or name, got %v", e.id)
	}
	var names map[string]uint32
	switch e.qual.proto {
	case keyNone, keyIP, keyIP6:
		names = ipProtocols
	case keyLink:
		names = etherProtocols
	case keyISO:
		names = osiProtocols
	}
	n, ok := names[e.id.text]
	if !ok && e.qual.proto != keyLink && e.qual.proto != keyISO {
		n, ok = names[strings.ToLower(e.id.text)]
	}
	if !ok {
		return g.fail("expected a protocol number or name, got %v", e.id)
	}
	return g.inside(e.qual.proto, n)
}

func (g *gen) broadcast(proto keyword) *cond {
	all := [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	switch proto {
	case keyNone, keyLink:
		switch {
		case g.isEther():
			return and(g.insideGeneve(), g.etherHost(all, dirDst))
		case g.isWLAN():
			return g.wlanHost(all, dirDst)
		}
		return g.unsupported("broadcast")
	case keyIP:
		m := g.opts.Netmask
		if len(m) != 4 {
			return g.fail("ip broadcast needs the interface's netmask, which is not known here")
		}
		host := ^(uint32(m[0])<<24 | uint32(m[1])<<16 | uint32(m[2])<<8 | uint32(m[3]))
		return and(g.carries(etherIP), or(g.masked(fromPayload, 16, 4, 0, host),
			g.masked(fromPayload, 16, 4, host, host)))
	}
	return g.fail("%s has no broadcast: ether and ip do", protoNames[proto])
}

func (g *gen) multicast(proto keyword) *cond {
	switch proto {
	case keyNone, keyLink:
		switch {
		case g.isEther():
			return and(g.insideGeneve(), g.anyBit(fromLinkHdr, 0, 1))
		case g.isWLAN():
			return g.wlanMulticast()
		}
		return g.unsupported("multicast")
	case keyIP:
		return and(g.carries(etherIP), g.testNum(g.load(fromPayload, 16, 1), relGE, 224))
	case keyIP6:
		return and(g.carries(etherIP6), g.is(fromPayload, 24, 1, 255))
	}
	return g.fail("%s has no multicast: ether, ip and ip6 do", protoNames[proto])
}
