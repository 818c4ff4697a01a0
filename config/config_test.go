package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pktvisor/internal/testkit"
	"pktvisor/policy"
)

func read(t *testing.T, doc string) *Set {
	t.Helper()
	set, err := Read("f.yaml", []byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// faults returns the mistakes in a document, a line each.
func faults(doc string) string {
	if _, err := Read("f", []byte(doc)); err != nil {
		return err.Error()
	}
	return ""
}

// equal ignores the places in the document.
var equal = cmp.Options{cmpopts.IgnoreUnexported(Set{}, Setting{}, Tap{}, Policy{}), cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}

const everyForm = `
version: "1.0"
visor:
  config: {port: 10853, host: localhost, default_geo_city: city.mmdb, cp_custom: x, no_such: 1}
  taps:
    edge:
      input_type: pcap
      config: {iface: auto, host_spec: "192.0.2.0/24,2001:db8::/64", pcap_source: af_packet}
      filter: {bpf: "udp"}
      tags: {site: a, role: resolver, tier: 1}
    core: {input_type: pcap, config: {iface: eth1}, tags: {site: a, role: authority}}
  global_handler_config:
    dns: {topn_count: 20, only_qtype: [A, "28", TYPE65]}
  policies:
    dns_edge:
      kind: collection
      description: names
      config: {merge_like_handlers: false}
      input:
        input_type: pcap
        tap_selector: {all: [{site: a}, {role: resolver}]}
        filter: {bpf: "port 53"}
      handlers:
        window_config: {num_periods: 7, deep_sample_rate: 0}
        modules:
          everything: {type: net, require_version: "2.0"}
          names:
            type: dns
            require_version: "2.0"
            config: {xact_ttl_ms: 20, xact_ttl_secs: 3}
            filter: {only_rcode: [NXDOMAIN, 2, srvfail], exclude_noerror: true, only_qname_suffix: [".Example."], answer_count: 0}
            metric_groups: {disable: [all], enable: [counters, top_qnames]}
    chain:
      kind: collection
      input: {tap_selector: {any: [{role: resolver}, {role: authority}]}, input_type: pcap}
      handlers:
        modules:
          - only_dns:
            type: dns
            filter: {only_queries: true}
          - their_packets: {type: net}
`

// TestSuccessorsForm reads a document that uses every form of the successor's.
func TestSuccessorsForm(t *testing.T) {
	edge := Tap{Name: "edge", Input: "pcap", Tags: map[string]string{"site": "a", "role": "resolver", "tier": "1"}, Tap: policy.DefaultTap(), Hosts: "192.0.2.0/24,2001:db8::/64"}
	edge.Target, edge.Filter = "auto", "udp"
	core := Tap{Name: "core", Input: "pcap", Tags: map[string]string{"site": "a", "role": "authority"}, Tap: policy.DefaultTap()}
	core.Target = "eth1"
	edge53 := edge
	edge53.Filter, edge53.Changed = "port 53", true
	types, zero := []uint16{1, 28, 65}, 0
	first := Policy{Name: "dns_edge", Description: "names", Taps: []Tap{edge53}, Policy: policy.DefaultPolicy(), OwnWindow: true, Rows: 10, Handlers: []Handler{
		{Name: "everything", Type: "net", Version: "2.0"},
		{Name: "names", Type: "dns", Version: "2.0", Rows: 20, Disable: []string{"all"}, Enable: []string{"counters", "top_qnames"}, Filter: policy.Filter{
			Rcodes: []uint16{3, 2, 2}, NotRcodes: []uint16{0}, QNameSuffixes: []string{"example"}, QTypes: types, Answers: &zero,
		}},
	}}
	first.Periods, first.DeepSamplePercent, first.DNSTimeout = 7, 1, 20*time.Millisecond
	second := Policy{Name: "chain", Taps: []Tap{edge, core}, Policy: policy.DefaultPolicy(), Rows: 10, Chained: true, Handlers: []Handler{
		{Name: "only_dns", Type: "dns", Version: "1.0", Rows: 20, Filter: policy.Filter{Queries: true, QTypes: types}},
		{Name: "their_packets", Type: "net", Version: "1.0"},
	}}
	want := &Set{
		Settings: []Setting{{Flag: "port", Values: []string{"10853"}}, {Flag: "listen", Values: []string{"localhost"}}, {Flag: "geo-city", Values: []string{"city.mmdb"}}},
		Taps:     []Tap{edge, core}, Policies: []Policy{first, second},
		Notes: []string{
			"f.yaml:4:71: visor.config.cp_custom: this key has no effect: nothing is sent",
			"f.yaml:4:85: visor.config.no_such: this key is unknown and has no effect",
			"f.yaml:24:59: visor.policies.dns_edge.handlers.window_config.deep_sample_rate: 0 counts as 1, as in the successor",
		},
	}
	if diff := cmp.Diff(want, read(t, everyForm), equal); diff != "" {
		t.Error(diff)
	}
}

// TestOwnForm reads a document that uses every key of the short form.
func TestOwnForm(t *testing.T) {
	set := read(t, `
agent: {listen: 127.0.0.1, tag: [pop=ams1, country=nl], admin-api: true}
taps:
  wan: eth0
  lan: {target: eth1, filter: udp, hosts: 192.0.2.0/24, tags: {site: a}, ring_mib: 8, snaplen: 256, promisc: yes, decap: true}
  old: {target: x.pcap, replay: true, replay_speed: 2.5}
policies:
  all:
  zone:
    select: {any: [{site: a}]}
    filter:
      bpf: port 53
      qname_suffix: Example.NET.
      qname: [a.example, .]
      qtype: [aaaa, "*"]
      rcode: nxdomain
      transport: [UDP, tcp]
      direction: in
      xact: [in, unknown]
      client: [192.0.2.7/24, "2001:db8::1"]
      server: 198.51.100.0/24
      asn: [AS64500, 64501]
      place: EU
      queries: true
      dnssec: true
      answers: 2
      slower_than: 20ms
      dnstap: [client, auth]
      unknown_asn: true
      unknown_place: true
      not: [{rcode: REFUSED}, {not: {responses: on}}]
    periods: 60
    deep_sample: 50
    min_deep_sample: 5
    rows: 100
    memory: 64 MiB
    dns_timeout: 2s
    merged: true
    without: [geo]
    analyzers: dns
    for_each: {top: dns.top_qname2, most: 20}
  two: {taps: [wan, old]}
`)
	wan := Tap{Name: "wan", Input: "pcap", Tap: policy.DefaultTap()}
	wan.Target = "eth0"
	lan := Tap{Name: "lan", Input: "pcap", Tap: policy.DefaultTap(), Hosts: "192.0.2.0/24", Tags: map[string]string{"site": "a"}}
	lan.Target, lan.Filter, lan.RingMiB, lan.SnapLen, lan.Promisc, lan.Decap = "eth1", "udp", 8, 256, true, true
	old := Tap{Name: "old", Input: "pcap", Tap: policy.DefaultTap()}
	old.Target, old.Replay, old.ReplaySpeed = "x.pcap", true, 2.5
	both := []Handler{{Name: "packets", Type: "net", Version: "1.0"}, {Name: "dns", Type: "dns", Version: "1.0"}}
	two := 2
	zone := Policy{Name: "zone", Taps: []Tap{lan}, Policy: policy.DefaultPolicy(), OwnWindow: true, Rows: 100, Merged: true, ForEach: &ForEach{"dns.top_qname2", 20},
		Handlers: []Handler{{Name: "dns", Type: "dns", Version: "1.0", Disable: []string{"geo"}}}}
	zone.Periods, zone.DeepSamplePercent, zone.MinDeepSamplePercent, zone.Budget, zone.DNSTimeout = 60, 50, 5, 64<<20, 2*time.Second
	zone.Filter = policy.Filter{
		BPF: "port 53", QNames: []string{"a.example", ""}, QNameSuffixes: []string{"example.net"}, QTypes: []uint16{28, 255}, Rcodes: []uint16{3},
		Transports: []string{"udp", "tcp"}, Directions: []string{"in"}, XactDirections: []string{"in", "unknown"},
		Clients: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")}, Servers: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
		ASNs: []uint32{64500, 64501}, Places: []string{"EU"}, Queries: true, DNSSEC: true, Answers: &two, SlowerThan: 20 * time.Millisecond,
		Messages: []string{"client", "auth"}, UnknownASN: true, UnknownPlace: true,
		Not: []policy.Filter{{Rcodes: []uint16{5}}, {Not: []policy.Filter{{Responses: true}}}},
	}
	want := &Set{
		Settings: []Setting{{Flag: "listen", Values: []string{"127.0.0.1"}}, {Flag: "tag", Values: []string{"pop=ams1", "country=nl"}}, {Flag: "admin-api", Values: []string{"true"}}},
		Taps:     []Tap{wan, lan, old},
		Policies: []Policy{
			{Name: "all", Taps: []Tap{wan, lan, old}, Policy: policy.DefaultPolicy(), OwnWindow: true, Rows: 10, Handlers: both},
			zone,
			{Name: "two", Taps: []Tap{wan, old}, Policy: policy.DefaultPolicy(), OwnWindow: true, Rows: 10, Handlers: both},
		},
	}
	if diff := cmp.Diff(want, set, equal); diff != "" {
		t.Error(diff)
	}
}

// TestFaults: each mistake has its place, its path, and what to write instead. The files are pairs of a document and its mistakes.
func TestFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		doc, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		testkit.Golden(t, strings.TrimSuffix(file, ".yaml")+".txt", []byte(faults(string(doc))+"\n"))
	}
}

