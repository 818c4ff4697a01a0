package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pktvisor/config"
)

// inFile returns the path of a file with the given content.
func inFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const small = `
agent: {port: 1234, periods: 7, tag: [pop=a, x=y]}
taps: {one: lo}
policies: {all: {}, dns: {analyzers: dns, periods: 3}}
`

// TestSettings: a document gives values to flags, and the command line wins.
func TestSettings(t *testing.T) {
	path := inFile(t, small)
	o, err := parse([]string{"--config", path, "-p", "5"})
	if err != nil {
		t.Fatal(err)
	}
	if o.Port != 5 || o.Periods != 7 || strings.Join(o.Tags, " ") != "pop=a x=y" || o.Target != "" {
		t.Errorf("port %d, %d periods, tags %q, target %q", o.Port, o.Periods, o.Tags, o.Target)
	}
	set, err := newWanted(o).set()
	if err != nil {
		t.Fatal(err)
	}
	if a, b := set.Policies[0].Periods, set.Policies[1].Periods; a != 7 || b != 3 {
		t.Errorf("%d and %d periods, want that of the flag and its own", a, b)
	}
}

// TestDocumentMistakes: the mistakes of a document are reported at once with their places, and the program ends with 1.
func TestDocumentMistakes(t *testing.T) {
	for doc, want := range map[string]string{
		"agent: {prot: 1}\ntaps: {a: lo}":                                                  ":1:15: agent.prot: unknown setting: give the name of an option of pktvisord without its dashes, such as listen",
		"agent: {config: x}\ntaps: {a: lo}":                                                "agent.config: unknown setting",
		"agent: {port: x}\ntaps: {a: lo}":                                                  `:1:15: agent.port: this is "x": strconv.ParseInt: parsing "x": invalid syntax`,
		"agent: {port: 99999}\ntaps: {a: lo}":                                              "-p 99999: give a port from 1 to 65535",
		"taps: {a: lo}\npolicies: {p: {filter: {bpf: port}}}":                              "policies.p.filter.bpf",
		"taps: {a: lo}\npolicies: {p: {memory: 1MiB}}":                                     "policy p: a memory of 1.0 MiB is too small for 1 windows of 5 minutes: give at least",
		"taps: {a: x.pcap/, b: lo}\npolicies: {p: {merged: true}}":                         "policy p: merged is for taps that capture live",
		"taps: {a: {target: lo, any_copies: true}}":                                        "any_copies is for the target any, not for lo",
		"taps: {default: lo}\npolicies: {q: {}}":                                           "",
		"":                                                                                 "empty data: give taps and policies",
		"taps: {a: lo}\npolicies: {p: {taps: []}}":                                         "this names no tap",
		"taps: {a: lo}\npolicies: {p: {analyzers: {x: {}}}}":                               "no type: give type: packets, dns or source",
		"taps: {a: lo}\npolicies: {p: {anonymize_names: half}}":                            "policies.p.anonymize_names",
		"taps: {a: lo}\npolicies: {p: {taps: {a: {filter: udp}}, filter: {bpf: port 53}}}": "",
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"check", inFile(t, doc)}, nil, &stdout, &stderr)
		wantCode := 1
		if want == "" {
			wantCode = 0
		}
		if strings.HasPrefix(want, "-p ") {
			wantCode = exitUsage
		}
		if code != wantCode || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: %d, %s; want %q", doc, code, stderr.String(), want)
		}
	}
}

// TestShowConfig: what show-config prints means the same, and prints the same.
func TestShowConfig(t *testing.T) {
	example, err := os.ReadFile("../../examples/anycast.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, doc := range map[string]string{"small": small, "anycast": string(example), "successor": visor} {
		var first, second, stderr bytes.Buffer
		path := inFile(t, doc)
		if code := run(t.Context(), []string{"show-config", path}, nil, &first, &stderr); code != 0 {
			t.Fatalf("%s: %d, %s", name, code, stderr.String())
		}
		shown := inFile(t, first.String())
		if code := run(t.Context(), []string{"show-config", shown}, nil, &second, &stderr); code != 0 || first.String() != second.String() {
			t.Errorf("%s: %d, %s\n%s\nthen\n%s", name, code, stderr.String(), first.String(), second.String())
		}
		if text := first.String(); strings.Contains(text, `memory: "`) || strings.Contains(text, "memory: 0") || name == "small" && !strings.Contains(text, "port: 1234\n") || !strings.Contains(text, "promisc: false\n") {
			t.Errorf("%s: numbers and booleans have quotes, or the memory is 0:\n%s", name, text)
		}
		if code := run(t.Context(), []string{"check", shown}, nil, &second, &stderr); code != 0 {
			t.Errorf("%s: check: %d, %s", name, code, stderr.String())
		}
		a, b := planOf(t, path), planOf(t, shown)
		for i := range a.policies {
			if x, y := a.policies[i], b.policies[i]; x.Name != y.Name || len(x.windows) != len(y.windows) || x.windows[0].name != y.windows[0].name {
				t.Errorf("%s: policy %s has %d windows, and then %s has %d", name, x.Name, len(x.windows), y.Name, len(y.windows))
			}
		}
	}
}

