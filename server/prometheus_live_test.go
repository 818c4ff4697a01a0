package server_test

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"pktvisor/internal/testkit"
	"pktvisor/server"
)

// TestRealPrometheus: a real Prometheus reads the three formats, and they have the same values. It knows the native histograms of
// Protocol Buffers. promtool finds nothing to say about the text.
func TestRealPrometheus(t *testing.T) {
	cfg := testkit.DNSHeavy()
	cfg.Packets, cfg.Rate = 100_000, 1000
	h := server.New(config(summary(t, cfg).Window())).Handler()
	config := "global: {scrape_interval: 1s}\nscrape_configs:\n"
	for job, accept := range map[string]string{"text": acceptText, "openmetrics": "application/openmetrics-text;version=1.0.0", "proto": acceptProto} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Accept", accept)
			h.ServeHTTP(w, r)
		}))
		defer s.Close()
		config += fmt.Sprintf("- job_name: %s\n  static_configs: [{targets: [%q]}]\n", job, strings.TrimPrefix(s.URL, "http://"))
	}
	p := testkit.StartPrometheus(t, config, "--enable-feature=native-histograms")
	testkit.Eventually(t, "it has scraped everything", func() bool { return p.Value(t, "count(up == 1)") == 3 })

	all := func(job string) map[string]float64 {
		samples, err := p.Query(`{job="`+job+`",__name__=~"pktvisor_(packets|dns|pcap)_.*"}`, 0)
		if err != nil {
			t.Fatal(err)
		}
		values := make(map[string]float64)
		for _, s := range samples {
			delete(s.Labels, "job")
			delete(s.Labels, "instance")
			if name := s.Labels["__name__"]; strings.HasSuffix(name, "_created") {
				continue
			}
			if le := s.Labels["le"]; le != "" {
				s.Labels["le"] = strings.TrimSuffix(le, ".0")
			}
			values[fmt.Sprint(s.Labels)] = s.Value
		}
		return values
	}
	text, openMetrics, proto := all("text"), all("openmetrics"), all("proto")
	if len(text) < 500 || len(openMetrics) != len(text) {
		t.Errorf("%d series of text, %d of OpenMetrics", len(text), len(openMetrics))
	}
	same := 0
	for series, v := range text {
		if w, ok := openMetrics[series]; !ok || v != w {
			t.Errorf("%s: %v in text, %v in OpenMetrics", series, v, w)
		}
		if w, ok := proto[series]; ok {
			same++
			if v != w {
				t.Errorf("%s: %v in text, %v in Protocol Buffers", series, v, w)
			}
		}
	}
	if same < 300 {
		t.Errorf("Protocol Buffers have only %d of the series", same)
	}
	for _, name := range []string{"pktvisor_dns_xact_in_seconds", "pktvisor_dns_response_size_bytes", "pktvisor_packets_size_bytes", "pktvisor_dns_xact_ratio"} {
		for native, classic := range map[string]string{
			"histogram_count(%s{job='proto'})": "%s_count{job='text'}", "histogram_sum(%s{job='proto'})": "%s_sum{job='text'}",
		} {
			a, b := p.Value(t, fmt.Sprintf(native, name)), p.Value(t, fmt.Sprintf(classic, name))
			if !(math.Abs(a-b) <= 1e-9*b) || b <= 0 {
				t.Errorf("%s: native %v, classic %v", name, a, b)
			}
		}
		// The gauge is within 1%, a native bucket 4.4% wide, and the bound of a classic one 1.41 times that before.
		exact := p.Value(t, name+"_minute{job='text',stat='p90'}")
		native := p.Value(t, "histogram_quantile(0.9, "+name+"{job='proto'})")
		classic := p.Value(t, "histogram_quantile(0.9, "+name+"_bucket{job='text'})")
		if !(math.Abs(native-exact) < 0.1*exact) || !(math.Abs(classic-exact) < 0.45*exact) {
			t.Errorf("%s: p90 of the minute %v, native %v, classic %v", name, exact, native, classic)
		}
	}
	created := p.Value(t, "pktvisor_packets_created{job='openmetrics'}")
	if started := p.Value(t, "pktvisor_start_time_seconds{job='text'}"); started <= 0 || created != started {
		t.Errorf("created at %v, started at %v", created, started)
	}
	check := exec.Command("promtool", "check", "metrics")
	check.Stdin = get(t, h, "/metrics").Body
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
