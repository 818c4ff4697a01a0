package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pktvisor/internal/testkit"
)

func TestRun(t *testing.T) {
	dir := t.TempDir()
	out, truth := filepath.Join(dir, "out.pcap"), filepath.Join(dir, "out.json")
	var stderr bytes.Buffer
	if err := run([]string{"-preset", "tiny-mixed", "-packets", "500", "-seed", "2", "-o", out, "-truth", truth}, &stderr); err != nil {
		t.Fatal(err)
	}
	var got testkit.Truth
	js, err := os.ReadFile(truth)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(js, &got); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	c := got.Total
	if want := int64(24 + 16*c.Packets + c.Bytes); c.Packets != 500 || info.Size() != want {
		t.Errorf("%d packets in a file of %d bytes, want 500 and %d", c.Packets, info.Size(), want)
	}
	if c.DNSMessages == 0 || len(c.Tables.Qname) == 0 || c.Tables.Qname[0].Count == 0 || c.XactInLatency.P99 == 0 || got.HostSpec != testkit.HostSpec {
		t.Errorf("the truth is incomplete: %+v", c)
	}
}

func TestRunRefuses(t *testing.T) {
	for _, args := range []string{"", "-preset nonsense -o x", "-preset demo", "-o x y", "-nonsense"} {
		if err := run(strings.Fields(args), &bytes.Buffer{}); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
