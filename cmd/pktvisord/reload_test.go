package main

import (
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
