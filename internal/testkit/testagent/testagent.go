// Package testagent makes agents that have read a capture, for tests of what shows their windows.
package testagent

import (
	"bytes"
	"io"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/internal/testkit"
)

// dnsTimeout is how long a query waits for its response.
const dnsTimeout = 5 * time.Second

// Read returns the policy of an agent that has read a capture in one shard, with the default analyzers and a window of five minutes.
// hostSpec lists the host subnets. change, if it is not nil, changes the configuration before.
func Read(t testing.TB, file io.Reader, hostSpec string, change func(*agent.Config)) *agent.Policy {
	t.Helper()
	hosts, err := analyze.ParseHosts(hostSpec)
	if err != nil {
		t.Fatal(err)
	}
	cfg := agent.Config{
		Taps:     []agent.TapConfig{{Shards: 1, Hosts: hosts, DNSPorts: []uint16{53}, DNSTimeout: dnsTimeout}},
		Policies: []agent.PolicyConfig{{Topics: agent.Topics(nil, dnsTimeout), Periods: 5, DeepSamplePercent: 100}},
	}
	if change != nil {
		change(&cfg)
	}
	a, err := agent.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	src, err := capture.OpenReader(file, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := a.Run(t.Context(), map[string][]capture.Source{agent.Default: {src}}); err != nil {
		t.Fatal(err)
	}
	return a.Policies()[0]
}

// Traffic is like [Read], of generated traffic.
func Traffic(t testing.TB, cfg testkit.TrafficConfig, change func(*agent.Config)) *agent.Policy {
	t.Helper()
	var file bytes.Buffer
	if _, err := testkit.Generate(&file, cfg); err != nil {
		t.Fatal(err)
	}
	return Read(t, &file, testkit.HostSpec, change)
}
