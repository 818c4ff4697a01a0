package successor

import (
	"bytes"
	"errors"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"pktvisor/analyze/dns"
	"pktvisor/analyze/packets"
	"pktvisor/metric"
)

// parsed reads Prometheus text with the library of Prometheus.
func parsed(t *testing.T, text []byte) map[string]*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return families
}

// everything returns the samples of all forms, with all groups, of two policies.
func everything(t *testing.T) []byte {
	t.Helper()
	var e Exposition
	b := summary(t, demoCapture(t), "192.0.2.0/24")
	for _, policy := range []string{"default", "anycast"} {
		for _, f := range forms {
			h := Handler{Type: f.kind, Version: f.version, Enable: []string{"all"}}
			e.Add(b, h, Labels{Policy: policy, Handler: f.kind + f.version[:1], Tap: "eth0", Instance: "ns1"})
		}
	}
	return e.AppendTo(nil)
}

// TestPromtool: promtool accepts the samples of all forms of two policies. What it dislikes are names and suffixes that the
// successor chose.
func TestPromtool(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("this test needs promtool (Debian: prometheus)")
	}
	text := everything(t)
	cmd := exec.Command("promtool", "check", "metrics")
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.CombinedOutput()
	const lint = 3 // the exit code for metrics that can be read but are not named as Prometheus recommends
	if exit := (*exec.ExitError)(nil); err != nil && !(errors.As(err, &exit) && exit.ExitCode() == lint) {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		name, problem, _ := strings.Cut(strings.TrimSpace(line), " ")
		names := slices.ContainsFunc([]string{
			`non-counter metrics should not have "_total" suffix`, "metric names should not contain abbreviated units",
			"metric name should not include type 'histogram'", "metric names should be written in 'snake_case' not 'camelCase'",
		}, func(known string) bool { return problem == known })
		if !names {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

// TestFamilies: each family occurs once, with the type of the tables and samples of both policies.
func TestFamilies(t *testing.T) {
	text := everything(t)
	types := names()
	for name, f := range parsed(t, text) {
		if n := bytes.Count(text, []byte("# TYPE "+name+" ")); n != 1 {
			t.Errorf("%s has %d types", name, n)
		}
		if typ := strings.ToLower(f.GetType().String()); types[name] != typ || f.GetHelp() == "" {
			t.Errorf("%s is a %s with the help %q, want a %s", name, typ, f.GetHelp(), types[name])
		}
		policies := map[string]int{}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if l.GetName() == "policy" {
					policies[l.GetValue()]++
				}
			}
		}
		if policies["default"] == 0 || policies["default"] != policies["anycast"] {
			t.Errorf("%s has samples of %v", name, policies)
		}
	}
}

