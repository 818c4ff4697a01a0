package api

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNumber(t *testing.T) {
	cases := map[string]Number{
		`0`: N(0), `12`: N(12), `-3`: N(-3), `1.5`: N(1.5), `1e3`: N(1000),
		`18446744073709551615`: N(math.MaxUint64), `1e400`: N(1e300), `-1e400`: N(-1e300),
		`null`: {}, `"12"`: {}, `true`: {}, `{}`: {}, `[1]`: {},
	}
	for text, want := range cases {
		n := N(99) // the previous value must not remain
		if err := json.Unmarshal([]byte(text), &n); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if text == "null" && n == N(99) {
			continue // encoding/json leaves a value unchanged at null
		}
		if n != want {
			t.Errorf("%s: %+v, want %+v", text, n, want)
		}
	}
	if got := N(5).Or(N(6)); got != N(5) {
		t.Errorf("N(5).Or(N(6)) = %v", got)
	}
	if got := (Number{}).Or(N(6)); got != N(6) {
		t.Errorf("unknown.Or(N(6)) = %v", got)
	}
	b, err := json.Marshal([]Number{N(0), N(1e21), {}})
	if err != nil || string(b) != "[0,1000000000000000000000,null]" {
		t.Errorf("Marshal: %s, %v", b, err)
	}
}

