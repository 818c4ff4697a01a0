package testkit

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
)

// zipf draws ranks 0 to n-1 with probabilities proportional to 1/(rank+1)^s, by Walker's alias method: a draw takes
// one random number and one look-up, for any s.
type zipf struct {
	keep  []uint32 // the share of each column that belongs to its own rank, in units of 2^-32
	alias []uint32
}

func newZipf(n int, s float64) *zipf {
	p := make([]float64, n)
	total := 0.0
	for i := range p {
		p[i] = math.Pow(float64(i+1), -s)
		total += p[i]
	}
	z := &zipf{keep: make([]uint32, n), alias: make([]uint32, n)}
	var small, large []uint32
	for i := range p {
		p[i] *= float64(n) / total
		if p[i] < 1 {
			small = append(small, uint32(i))
		} else {
			large = append(large, uint32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		lo, hi := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		z.keep[lo], z.alias[lo] = uint32(p[lo]*(1<<32-1)), hi
		if p[hi] -= 1 - p[lo]; p[hi] < 1 {
			large = large[:len(large)-1]
			small = append(small, hi)
		}
	}
	for _, i := range append(small, large...) {
		z.keep[i], z.alias[i] = math.MaxUint32, i
	}
	return z
}

func (z *zipf) draw(r *rand.Rand) uint32 {
	i := r.Uint32N(uint32(len(z.keep)))
	if r.Uint32() <= z.keep[i] {
		return i
	}
	return z.alias[i]
}

// labels precede a zone's name. Each zone begins elsewhere in the list. The long labels make names of more than 32
// and 64 bytes.
var labels = []string{
	"www", "", "api", "mail", "cdn", "ns1", "img.static", "login", "selector1._domainkey", "_dmarc", "a1.b2.edge",
	"edge-cache-frontend-0123456789-production-cluster-eu-west", "autodiscover", "_xmpp-server._tcp",
}

var tlds = []string{"com", "net", "org", "de", "io", "co.uk", "example", "fr", "nl", "com.br", "dev", "jp"}

// names is the population of domain names. The names below popular exist from the start. Each later name is made for
// one query: a random label under a zone.
type names struct {
	zones   int
	popular int
	wire    []byte   // the popular names in wire form, one after the other
	off     []uint32 // where each starts; one more than names
	zoneAt  []uint8  // offset of the zone's name in a popular name, in bytes
	random  []uint32 // the zone of each random name
	seed    uint64
}

// newNames makes the popular names of a world. Seed chooses the random labels.
func newNames(n int, world, seed uint64) *names {
	p := &names{zones: (n + len(labels) - 1) / len(labels), popular: n, seed: seed}
	for i := range n {
		z := i % p.zones
		label, zone := labels[(i/p.zones+int(mix(uint64(z))%uint64(len(labels))))%len(labels)], zoneName(z, world)
		full := zone
		if label != "" {
			full = label + "." + zone
		}
		p.off = append(p.off, uint32(len(p.wire)))
		p.zoneAt = append(p.zoneAt, uint8(len(full)-len(zone)))
		p.wire = AppendName(p.wire, full)
	}
	p.off = append(p.off, uint32(len(p.wire)))
	return p
}

// zoneName invents a plausible name, a different one for each number.
func zoneName(i int, seed uint64) string {
	const consonants, vowels, space = "bcdfghjklmnprstvwxyz", "aeiou", 1_000_000
	x := (uint64(i)*387_420_489 + seed%space) % space // the factor and space have no common divisor
	var b strings.Builder
	for range 3 {
		b.WriteByte(consonants[x%20])
		b.WriteByte(vowels[x/20%5])
		x /= 100
	}
	b.WriteByte('.')
	b.WriteString(tlds[i%len(tlds)])
	return b.String()
}

// newRandom makes a name under the zone of a popular one and returns its number.
func (p *names) newRandom(popular uint32) uint32 {
	p.random = append(p.random, popular%uint32(p.zones))
	return uint32(p.popular + len(p.random) - 1)
}

// appendWire appends name i in wire form.
func (p *names) appendWire(b []byte, i uint32) []byte {
	if int(i) < p.popular {
		return append(b, p.wire[p.off[i]:p.off[i+1]]...)
	}
	// A bijection of the number makes all labels different: 13 digits of five bits.
	x := mix(uint64(i) ^ p.seed)
	b = append(b, 13)
	for range 13 {
		b = append(b, "abcdefghijklmnopqrstuvwxyz234567"[x&31])
		x >>= 5
	}
	return p.appendZone(b, p.random[int(i)-p.popular])
}

// appendZone appends the name of a zone in wire form. Every zone has a popular name, which has the same number.
func (p *names) appendZone(b []byte, zone uint32) []byte {
	return append(b, p.wire[p.off[zone]+uint32(p.zoneAt[zone]):p.off[zone+1]]...)
}

// text returns name i in dotted form, without a trailing dot.
func (p *names) text(i uint32) string { return dotted(p.appendWire(nil, i)) }

func dotted(wire []byte) string {
	var b strings.Builder
	for len(wire) > 0 && wire[0] != 0 {
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.Write(wire[1 : 1+wire[0]])
		wire = wire[1+wire[0]:]
	}
	return b.String()
}

// lastLabels returns the key of name in a table of the last n labels: with a leading dot if labels were cut off, and
// "" for a name of fewer labels.
func lastLabels(name string, n int) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			if n--; n == 0 {
				return name[i:]
			}
		}
	}
	if n == 1 {
		return name
	}
	return ""
}

// mix is a bijection of 64 bits that looks random (splitmix64's finalizer).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// peerClass is a population of addresses outside the host.
type peerClass uint8

const (
	clients4 peerClass = iota
	clients6
	upstreams4
	upstreams6
	numPeerClasses
	noPeer = numPeerClasses // it is not known which side is the other side
)

// peer is an address outside the host, given by a number.
type peer struct {
	class peerClass
	i     uint32 // below 2^30
}

// addr returns the address of a peer. No two peers have the same one.
func (p peer) addr(seed uint64) netip.Addr {
	x := (p.i*0x2c9277b5 + uint32(seed)) & (1<<30 - 1) // an odd factor gives a bijection of 30 bits
	switch p.class {
	case clients4: // 64 first octets, none of them reserved
		return netip.AddrFrom4([4]byte{byte(11 + x>>24), byte(x >> 16), byte(x >> 8), byte(x)})
	case upstreams4:
		return netip.AddrFrom4([4]byte{193, 0, byte(p.i / 250), byte(1 + p.i%250)})
	default:
		var a [16]byte
		binary.BigEndian.PutUint64(a[:], 0x2a00_0000_0000_0000|uint64(x&0xfffff)<<16|uint64(p.class))
		binary.BigEndian.PutUint64(a[8:], mix(uint64(x)+seed)&^0xffff_ffff|uint64(x))
		return netip.AddrFrom16(a)
	}
}
