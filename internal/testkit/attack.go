package testkit

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"

	"pktvisor/linktype"
)

// Attack is a capture at an authoritative server: a quiet background, and from one moment on a random-subdomain attack on one of
// its zones and an amplification attack that uses it.
type Attack struct {
	// Start is the Unix time of the first packet, a multiple of a minute. The attack begins after Quiet minutes, and lasts to
	// the end, for Loud minutes.
	Start       int64
	Quiet, Loud int
	Seed        uint64
	// Spread says that the random subdomains come from addresses of all of AttackSpread instead of AttackClients.
	Spread bool
}

// What is to be seen in the capture of an [Attack].
var (
	AttackServer = netip.MustParseAddr("192.0.2.53")
	// AttackedZone is the zone with random subdomains. Two of three of these queries come from a network of AttackClients, one
	// of three from the resolvers of the background.
	AttackedZone  = "victim-shop.com"
	AttackClients = netip.MustParsePrefix("198.51.100.0/24")
	AttackSpread  = netip.MustParsePrefix("100.66.0.0/16")
	// AttackVictim is the network to which the responses to forged queries go: ANY for AmplifyingName, all from one port with
	// one TTL.
	AttackVictim   = netip.MustParsePrefix("203.0.113.0/24")
	AmplifyingName = "big.example.org"
)

// The rates of an attack, in queries a second.
const (
	backgroundRate = 20
	subdomainRate  = 60
	forgedRate     = 20
)

// Write writes the capture as pcap. Equal attacks give equal captures.
func (a *Attack) Write(w io.Writer) error {
	out, err := NewPcapWriter(w, true, linktype.Ethernet)
	if err != nil {
		return err
	}
	g := attackWriter{out: out, spread: a.Spread, rnd: rand.New(rand.NewPCG(a.Seed, 53))}
	for second := range int64(60 * (a.Quiet + a.Loud)) {
		rate := backgroundRate
		if loud := second >= int64(60*a.Quiet); loud {
			rate += subdomainRate + forgedRate
		}
		for i := range rate {
			at := (a.Start+second)*1e9 + int64(i)*1e9/int64(rate)
			g.exchange(at, int64(i))
		}
	}
	if g.err != nil {
		return g.err
	}
	return out.Flush()
}

type attackWriter struct {
	out    *PcapWriter
	rnd    *rand.Rand
	spread bool
	err    error
}

// exchange writes the i-th query of a second and its response.
func (g *attackWriter) exchange(at, i int64) {
	resolver := netip.AddrFrom4([4]byte{10, 1, byte(g.rnd.IntN(4)), byte(g.rnd.IntN(50))})
	port := uint16(1024 + g.rnd.IntN(60000))
	switch {
	case i < backgroundRate:
		name, rcode := fmt.Sprintf("www%d.site%d.example.net", g.rnd.IntN(20), g.rnd.IntN(30)), uint16(0)
		if g.rnd.IntN(20) == 0 {
			name, rcode = fmt.Sprintf("typo%d.site1.example.net", g.rnd.IntN(10)), 3
		}
		g.pair(at, resolver, port, name, 1, rcode, 60)
	case i < backgroundRate+subdomainRate:
		switch {
		case i%3 > 0 && g.spread:
			b := AttackSpread.Addr().As4()
			b[2], b[3] = byte(g.rnd.IntN(256)), byte(g.rnd.IntN(256))
			resolver = netip.AddrFrom4(b)
		case i%3 > 0:
			b := AttackClients.Addr().As4()
			b[3] = byte(1 + g.rnd.IntN(40))
			resolver = netip.AddrFrom4(b)
		}
		g.pair(at, resolver, port, fmt.Sprintf("%08x%06x.%s", g.rnd.Uint32(), g.rnd.Uint32N(1<<24), AttackedZone), 1, 3, 90)
	default:
		b := AttackVictim.Addr().As4()
		b[3] = byte(1 + g.rnd.IntN(3))
		g.pair(at, netip.AddrFrom4(b), 80, AmplifyingName, 255, 0, 1350)
	}
}

// pair writes a query and its response, whose answer has some bytes.
func (g *attackWriter) pair(at int64, client netip.Addr, port uint16, name string, qtype, rcode uint16, answer int) {
	id := uint16(g.rnd.Uint32())
	query := Packet{Src: client, Dst: AttackServer, Proto: ProtoUDP, SrcPort: port, DstPort: 53, Payload: AppendDNS(nil, id, DNSRD, name, qtype)}
	g.write(at, &query)
	message := AppendDNS(nil, id, DNSResponse|DNSAA|rcode, name, qtype)
	if rcode == 0 {
		message[7] = 1 // an answer: a TXT record of the length
		message = append(message, 0xc0, 12, 0, 16, 0, 1, 0, 0, 1, 0x2c, byte(answer>>8), byte(answer))
		for left := answer; left > 0; left -= 256 {
			n := min(left, 256)
			message = append(append(message, byte(n-1)), make([]byte, n-1)...)
		}
	}
	response := Packet{Src: AttackServer, Dst: client, Proto: ProtoUDP, SrcPort: 53, DstPort: port, Payload: message}
	g.write(at+200_000+g.rnd.Int64N(300_000), &response)
}

func (g *attackWriter) write(at int64, p *Packet) {
	if g.err == nil {
		g.err = g.out.Write(at, p.AppendFrame(nil))
	}
}
