package filter

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"pktvisor/analyze"
	"pktvisor/policy"
)

const (
	farA   = "198.51.100.7:40000" // AS64500, Frankfurt
	farB   = "198.51.100.8:40001" // AS64501, France
	farX   = "198.51.100.9:40002" // nowhere
	server = "192.0.2.53:53"
	client = "192.0.2.10:40003"
	auth   = "203.0.113.9:53" // AS64500, United States
	own    = "192.0.2.54:53"  // of the host, as server is
)

// exchange is what the tests of single conditions look at: queries and responses in pairs.
var exchange = []sent{
	{from: farA, to: server, name: "www.Example.com"},
	{from: server, to: farA, name: "www.example.com", response: true, answers: []uint16{mdns.TypeA, mdns.TypeRRSIG}},
	{from: farB, to: server, name: "example.com", qtype: mdns.TypeAAAA, tcp: true},
	{from: server, to: farB, name: "example.com", qtype: mdns.TypeAAAA, tcp: true, response: true, rcode: 3},
	{from: client, to: auth, name: "notexample.com"},
	{from: auth, to: client, name: "notexample.com", response: true, rcode: 16, answers: []uint16{mdns.TypeA}},
	{from: client, to: own, name: "a.b.example.org", qtype: mdns.TypeMX},
	{from: own, to: client, name: "a.b.example.org", qtype: mdns.TypeMX, response: true, rcode: 2},
	{from: farX, to: "203.0.113.10:53", name: "."},
	{from: "203.0.113.10:53", to: farX, noQuestion: true, response: true, rcode: 1},
}

func answers(n int) *int { return &n }