// TestWholeDocument: mistakes about the document itself.
func TestWholeDocument(t *testing.T) {
	for doc, want := range map[string]string{
		"":                                  "f: empty data: give taps and policies",
		"# nothing":                         "f: empty data: give taps and policies",
		"null":                              "f:1:1: invalid schema: give visor, or taps and policies",
		"[]":                                "f:1:1: this is a list: give a map",
		"a: b: c":                           "f: mapping values are not allowed in this context",
		"visor: {}\n---\nvisor: {}":         "f: several documents: give one",
		"\xff\xfe":                          "f: the document is not UTF-8 text",
		"visor: 3":                          "f:1:8: visor: this is \"3\": give a map",
		"visor:":                            "f:1:7: visor: invalid schema: visor is not a map",
		"version: '2.0'\nvisor: {}":         "f:1:10: version: unsupported version \"2.0\": give \"1.0\"",
		"visor: {}\ntaps: {}":               "f:1:8: visor: the document has both visor and keys of the short form: use one of the two",
		"{1: {}, [a]: b}":                   "f:1:2: 1: unknown key: give one of agent, policies, taps, version, visor\nf:1:9: a key of this map is a list: give a name",
		"polices: {}":                       "f:1:1: polices: unknown key: did you mean policies?",
		strings.Repeat("a", MaxBytes+1):     "f: the document has 4194305 bytes: give at most 4 MiB",
		"taps: {a: eth0, a: eth1}":          "f:1:17: taps.a: this key is already in line 1: give it once",
		`{"taps": {"a": {"target": "eth0"}`: "f: line 1: did not find expected ',' or '}'",
	} {
		if got := faults(doc); got != want {
			t.Errorf("%.40q:\n got %s\nwant %s", doc, got, want)
		}
	}
}

