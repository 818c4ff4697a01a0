package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	mdns "github.com/miekg/dns"

	"pktvisor/capture"
	"pktvisor/filter"
	"pktvisor/internal/testkit"
	"pktvisor/linktype"
	"pktvisor/metric"
	"pktvisor/policy"
)

// filterOf compiles a filter.
func filterOf(t testing.TB, f policy.Filter) *filter.Filter {
	t.Helper()
	c, err := filter.New(&f, filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// filtered returns a policy with a filter.
func filtered(t testing.TB, name string, f policy.Filter) PolicyConfig {
	return PolicyConfig{Name: name, Topics: Topics(nil, 5*time.Second), Periods: 5, DeepSamplePercent: 100, Filter: filterOf(t, f)}
}

// filteredPolicies returns policies with filters of every kind.
func filteredPolicies(t testing.TB) (all []PolicyConfig) {
	for name, f := range map[string]policy.Filter{
		"bpf": {BPF: "udp port 53"}, "other bpf": {BPF: "tcp port 53 or icmp", QNameSuffixes: []string{"com"}}, "suffix": {QNameSuffixes: []string{"com", "org"}},
		"in": {Directions: []string{"in"}}, "errors": {Responses: true, NotRcodes: []uint16{0}}, "slow": {SlowerThan: time.Millisecond, XactDirections: []string{"in"}},
		"tcp": {Transports: []string{"tcp"}}, "nothing": {QNames: []string{"no.such.name"}},
	} {
		all = append(all, filtered(t, name, f))
	}
	sampled := filtered(t, "sampled", policy.Filter{Rcodes: []uint16{3}})
	sampled.DeepSamplePercent = 30
	chained := filtered(t, "chained", policy.Filter{Not: []policy.Filter{{BPF: "ip6"}}})
	slices.Reverse(chained.Topics)
	chained.TopicFilters, chained.Chained = []*filter.Filter{filterOf(t, policy.Filter{QTypes: []uint16{1}}), nil}, true
	own := filtered(t, "own", policy.Filter{})
	own.TopicFilters = []*filter.Filter{nil, filterOf(t, policy.Filter{QTypes: []uint16{28}})}
	all = append(all, sampled, chained, own, filtered(t, "everything", policy.Filter{}))
	slices.SortFunc(all, func(a, b PolicyConfig) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// TestFilteredPolicies: each of several policies with a filter has exactly the content that it would have alone, whatever the number
// of shards, for a file and for live sources. Its counters do not depend on the number of shards.
func TestFilteredPolicies(t *testing.T) {
	cfg := testkit.TinyMixed()
	cfg.Start, cfg.Rate = bubbleStart.Add(20*time.Second), 40
	file, truth := traffic(t, cfg, 5000, 1)
	counters := map[string]string{}
	for _, live := range []bool{false, true} {
		for _, shards := range []int{1, 4} {
			with := map[string]string{}
			synctest.Test(t, func(t *testing.T) {
				a := agentOf(t, shards, filteredPolicies(t)...)
				runOver(t, a, file, shards, live, len(truth.Minutes))
				for _, p := range a.Policies() {
					with[p.cfg.Name] = images(p)
					key := fmt.Sprint(p.cfg.Name, live)
					if got := countersOf(t, p); counters[key] == "" {
						counters[key] = got
					} else if diff := cmp.Diff(counters[key], got); diff != "" {
						t.Errorf("live %t, %d shards, policy %q: other counters than one shard has (-one +this):\n%s", live, shards, p.cfg.Name, diff)
					}
				}
			})
			for _, c := range filteredPolicies(t) {
				synctest.Test(t, func(t *testing.T) {
					a := agentOf(t, shards, c)
					runOver(t, a, file, shards, live, len(truth.Minutes))
					if alone := images(a.Policy(c.Name)); alone != with[c.Name] {
						t.Errorf("live %t, %d shards, policy %q: with others (-), alone (+):\n%s", live, shards, c.Name, cmp.Diff(strings.Split(with[c.Name], ","), strings.Split(alone, ",")))
					}
				})
			}
		}
	}
	if strings.Count(counters["nothingfalse"], `"total": 0`) < 3 || counters["everythingfalse"] == counters["infalse"] {
		t.Errorf("policy of nothing: %s", counters["nothingfalse"])
	}
}

// runOver runs an agent over a capture in memory, as a file or live.
func runOver(t *testing.T, a *Agent, file []byte, shards int, live bool, minutes int) {
	t.Helper()
	var sources []capture.Source
	if live {
		for _, s := range dealOut(t, file, shards) {
			sources = append(sources, s)
		}
	} else {
		src, err := capture.OpenReader(bytes.NewReader(file), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		sources = append(sources, src)
	}
	ctx := t.Context()
	if live {
		var stop func()
		ctx, stop = context.WithTimeout(ctx, time.Duration(minutes)*time.Minute+30*time.Second)
		defer stop()
	}
	if err := a.Run(ctx, map[string][]capture.Source{"tap": sources}); err != nil {
		t.Fatal(err)
	}
}

// sectionsOf returns the sections of all that a policy has counted.
func sectionsOf(t testing.TB, p *Policy) map[string]any {
	t.Helper()
	var all map[string]map[string]any
	if err := json.Unmarshal(p.Window().Merged(5).AppendJSON(nil, metric.JSONOptions{Key: "all", Rows: 100}), &all); err != nil {
		t.Fatal(err)
	}
	return all["all"]
}

// countersOf returns the counters of a policy as text: all numbers that are exact.
func countersOf(t testing.TB, p *Policy) string {
	s := sectionsOf(t, p)
	var all []any
	for _, name := range []string{"packets", "dns"} {
		m, _ := s[name].(map[string]any)
		for key := range m {
			if strings.HasPrefix(key, "top_") || slices.Contains([]string{"cardinality", "clients", "rates", "late"}, key) {
				delete(m, key)
			}
		}
		xact, _ := m["xact"].(map[string]any)
		for _, direction := range []string{"in", "out"} {
			if x, ok := xact[direction].(map[string]any); ok {
				delete(x, "top_slow")
			}
		}
		all = append(all, m)
	}
	text, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// heard is a frame with the DNS message in it, as other libraries read them.
type heard struct {
	at       int64
	frame    []byte
	src, dst netip.Addr
	port     [2]uint16
	tcp      bool
	msg      *mdns.Msg // nil if there is none
	query    *heard    // of a response
	answered bool      // a query with a response in time
}

func (h *heard) isHost(a netip.Addr) bool {
	return slices.ContainsFunc(strings.Split(testkit.HostSpec, ","), func(s string) bool { return netip.MustParsePrefix(s).Contains(a) })
}

func (h *heard) client() netip.Addr {
	if h.msg.Response {
		return h.dst
	}
	return h.src
}

// direction returns the direction of what goes from one address to another.
func (h *heard) direction(src, dst netip.Addr) string {
	switch {
	case h.isHost(dst):
		return "in"
	case h.isHost(src):
		return "out"
	}
	return "unknown"
}

// xact returns the direction of the message's transaction.
func (h *heard) xact() string {
	if h.msg.Response {
		return h.direction(h.dst, h.src)
	}
	return h.direction(h.src, h.dst)
}

func (h *heard) name() string {
	if len(h.msg.Question) == 0 {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(h.msg.Question[0].Name, "."))
}

func (h *heard) latency() time.Duration {
	if h.query == nil {
		return -1
	}
	return time.Duration(h.at - h.query.at)
}

// hear reads a capture with gopacket and miekg/dns, and pairs queries with responses in a plain way.
func hear(t testing.TB, file []byte) (all []*heard) {
	t.Helper()
	src, err := capture.OpenReader(bytes.NewReader(file), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	waiting := map[string]*heard{}
	var b capture.Batch
	for err == nil {
		err = src.ReadBatch(&b)
		for _, f := range b.Frames {
			h := &heard{at: f.Time, frame: bytes.Clone(f.Data)}
			all = append(all, h)
			h.parse()
			if h.msg == nil {
				continue
			}
			id := fmt.Sprint(h.client(), h.src.Compare(h.dst)*map[bool]int{true: 1, false: -1}[h.msg.Response], h.port[0]+h.port[1], h.msg.Id, h.name())
			q := waiting[id]
			switch {
			case !h.msg.Response:
				waiting[id] = h
			case q != nil && h.at-q.at <= 5e9:
				h.query, q.answered = q, true
				delete(waiting, id)
			}
		}
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	return all
}

// parse reads the frame.
func (h *heard) parse() {
	p := gopacket.NewPacket(h.frame, layers.LayerTypeEthernet, gopacket.NoCopy)
	if n := p.NetworkLayer(); n != nil {
		h.src, _ = netip.AddrFromSlice(n.NetworkFlow().Src().Raw())
		h.dst, _ = netip.AddrFromSlice(n.NetworkFlow().Dst().Raw())
	}
	if _, ok := p.TransportLayer().(*layers.TCP); ok {
		h.tcp = true
	}
	u, ok := p.TransportLayer().(*layers.UDP)
	if !ok || u.SrcPort != 53 && u.DstPort != 53 {
		return
	}
	h.port = [2]uint16{uint16(u.SrcPort), uint16(u.DstPort)}
	m := new(mdns.Msg)
	if m.Unpack(u.Payload) == nil {
		h.msg = m
	}
}

// TestFilterOracle compares a policy of each kind of filter with an agent that gets a capture of only those frames that other libraries
// choose, and the transactions with a plain pairing.
func TestFilterOracle(t *testing.T) {
	cfg := testkit.TinyMixed()
	cfg.TCPShare, cfg.OutShare, cfg.DNSShare, cfg.LargeAnswers, cfg.ECSShare, cfg.VLANShare = 0, 0.4, 0.8, true, 0, 0
	cfg.Names, cfg.UnansweredShare, cfg.LateShare, cfg.OrphanShare, cfg.Rate = 50, 0.1, 0.05, 0.05, 300
	file, _ := traffic(t, cfg, 12000, 3)
	frames := hear(t, file)
	// An ARP frame at the end, which no filter lets pass, gives all captures the same end.
	frames = append(frames, &heard{at: frames[len(frames)-1].at + 10e9, frame: testkit.AppendARP(nil, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"))})
	file, _ = passingOf(t, frames, func(*heard) bool { return true })
	message := func(f func(h *heard) bool) func(h *heard) bool {
		return func(h *heard) bool { return h.msg != nil && f(h) }
	}
	suffix := func(h *heard, s string) bool { return h.name() == s || strings.HasSuffix(h.name(), "."+s) }
	var names []string
	for _, h := range frames {
		if h.msg != nil && h.msg.Response && h.msg.Rcode == 0 && strings.Count(h.name(), ".") > 1 {
			names = append(names, h.name())
		}
	}
	name := names[len(names)/2]
	zone := name[strings.IndexByte(name, '.')+1:]
	client := netip.PrefixFrom(frames[0].src, 8).Masked()
	response := func(f func(h *heard) bool) func(h *heard) bool {
		return message(func(h *heard) bool { return !h.msg.Response || f(h) })
	}
	two := 2
	for _, c := range []struct {
		name   string
		filter policy.Filter
		passes func(h *heard) bool
		// same says that a query passes exactly if its response does. Then the other agent has the same transactions.
		same bool
	}{
		{"bpf", policy.Filter{BPF: "ip and not udp port 53"}, func(h *heard) bool { return h.src.Is4() && h.port == [2]uint16{} }, true},
		{"transport", policy.Filter{Transports: []string{"tcp"}}, func(h *heard) bool { return h.tcp }, true},
		{"qname", policy.Filter{QNames: []string{name}}, message(func(h *heard) bool { return h.name() == name }), true},
		{"suffix", policy.Filter{QNameSuffixes: []string{zone}}, message(func(h *heard) bool { return suffix(h, zone) }), true},
		{"not suffix", policy.Filter{Not: []policy.Filter{{QNameSuffixes: []string{zone}}}}, message(func(h *heard) bool { return !suffix(h, zone) }), true},
		{"qtype", policy.Filter{QTypes: []uint16{28, 65}}, message(func(h *heard) bool { return h.msg.Question[0].Qtype == 28 || h.msg.Question[0].Qtype == 65 }), true},
		{"client", policy.Filter{Clients: []netip.Prefix{client}}, message(func(h *heard) bool { return client.Contains(h.client()) }), true},
		{"xact", policy.Filter{XactDirections: []string{"out"}}, message(func(h *heard) bool { return h.xact() == "out" }), true},
		{"direction", policy.Filter{Directions: []string{"in"}}, func(h *heard) bool { return h.src.IsValid() && h.direction(h.src, h.dst) == "in" }, false},
		{"queries", policy.Filter{Queries: true}, message(func(h *heard) bool { return !h.msg.Response }), false},
		{"responses", policy.Filter{Responses: true}, message(func(h *heard) bool { return h.msg.Response }), false},
		{"rcode", policy.Filter{Rcodes: []uint16{3}}, response(func(h *heard) bool { return h.msg.Rcode == 3 }), false},
		{"not rcode", policy.Filter{NotRcodes: []uint16{0}}, response(func(h *heard) bool { return h.msg.Rcode != 0 }), false},
		{"rcode of responses", policy.Filter{Rcodes: []uint16{3}, Responses: true}, message(func(h *heard) bool { return h.msg.Response && h.msg.Rcode == 3 }), false},
		{"dnssec", policy.Filter{DNSSEC: true}, response(func(h *heard) bool {
			return slices.ContainsFunc(h.msg.Answer, func(r mdns.RR) bool { return r.Header().Rrtype == mdns.TypeRRSIG })
		}), false},
		{"answers", policy.Filter{Answers: &two}, response(func(h *heard) bool { return len(h.msg.Answer) == two }), false},
		{"slower", policy.Filter{SlowerThan: 400 * time.Microsecond}, response(func(h *heard) bool { return h.query == nil || h.latency() >= 400*time.Microsecond }), false},
		{"faster", policy.Filter{Not: []policy.Filter{{SlowerThan: 400 * time.Microsecond}}}, response(func(h *heard) bool { return h.query == nil || h.latency() < 400*time.Microsecond }), false},
		{"several", policy.Filter{QNameSuffixes: []string{zone}, Responses: true, Not: []policy.Filter{{Rcodes: []uint16{0}, Directions: []string{"out"}}}},
			message(func(h *heard) bool {
				return suffix(h, zone) && h.msg.Response && (h.msg.Rcode != 0 || h.direction(h.src, h.dst) != "out")
			}), false},
	} {
		for _, shards := range []int{1, 4} {
			a := agentOf(t, shards, filtered(t, "p", c.filter))
			runOver(t, a, file, shards, false, 0)
			got := sectionsOf(t, a.Policy("p"))
			passing, count := passingOf(t, frames, c.passes)
			b := agentOf(t, 1, filtered(t, "p", policy.Filter{BPF: "not arp"}))
			runOver(t, b, passing, 1, false, 0)
			want := sectionsOf(t, b.Policy("p"))
			compareFiltered(t, fmt.Sprintf("%s, %d shards", c.name, shards), got, want, count, c.same)
		}
	}
}

// tally is what a plain pairing counts for a filter.
type tally struct{ packets, messages, xacts, timeouts, orphans float64 }

// passingOf returns a capture of the frames that pass, and what a policy must count.
func passingOf(t *testing.T, frames []*heard, passes func(*heard) bool) (file []byte, n tally) {
	t.Helper()
	var out bytes.Buffer
	w, err := testkit.NewPcapWriter(&out, false, linktype.Ethernet)
	if err != nil {
		t.Fatal(err)
	}
	last := len(frames) - 1
	for i, h := range frames {
		passed := passes(h)
		if !passed {
			n.packets++
			if h.msg != nil {
				n.messages++
			}
		}
		if !passed && i < last {
			continue
		}
		if err := w.Write(h.at, h.frame); err != nil {
			t.Fatal(err)
		}
		switch {
		case h.msg == nil:
		case h.msg.Response && h.query != nil:
			n.xacts++
		case h.msg.Response:
			n.orphans++
		case h.answered:
		default:
			n.timeouts++
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if out.Len() < 1000 {
		t.Fatal("hardly any frame passes")
	}
	return out.Bytes(), n
}

// compareFiltered compares the sections of a policy with those of an agent that has only what passes.
func compareFiltered(t *testing.T, name string, got, want map[string]any, n tally, same bool) {
	t.Helper()
	packets, messages := got["packets"].(map[string]any), got["dns"].(map[string]any)
	wire := messages["wire_packets"].(map[string]any)
	if packets["filtered"] != n.packets || wire["filtered"] != n.messages && !strings.HasPrefix(name, "bpf") {
		t.Errorf("%s: filtered %v packets and %v messages, want %v and %v", name, packets["filtered"], wire["filtered"], n.packets, n.messages)
	}
	counts := messages["xact"].(map[string]any)["counts"].(map[string]any)
	if !strings.HasPrefix(name, "bpf") {
		for key, want := range map[string]float64{"total": n.xacts, "timeouts": n.timeouts, "open": 0, "orphans": n.orphans, "repeats": 0, "response_repeats": 0, "evicted": 0} {
			if counts[key] != want {
				t.Errorf("%s: xact.counts.%s is %v, want %v", name, key, counts[key], want)
			}
		}
	}
	for _, s := range []map[string]any{got, want} {
		for _, section := range []string{"packets", "dns"} {
			m := s[section].(map[string]any)
			delete(m, "filtered")
			if wire, ok := m["wire_packets"].(map[string]any); ok {
				delete(wire, "filtered")
			}
			if section == "dns" && !same {
				for key := range m { // queries and responses of different sets
					if key != "wire_packets" && key != "response_size" && key != "top_rcode" && key != "top_qtype" {
						delete(m, key)
					}
				}
			}
		}
		delete(s, "pcap")
		delete(s, "period")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: an agent that has only what passes (-), the policy (+):\n%.3000s", name, diff)
	}
}
