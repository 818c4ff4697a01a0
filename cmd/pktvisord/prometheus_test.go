package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pktvisor/internal/testkit"
)

// TestPromtool: the metrics of a running agent follow Prometheus's conventions.
func TestPromtool(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("this test needs promtool (Debian: prometheus)")
	}
	cfg := testkit.TinyMixed()
	cfg.Rate = 2000
	path, _ := writeTraffic(t, cfg)
	p := startProcess(t, "--replay", "-H", testkit.HostSpec, path)
	testkit.Eventually(t, "it counts", func() bool { return p.summary(t, "/api/v1/metrics/window/2")["packets.total"] > 0 })
	_, metrics := p.get(t, "/metrics")
	check := exec.Command("promtool", "check", "metrics")
	check.Stdin = strings.NewReader(string(metrics))
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// TestPrometheus: a real Prometheus scrapes a replay, and its answers have the rates and latencies of the replay.
func TestPrometheus(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 20 seconds")
	}
	if _, err := exec.LookPath("prometheus"); err != nil {
		t.Skip("this test needs prometheus (Debian: prometheus)")
	}
	const rate = 1000
	path, truth := writeTraffic(t, testkit.TrafficConfig{Packets: 60 * rate, Rate: rate, DNSShare: 0.9, NXDomainShare: 0.1})
	p := startProcess(t, "--replay", "-H", testkit.HostSpec, path)
	api := startPrometheus(t, p.Addr)
	query := func(q string) float64 { return ask(t, api, q) }
	testkit.Eventually(t, "it has scraped for ten seconds", func() bool { return query(`count_over_time(pktvisor_packets_total[11s])`) >= 10 })

	// The share of the traffic in each counter is that of the whole file. Ten seconds come close to it.
	share := func(n uint64) float64 { return float64(n) / float64(truth.Total.Packets) }
	for q, want := range map[string]float64{
		`rate(pktvisor_packets_total[10s])`:                                                                  rate,
		`rate(pktvisor_packets_udp_total[10s])`:                                                              rate * share(truth.Total.UDP),
		`rate(pktvisor_packets_in_total[10s])`:                                                               rate * share(truth.Total.In),
		`rate(pktvisor_dns_wire_packets_total[10s])`:                                                         rate * share(truth.Total.DNSMessages),
		`rate(pktvisor_dns_wire_packets_nxdomain_total[10s])`:                                                rate * share(truth.Total.NXDomain),
		`rate(pktvisor_dns_xact_in_total[10s])`:                                                              rate * share(truth.Total.XactIn),
		`histogram_count(rate(pktvisor_dns_xact_in_seconds[10s]))`:                                           rate * share(truth.Total.XactIn),
		`histogram_quantile(0.5, rate(pktvisor_dns_xact_in_seconds[10s]))`:                                   300e-6, // the generator's median
		`pktvisor_packets_rates_pps_all`:                                                                     rate,
		`pktvisor_capturing`:                                                                                 1,
		`sum(increase(pktvisor_lost_packets_total[10s])) + sum(rate(pktvisor_pcap_os_drops_total[10s])) + 1`: 1,
	} {
		if got := query(q); got < 0.85*want || got > 1.15*want {
			t.Errorf("%s: %v, want %v", q, got, want)
		}
	}
	if age := query(`pktvisor_last_packet_age_seconds`); age < 0 || age > 3 {
		t.Errorf("newest packet is %v s old", age)
	}
}

// startPrometheus starts a Prometheus that scrapes target once a second, and returns the URL of its API.
func startPrometheus(t *testing.T, target string) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: agent\n  static_configs: [{targets: [%q]}]\n", target)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--enable-feature=native-histograms", "--log.level=warn")
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("log of prometheus:\n%s", log.String())
		}
	})
	return "http://" + addr + "/api/v1/query?query="
}

// ask returns the value of a query, or -1 while it has none.
func ask(t *testing.T, api, query string) float64 {
	t.Helper()
	res, err := http.Get(api + url.QueryEscape(query))
	if err != nil {
		return -1 // not up yet
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Status string
		Data   struct{ Result []struct{ Value [2]any } }
	}
	if json.Unmarshal(body, &answer) != nil || answer.Status != "success" {
		if res.StatusCode == http.StatusServiceUnavailable {
			return -1 // not up yet
		}
		t.Fatalf("%s: %s", query, body)
	}
	if len(answer.Data.Result) != 1 {
		return -1
	}
	v, err := strconv.ParseFloat(fmt.Sprint(answer.Data.Result[0].Value[1]), 64)
	if err != nil {
		t.Fatalf("%s: %s", query, body)
	}
	return v
}