// visor is a document in the form of the successor, with everything that the short form has other words for.
const visor = `
version: "1.0"
visor:
  taps:
    edge: {input_type: pcap, config: {iface: lo, host_spec: 192.0.2.0/24}, tags: {site: a}}
    core: {input_type: pcap, config: {iface: lo}, tags: {site: a, n: 1}}
  policies:
    several:
      kind: collection
      description: "two of a type: a chain"
      input: {input_type: pcap, tap_selector: {any: [{site: a}]}, filter: {bpf: "port 53"}}
      handlers:
        window_config: {num_periods: 3, topn_count: 7}
        modules:
          - names: {type: dns, require_version: "2.0", filter: {only_rcode: [NXDOMAIN, 2], exclude_noerror: true, only_qname_suffix: [.example], answer_count: 0}, metric_groups: {disable: [all], enable: [counters]}}
          - packets: {type: net, filter: {only_asn_number: ["64500"], geoloc_notfound: false}}
          - more: {type: dns, filter: {only_queries: true, only_qtype: [A, "65280"]}}
          - counts: {type: pcap}
`

func planOf(t *testing.T, path string) *plan {
	t.Helper()
	o, err := parse([]string{"check", path})
	if err != nil {
		t.Fatal(err)
	}
	p, err := newWanted(o).plan()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestWindows: a policy has a window for each tap, and one more for each further handler of a type.
func TestWindows(t *testing.T) {
	p := planOf(t, inFile(t, visor))
	var names []string
	for _, w := range p.policies[0].windows {
		names = append(names, w.name+":"+w.tap)
	}
	if len(p.inputs) != 2 || p.inputs[0].tap != "edge" || !strings.HasPrefix(p.inputs[0].name, "edge/") || p.inputs[0].Filter != "port 53" {
		t.Errorf("inputs: %+v", p.inputs)
	}
	edge, core := p.inputs[0].name, p.inputs[1].name
	want := "several:edge several/" + edge + "/more:edge several/" + core + ":core several/" + core + "/more:core"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("windows %s, want %s", got, want)
	}
	if w := p.policies[0].windows[1]; len(w.before) != 2 || w.before[0].Name != "names" {
		t.Errorf("the chain in front of the last window: %+v", w.before)
	}
}

// TestWanted: what the API has added stays at a reload, unless the file has it. What a policy uses cannot be missing.
func TestWanted(t *testing.T) {
	o, err := parse([]string{"--config", inFile(t, small)})
	if err != nil {
		t.Fatal(err)
	}
	names := func(w *wanted) string {
		set, err := w.set()
		if err != nil {
			return err.Error()
		}
		var all []string
		for _, t := range set.Taps {
			all = append(all, t.Name)
		}
		for _, p := range set.Policies {
			all = append(all, p.Name+"="+string(rune('0'+p.Periods)))
		}
		return strings.Join(all, " ")
	}
	w := newWanted(o)
	if got := names(w); got != "one all=7 dns=3" {
		t.Error(got)
	}
	w = w.with(addition{config.Taps, "two", []byte("taps: {two: lo}")})
	w = w.with(addition{config.Policies, "new", []byte("policies: {new: {taps: two, periods: 4}}")})
	w = w.with(addition{config.Policies, "dns", []byte("policies: {dns: {periods: 9}}")})
	if got := names(w); got != "one two all=7 dns=9 new=4" {
		t.Error(got)
	}
	if got := names(w.without(config.Policies, "all")); got != "one two dns=9 new=4" {
		t.Error(got)
	}
	if got := names(w.without(config.Policies, "all").reloaded(o.document)); got != "one two all=7 dns=3 new=4" {
		t.Error(got)
	}
	if got := names(w.without(config.Taps, "two")); !strings.Contains(got, "new that was added over the API: ") || !strings.Contains(got, "tap 'two' does not exist") {
		t.Error(got)
	}
	if got := names(newWanted(o)); got != "one all=7 dns=3" {
		t.Errorf("a change has changed what was before: %s", got)
	}
	line, err := parse([]string{"--config", inFile(t, "taps: {default: lo}\npolicies: {default: {}}"), "lo"})
	if err != nil {
		t.Fatal(err)
	}
	if got := names(newWanted(line)); strings.Count(got, "the command line makes a") != 2 {
		t.Error(got)
	}
}

// TestCheckSays: check counts in words that fit, and says which filters let queries pass.
func TestCheckSays(t *testing.T) {
	const note = "p: the filter is about responses, and queries count too: add "
	for doc, want := range map[string][2]string{
		"taps: {a: lo}\npolicies: {p: {}}":                                             {"is good: 1 tap, 1 policy, 1 window, at most "},
		"taps: {a: lo, b: lo}\npolicies: {p: {}, q: {}}":                               {"is good: 2 taps, 2 policies, 4 windows, at most "},
		"taps: {a: lo}\npolicies: {p: {filter: {rcode: SERVFAIL}}}":                    {"is good", "c.yaml:2:12: policies.p" + note[1:] + "responses: true to count responses only"},
		"taps: {a: lo}\npolicies: {p: {filter: {slower_than: 1s, transport: udp}}}":    {"is good", note + "responses: true"},
		"taps: {a: lo}\npolicies: {p: {filter: {not_rcode: NOERROR}}}":                 {"is good", note},
		"taps: {a: lo}\npolicies: {p: {filter: {rcode: SERVFAIL, responses: true}}}":   {"is good"},
		"taps: {a: lo}\npolicies: {p: {filter: {rcode: SERVFAIL, qname_suffix: org}}}": {"is good"},
		`visor: {taps: {a: {input_type: pcap, config: {iface: lo}}}, policies: {p: {kind: collection, input: {input_type: pcap, tap: a}, handlers: {modules: {d: {type: dns, filter: {only_rcode: 2}}}}}}}`: {"is good"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"check", inFile(t, doc)}, nil, &stdout, &stderr)
		if code != 0 || !strings.Contains(stderr.String(), want[0]) || !strings.Contains(stderr.String(), want[1]) || want[1] == "" && strings.Contains(stderr.String(), note) {
			t.Errorf("%s: %d, %s; want %q", doc, code, stderr.String(), want)
		}
	}
}
