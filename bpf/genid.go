package bpf

import (
	"net/netip"
	"strings"
)

// id generates the test for an identifier with its qualifiers.
func (g *gen) id(e *idExpr) *cond {
	g.pos = e.id.pos
	q := e.qual
	if q.typ == typeUndefined {
		return g.fail("expected a primitive such as \"host\", \"port\" or \"tcp\", got %v", e.id)
	}
	if (e.mask.kind != tokEOF || e.bits.kind != tokEOF) && q.typ != typeNet && e.id.kind == tokIPv4 {
		return g.fail("only net takes a mask, not %s", typeNames[q.typ])
	}
	switch q.typ {
	case typePort, typePortRange:
		return g.ports(e)
	case typeProto:
		return g.protoID(e)
	}
	switch {
	case q.proto == keyLink:
		return g.macID(e)
	case q.proto == keyDECnet:
		return g.decnetID(e)
	}
	switch e.id.kind {
	case tokNumber:
		addr, mask := e.id.num, uint32(0xffffffff)
		for q.typ == typeNet && addr != 0 && addr>>24 == 0 { // net 10
			addr <<= 8
			mask <<= 8
		}
		return g.host4(addr, mask, q)
	case tokIPv4:
		return g.ipv4ID(e)
	case tokIPv6:
		return g.ipv6ID(e)
	case tokWord:
		if q.typ == typeNet {
			return g.fail("expected a network, got %v (names of networks are not looked up)", e.id)
		}
		return g.hostName(e)
	}
	return g.fail("expected %s, got %v (a MAC address needs \"ether\")", article(q), e.id)
}

// dotted parses one to four numbers separated by dots. mask covers the given numbers.
func (g *gen) dotted(t token) (addr, mask uint32, ok bool) {
	for _, part := range strings.Split(t.text, ".") {
		n := uint32(0)
		for _, c := range []byte(part) {
			if n = n*10 + uint32(c-'0'); c < '0' || c > '9' || n > 255 {
				g.fail("%q is not an IPv4 address: %s is not within 0 to 255", t.text, part)
				return 0, 0, false
			}
		}
		addr, mask = addr<<8|n, mask>>8|0xff000000
	}
	for m := mask; m&1 == 0; m >>= 8 {
		addr <<= 8
	}
	return addr, mask, true
}

func (g *gen) ipv4ID(e *idExpr) *cond {
	addr, mask, ok := g.dotted(e.id)
	if !ok {
		return always(false)
	}
	switch {
	case e.mask.kind != tokEOF:
		g.pos = e.mask.pos
		if mask, _, ok = g.dotted(e.mask); !ok {
			return always(false)
		}
	case e.bits.kind != tokEOF:
		g.pos = e.bits.pos
		if e.bits.num > 32 {
			return g.fail("an IPv4 netmask has at most 32 bits, not %s", e.bits.text)
		}
		mask = ^uint32(0) << (32 - e.bits.num)
	}
	g.pos = e.id.pos
	if addr&^mask != 0 {
		return g.fail("%s has bits set that its netmask leaves out", e.id.text)
	}
	return g.host4(addr, mask, e.qual)
}

func (g *gen) ipv6ID(e *idExpr) *cond {
	addr, err := netip.ParseAddr(e.id.text)
	if err != nil {
		return g.fail("%q is not an IPv6 address", e.id.text)
	}
	bits := uint32(128)
	if e.bits.kind != tokEOF {
		if bits = e.bits.num; bits > 128 {
			g.pos = e.bits.pos
			return g.fail("an IPv6 netmask has at most 128 bits, not %s", e.bits.text)
		}
	}
	if bits != 128 && e.qual.typ != typeNet {
		return g.fail("only net takes a mask, not %s", typeNames[e.qual.typ])
	}
	if netip.PrefixFrom(addr, int(bits)).Masked().Addr() != addr {
		return g.fail("%s has bits set that its netmask leaves out", e.id.text)
	}
	return g.host6(addr, int(bits), e.qual)
}

// hostName matches any of the addresses of a name.
func (g *gen) hostName(e *idExpr) *cond {
	var cs []*cond
	for _, a := range g.resolve(e.id.text) {
		a = a.Unmap()
		switch {
		case a.Is4() && e.qual.proto != keyIP6:
			b := a.As4()
			addr := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
			cs = append(cs, g.host4(addr, 0xffffffff, e.qual))
		case a.Is6() && (e.qual.proto == keyNone || e.qual.proto == keyIP6):
			cs = append(cs, g.host6(a, 128, e.qual))
		}
	}
	if len(cs) == 0 {
		return g.fail("%q has no address of the requested kind", e.id.text)
	}
	return or(cs...)
}

