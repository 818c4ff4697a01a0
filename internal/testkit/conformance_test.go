package testkit

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// summaryOf returns a summary that agrees with the answers, as decoded from JSON.
func summaryOf(t *testing.T, a *Answers) map[string]any {
	t.Helper()
	table := func(rows []Row) []map[string]any {
		list := []map[string]any{}
		for _, r := range rows {
			list = append(list, map[string]any{"name": r.Name, "estimate": r.Count})
		}
		return list
	}
	short := func(n int) []map[string]any {
		rows, _ := shorten(a.TopQnames, n)
		return table(rows)
	}
	js, err := json.Marshal(map[string]any{
		"packets": map[string]any{
			"total": a.Packets, "ipv4": a.IPv4, "ipv6": a.IPv6, "non_ip": a.NonIP, "malformed": 0, "unsupported_link": 0,
			"udp": a.UDP, "tcp": a.TCP, "other_l4": a.OtherL4, "protocol": map[string]any{"tcp": map[string]any{"syn": a.TCPSyn}},
			"cardinality": map[string]any{"src_ips_in": a.SrcIPs}, "top_ipv4": table(a.TopSrcIPs), "top_ipv6": table(nil),
		},
		"dns": map[string]any{
			"wire_packets": map[string]any{"total": a.Messages, "queries": a.Queries, "replies": a.Replies, "udp": a.DNSUDP, "tcp": a.DNSTCP,
				"ipv4": a.DNSIPv4, "ipv6": a.DNSIPv6, "noerror": a.Rcodes["NOERROR"], "nxdomain": a.Rcodes["NXDOMAIN"],
				"srvfail": a.Rcodes["SERVFAIL"], "refused": a.Rcodes["REFUSED"]},
			"cardinality": map[string]any{"qname": a.Qnames}, "xact": map[string]any{"counts": map[string]any{"total": a.PairsSimple}},
			"top_rcode": table(mapRows(a.Rcodes)), "top_qtype": table(mapRows(a.Qtypes)), "top_nxdomain": table(a.TopNXDomain),
			"top_srvfail": table(a.TopServfail), "top_refused": table(a.TopRefused), "top_qname2": short(2), "top_qname3": short(3),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var summary map[string]any
	if err := json.Unmarshal(js, &summary); err != nil {
		t.Fatal(err)
	}
	return summary
}

var someAnswers = Answers{
	Packets: 100, IPv4: 80, IPv6: 15, NonIP: 5, UDP: 60, TCP: 30, OtherL4: 10, TCPSyn: 4, TCPSynAck: 3, SrcIPs: 2,
	TopSrcIPs: []Row{{"192.0.2.1", 90}, {"192.0.2.2", 5}}, Messages: 50, Queries: 26, Replies: 24, DNSUDP: 40, DNSTCP: 10, DNSIPv4: 45, DNSIPv6: 5,
	WithQuestion: 50, Qnames: 3, Rcodes: map[string]uint64{"NOERROR": 14, "NXDOMAIN": 6, "SERVFAIL": 4}, Qtypes: map[string]uint64{"A": 30, "AAAA": 20},
	TopQnames: []Row{{"www.example.com", 30}, {"a.b.example.com", 12}, {"example.org", 8}}, TopNXDomain: []Row{{"a.b.example.com", 6}},
	TopServfail: []Row{{"example.org", 2}, {"www.example.com", 2}}, PairsTShark: 22, PairsSimple: 23, PairsSameQname: 23,
}

func TestCompareAgrees(t *testing.T) {
	if found := Compare(&someAnswers, summaryOf(t, &someAnswers)); len(found) != 0 {
		t.Errorf("Compare reports disagreements for an equal summary: %v", found)
	}
	other := someAnswers
	other.PairsSimple = other.PairsTShark
	other.TopServfail = []Row{{"elsewhere.example", 2}, {"www.example.com", 2}} // another name with the same count
	if found := Compare(&someAnswers, summaryOf(t, &other)); len(found) != 0 {
		t.Errorf("Compare does not accept the other pairing or a tie: %v", found)
	}
}

func TestCompareFindsEveryDifference(t *testing.T) {
	for field, change := range map[string]func(a *Answers){
		"packets.total": func(a *Answers) { a.Packets++ },
		"packets.ipv4":  func(a *Answers) { a.IPv4-- },
		"packets.ipv6":  func(a *Answers) { a.IPv6++ },
		"packets.non_ip+malformed+unsupported_link": func(a *Answers) { a.NonIP++ },
		"packets.udp":                         func(a *Answers) { a.UDP++ },
		"packets.tcp":                         func(a *Answers) { a.TCP++ },
		"packets.other_l4":                    func(a *Answers) { a.OtherL4++ },
		"packets.protocol.tcp.syn":            func(a *Answers) { a.TCPSyn++ },
		"packets.cardinality.src_ips_in":      func(a *Answers) { a.SrcIPs++ },
		"packets.top_ipv4+top_ipv6":           func(a *Answers) { a.TopSrcIPs = []Row{{"192.0.2.1", 89}, {"192.0.2.2", 5}} },
		"packets.top_ipv4+top_ipv6 192.0.2.1": func(a *Answers) { a.TopSrcIPs = []Row{{"192.0.2.1", 5}, {"192.0.2.9", 90}} },
		"dns.wire_packets.total":              func(a *Answers) { a.Messages++ },
		"dns.wire_packets.queries":            func(a *Answers) { a.Queries++ },
		"dns.wire_packets.replies":            func(a *Answers) { a.Replies++ },
		"dns.wire_packets.udp":                func(a *Answers) { a.DNSUDP++ },
		"dns.wire_packets.tcp":                func(a *Answers) { a.DNSTCP++ },
		"dns.wire_packets.ipv4":               func(a *Answers) { a.DNSIPv4++ },
		"dns.wire_packets.ipv6":               func(a *Answers) { a.DNSIPv6++ },
		"dns.wire_packets.refused dns.top_rcode": func(a *Answers) {
			a.Rcodes = map[string]uint64{"NOERROR": 14, "NXDOMAIN": 6, "SERVFAIL": 4, "REFUSED": 1}
		},
		"dns.xact.counts.total":              func(a *Answers) { a.PairsSimple = 24 },
		"dns.cardinality.qname":              func(a *Answers) { a.Qnames++ },
		"dns.top_qtype":                      func(a *Answers) { a.Qtypes = map[string]uint64{"A": 30, "AAAA": 19} },
		"dns.top_qtype A dns.top_qtype AAAA": func(a *Answers) { a.Qtypes = map[string]uint64{"A": 20, "AAAA": 30} },
		"dns.top_nxdomain":                   func(a *Answers) { a.TopNXDomain = nil },
		"dns.top_srvfail":                    func(a *Answers) { a.TopServfail = a.TopServfail[:1] },
		"dns.top_refused":                    func(a *Answers) { a.TopRefused = []Row{{"example.org", 1}} },
		"dns.top_qname2": func(a *Answers) {
			a.TopQnames = []Row{{"www.example.com", 30}, {"a.b.example.com", 12}, {"example.org", 7}}
		},
	} {
		ours := someAnswers
		change(&ours)
		var fields []string
		for _, d := range Compare(&someAnswers, summaryOf(t, &ours)) {
			fields = append(fields, d.Field)
		}
		if got := strings.Join(fields, " "); !sameWords(got, field) {
			t.Errorf("found %q, want %q", got, field)
		}
	}
	empty := Compare(&someAnswers, map[string]any{})
	if len(empty) < 25 || empty[0].Ours != "missing" {
		t.Errorf("an empty summary: %v", empty)
	}
}

func sameWords(a, b string) bool {
	return slices.Equal(slices.Sorted(strings.FieldsSeq(a)), slices.Sorted(strings.FieldsSeq(b)))
}

func TestCardinalityWithinItsBound(t *testing.T) {
	a := someAnswers
	a.SrcIPs = 10_000
	for ours, ok := range map[uint64]bool{10_000: true, 10_390: true, 9610: true, 10_410: false, 9590: false} {
		b := a
		b.SrcIPs = ours
		if found := Compare(&a, summaryOf(t, &b)); (len(found) == 0) != ok {
			t.Errorf("%d for 10,000: %v", ours, found)
		}
	}
}

func TestExceptions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exceptions.tsv")
	write := func(s string) {
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# capture\tfield\tours\ttruth\treason\n\na.pcap\tpackets.udp\t1\t2\tfragments\nb.pcap\tpackets.tcp\t1\t2\tcut short\nc.pcap\tx\t1\t2\tnot compared\n")
	exceptions, err := LoadExceptions(path)
	if err != nil {
		t.Fatal(err)
	}
	news, stale := Unexpected(map[string][]Disagreement{
		"a.pcap": {{"packets.udp", "1", "2"}, {"packets.udp", "1", "3"}},
		"b.pcap": nil,
	}, exceptions)
	if want := []string{"a.pcap\tpackets.udp\t1\t3"}; !slices.Equal(news, want) {
		t.Errorf("new: %q, want %q", news, want)
	}
	if diff := cmp.Diff([]Exception{{"b.pcap", Disagreement{"packets.tcp", "1", "2"}, "cut short"}}, stale); diff != "" {
		t.Errorf("stale: %s", diff)
	}
	write("a.pcap\tpackets.udp\t1\t2\n")
	if _, err := LoadExceptions(path); err == nil || !strings.Contains(err.Error(), ":1:") {
		t.Errorf("a line without a reason: %v", err)
	}
}

// TestExceptionsFile: the project's own list of exceptions can be read.
func TestExceptionsFile(t *testing.T) {
	if _, err := LoadExceptions(filepath.Join(RepoRoot(t), "testdata", "conformance-exceptions.tsv")); err != nil {
		t.Error(err)
	}
}

// TestCorpusTruth: every truth file of the corpus can be read, and its counts are consistent.
func TestCorpusTruth(t *testing.T) {
	captures := CorpusCaptures(t)
	for _, c := range captures {
		for _, truth := range []*TruthFile{c.Truth, c.PortsTruth} {
			if truth == nil {
				continue
			}
			a := truth.Answers()
			if a.IPv4+a.IPv6+a.NonIP != a.Packets || a.UDP+a.TCP+a.OtherL4 != a.Packets || a.Queries+a.Replies != a.Messages {
				t.Errorf("%s does not add up: %+v", c.Name, a)
			}
			for _, d := range Compare(a, summaryOf(t, a)) {
				if !strings.HasPrefix(d.Field, "dns.top_qname") { // summaryOf cannot make these tables from lists cut to ten names
					t.Errorf("%s disagrees with itself: %v", c.Name, d)
				}
			}
		}
	}
	if len(captures) < 150 {
		t.Errorf("%d captures with truth, want at least 150", len(captures))
	}
}