func TestParseSummaryTolerates(t *testing.T) {
	s, err := ParseSummary([]byte(`{"note":{},"5m":{"new":{"a":[1]},"period":{"start_ts":10,"length":null,"partial":true},
		"packets":{"total":"many","udp":7,"top_ipv4":{"a":1},"top_ipv6":[{"name":"::1","estimate":2,"lower":1,"upper":3,"x":0},{"name":5},{}]},
		"dns":{"wire_packets":{"queries":1e300},"xact":{"counts":{"timed_out":4}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if s.Key != "5m" || !s.Period.Partial || s.Period.StartTS != N(10) || s.Period.Length.Known {
		t.Errorf("period %+v of %s", s.Period, s.Key)
	}
	if s.Packets.Total.Known || s.Packets.UDP != N(7) || s.DNS.Wire.Queries != N(1e300) || s.DNS.Xact.Counts.TimedOut != N(4) {
		t.Errorf("numbers: %+v %+v", s.Packets.Total, s.Packets.UDP)
	}
	want := []Row{{Name: "::1", Estimate: N(2), Lower: N(1), Upper: N(3)}, {}, {}}
	if diff := cmp.Diff(want, s.Packets.TopIPv6); diff != "" {
		t.Error(diff)
	}
	if len(s.Packets.TopIPv4) != 0 || s.Odd != "packets.top_ipv4" {
		t.Errorf("top_ipv4 %v, odd %q", s.Packets.TopIPv4, s.Odd)
	}
}

func TestParseRates(t *testing.T) {
	for text, want := range map[string]Rates{
		`{"packets":{"in":55,"out":0}}`: {PPSIn: N(55), PPSOut: N(0), PPSTotal: N(55)},
		`{"packets":{"pps_in":1,"pps_out":2,"pps_total":9,"bps_in":80,"bps_out":90},"dns":{"total":5}}`: {PPSIn: N(1), PPSOut: N(2), PPSTotal: N(9), BPSIn: N(80), BPSOut: N(90), DNSTotal: N(5)},
		`{"packets":{"pps_total":9}}`: {PPSTotal: N(9)},
		`{}`:                          {},
		`{"packets":7}`:               {},
		`{"packets":{"in":"x","out":3,"pps_out":4},"dns":[{}]}`: {PPSOut: N(4)},
	} {
		if got, err := ParseRates([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	if _, err := ParseRates([]byte(`[]`)); err == nil {
		t.Error("a list was accepted as rates")
	}
}

func TestParseApp(t *testing.T) {
	a, err := ParseApp([]byte(`{"app":{"version":"3.0.7","periods":5,"up_time_min":1.15,"ok":true,"none":null,"sources":[{"name":"eth0","drops":0}]},"dns":{"xact":{"open":2}}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Fact{{"app.version", "3.0.7"}, {"app.periods", "5"}, {"app.up_time_min", "1.15"}, {"app.ok", "true"},
		{"app.sources.0.name", "eth0"}, {"app.sources.0.drops", "0"}, {"dns.xact.open", "2"}}
	if diff := cmp.Diff(want, a.Facts); diff != "" {
		t.Error(diff)
	}
	if a.State["dns"].Number("xact.open") != N(2) || len(a.State) != 1 {
		t.Errorf("state %+v", a.State)
	}
	if a.Version != "3.0.7" || a.Periods != N(5) || a.UpTimeMin != N(1.15) {
		t.Errorf("%+v", a)
	}
}

func TestFactsAreBounded(t *testing.T) {
	many := `{"app":{"l":[` + strings.Repeat("1,", 5000) + `1]}}`
	if a, err := ParseApp([]byte(many)); err != nil || len(a.Facts) != maxFacts {
		t.Errorf("%d facts, %v; want %d", len(a.Facts), err, maxFacts)
	}
	deep := `{"a":1,"b":` + strings.Repeat("[", 900) + strings.Repeat("]", 900) + `}`
	if a, err := ParseApp([]byte(deep)); err != nil || len(a.Facts) != 1 {
		t.Errorf("%d facts, %v; want the one before the depth", len(a.Facts), err)
	}
}

// TestOriginalAnswers: answers with the fields of the original, which has fewer fields, are read completely.
func TestOriginalAnswers(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("..", "testdata", "original", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	s, err := ParseSummary(read("window-5.json"))
	if err != nil || s.Odd != "" {
		t.Fatalf("%v, odd %q", err, s.Odd)
	}
	got := []Number{s.Packets.Total, s.Packets.TCP, s.Packets.DeepSamples, s.Packets.Rates.PPSIn.P99, s.Packets.Cardinality.SrcIPsIn, s.DNS.Wire.Total,
		s.DNS.Wire.Srvfail, s.DNS.Cardinality.Qname, s.DNS.Xact.Out.QuantilesUS.P99, s.DNS.Xact.In.QuantilesUS.P50, s.Period.Length, s.DNS.TopQname2[0].Estimate, s.Pcap.OSDrops}
	want := []Number{N(140), N(40), N(140), N(14), N(12), N(80), N(1), N(7), N(9000), {}, N(130), N(9), {}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if a, err := ParseApp(read("app.json")); err != nil || a.Version != "3.0.7" || a.Periods != N(5) || !a.UpTimeMin.Known {
		t.Errorf("%+v, %v", a, err)
	}
	if r, err := ParseRates(read("rates.json")); err != nil || r.PPSIn != N(3) || r.PPSOut != N(2) {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestReferenceAnswers: the recorded answers of the original and its successor are read completely.
func TestReferenceAnswers(t *testing.T) {
	dir := filepath.Join("..", "..", "shared", "reference")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no recorded answers here")
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	s, err := ParseSummary(read("original-3.0.7/live-window-5.json"))
	if err != nil || s.Odd != "" {
		t.Fatalf("original: %v, odd %q", err, s.Odd)
	}
	got := []Number{s.Packets.Total, s.Packets.TCP, s.Packets.DeepSamples, s.Packets.Rates.PPSIn.P99, s.Packets.Cardinality.SrcIPsIn, s.DNS.Wire.Total,
		s.DNS.Wire.Srvfail, s.DNS.Cardinality.Qname, s.DNS.Xact.Out.QuantilesUS.P99, s.DNS.Xact.In.QuantilesUS.P50, s.Period.Length, s.DNS.TopQname2[0].Estimate, s.Pcap.OSDrops}
	want := []Number{N(963), N(363), N(963), N(140), N(22), N(630), N(37), N(243), N(9466), {}, N(62), N(140), {}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	s, err = ParseSummary(read("successor/live-metrics-window-5.json"))
	if err != nil || s.Odd != "" {
		t.Fatalf("successor: %v, odd %q", err, s.Odd)
	}
	got = []Number{s.Packets.UnknownDir, s.DNS.Wire.DeepSamples, s.DNS.Wire.Nodata, s.DNS.Xact.Counts.TimedOut, s.Pcap.OSDrops, s.Packets.Rates.PPSTotal.Live,
		s.Packets.PayloadSize.P50, s.Packets.Protocol.TCP.SYN, s.DNS.TopNodata[0].Estimate, s.Period.StartTS, s.Period.Length}
	want = []Number{N(20), N(1376), N(86), N(0), N(0), N(12), N(1000), N(279), N(86), N(1795293284), N(57)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"original-3.0.7/live-app.json", "successor/live-metrics-app.json"} {
		if a, err := ParseApp(read(name)); err != nil || a.Version == "" || !a.UpTimeMin.Known {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"5m":{"packets":{"total":1,"top_ipv4":[{"name":"\u202e","estimate":1e999}]},"dns":{"top_qtype":[null,{}]}}}`))
	f.Add([]byte(`{"app":{"version":1,"x":[[[{}]]]},"packets":{"in":-1}}`))
	f.Add([]byte(`{"5m":[],"1m":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := ParseSummary(b); err == nil && !periodKey(s.Key) {
			t.Errorf("key %q", s.Key)
		}
		if r, err := ParseRates(b); err == nil && (math.IsInf(r.PPSTotal.Value, 0) || math.IsNaN(r.PPSTotal.Value)) {
			t.Errorf("rate %v", r.PPSTotal)
		}
		if a, err := ParseApp(b); err == nil && len(a.Facts) > maxFacts {
			t.Errorf("%d facts", len(a.Facts))
		}
	})
}
