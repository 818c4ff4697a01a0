package main

import (
	"strings"
	"testing"

	"pktvisor/internal/testkit"
)

// TestKernelSample: with counters in the kernel, the same packets and messages are seen as without, and as many as the sample's share
// are taken: kernel and agent choose the same address pairs.
func TestKernelSample(t *testing.T) {
	need(t, "tcpreplay")
	cfg := testkit.TinyMixed()
	cfg.Packets, cfg.Rate, cfg.Clients = 6000, 3000, 6000
	path, truth := writeTraffic(t, cfg)
	enterNetns(t, vethPair...)
	p := startProcess(t, "--shards", "2", "--no-auto-host", "-H", testkit.HostSpec, "--max-deep-sample", "50", "vrx")
	if _, app := p.get(t, "/api/v1/metrics/app"); !strings.Contains(string(app), `"kernel":{"counting":true}`) {
		t.Skip("this test needs counters in the kernel")
	}
	do(t, "tcpreplay", "-q", "-i", "vtx", path)
	var got map[string]float64
	testkit.Eventually(t, "all packets are counted", func() bool {
		got = p.summary(t, "/api/v1/metrics/window/3")
		return got["packets.total"] >= float64(truth.Total.Packets)
	})
	if got["packets.total"] != float64(truth.Total.Packets) || got["pcap.os_drops"] != 0 {
		t.Errorf("%v packets and %v drops, want %d and none", got["packets.total"], got["pcap.os_drops"], truth.Total.Packets)
	}
	if got["pcap.kernel_counted"] < 0.2*got["packets.total"] {
		t.Errorf("%v of %v packets are kept out of the ring", got["pcap.kernel_counted"], got["packets.total"])
	}
	seen, taken := got["packets.sampling.seen"], got["packets.sampling.taken"]
	if ip := got["packets.ipv4"] + got["packets.ipv6"]; seen != ip || taken != got["packets.deep_samples"] {
		t.Errorf("seen %v of %v packets, taken %v of %v", seen, ip, taken, got["packets.deep_samples"])
	}
	// There are thousands of pairs, so each share is near a half.
	for name, share := range map[string]float64{"packets": taken / seen, "messages": got["dns.sampling.taken"] / got["dns.sampling.seen"]} {
		if share < 0.4 || share > 0.6 {
			t.Errorf("%s: %.3f of all are in the sample, want a half", name, share)
		}
	}
}