// TestBounds: neither aliases nor many taps, policies or mistakes take more than a stated amount of work.
func TestBounds(t *testing.T) {
	bomb := "x: &a0 [lol]\n"
	for i := range 30 {
		bomb += fmt.Sprintf("y%d: &a%d [*a%d, *a%d, *a%d]\n", i, i+1, i, i, i)
	}
	if got := faults("visor:\n  taps:\n    a: {input_type: pcap, config: {iface: [[[]]]}}\n" + bomb); got != "f:3:43: visor.taps.a.config.iface: this is a list: give a text" {
		t.Error(got)
	}
	if got := faults(bomb); !strings.Contains(got, "y29: unknown key") {
		t.Error(got)
	}
	// The aliases are inside a part that is read: filters within filters.
	bomb = "taps: {t: eth0}\npolicies:\n  p0: {filter: &f0 {qname: a}}\n"
	for i := range 20 {
		bomb += fmt.Sprintf("  p%d: {filter: &f%d {not: [*f%d, *f%d, *f%d, *f%d, *f%d, *f%d, *f%d, *f%d]}}\n", i+1, i+1, i, i, i, i, i, i, i, i)
	}
	if got := faults(bomb); !strings.Contains(got, "the document has more than 200000 values, with those that aliases repeat") {
		t.Errorf("%.300s", got)
	}
	many := "taps:\n"
	for i := range MaxTaps + 1 {
		many += fmt.Sprintf("  t%d: eth0\n", i)
	}
	if got := faults(many); got != "f:258:3: taps.t256: more than 256 taps" {
		t.Error(got)
	}
	many = "taps: {t: eth0}\npolicies:\n"
	for i := range 10_000 {
		many += fmt.Sprintf("  p%d: {}\n", i)
	}
	if got := faults(many); got != "f:1003:3: policies.p1000: more than 1000 policies" {
		t.Error(got)
	}
	many = "taps:\n" + strings.Repeat("  1: eth0\n", 1000)
	if got := strings.Split(faults(many), "\n"); len(got) != maxFaults+1 || got[maxFaults] != "f: and 900 more mistakes" {
		t.Errorf("%d mistakes: %s", len(got), got[len(got)-1])
	}
}

