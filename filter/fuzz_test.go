package filter

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"pktvisor/analyze/dns"
	"pktvisor/internal/testkit"
	"pktvisor/policy"
)

// truth is the plain evaluation of a filter on a message as the test describes it. It shares no code with the package.
type truth struct {
	*sent
	latency time.Duration // of a response; negative if no query waits
}

// three-valued logic, as numbers
const (
	isFalse = iota - 1
	isUnknown
	isTrue
)

func truthOf(holds bool) int {
	if holds {
		return isTrue
	}
	return isFalse
}

func (x truth) ends() (client, server netip.Addr) {
	client, server = x.addr(x.from).Addr(), x.addr(x.to).Addr()
	if x.response {
		client, server = server, client
	}
	return client, server
}

func isHost(a netip.Addr) bool {
	return netip.MustParsePrefix("192.0.2.0/24").Contains(a) || netip.MustParsePrefix("2001:db8:53::/48").Contains(a)
}

func directionOf(src, dst netip.Addr) string {
	switch {
	case isHost(dst):
		return "in"
	case isHost(src):
		return "out"
	}
	return "unknown"
}

func (x truth) inAny(a netip.Addr, all []netip.Prefix) bool {
	return slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(a) })
}

// eval evaluates a filter on the message.
func (x truth) eval(f *policy.Filter) int {
	client, server := x.ends()
	r := isTrue
	also := func(given bool, result int) {
		if given {
			r = min(r, result)
		}
	}
	question := func(holds bool) int {
		switch {
		case !x.noQuestion:
			return truthOf(holds)
		case x.response:
			return isUnknown
		}
		return isFalse
	}
	name := strings.ToLower(strings.TrimSuffix(x.name, "."))
	also(len(f.QNames) > 0, question(slices.Contains(f.QNames, name)))
	also(len(f.QNameSuffixes) > 0, question(slices.ContainsFunc(f.QNameSuffixes, func(s string) bool {
		return s == "" || name == s || strings.HasSuffix(name, "."+s)
	})))
	also(len(f.QTypes) > 0, question(slices.Contains(f.QTypes, x.qtype)))
	also(len(f.Transports) > 0, truthOf(slices.Contains(f.Transports, map[bool]string{true: "tcp", false: "udp"}[x.tcp])))
	xact := directionOf(client, server)
	also(len(f.XactDirections) > 0, truthOf(slices.Contains(f.XactDirections, xact)))
	also(len(f.Directions) > 0, truthOf(slices.Contains(f.Directions, directionOf(x.addr(x.from).Addr(), x.addr(x.to).Addr()))))
	also(len(f.Clients) > 0, truthOf(x.inAny(client, f.Clients)))
	also(len(f.Servers) > 0, truthOf(x.inAny(server, f.Servers)))
	place, network := "", ""
	if remote := map[string]netip.Addr{"in": client, "out": server}[xact]; remote.IsValid() {
		place, network = somePlaces.City(remote), somePlaces.ASN(remote)
	}
	also(len(f.Places) > 0, truthOf(xact != "unknown" && slices.ContainsFunc(f.Places, func(p string) bool { return strings.HasPrefix(place, p) })))
	also(len(f.ASNs) > 0, truthOf(slices.ContainsFunc(f.ASNs, func(n uint32) bool { return strings.HasPrefix(network, strconv.Itoa(int(n))+"/") })))
	also(f.UnknownPlace, truthOf(xact != "unknown" && place == ""))
	also(f.UnknownASN, truthOf(xact != "unknown" && network == ""))
	also(f.Queries, truthOf(!x.response))
	also(f.Responses, truthOf(x.response))
	response := func(holds bool) int {
		if !x.response {
			return isUnknown
		}
		return truthOf(holds)
	}
	also(len(f.Rcodes) > 0, response(slices.Contains(f.Rcodes, uint16(x.rcode))))
	also(len(f.NotRcodes) > 0, response(!slices.Contains(f.NotRcodes, uint16(x.rcode))))
	also(f.DNSSEC, response(slices.Contains(x.answers, mdns.TypeRRSIG)))
	also(f.Answers != nil, response(f.Answers != nil && *f.Answers == len(x.answers)))
	if slow := isUnknown; f.SlowerThan > 0 {
		if x.response && x.latency >= 0 {
			slow = truthOf(x.latency >= f.SlowerThan)
		}
		r = min(r, slow)
	}
	for i := range f.Not {
		r = min(r, -x.eval(&f.Not[i]))
	}
	return r
}

// has reports whether a filter or a nested one has a condition.
func hasAny(f *policy.Filter, condition func(*policy.Filter) bool) bool {
	return condition(f) || slices.ContainsFunc(f.Not, func(n policy.Filter) bool { return hasAny(&n, condition) })
}

