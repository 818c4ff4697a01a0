package agent

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// summaryOf returns the summary of a capture file as a reader of the JSON sees it. Every address counts as the host's.
func summaryOf(t *testing.T, path string, ports ...int) (map[string]any, error) {
	t.Helper()
	hosts, err := analyze.ParseHosts("0.0.0.0/0,::/0")
	if err != nil {
		t.Fatal(err)
	}
	src, err := capture.OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	var dnsPorts []uint16
	for _, p := range ports {
		dnsPorts = append(dnsPorts, uint16(p))
	}
	a := setup{
		TapConfig:    TapConfig{Shards: 2, Hosts: hosts, DNSPorts: dnsPorts, DNSTimeout: 5 * time.Minute}, // tshark pairs without a timeout
		PolicyConfig: PolicyConfig{Periods: 2, Single: true, DeepSamplePercent: 100},
	}.start(t)
	var damage *capture.DamageError
	if err := a.RunFile(context.Background(), src); err != nil && !errors.As(err, &damage) {
		t.Fatal(err)
	}
	b := a.Window().Merged(1)
	if b == nil {
		b = metric.NewBucket(Tables)
	}
	var all map[string]map[string]any
	if err := json.Unmarshal(b.AppendJSON(nil, metric.JSONOptions{Key: "1m"}), &all); err != nil {
		t.Fatal(err)
	}
	return all["1m"], nil
}

// TestConformance compares the summaries of other projects' captures with tshark's answers. If they differ although this
// project is right, or because no answer is, testdata/conformance-exceptions.tsv says why.
func TestConformance(t *testing.T) {
	exceptions, err := testkit.LoadExceptions("../testdata/conformance-exceptions.tsv")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]testkit.Disagreement{}
	compared := 0
	for _, c := range testkit.CorpusCaptures(t) {
		for _, truth := range []*testkit.TruthFile{c.Truth, c.PortsTruth} {
			if truth == nil {
				continue
			}
			name := c.Name
			if truth == c.PortsTruth {
				name += " (all ports)"
			}
			summary, err := summaryOf(t, c.Path, truth.DNSPorts...)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			found[name] = testkit.Compare(truth.Answers(), summary)
			compared++
		}
	}
	t.Logf("%d captures compared", compared)
	news, stale := testkit.Unexpected(found, exceptions)
	for _, n := range news {
		t.Errorf("differs from tshark: %s", n)
	}
	for _, e := range stale {
		t.Errorf("no longer differs from tshark, so remove the exception: %s\t%s", e.Capture, e.Field)
	}
}

// TestCaptures compares the summaries of the project's own captures, recorded from real servers and clients, with tshark's
// answers and with golden summaries.
func TestCaptures(t *testing.T) {
	dir := testkit.Captures(t)
	files, err := filepath.Glob(filepath.Join(dir, "*.answers.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures in %s: %v", dir, err)
	}
	for _, f := range files {
		path := strings.TrimSuffix(f, ".answers.json")
		t.Run(filepath.Base(path), func(t *testing.T) {
			answers, err := testkit.LoadAnswers(f)
			if err != nil {
				t.Fatal(err)
			}
			summary, err := summaryOf(t, path, 53)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range testkit.Compare(answers, summary) {
				t.Errorf("%s: %s, want %s", d.Field, d.Ours, d.Truth)
			}
			golden, err := json.MarshalIndent(summary, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			testkit.Golden(t, "testdata/"+filepath.Base(path)+".golden.json", append(golden, '\n'))
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "demo.pcap.gz")); err != nil {
		t.Error(err)
	}
}