// host4 matches an IPv4 address or network in IPv4, ARP or RARP.
func (g *gen) host4(addr, mask uint32, q qual) *cond {
	if isWLANDirection(q.dir) {
		return g.wlanDirectionError()
	}
	in := func(proto, src, dst uint32) *cond {
		return bothWays(q.dir, func(d direction) *cond {
			at := src
			if d == dirDst {
				at = dst
			}
			return and(g.carries(proto), g.masked(fromPayload, at, 4, addr, mask))
		})
	}
	switch q.proto {
	case keyNone:
		if g.link.labels > 0 {
			return in(etherIP, 12, 16)
		}
		return or(in(etherIP, 12, 16), in(etherARP, 14, 24), in(etherRARP, 14, 24))
	case keyIP:
		return in(etherIP, 12, 16)
	case keyARP:
		return in(etherARP, 14, 24)
	case keyRARP:
		return in(etherRARP, 14, 24)
	}
	return g.fail("%s has no IPv4 addresses: of the protocols, ip, arp and rarp do", protoNames[q.proto])
}

func (g *gen) host6(addr netip.Addr, bits int, q qual) *cond {
	if isWLANDirection(q.dir) {
		return g.wlanDirectionError()
	}
	if q.proto != keyNone && q.proto != keyIP6 {
		return g.fail("%s has no IPv6 addresses: of the protocols, ip6 does", protoNames[q.proto])
	}
	return bothWays(q.dir, func(d direction) *cond {
		at := uint32(8)
		if d == dirDst {
			at = 24
		}
		cs := []*cond{g.carries(etherIP6)}
		b := addr.As16()
		for i := range uint32(4) {
			w := b[4*i:]
			want := uint32(w[0])<<24 | uint32(w[1])<<16 | uint32(w[2])<<8 | uint32(w[3])
			mask := ^(uint32(0xffffffff) >> min(32, uint32(max(0, bits-32*int(i)))))
			cs = append(cs, g.masked(fromPayload, at+4*i, 4, want, mask))
		}
		return and(cs...)
	})
}

// macID matches a MAC address.
func (g *gen) macID(e *idExpr) *cond {
	if e.id.kind != tokMAC {
		return g.fail("expected a MAC address, got %v", e.id)
	}
	if e.qual.typ == typeNet {
		return g.fail("a MAC address is a host, not a net")
	}
	mac := parseMAC(e.id.text)
	switch {
	case g.isEther():
		if isWLANDirection(e.qual.dir) {
			return g.unsupported("addr1 to addr4, ra and ta")
		}
		return and(g.insideGeneve(), g.etherHost(mac, e.qual.dir))
	case g.isWLAN():
		return g.wlanHost(mac, e.qual.dir)
	}
	return g.unsupported("a MAC address")
}

func (g *gen) etherHost(mac [6]byte, d direction) *cond {
	return bothWays(d, func(d direction) *cond {
		if d == dirSrc {
			return g.bytes(fromLinkHdr, 6, mac[:])
		}
		return g.bytes(fromLinkHdr, 0, mac[:])
	})
}

// decnetID matches a DECnet address, area.node, in its long and short headers, with or without padding before them.
func (g *gen) decnetID(e *idExpr) *cond {
	var area, node uint32
	parts := strings.Split(e.id.text, ".")
	if e.id.kind != tokIPv4 || len(parts) != 2 {
		return g.fail("expected a DECnet address such as 1.2, got %v", e.id)
	}
	area, err := parseNumber(parts[0], e.id.pos)
	node, err2 := parseNumber(parts[1], e.id.pos)
	if err != nil || err2 != nil || area > 63 || node > 1023 {
		return g.fail("%q is not a DECnet address: area up to 63, node up to 1023", e.id.text)
	}
	if isWLANDirection(e.qual.dir) {
		return g.wlanDirectionError()
	}
	addr := area<<10 | node
	addr = addr>>8 | addr&0xff<<8 // little-endian on the wire
	return bothWays(e.qual.dir, func(d direction) *cond {
		short, long := uint32(1), uint32(7)
		if d == dirSrc {
			short, long = 3, 15
		}
		header := func(padded bool, flags, at uint32) *cond {
			if padded {
				return and(g.masked(fromPayload, 2, 2, 0x8100|flags, 0xff07),
					g.is(fromPayload, 2+1+at, 2, addr))
			}
			return and(g.masked(fromPayload, 2, 1, flags, 0x07), g.is(fromPayload, 2+at, 2, addr))
		}
		return and(g.carries(etherDECnet),
			or(header(false, 0x02, short), header(true, 0x02, short),
				header(false, 0x06, long), header(true, 0x06, long)))
	})
}

