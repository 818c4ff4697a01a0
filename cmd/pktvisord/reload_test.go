package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pktvisor/internal/testkit"
)

// TestReload reads a capture file into three windows, and changes the document. The policy that stays keeps its window, the one
// that changes starts anew, and the one that is gone is gone. A document with a mistake changes nothing.
func TestReload(t *testing.T) {
	cfg := testkit.TinyMixed()
	cfg.Packets = 1000
	capture, truth := writeTraffic(t, cfg)
	dir := t.TempDir()
	doc, stateDir := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "state")
	write := func(policies string) {
		if err := os.WriteFile(doc, fmt.Appendf(nil, "agent: {host-subnets: %q}\ntaps: {old: {target: %q}}\npolicies:\n%s", testkit.HostSpec, capture, policies), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("  all: {periods: 60}\n  dns: {periods: 60, analyzers: dns}\n  gone: {periods: 60}\n")
	p := startProcess(t, "--config", doc, "--no-sandbox", "--state-dir", stateDir)
	total := func(policy, number string) func() bool {
		return func() bool {
			status, body := p.change("GET", "/api/v1/metrics/window/60?policy="+policy, "")
			return status == http.StatusOK && flatten(t, []byte(body))[number] > 0
		}
	}
	testkit.Eventually(t, "the file is read to its end", func() bool {
		_, body := p.change("GET", "/api/v1/metrics/window/60?policy=all", "")
		return flatten(t, []byte(body))["packets.total"] == float64(truth.Total.Packets)
	})
	reload := func(message string) {
		seen := strings.Count(p.Log.String(), message)
		if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, "the log says: "+message, func() bool { return strings.Count(p.Log.String(), message) > seen })
	}
	write("  all: {periods: 60}\n  dns: {perods: 30}\n")
	reload("cannot reload the configuration; the old one stays in force")
	if !strings.Contains(p.Log.String(), "policies.dns.perods: unknown key: did you mean periods?") || !total("gone", "packets.total")() {
		t.Errorf("a document with a mistake: %s", p.Log.String())
	}
	write("  all: {periods: 60, description: only the description is new}\n  dns: {periods: 30, analyzers: dns}\n")
	reload("configuration reloaded")
	if want := "changed=dns added=\"\" removed=gone kept=1"; !strings.Contains(p.Log.String(), want) {
		t.Errorf("the log does not say %s:\n%s", want, p.Log.String())
	}
	if !total("all", "packets.total")() {
		t.Error("the policy that has not changed has lost its window")
	}
	if total("dns", "dns.wire_packets.total")() {
		t.Error("the policy that has changed kept its numbers")
	}
	if status, body := p.change("GET", "/api/v1/metrics/window/60?policy=gone", ""); status != http.StatusNotFound {
		t.Errorf("the policy that is gone: %d %.200s", status, body)
	}
	if _, body := p.change("GET", "/api/v1/policies/all", ""); !strings.Contains(body, "only the description is new") {
		t.Errorf("the description is not new: %s", body)
	}
}

// TestAdminOff: without --admin-api nothing can be changed.
func TestAdminOff(t *testing.T) {
	capture, _ := writeTraffic(t, testkit.TinyMixed())
	p := startProcess(t, "--replay", capture)
	if status, body := p.change("POST", "/api/v1/policies", "policies: {p: {}}"); status != http.StatusNotFound || !strings.Contains(body, "--admin-api") {
		t.Errorf("%d %s", status, body)
	}
}

// TestDefinition: a client reads what is in force after a PUT, with the filter and what is anonymised, and can send it again: it is
// the same policy.
func TestDefinition(t *testing.T) {
	capture, _ := writeTraffic(t, testkit.TinyMixed())
	p := startProcess(t, "--config", inFile(t, fmt.Sprintf("agent: {admin-api: true}\ntaps: {old: {target: %q}}\npolicies: {p: {}}", capture)), "--no-sandbox")
	const sent = "policies: {p: {filter: {rcode: [SERVFAIL], client: 192.0.2.0/24}, anonymize: true, taps: {old: {filter: udp}}}}"
	definition := func() string {
		var v map[string]struct{ Definition string }
		if status, body := p.change("GET", "/api/v1/policies/p", ""); status != http.StatusOK || json.Unmarshal([]byte(body), &v) != nil {
			t.Fatalf("%d %s", status, body)
		}
		return v["p"].Definition
	}
	before := definition()
	if status, body := p.change("PUT", "/api/v1/policies/p", sent); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	shown := definition()
	for _, part := range []string{"policies:\n  p:\n", "rcode: [SERVFAIL]", "client: [192.0.2.0/24]", "anonymize: true", "filter: udp", "periods: 5"} {
		if !strings.Contains(shown, part) || part == "anonymize: true" && strings.Contains(before, part) {
			t.Errorf("no %q in\n%s\nbefore:\n%s", part, shown, before)
		}
	}
	if status, body := p.change("PUT", "/api/v1/policies/p", shown); status != http.StatusOK {
		t.Errorf("what is shown is sent again: %d %s", status, body)
	}
	if again := definition(); again != shown {
		t.Errorf("then it is\n%s\nnot\n%s", again, shown)
	}
}

