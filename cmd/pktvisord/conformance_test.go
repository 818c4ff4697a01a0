package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"pktvisor/internal/testkit"
)

// summaryWith returns the summary of a capture that the program prints. Every address counts as the host.
func summaryWith(t *testing.T, path string, args ...string) map[string]any {
	t.Helper()
	var stdout, stderr bytes.Buffer
	args = append([]string{"--summary", "-H", "0.0.0.0/0,::/0", "--dns-ports", "53", "--dns-timeout", "5m", path}, args...) // tshark pairs queries and responses without a timeout
	if code := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr); code != exitOK {
		t.Fatalf("%v: exit code %d, %s", args, code, stderr.String())
	}
	var all map[string]map[string]any
	if err := json.Unmarshal(stdout.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	return all["1m"]
}

// TestOwnCaptures compares the summaries of the project's own captures, in testdata/captures and testdata/synthetic,
// with tshark's answers. They cover all link types, tags, tunnels with --decap, fragments, TCP streams, malformed
// messages and file formats. testdata/conformance-exceptions.tsv explains the deliberate differences.
func TestOwnCaptures(t *testing.T) {
	exceptions, err := testkit.LoadExceptions("../../testdata/conformance-exceptions.tsv")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]testkit.Disagreement{}
	for _, c := range testkit.OwnCaptures(t) {
		for _, shards := range []string{"1", "3"} {
			found[c.Name] = testkit.Compare(c.Answers, summaryWith(t, c.Path, "--shards", shards))
			if c.Decap != nil {
				found[c.Name+" (decap)"] = testkit.Compare(c.Decap, summaryWith(t, c.Path, "--shards", shards, "--decap"))
			}
			news, stale := testkit.Unexpected(found, exceptions)
			for _, n := range news {
				t.Errorf("%s shards: differs from tshark: %s", shards, n)
			}
			for _, e := range stale {
				t.Errorf("no longer differs, so the exception can be removed: %s\t%s", e.Capture, e.Field)
			}
			clear(found)
		}
	}
}
