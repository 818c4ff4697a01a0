package main

import (
	"fmt"
	"os/exec"
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
	const rate = 1000
	path, truth := writeTraffic(t, testkit.TrafficConfig{Packets: 60 * rate, Rate: rate, DNSShare: 0.9, NXDomainShare: 0.1})
	p := startProcess(t, "--replay", "-H", testkit.HostSpec, path)
	config := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: agent\n  static_configs: [{targets: [%q]}]\n", p.Addr)
	prometheus := testkit.StartPrometheus(t, config, "--enable-feature=native-histograms")
	query := func(q string) float64 { return prometheus.Value(t, q) }
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