// TestReloadTakesBack: a reload warns of what it takes back, and not of what the document says by now.
func TestReloadTakesBack(t *testing.T) {
	capture, _ := writeTraffic(t, testkit.TinyMixed())
	doc := filepath.Join(t.TempDir(), "c.yaml")
	write := func(periods int) {
		if err := os.WriteFile(doc, fmt.Appendf(nil, "agent: {admin-api: true}\ntaps: {old: {target: %q}}\npolicies: {a: {periods: %d}, b: {}}", capture, periods), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(3)
	p := startProcess(t, "--config", doc, "--no-sandbox")
	const warning = "the reload has taken back what was changed over the API"
	for i, c := range []struct{ method, path, body, log string }{
		{"PUT", "policies/a", "policies: {a: {periods: 4}}", `what=policy name=a changed=a added="" removed=""`},
		{"DELETE", "policies/b", "", `what=policy name=b changed="" added="" removed=b`},
		{"PUT", "policies/new", "policies: {new: {periods: 4}}", `what=policy name=new changed="" added=new removed=""`},
		{"POST", "reload", "", `taken back what was changed over the API" names=policies/a,policies/b`},
		{"PUT", "policies/a", "policies: {a: {periods: 5}}", `what=policy name=a changed=a added="" removed=""`},
	} {
		status, body := p.change(c.method, "/api/v1/"+c.path, c.body)
		if status >= 300 {
			t.Errorf("%d: %d %s", i, status, body)
		}
		testkit.Eventually(t, "the log says "+c.log, func() bool { return strings.Contains(p.Log.String(), c.log) })
	}
	write(5)
	if status, body := p.change("POST", "/api/v1/reload", ""); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	testkit.Eventually(t, "the second reload is logged", func() bool { return strings.Count(p.Log.String(), "configuration reloaded") == 2 })
	if strings.Count(p.Log.String(), warning) != 1 {
		t.Errorf("the document has the change by now, and the log warns:\n%s", p.Log.String())
	}
}

// TestTapsOfOneTarget: two taps that read the same have their own state, and sources that Prometheus can distinguish. A pipe in place of
// the document does not hold up a reload.
func TestTapsOfOneTarget(t *testing.T) {
	capture, _ := writeTraffic(t, testkit.TinyMixed())
	doc := inFile(t, fmt.Sprintf("agent: {admin-api: true}\ntaps: {a: {target: %q, replay: true}, b: {target: %[1]q, replay: true}}\npolicies: {p: {taps: [a, b]}}", capture))
	p := startProcess(t, "--config", doc, "--no-sandbox")
	for tap, want := range map[string]int{"a": 200, "b": 200, "c": 404} {
		if status, body := p.get(t, "/readyz?tap="+tap); status != want {
			t.Errorf("tap %s: %d %s", tap, status, body)
		}
	}
	_, page := p.get(t, "/metrics")
	seen := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		series, _, _ := strings.Cut(line, "} ")
		if strings.HasPrefix(line, "pktvisor_source_") {
			if seen[series] {
				t.Errorf("twice: %s", line)
			}
			seen[series] = true
		}
	}
	if len(seen) < 2 {
		t.Errorf("%d series of sources", len(seen))
	}
	if err := os.Remove(doc); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(doc, 0o600); err != nil {
		t.Skip("no pipes here:", err)
	}
	if status, body := p.change("POST", "/api/v1/reload", ""); status < 400 || !strings.Contains(body, "not a regular file") {
		t.Errorf("a pipe: %d %s", status, body)
	}
}
