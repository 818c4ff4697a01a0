package main

import (
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/oapi-codegen/runtime" // the generated client imports it; this import keeps it in go.mod

	"pktvisor/agent"
	"pktvisor/analyze/packets"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
	"pktvisor/state"
)

// TestGeneratedClient: the Go client that oapi-codegen generates from docs/openapi.yaml compiles, and decodes the
// answers of every route of a live agent exactly. The generated file exists only for this test.
func TestGeneratedClient(t *testing.T) {
	if testing.Short() {
		t.Skip("this test generates and builds a program")
	}
	client := buildClient(t) // first, because it may take minutes
	p := startProcess(t, "--replay", "--state-dir", stateOfOneMinute(t), "-H", testkit.HostSpec, filepath.Join(testkit.Captures(t), "demo.pcap.gz"))
	testkit.Eventually(t, "it has packets in the live minute", func() bool {
		return p.summary(t, "/api/v1/metrics/window/1")["packets.total"] > 0
	})
	out, err := exec.Command(client, "http://"+p.Addr).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), " routes\n") {
		t.Errorf("it made no requests: %s", out)
	}
}

// buildClient generates the client, builds the program in testdata/client with it, and returns the program's path.
func buildClient(t *testing.T) string {
	t.Helper()
	dir, root := t.TempDir(), testkit.RepoRoot(t)
	generated, program, overlay := filepath.Join(dir, "client.go"), filepath.Join(dir, "client"), filepath.Join(dir, "overlay.json")
	source := filepath.Join(root, "cmd", "pktvisord", "testdata", "client")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(source, "generated.go"): generated}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, replace, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"tool", "oapi-codegen", "-generate", "types,client", "-package", "main", "-o", generated, filepath.Join(root, "docs", "openapi.yaml")},
		{"build", "-overlay", overlay, "-o", program, source},
	} {
		cmd := exec.Command("go", args...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", args[0], err, out)
		}
	}
	return program
}

// stateOfOneMinute makes a state directory with the previous minute. The minute has values of every kind, and a counter
// that does not fit an int64.
func stateOfOneMinute(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s, err := state.Open(dir, agent.Tables, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	b := metric.NewBucket(agent.Tables)
	b.End = time.Now().Unix() / 60 * 60
	b.Start = b.End - 60
	section, _ := b.Section("packets")
	m := metric.Of[packets.Metrics](section)
	m.Total += 1<<63 + 3
	for i := range uint64(100) {
		key := []byte{byte(i), '"', 0xff}
		m.SrcIPsIn.Add(key)
		m.TopIPv4.Add(key, i*i)
		m.Size.Record(i * 7)
		m.PpsTotal.Add(b.Start+int64(i)%60, i)
	}
	b.Seal(8192)
	s.Save(b)
	s.Close(nil)
	return dir
}