// some returns some of the values.
func some[T any](c *testkit.Choices, values ...T) (chosen []T) {
	for range 1 + c.IntN(2) {
		chosen = append(chosen, testkit.Pick(c, values...))
	}
	return chosen
}

var fuzzNames = []string{"", "com", "example.com", "www.example.com", "a.b.c.example.com", "notexample.com", "org", "a-very-long-label.org", "abcdefg.org", "abcdefgh.org", "x.abcdefgh.org"}

// anyFilter chooses a filter.
func anyFilter(c *testkit.Choices, depth int) (f policy.Filter) {
	for range 1 + c.IntN(3) {
		switch c.IntN(19) {
		case 0, 1:
			f.QNameSuffixes = some(c, fuzzNames...)
		case 2:
			f.QNames = some(c, fuzzNames...)
		case 3:
			f.QTypes = some(c, mdns.TypeA, mdns.TypeAAAA, uint16(65280))
		case 4:
			f.Rcodes = some(c, uint16(0), 3, 16)
		case 5:
			f.NotRcodes = some(c, uint16(0), 3, 16)
		case 6:
			f.Queries = true
		case 7:
			f.Responses = true
		case 8:
			f.Transports = some(c, "udp", "tcp")
		case 9:
			f.Directions = some(c, "in", "out", "unknown")
		case 10:
			f.XactDirections = some(c, "in", "out", "unknown")
		case 11:
			f.Clients = some(c, prefixes("198.51.100.0/29", "198.51.100.8/32", "192.0.2.0/24", "2001:db8:9::/48", "::/0")...)
		case 12:
			f.Servers = some(c, prefixes("0.0.0.0/0", "192.0.2.53/32", "203.0.113.0/24")...)
		case 13:
			f.ASNs = some(c, uint32(64500), 64501, 4200000000)
		case 14:
			f.Places = some(c, "EU", "EU/Germany", "NA/U", "Nowhere")
		case 15:
			f.UnknownASN = c.Chance(2)
			f.UnknownPlace = !f.UnknownASN
		case 16:
			f.DNSSEC = true
		case 17:
			n := c.IntN(3)
			f.Answers = &n
		case 18:
			f.SlowerThan = time.Duration(1+c.IntN(3)) * time.Millisecond
		}
	}
	for depth < 3 && c.Chance(3) {
		f.Not = append(f.Not, anyFilter(c, depth+1))
	}
	return f
}

// anyExchange chooses a query and its response.
func anyExchange(c *testkit.Choices) (q, r sent) {
	q = sent{
		from: testkit.Pick(c, farA, farB, farX, client, "[2001:db8:9::7]:4000"), to: testkit.Pick(c, server, auth, own, "203.0.113.10:53"),
		name: testkit.Pick(c, "www.EXAMPLE.com", "example.com.", ".", "com", "x.notexample.com", "a.a-very-long-label.org", "Abcdefgh.org", "y.abcdefg.org", "net", "a.b.c.d.example.com"),
		tcp:  c.Chance(3), qtype: testkit.Pick(c, mdns.TypeA, mdns.TypeAAAA, mdns.TypeMX),
	}
	if strings.HasPrefix(q.from, "[") {
		q.to = testkit.Pick(c, "[2001:db8:53::53]:53", "[2001:db8:77::53]:53")
	}
	r = q
	r.from, r.to, r.response = q.to, q.from, true
	r.rcode, r.noQuestion = testkit.Pick(c, 0, 0, 2, 3, 16), c.Chance(8)
	for range c.IntN(3) {
		r.answers = append(r.answers, testkit.Pick(c, mdns.TypeA, mdns.TypeRRSIG))
	}
	return q, r
}

// checkFilters compares the package with plain evaluation, for filters and exchanges that are chosen.
func checkFilters(t *testing.T, w *world, c *testkit.Choices) {
	var filters []policy.Filter
	var together []*Filter
	for range 1 + c.IntN(6) {
		f := anyFilter(c, 0)
		filters = append(filters, f)
		together = append(together, compiled(t, f))
	}
	var all []sent
	for range 1 + c.IntN(6) {
		q, r := anyExchange(c)
		all = append(all, q, r)
	}
	group := w.read(all)
	s := w.sieve(together...)
	s.Messages(group)
	for i := range filters {
		f, choices := &filters[i], verdicts(s, i, group)
		slow := hasAny(f, func(f *policy.Filter) bool { return f.SlowerThan > 0 })
		asks := hasAny(f, func(f *policy.Filter) bool { return len(f.QNames)+len(f.QNameSuffixes)+len(f.QTypes) > 0 })
		for at := range all {
			x := truth{&all[at], -1}
			result, other := x.eval(f), truth{&all[at^1], -1}.eval(f)
			byXact := x.response && result == isUnknown && (slow || asks && x.noQuestion)
			var want string // letters that are right
			switch {
			case byXact:
				want = "t"
			case result != isFalse:
				want = "P"
			case other == isFalse || asks && all[at^1].noQuestion: // without its question, the response needs the query
				want = "r-"
			default:
				want = "r"
			}
			if got := choices[at : at+1]; !strings.Contains(want, got) {
				t.Fatalf("filter %+v, message %+v: %s, want %s", *f, all[at], got, want)
			}
			if !byXact {
				continue
			}
			for latency := -time.Millisecond; latency < 5*time.Millisecond; latency += time.Millisecond {
				x.latency = latency
				want := x.eval(f) != isFalse && (latency >= 0 || !asks || !x.noQuestion)
				if got := s.Decider(i).Decide(&group[at], latency >= 0, int64(latency)); got != want {
					t.Fatalf("filter %+v, message %+v, latency %v: %t", *f, all[at], latency, got)
				}
			}
		}
	}
}

