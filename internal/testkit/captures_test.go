package testkit

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recorded returns the project's own captures of real servers and clients.
func recorded(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(Captures(t), "*"))
	if err != nil {
		t.Fatal(err)
	}
	var captures []string
	for _, path := range list {
		if !strings.HasSuffix(path, ".json") {
			captures = append(captures, path)
		}
	}
	if len(captures) < 9 {
		t.Fatalf("%d captures in testdata/captures, want at least 9", len(captures))
	}
	return captures
}

// TestCaptureAnswers: the answers beside the captures are what tshark says. With -update, the test writes them.
func TestCaptureAnswers(t *testing.T) {
	for _, path := range recorded(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			js, err := json.MarshalIndent(TShark(t, path), "", " ")
			if err != nil {
				t.Fatal(err)
			}
			Golden(t, path+".answers.json", append(js, '\n'))
		})
	}
}

// TestCapturesHoldWhatTheyShould: the captures are small, and together contain what their README promises.
func TestCapturesHoldWhatTheyShould(t *testing.T) {
	var size int64
	all := Answers{Rcodes: map[string]uint64{}, Qtypes: map[string]uint64{}}
	for _, path := range recorded(t) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
		if limit := int64(100_000); info.Size() > limit && filepath.Base(path) != "demo.pcap.gz" {
			t.Errorf("%s has %d bytes, more than %d", path, info.Size(), limit)
		}
		a, err := LoadAnswers(path + ".answers.json")
		if err != nil {
			t.Fatal(err)
		}
		for code, n := range a.Rcodes {
			all.Rcodes[code] += n
		}
		for qtype, n := range a.Qtypes {
			all.Qtypes[qtype] += n
		}
		all.ECS += a.ECS
		all.Truncated += a.Truncated
		all.Nodata += a.Nodata
		all.DNSTCP += a.DNSTCP
		all.DNSIPv6 += a.DNSIPv6
		all.QueriesWithoutReply += a.QueriesWithoutReply
	}
	if size > 1_100_000 {
		t.Errorf("the captures have %d bytes together, more than 1.1 MB", size)
	}
	for _, code := range []string{"NOERROR", "SERVFAIL", "NXDOMAIN", "REFUSED", "NOTIMP"} {
		if all.Rcodes[code] == 0 {
			t.Errorf("no response with rcode %s", code)
		}
	}
	for _, qtype := range []string{"A", "AAAA", "MX", "TXT", "SOA", "NS", "SRV", "DNSKEY", "AXFR", "HTTPS", "ANY"} {
		if all.Qtypes[qtype] == 0 {
			t.Errorf("no message of type %s", qtype)
		}
	}
	if all.ECS == 0 || all.Truncated == 0 || all.Nodata == 0 || all.DNSTCP == 0 || all.DNSIPv6 == 0 || all.QueriesWithoutReply == 0 {
		t.Errorf("something is missing in the captures: %+v", all)
	}
}

// TestDemoCapture: the demonstration capture is what its preset makes. With -update, the test writes it.
func TestDemoCapture(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the last bits of math.Exp and math.Log differ between architectures")
	}
	path := filepath.Join(Captures(t), "demo.pcap.gz")
	cfg := Demo()
	cfg.Seed = 1
	var want bytes.Buffer
	if _, err := Generate(&want, cfg); err != nil {
		t.Fatal(err)
	}
	if *update {
		var packed bytes.Buffer
		w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		w.Write(want.Bytes())
		w.Close()
		if err := os.WriteFile(path, packed.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("demo.pcap.gz has %d bytes, which differ from the preset's %d bytes; run with -update", len(got), want.Len())
	}
}

// TestTSharkAgreesWithCorpus: the corpus's truth, which another program computed with tshark, agrees with TShark.
func TestTSharkAgreesWithCorpus(t *testing.T) {
	if testing.Short() {
		t.Skip("this test checks TShark itself, with many runs of tshark")
	}
	checked := 0
	for _, c := range CorpusCaptures(t) {
		if !strings.HasPrefix(c.Name, "DNS-OARC") && !strings.HasPrefix(c.Name, "CZ-NIC") || strings.Contains(c.Name, "lz4") {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			truth := c.Truth
			if truth.DNS.Encapsulated > 0 || truth.DNS.Undecodable > 0 {
				t.Skip("TShark is not for tunnels or messages that cannot be decoded")
			}
			checked++
			want, got := truth.Answers(), TShark(t, c.Path)
			want.TopSrcIPs, got.TopSrcIPs = nil, nil // ties are in different order
			want.TopQnames, got.TopQnames = nil, nil
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-truth +TShark:\n%s", diff)
			}
		})
	}
	if checked < 5 {
		t.Errorf("only %d captures compared", checked)
	}
}
