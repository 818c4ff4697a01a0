package main

import (
	"context"
	"runtime"
	"time"

	"pktvisor/agent"
	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/internal/testkit"
)

// allocations returns how many allocations an agent with one shard makes to summarise a file. It does not count those
// that create the agent.
func allocations(file string) (uint64, error) {
	hosts, err := analyze.ParseHosts(testkit.HostSpec)
	if err != nil {
		return 0, err
	}
	src, err := capture.OpenFile(file)
	if err != nil {
		return 0, err
	}
	defer src.Close()
	a := agent.New(agent.Config{
		Shards: 1, Periods: 5, Single: true, Hosts: hosts, DeepSamplePercent: 100,
		DNSPorts: []uint16{53, 5353, 5355}, DNSTimeout: 5 * time.Second,
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err = a.RunFile(context.Background(), src)
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs, err
}