// FuzzFilters compares the package with plain evaluation.
func FuzzFilters(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(randomBytes(seed))
	}
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 1<<12 {
			checkFilters(t, w, testkit.NewChoices(b))
		}
	})
}

func randomBytes(seed uint64) (b []byte) {
	r := rand.New(rand.NewPCG(seed, 47))
	for range 64 {
		b = binary.LittleEndian.AppendUint64(b, r.Uint64())
	}
	return b
}

// TestRandomFilters does what FuzzFilters does, with three thousand seeds.
func TestRandomFilters(t *testing.T) {
	w := newWorld(t)
	for seed := range uint64(3000) {
		checkFilters(t, w, testkit.NewChoices(randomBytes(seed)))
	}
}

// TestNames: the tree of names finds what a plain search finds, among a hundred thousand names and for labels of any bytes.
func TestNames(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	label := func() string {
		b := make([]byte, 1+r.IntN(3))
		for i := range b {
			b[i] = byte('a' + r.IntN(6))
		}
		if r.IntN(8) == 0 {
			return "longer-than-a-word-" + string(b)
		}
		return string(b)
	}
	name := func() string {
		labels := make([]string, 1+r.IntN(5))
		for i := range labels {
			labels[i] = label()
		}
		return strings.Join(labels, ".")
	}
	lists := []listed{{nil, false}, {nil, true}, {nil, true}, {[]string{"", "abcdefg"}, false}}
	in := make([]map[string]bool, len(lists))
	for i := range lists {
		in[i] = map[string]bool{}
		for range []int{50_000, 100_000, 30, 0}[i] {
			lists[i].names = append(lists[i].names, name())
		}
		for _, n := range lists[i].names {
			in[i][n] = true
		}
	}
	w := newWorld(t)
	n := newNames(&w.seed, lists)
	found := 0
	for range 100_000 {
		text := name()
		var want []int32
		for i, l := range lists {
			for part := text; ; part = parentOf(part) {
				if in[i][part] {
					want = append(want, int32(i))
					break
				}
				if !l.suffix || part == "" {
					break
				}
			}
		}
		wire := make([]byte, 255)
		end, err := mdns.PackDomainName(text+".", wire, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		found += len(want)
		if got := n.sets[n.lookUp(wire[:end])]; !slices.Equal(got, want) {
			t.Fatalf("%s: lists %v, want %v", text, got, want)
		}
	}
	if found < 50_000 {
		t.Errorf("only %d names were in a list", found)
	}
	for wire, want := range map[string][]int32{"\x00": {3}, "\x07abcdefg\x00": {3}, "\x08abcdefg\x0f\x00": nil, "\x08abcdefg\x00\x00": nil, "": {3}} {
		if got := n.sets[n.lookUp([]byte(wire))]; !slices.Equal(got, want) {
			t.Errorf("%q: lists %v, want %v", wire, got, want)
		}
	}
}

// TestAllocs: to evaluate filters allocates nothing.
func TestAllocs(t *testing.T) {
	w := newWorld(t)
	group := w.read(exchange)
	s := w.sieve(compiled(t, policy.Filter{QNameSuffixes: []string{"com"}, Clients: prefixes("198.51.100.0/24")}), compiled(t, policy.Filter{Queries: true}))
	var passed int
	testkit.NoAllocs(t, "a group", 100, func() {
		s.Begin(&w.hosts, w.packets, w.links)
		for _, f := range s.Messages(group) {
			s.Counted(f, group)
		}
		passed += len(s.Packets(0)) + len(s.Packets(1))
	})
	if passed == 0 || len(s.Choices(0)) != 5 || s.Choices(0)[0].Verdict != dns.Passes {
		t.Errorf("%d packets, choices %v", passed, s.Choices(0))
	}
}