// portRange returns the ports of a port or portrange identifier.
func (g *gen) portRange(e *idExpr) (lo, hi uint32, t transport, ok bool) {
	what := article(e.qual)
	switch {
	case e.id.kind == tokNumber:
		if e.id.num > 65535 {
			g.fail("%s is greater than the largest port, 65535", e.id.text)
			return 0, 0, 0, false
		}
		return e.id.num, e.id.num, anyTransport, true
	case e.id.kind != tokWord:
	case e.qual.typ == typePort:
		if p, t, ok := portOf(e.id.text); ok {
			return p, p, t, true
		}
	default:
		// Names may also contain dashes. libpcap splits at the first dash.
		from, to, dash := strings.Cut(e.id.text, "-")
		lo, t1, ok1 := portOf(from)
		hi, t2, ok2 := portOf(to)
		if t = t1; t1 != t2 {
			t = anyTransport
		}
		if dash && ok1 && ok2 {
			return min(lo, hi), max(lo, hi), t, true
		}
	}
	g.fail("expected %s, got %v", what, e.id)
	return 0, 0, 0, false
}

func portOf(s string) (port uint32, t transport, ok bool) {
	if isNumber(s) && len(s) < 8 {
		for _, c := range []byte(s) { // always decimal, as in getservbyname
			if c > '9' {
				return 0, 0, false
			}
			port = port*10 + uint32(c-'0')
		}
		return port, anyTransport, port <= 65535
	}
	p, t, ok := servicePort(s)
	return uint32(p), t, ok
}

var transportKeys = map[keyword]transport{
	keyNone: anyTransport, keyTCP: onlyTCP, keyUDP: onlyUDP, keySCTP: onlySCTP,
}

// ports matches source or destination ports, in IPv6 packets and in IPv4 packets that are not later fragments.
func (g *gen) ports(e *idExpr) *cond {
	want, ok := transportKeys[e.qual.proto]
	if !ok {
		return g.fail("%s has no ports: tcp, udp and sctp do", protoNames[e.qual.proto])
	}
	lo, hi, t, ok := g.portRange(e)
	switch {
	case !ok:
		return always(false)
	case isWLANDirection(e.qual.dir):
		return g.wlanDirectionError()
	case want != anyTransport && t != anyTransport && t != want:
		return g.fail("%q is not a %s port", e.id.text, protoNames[e.qual.proto])
	case want != anyTransport:
		t = want
	}
	return or(g.port6(lo, hi, t, e.qual.dir), g.port4(lo, hi, t, e.qual.dir))
}

func (g *gen) port4(lo, hi uint32, t transport, d direction) *cond {
	return and(g.carries(etherIP), g.eachTransport(t, func(proto uint32) *cond {
		return and(g.is(fromPayload, 9, 1, proto), g.firstFragment(),
			g.portsAt(fromIPv4Transport, lo, hi, d))
	}))
}

func (g *gen) port6(lo, hi uint32, t transport, d direction) *cond {
	return and(g.carries(etherIP6), g.eachTransport(t, func(proto uint32) *cond {
		return and(g.is(fromPayload, 6, 1, proto), g.portsAt(fromIPv6Transport, lo, hi, d))
	}))
}

func (g *gen) eachTransport(t transport, one func(proto uint32) *cond) *cond {
	if t != anyTransport {
		return one(uint32(t))
	}
	return or(one(protoSCTP), one(protoTCP), one(protoUDP))
}

// firstFragment returns a test that an IPv4 packet is not a later fragment, because only the first has ports.
func (g *gen) firstFragment() *cond {
	return not(g.testNum(g.load(fromPayload, 6, 2), relSet, 0x1fff))
}

func (g *gen) portsAt(o origin, lo, hi uint32, d direction) *cond {
	return bothWays(d, func(d direction) *cond {
		at := uint32(0)
		if d == dirDst {
			at = 2
		}
		if lo == hi {
			return g.is(o, at, 2, lo)
		}
		port := g.load(o, at, 2)
		return and(g.testNum(port, relGE, lo), not(g.testNum(port, relGT, hi)))
	})
}