// TestConditions: each condition, alone and in not. Positions are those of exchange: five queries, each with its response.
func TestConditions(t *testing.T) {
	w := newWorld(t)
	group := w.read(exchange)
	for _, c := range []struct {
		name   string
		filter policy.Filter
		want   string // of the filter
		not    string // of a filter with only this in not
	}{
		// The last response has no question, so its query decides.
		{"qname", policy.Filter{QNames: []string{"example.com", ""}}, "--PP----Pt", "PP--PPPP-t"},
		{"suffix", policy.Filter{QNameSuffixes: []string{"example.com"}}, "PPPP-----t", "----PPPPPt"},
		{"suffixes", policy.Filter{QNameSuffixes: []string{"b.example.org", "com"}}, "PPPPPPPP-t", "--------Pt"},
		{"every name", policy.Filter{QNameSuffixes: []string{""}}, "PPPPPPPPPt", "---------t"},
		{"name and suffix", policy.Filter{QNames: []string{"a.b.example.org", "org"}, QNameSuffixes: []string{"example.org"}}, "------PP-t", "PPPPPP--Pt"},
		{"qtype", policy.Filter{QTypes: []uint16{mdns.TypeMX, mdns.TypeAAAA}}, "--PP--PP-t", "PP--PP--Pt"},
		{"transport", policy.Filter{Transports: []string{"tcp"}}, "--PP------", "PP--PPPPPP"},
		{"transports", policy.Filter{Transports: []string{"tcp", "udp"}}, "PPPPPPPPPP", "----------"},
		{"client", policy.Filter{Clients: prefixes("198.51.100.8/31", "192.0.2.0/28")}, "--PPPPPPPP", "PP--------"},
		{"server", policy.Filter{Servers: prefixes("203.0.113.0/24", "192.0.2.53/32")}, "PPPPPP--PP", "------PP--"},
		{"xact in", policy.Filter{XactDirections: []string{"in"}}, "PPPP--PP--", "----PP--PP"},
		{"xact out", policy.Filter{XactDirections: []string{"out"}}, "----PP----", "PPPP--PPPP"},
		{"xact unknown", policy.Filter{XactDirections: []string{"unknown", "out"}}, "----PP--PP", "PPPP--PP--"},
		{"asn", policy.Filter{ASNs: []uint32{64501, 64500}}, "PPPPPP----", "------PPPP"},
		{"place", policy.Filter{Places: []string{"EU/Germany", "EU/G", "NA"}}, "PP--PP----", "--PP--PPPP"},
		{"unknown asn", policy.Filter{UnknownASN: true}, "------PP--", "PPPPPP--PP"},
		{"unknown place", policy.Filter{UnknownPlace: true}, "------PP--", "PPPPPP--PP"},
		// From here on, a query and its response differ: what does not pass still takes part in pairing.
		{"direction in", policy.Filter{Directions: []string{"in"}}, "PrPrrPPPrr", "rPrPPrrrPP"},
		{"direction out", policy.Filter{Directions: []string{"out", "unknown"}}, "rPrPPrrrPP", "PrPrrPPPrr"},
		{"queries", policy.Filter{Queries: true}, "PrPrPrPrPr", "rPrPrPrPrP"},
		{"responses", policy.Filter{Responses: true}, "rPrPrPrPrP", "PrPrPrPrPr"},
		// A query has no rcode, so it passes both.
		{"rcode", policy.Filter{Rcodes: []uint16{3, 16}}, "PrPPPPPrPr", "PPPrPrPPPP"},
		{"not rcode", policy.Filter{NotRcodes: []uint16{0, 2}}, "PrPPPPPrPP", "PPPrPrPPPr"},
		{"dnssec", policy.Filter{DNSSEC: true}, "PPPrPrPrPr", "PrPPPPPPPP"},
		{"answers", policy.Filter{Answers: answers(1)}, "PrPrPPPrPr", "PPPPPrPPPP"},
		{"no answers", policy.Filter{Answers: answers(0)}, "PrPPPrPPPP", "PPPrPPPrPr"},
		{"slower", policy.Filter{SlowerThan: time.Millisecond}, "PtPtPtPtPt", "PtPtPtPtPt"},
		{"both", policy.Filter{QNameSuffixes: []string{"com"}, Responses: true, NotRcodes: []uint16{3}}, "rPrrrP---t", "PrPPPrPPPt"},
		{"responses of errors", policy.Filter{Responses: true, Rcodes: []uint16{3}}, "rrrPrrrrrr", "PPPrPPPPPP"},
	} {
		s := w.sieve(compiled(t, c.filter), compiled(t, policy.Filter{Not: []policy.Filter{c.filter}}), compiled(t, policy.Filter{Not: []policy.Filter{{Not: []policy.Filter{c.filter}}}}))
		s.Messages(group)
		if got := verdicts(s, 0, group); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if got := verdicts(s, 1, group); got != c.not {
			t.Errorf("not %s: %s, want %s", c.name, got, c.not)
		}
		if got := verdicts(s, 2, group); got != c.want && c.name != "both" { // a part of both could tell more
			t.Errorf("not not %s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestPackets: which packets pass a filter. With a condition on messages, these are the packets that completed a message that
// passed.
func TestPackets(t *testing.T) {
	w := newWorld(t)
	group := w.read(exchange)
	for _, c := range []struct {
		name   string
		filter policy.Filter
		want   []int
	}{
		{"direction", policy.Filter{Directions: []string{"in"}}, []int{0, 2, 5, 6, 7}},
		{"transport", policy.Filter{Transports: []string{"tcp"}}, nil}, // the frames are UDP
		{"asn", policy.Filter{ASNs: []uint32{64500}}, []int{0, 1, 4, 5}},
		{"not asn", policy.Filter{Not: []policy.Filter{{ASNs: []uint32{64500}}}}, []int{2, 3, 6, 7, 8, 9}},
		{"messages", policy.Filter{QNameSuffixes: []string{"example.com"}, Responses: true}, []int{1, 3}},
		{"not both", policy.Filter{Not: []policy.Filter{{BPF: "src port 53", Directions: []string{"out"}}}}, []int{0, 2, 4, 5, 6, 7, 8, 9}},
		{"not both, and a name", policy.Filter{QNameSuffixes: []string{"example.com"}, Not: []policy.Filter{{BPF: "src port 53", Directions: []string{"out"}}}}, []int{0, 2}},
	} {
		s := w.sieve(compiled(t, c.filter))
		for _, f := range s.Messages(group) {
			s.Counted(f, group)
		}
		var got []int
		for _, p := range s.Packets(0) {
			got = append(got, slices.IndexFunc(w.packets, func(x analyze.Packet) bool { return x.Time == p.Time }))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: packets %v, want %v", c.name, got, c.want)
		}
	}
}

// TestDecide: the latency of its transaction decides about a response, and its query about a response without a question.
func TestDecide(t *testing.T) {
	w := newWorld(t)
	group := w.read(exchange)
	const ms = int64(time.Millisecond)
	slow := policy.Filter{SlowerThan: 20 * time.Millisecond, NotRcodes: []uint16{2}}
	for _, c := range []struct {
		name    string
		filter  policy.Filter
		message int
		paired  bool
		latency int64
		want    bool
	}{
		{"slow", slow, 1, true, 20 * ms, true},
		{"fast", slow, 1, true, 20*ms - 1, false},
		{"an orphan has no latency", slow, 1, false, 0, true},
		{"slow, but rejected", slow, 7, true, 30 * ms, false},
		{"not slow", policy.Filter{Not: []policy.Filter{slow}}, 1, true, 30 * ms, false},
		{"not fast", policy.Filter{Not: []policy.Filter{slow}}, 1, true, 10 * ms, true},
		{"two bounds", policy.Filter{SlowerThan: 10 * time.Millisecond, Not: []policy.Filter{{SlowerThan: 20 * time.Millisecond}}}, 1, true, 15 * ms, true},
		{"over both", policy.Filter{SlowerThan: 10 * time.Millisecond, Not: []policy.Filter{{SlowerThan: 20 * time.Millisecond}}}, 1, true, 25 * ms, false},
		{"without a question, with its query", policy.Filter{QNames: []string{"x"}}, 9, true, 0, true},
		{"without a question, without its query", policy.Filter{QNames: []string{"x"}}, 9, false, 0, false},
		{"without a question, with its query, rejected", policy.Filter{QNames: []string{"x"}, Rcodes: []uint16{0}}, 9, true, 0, false},
	} {
		s := w.sieve(compiled(t, c.filter))
		if got := s.Decider(0).Decide(&group[c.message], c.paired, c.latency); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

// TestManyFilters: filters of one plan do not disturb each other.
func TestManyFilters(t *testing.T) {
	w := newWorld(t)
	group := w.read(exchange)
	all := []policy.Filter{
		{QNameSuffixes: []string{"com"}}, {QNameSuffixes: []string{"example.com"}}, {QNames: []string{"example.com"}}, {Queries: true},
		{QNameSuffixes: []string{"com", "org"}, Not: []policy.Filter{{QNames: []string{"example.com"}}}}, {QNameSuffixes: []string{"net"}},
	}
	want := []string{"PPPPPP---t", "PPPP-----t", "--PP-----t", "PrPrPrPrPr", "PP--PPPP-t", "---------t"}
	var filters []*Filter
	for _, f := range all {
		filters = append(filters, compiled(t, f))
	}
	s := w.sieve(filters...)
	for range 2 { // the second time, the names are known
		touched := slices.Clone(s.Messages(group))
		slices.Sort(touched)
		if !slices.Equal(touched, []int{0, 1, 2, 3, 4, 5}) {
			t.Errorf("filters with choices: %v", touched)
		}
		for i := range all {
			if got := verdicts(s, i, group); got != want[i] {
				t.Errorf("filter %d: %s, want %s", i, got, want[i])
			}
		}
	}
	if s.Messages(group[4:5]); verdicts(s, 5, group) != "----------" || verdicts(s, 3, group) != "P---------" {
		t.Error("the choices of the group before are still there")
	}
}

// TestErrors: what is wrong with a filter, and what to do.
func TestErrors(t *testing.T) {
	for want, f := range map[string]policy.Filter{
		`bpf "port": column 5: `:                                          {BPF: "port"},
		`not: bpf "not (ip6 and)": column `:                               {Not: []policy.Filter{{BPF: "ip6 and"}}},
		`not: not: transport: "sctp" is unknown: give udp or tcp`:         {Not: []policy.Filter{{Not: []policy.Filter{{Transports: []string{"sctp"}}}}}},
		`direction: "up" is unknown: give in, out or unknown`:             {Directions: []string{"up"}},
		`xact: "" is unknown: give in, out or unknown`:                    {XactDirections: []string{""}},
		`dnstap: taps of dnstap messages are not built yet: leave it out`: {Messages: []string{"auth"}},
	} {
		if _, err := New(&f, Options{}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestAnd: a filter of several filters lets pass what each of them does. Without any, there is none.
func TestAnd(t *testing.T) {
	com, in := compiled(t, policy.Filter{QNameSuffixes: []string{"com"}, BPF: "udp"}), compiled(t, policy.Filter{Directions: []string{"in"}, BPF: "port 53"})
	if And() != nil || And(nil, nil) != nil || And(nil, com) != com || And(com, com) != com {
		t.Error("a filter of no filter, or of one")
	}
	both := And(com, nil, in)
	w := newWorld(t)
	group := w.read(exchange)
	s := w.sieve(both)
	s.Messages(group)
	if got := verdicts(s, 0, group); got != "PrPrrP---r" || both.Frames() != `"udp""port 53"` || !both.OfMessages() || in.OfMessages() {
		t.Errorf("%s, frames %s", got, both.Frames())
	}
	if nothing, err := New(&policy.Filter{}, Options{}); nothing != nil || err != nil {
		t.Errorf("a filter without conditions: %v, %v", nothing, err)
	}
}

// TestInKernel: only a BPF expression alone can be evaluated in the kernel.
func TestInKernel(t *testing.T) {
	bpf := compiled(t, policy.Filter{BPF: "port 53"})
	if expr, ok := bpf.InKernel(); expr != "port 53" || !ok {
		t.Errorf("%q, %t", expr, ok)
	}
	if expr, ok := InKernel(&policy.Filter{BPF: "inbound"}); expr != "inbound" || !ok {
		t.Errorf("%q, %t", expr, ok)
	}
	zero := 0
	for i, f := range []policy.Filter{
		{}, {BPF: "udp", QNames: []string{""}}, {BPF: "udp", Queries: true}, {BPF: "udp", Answers: &zero}, {BPF: "udp", Not: []policy.Filter{{BPF: "port 53"}}},
		{BPF: "udp", SlowerThan: 1}, {BPF: "udp", UnknownASN: true}, {QNameSuffixes: []string{"x"}},
	} {
		if _, ok := InKernel(&f); ok {
			t.Errorf("filter %d is for the kernel", i)
		}
	}
	if _, ok := (*Filter)(nil).InKernel(); ok {
		t.Error("no filter is for the kernel")
	}
	if _, ok := And(bpf, compiled(t, policy.Filter{BPF: "udp"})).InKernel(); ok {
		t.Error("two filters are for the kernel")
	}
}

// TestFrames: BPF expressions, also in not, are about frames. A frame of a link type for which an expression has no meaning does not
// match.
func TestFrames(t *testing.T) {
	f := compiled(t, policy.Filter{BPF: "udp port 53", Not: []policy.Filter{{BPF: "src host 192.0.2.53"}}})
	if f.Frames() != `"udp port 53""not (src host 192.0.2.53)"` || f.OfMessages() {
		t.Errorf("frames %s", f.Frames())
	}
	frames, got := NewFrames(f), ""
	for i := range exchange {
		frame := exchange[i].frame(t)
		got += fmt.Sprint(frames.Match(1, frame, uint32(len(frame))))[:1]
	}
	if got != "tftftttttt" {
		t.Errorf("matches %s", got)
	}
	radio := NewFrames(compiled(t, policy.Filter{BPF: "type mgt"}))
	if frame := exchange[0].frame(t); radio.Match(1, frame, uint32(len(frame))) {
		t.Error("an Ethernet frame matches an expression about radio frames")
	}
}

// TestKnownNames: names that take each other's places among the known names are not mistaken for each other.
func TestKnownNames(t *testing.T) {
	w := newWorld(t)
	s := w.sieve(compiled(t, policy.Filter{QNameSuffixes: []string{"even"}}))
	for range 2 {
		for i := range 4 * numKnown {
			group := w.read([]sent{{from: farA, to: server, name: fmt.Sprintf("n%d.%s", i, []string{"even", "odd"}[i%2])}})
			s.Messages(group)
			if passes := verdicts(s, 0, group) == "P"; passes != (i%2 == 0) {
				t.Fatalf("name %d: %t", i, passes)
			}
		}
	}
}
