package filter

import (
	"cmp"
	"net/netip"
	"strings"
	"testing"

	mdns "github.com/miekg/dns"

	"pktvisor/analyze"
	"pktvisor/analyze/dns"
	"pktvisor/decode"
	"pktvisor/internal/seedhash"
	"pktvisor/internal/testkit"
	"pktvisor/linktype"
	"pktvisor/policy"
)

const hostSpec = "192.0.2.0/24,2001:db8:53::/48"

// sent is a DNS message as a test describes it.
type sent struct {
	from, to   string // addresses with ports
	tcp        bool
	response   bool
	name       string // without the last dot
	qtype      uint16
	rcode      int
	answers    []uint16 // their types
	noQuestion bool
}

func (s *sent) addr(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }

// frame returns the message in an Ethernet frame.
func (s *sent) frame(t testing.TB) []byte {
	m := new(mdns.Msg)
	m.Id, m.Response, m.Rcode = 7, s.response, s.rcode
	if !s.noQuestion {
		m.Question = []mdns.Question{{Name: mdns.Fqdn(s.name), Qtype: cmp.Or(s.qtype, mdns.TypeA), Qclass: mdns.ClassINET}}
	}
	for _, typ := range s.answers {
		m.Answer = append(m.Answer, &mdns.RFC3597{Hdr: mdns.RR_Header{Name: mdns.Fqdn(s.name), Rrtype: typ, Class: mdns.ClassINET, Ttl: 60}, Rdata: "00"})
	}
	if s.rcode > 15 {
		m.Extra = append(m.Extra, &mdns.OPT{Hdr: mdns.RR_Header{Name: ".", Rrtype: mdns.TypeOPT}}) // Pack puts the upper bits there
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatalf("%+v: %v", s, err)
	}
	src, dst := s.addr(s.from), s.addr(s.to)
	p := testkit.Packet{Src: src.Addr(), Dst: dst.Addr(), SrcPort: src.Port(), DstPort: dst.Port(), Proto: testkit.ProtoUDP, Payload: b}
	return p.AppendFrame(nil)
}

// world reads messages as a shard does.
type world struct {
	t       testing.TB
	seed    seedhash.Seed
	hosts   analyze.Hosts
	reader  *dns.Reader
	packets []analyze.Packet
	links   []linktype.Type
	got     []dns.Message
}

func newWorld(t testing.TB) *world {
	hosts, err := analyze.ParseHosts(hostSpec)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, seed: seedhash.New(), hosts: hosts}
	w.reader = dns.NewReader(dns.ReaderConfig{Seed: &w.seed, Ports: []uint16{53}, Timeout: 5e9, Take: w})
	w.reader.LookForSignatures(true)
	return w
}

// Messages implements [dns.Messages].
func (w *world) Messages(group []dns.Message) { w.got = append(w.got, group...) }

// read makes messages of what was sent, and begins a group of their packets.
func (w *world) read(all []sent) []dns.Message {
	w.packets, w.links, w.got = nil, nil, nil
	var d decode.Decoder
	for i := range all {
		frame := all[i].frame(w.t)
		var p analyze.Packet
		d.Decode(&p.Packet, frame, uint32(len(frame)), linktype.Ethernet, int64(i)*1e6)
		p.Frame = frame
		w.packets, w.links = append(w.packets, p), append(w.links, linktype.Ethernet)
	}
	w.hosts.SetDirections(w.packets)
	w.reader.Packets(w.packets)
	if len(w.got) != len(all) {
		w.t.Fatalf("%d messages of %d", len(w.got), len(all))
	}
	for i := range all {
		if all[i].tcp {
			w.got[i].Proto = decode.ProtoTCP
		}
	}
	return w.got
}

// sieve returns a sieve of filters, with the group of the last read.
func (w *world) sieve(filters ...*Filter) *Sieve {
	s := NewPlan(filters, &w.seed).NewSieve()
	s.Begin(&w.hosts, w.packets, w.links)
	return s
}

// places is a Locator of a few addresses.
type places map[string][2]string

func (p places) City(a netip.Addr) string { return p[a.String()][0] }
func (p places) ASN(a netip.Addr) string  { return p[a.String()][1] }

var somePlaces = places{
	"198.51.100.7":  {"EU/Germany/HE/Frankfurt", "64500/Example"},
	"198.51.100.8":  {"EU/France", "64501/Other"},
	"203.0.113.9":   {"NA/United States", "64500/Example"},
	"2001:db8:9::7": {"", "4200000000/Big"},
}

func compiled(t testing.TB, f policy.Filter) *Filter {
	t.Helper()
	c, err := New(&f, Options{Locate: somePlaces})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// verdicts writes what a filter says about each message as a letter: P passes, r rejected, t by its transaction, - neither it nor
// its counterpart.
func verdicts(s *Sieve, filter int, group []dns.Message) string {
	out := []byte(strings.Repeat("-", len(group)))
	for _, c := range s.Choices(filter) {
		out[c.Message] = "Prt"[c.Verdict]
	}
	return string(out)
}

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, s := range texts {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}