// TestSameNumbers: Prometheus text and JSON have the same numbers, and sums are sums.
func TestSameNumbers(t *testing.T) {
	b := demo(t)
	d, p := metric.Of[dns.Metrics](b.Sections[1]), metric.Of[packets.Metrics](b.Sections[0])
	all := parsed(t, AppendPrometheus(nil, b, Handler{Type: "dns", Enable: []string{"all"}}, Labels{Policy: "default", Tap: "eth0"}))
	maps.Copy(all, parsed(t, AppendPrometheus(nil, b, Handler{Type: "net"}, Labels{Policy: "default", Tap: "eth0"})))
	for name, want := range map[string]uint64{
		"packets_udp": uint64(p.UDP), "packets_protocol_tcp_syn": uint64(p.TCPSyn + p.TCPSynAck), "dns_wire_packets_queries": uint64(d.Queries),
		"dns_xact_counts_timed_out": uint64(d.Timeouts), "dns_cardinality_qname": uint64(d.Qnames.Estimate() + 0.5),
	} {
		if got := all[name].Metric[0].Gauge.GetValue(); got != float64(want) {
			t.Errorf("%s is %v, want %d", name, got, want)
		}
	}
	in := all["dns_xact_in_quantiles_us"].Metric[0].Summary
	if in.GetSampleSum() != float64(d.InMicros.Sum()) || in.GetSampleCount() != d.InMicros.Count() || in.Quantile[3].GetValue() != float64(d.InMicros.Quantile(0.99)) {
		t.Errorf("latencies: %v", in)
	}
	ratio := all["dns_xact_ratio_quantiles"].Metric[0].Summary
	if want := float64(d.Ratio.Sum()) / 1000; ratio.GetSampleSum() != want || ratio.Quantile[0].GetValue() != float64(d.Ratio.Quantile(0.5))/1000 {
		t.Errorf("ratio: %v, want the sum %v", ratio, want)
	}
	h := all["dns_xact_out_histogram_us"].Metric[0].Histogram
	if h.GetSampleSum() != float64(d.OutMicros.Sum()) || h.GetSampleCount() != uint64(d.OutTotal) || len(h.Bucket) < 20 {
		t.Errorf("histogram: %v", h)
	}
	bytes := all["payload_rates_bytes_total"].Metric[0].Summary
	if bytes.GetSampleSum() != float64(p.BytesTotal) || bytes.GetSampleCount() != uint64(b.End-b.Start) {
		t.Errorf("bytes: %v, want the sum %d", bytes, p.BytesTotal)
	}
	for i, row := range d.TopNXDomain.Heaviest(nil, 10) {
		m := all["dns_top_nxdomain"].Metric[i]
		qname := slices.IndexFunc(m.Label, func(l *dto.LabelPair) bool { return l.GetName() == "qname" })
		if m.Gauge.GetValue() != float64(row.Lower) || qname < 0 || m.Label[qname].GetValue() != row.Key {
			t.Errorf("row %d is %v, want %+v", i, m, row)
		}
	}
}

// TestReferenceLabels: families have the labels that the successor gave them.
func TestReferenceLabels(t *testing.T) {
	b := demo(t)
	var e Exposition
	for _, h := range defaultHandlers {
		e.Add(b, h, Labels{Policy: "default", Tap: "default"})
	}
	labels := func(f *dto.MetricFamily) string {
		var all []string
		for _, l := range f.Metric[0].Label {
			all = append(all, l.GetName())
		}
		slices.Sort(all)
		return strings.Join(all, ",")
	}
	ours, compared := parsed(t, e.AppendTo(nil)), 0
	for name, f := range parsed(t, reference(t, "live-metrics-after-shift.prom")) {
		if mine := ours[name]; mine != nil {
			compared++
			if labels(mine) != labels(f) || mine.GetType() != f.GetType() {
				t.Errorf("%s is a %v with the labels %s, there a %v with %s", name, mine.GetType(), labels(mine), f.GetType(), labels(f))
			}
		} else if strings.HasPrefix(name, "dns_") || strings.HasPrefix(name, "packets_") || strings.HasPrefix(name, "pcap_") {
			t.Errorf("%s is missing", name)
		}
	}
	if compared < 60 {
		t.Errorf("only %d families are in both", compared)
	}
}

// TestLabels: labels are escaped, empty ones are left out, and samples that would have the same labels as others are too.
func TestLabels(t *testing.T) {
	b := made(func(_ *packets.Metrics, d *dns.Metrics) { d.TopQname2.Add([]byte("a\"\\\n\xff"), 1) })
	h := Handler{Type: "dns", Disable: []string{"all"}, Enable: []string{"top_qnames"}}
	if got, want := string(AppendPrometheus(nil, b, h, Labels{})), "\ndns_top_qname2{qname=\"a\\\"\\\\\\n\uFFFD\"} 1\n"; !strings.Contains(got, want) {
		t.Errorf("no %s in %s", want, got)
	}
	if got := string(AppendPrometheus(nil, b, Handler{Type: "pcap"}, Labels{})); !strings.Contains(got, "\npcap_os_drops{} 0\n") {
		t.Errorf("without labels: %s", got)
	}
	var e Exposition
	for i, labels := range []Labels{{Policy: "p"}, {Policy: "p"}, {Policy: "q"}} {
		if added := e.Add(b, h, labels); added != (i != 1) {
			t.Errorf("%d: %v", i, added)
		}
	}
	if got := parsed(t, e.AppendTo(nil))["dns_top_qname2"]; len(got.Metric) != 2 {
		t.Errorf("%d samples, want 2", len(got.Metric))
	}
}
