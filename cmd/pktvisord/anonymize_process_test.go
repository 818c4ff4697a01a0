package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pktvisor/anon"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// TestAnonymizedAgent: a running agent says that it anonymises, pushes what is anonymised, and keeps only such minutes.
func TestAnonymizedAgent(t *testing.T) {
	h := startHub(t, "")
	key := keyFile(t, "hex:"+strings.Repeat("0f", anon.KeyLen))
	dir := stateOfOneMinute(t)
	p := startProcess(t, "--replay", "--name", "ns1", "--push", h.url, "--push-prefix", "fleet.pv", "-H", testkit.HostSpec, "--state-dir", dir,
		"--anonymize", "--anonymize-key-file", key, "--anonymize-names", "labels:2", filepath.Join(testkit.Captures(t), "demo.pcap.gz"))
	name := must(anon.ReadKey(key, anon.DefaultSalt)).Name()
	said := `"anonymized":[{"key":"` + name + `","names":"labels:2"}]`
	testkit.Eventually(t, "it has packets", func() bool { return p.summary(t, "/api/v1/metrics/window/1")["packets.total"] > 0 })
	for _, path := range []string{"/api/v1/metrics/app", "/api/v1/metrics/window/5"} {
		if _, body := p.get(t, path); !strings.Contains(string(body), said) {
			t.Errorf("%s lacks %s: %.300s", path, said, body)
		}
	}
	if took, code := p.Stop(t, syscall.SIGTERM); took > stopLimit || code != 0 {
		t.Errorf("SIGTERM: took %v, exit code %d", took, code)
	}
	log := p.Log.String()
	for _, want := range []string{`how="key=` + name + `,names=labels:2"`, "buckets of another run removed"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
	want := metric.AnonymityOf(name, "labels:2")
	for _, b := range h.buckets(t) {
		if b.Anonymity != want {
			t.Errorf("pushed %q", b.Anonymity)
		}
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.pktvsnap"))
	if len(files) == 0 {
		t.Error("no state was kept")
	}
	if len(kept(t, dir)) != 0 {
		t.Error("an agent that does not anonymise restores pseudonyms")
	}
}
