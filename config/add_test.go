package config

import (
	"errors"
	"strings"
	"testing"
)

// TestAdd: a document adds one tap or one policy to a set, and the set before does not change.
func TestAdd(t *testing.T) {
	base := read(t, `
version: "1.0"
visor:
  taps: {edge: {input_type: pcap, config: {iface: eth0}, tags: {site: a}}}
  global_handler_config: {dns: {topn_count: 20}}
  policies: {p: {kind: collection, input: {input_type: pcap, tap: edge}, handlers: {modules: {d: {type: dns}}}}}
`)
	for _, c := range []struct {
		doc, what string
		replace   bool
		want      string // the name, or a part of the error
		kind      Kind
	}{
		{"policies: {q: {select: {any: [{site: a}]}}}", Policies, false, "q", 0},
		{"policies: {p: {}}", Policies, true, "p", 0},
		{"policies: {p: {}}", Policies, false, "policy with name 'p' already defined", Duplicate},
		{"taps: {edge: lo}", Taps, false, "module name 'edge' already exists", Duplicate},
		{"taps: {edge: lo}", Taps, true, "edge", 0},
		{"taps: {two: lo}", Taps, false, "two", 0},
		{"taps: {two: lo, three: lo}", Taps, false, "only a single tap expected but got 2", Invalid},
		{"policies: {}", Policies, false, "no policies found in schema", Invalid},
		{"taps: {two: lo}", Policies, false, "this document adds one policy: leave out taps", Invalid},
		{"policies: {q: {select: {all: [{site: b}]}}}", Policies, false, "no tap match found for specified 'input.tap_selector' tags", Unmatched},
		{"policies: {q: {taps: other}}", Policies, false, "tap 'other' does not exist", Invalid},
		{"visor: {policies: {q: {kind: collection, input: {input_type: pcap, tap: edge}, handlers: {modules: {d: {type: dns}}}}}}", Policies, false, "q", 0},
		{"{taps: edge, filter: {qname: x}}", Policies, true, "d:1:1: write policies: {NAME: {…}}", Invalid},
		{"{taps: {edge: {filter: udp}}, analyzers: dns, periods: 3}", Policies, true, "d:1:1: write policies: {NAME: {…}}", Invalid},
		{"taps: [edge]", Policies, true, "write policies: {NAME: {…}}", Invalid},
		{"{target: lo, hosts: 192.0.2.0/24}", Taps, true, "d:1:1: write taps: {NAME: {…}}", Invalid},
		{"polices: {q: {}}", Policies, false, "polices", Invalid},
		{"{policies: {q: {}}, filter: {}}", Policies, false, "d:1:21: filter: this document adds one policy: leave out filter", Invalid},
		{"", Policies, false, "empty data", Invalid},
		{"visor: x", Policies, false, "give a map", Invalid},
	} {
		next, name, err := base.Add("d", []byte(c.doc), c.what, c.replace)
		if err == nil {
			if name != c.want || next == base {
				t.Errorf("%s: %q", c.doc, name)
			}
			continue
		}
		var f *Fault
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than one complaint: %v", c.doc, err)
		}
		if !strings.Contains(err.Error(), c.want) || !errors.As(err, &f) || f.Kind != c.kind {
			t.Errorf("%s: %v, want %s", c.doc, err, c.want)
		}
	}
	if len(base.Taps) != 1 || len(base.Policies) != 1 || base.Policies[0].Taps[0].Target != "eth0" {
		t.Errorf("the set has changed: %+v", base)
	}
	next, _, err := base.Add("d", []byte("visor: {policies: {q: {kind: collection, input: {input_type: pcap, tap: edge}, handlers: {modules: {d: {type: dns}}}}}}"), Policies, false)
	if err != nil || next.Policies[1].Handlers[0].Rows != 20 {
		t.Errorf("what the file says of all handlers does not count: %v", err)
	}
	if next, _, err = next.Add("d", []byte("taps: {edge: eth7}"), Taps, true); err != nil || next.Policies[0].Taps[0].Target != "eth7" || len(next.Taps) != 1 {
		t.Errorf("a tap that was replaced: %v, %+v", err, next)
	}
	if users := next.Users("edge"); strings.Join(users, " ") != "p q" {
		t.Errorf("users %q", users)
	}
}

// TestFill: what a document leaves out is that of the flags.
func TestFill(t *testing.T) {
	flags := read(t, "taps: {a: lo}\npolicies: {p: {}}").Policies[0].Policy
	flags.Periods, flags.DeepSamplePercent, flags.Anonymize, flags.AnonymizeNames, flags.DNSPorts = 30, 50, true, "domain", "99"
	set := read(t, `
taps: {a: lo}
policies:
  none: {}
  some: {periods: 2, anonymize: false, anonymize_names: "labels:2"}
`)
	for i, want := range []struct {
		periods, sample int
		anonymize       bool
		names           string
	}{{30, 50, true, "domain"}, {2, 50, false, "labels:2"}} {
		p := &set.Policies[i]
		p.Fill(&flags)
		if p.Periods != want.periods || p.DeepSamplePercent != want.sample || p.Anonymize != want.anonymize || p.AnonymizeNames != want.names || p.DNSPorts != "99" {
			t.Errorf("%s: %+v", p.Name, p.Policy)
		}
	}
	visor := read(t, `
version: "1.0"
visor:
  taps: {a: {input_type: pcap, config: {iface: lo}}}
  policies: {p: {kind: collection, input: {input_type: pcap, tap: a}, handlers: {window_config: {num_periods: 9}, modules: {d: {type: dns}}}}}
`).Policies[0]
	if visor.Fill(&flags); visor.Periods != 9 || visor.DeepSamplePercent != 100 {
		t.Errorf("with a window_config: %d periods, %d%%", visor.Periods, visor.DeepSamplePercent)
	}
}