// TestKinds: a client can tell a selector that matches nothing from other mistakes.
func TestKinds(t *testing.T) {
	_, err := Read("f", []byte("visor: {policies: {p: {kind: collection, input: {input_type: pcap, tap_selector: {any: [{a: b}]}}, handlers: {modules: {n: {type: net}}}}}}"))
	f, ok := errors.AsType[*Fault](err)
	if !ok || f.Kind != Unmatched || f.Problem != "no tap match found for specified 'input.tap_selector' tags: no tap has tags" {
		t.Errorf("%#v %v", f, err)
	}
}

// TestDistance compares the distance with what was counted by hand.
func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"periods", "periods", 0}, {"period", "periods", 1}, {"preiods", "periods", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"abcdef", "badcfe", 3}, {"ca", "abc", 3},
	} {
		if got := distance(c.a, c.b, 10); got != c.want {
			t.Errorf("%s %s: %d, want %d", c.a, c.b, got, c.want)
		}
		if got := distance(c.b, c.a, 10); got != c.want {
			t.Errorf("%s %s: %d, want %d", c.b, c.a, got, c.want)
		}
	}
	if distance("abcdef", "a", 2) != 2 {
		t.Error("no limit")
	}
}

// FuzzRead: no document makes Read fail otherwise than with faults that have a problem, and a set never exceeds its bounds.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		doc, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	f.Add([]byte(everyForm))
	f.Fuzz(func(t *testing.T, doc []byte) {
		set, err := Read("f", doc)
		if (set == nil) != (err != nil) {
			t.Fatal(set, err)
		}
		if err != nil {
			for _, line := range strings.Split(err.Error(), "\n") {
				if !strings.HasPrefix(line, "f:") {
					t.Errorf("%q", line)
				}
			}
			return
		}
		if len(set.Taps) > MaxTaps || len(set.Policies) > MaxPolicies || len(set.Notes) > maxFaults {
			t.Error("beyond the bounds")
		}
		for _, p := range set.Policies {
			if p.Periods < policy.MinPeriods || p.Periods > policy.MaxPeriods || p.Rows < 1 || p.Rows > MaxRows || len(p.Taps) == 0 {
				t.Errorf("%+v", p)
			}
		}
	})
}

// TestOtelKeys: the keys of the successor for OTLP become its flags. What is off is not there.
func TestOtelKeys(t *testing.T) {
	set := read(t, `visor: {config: {otel: yes, otel_host: collector, otel_port: 80, otel_path: /x, otel_interval: 5, otel_tls: on, otel_tls_cert: c, otel_tls_key: k}}`)
	var got []string
	for _, s := range set.Settings {
		got = append(got, s.Flag+"="+strings.Join(s.Values, ","))
	}
	want := "otel=true otel-host=collector otel-port=80 otel-path=/x otel-interval=5 otel-tls=true otel-tls-cert=c otel-tls-key=k"
	if strings.Join(got, " ") != want || len(set.Notes) != 0 {
		t.Errorf("%v %v", got, set.Notes)
	}
	if set := read(t, `visor: {config: {otel: false, otel_tls: "off"}}`); len(set.Settings) != 0 || len(set.Notes) != 0 {
		t.Errorf("%v %v", set.Settings, set.Notes)
	}
	set = read(t, `agent: {otlp: "http://a:4318", otlp-interval: 30s, otlp-header: ["a=b,c"]}`+"\ntaps: {a: eth0}\npolicies: {p: {}}\n")
	if s := set.Settings; len(s) != 3 || s[2].Flag != "otlp-header" || s[2].Values[0] != "a=b,c" {
		t.Errorf("%v", s)
	}
}
