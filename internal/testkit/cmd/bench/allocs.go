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

// allocations returns how many allocations an agent with one shard makes to summarise a file, without the given groups of
// metrics. It does not count those that create the agent.
func allocations(file, without string) (uint64, error) {
	hosts, err := analyze.ParseHosts(testkit.HostSpec)
	if err != nil {
		return 0, err
	}
	src, err := capture.OpenFile(file)
	if err != nil {
		return 0, err
	}
	defer src.Close()
	topics := agent.Topics(nil, 5*time.Second)
	for i := range topics {
		topics[i].Table = topics[i].Table.Select(keeper(without))
	}
	a, err := agent.New(agent.Config{
		Taps: []agent.TapConfig{{Shards: 1, Hosts: hosts, DNSPorts: []uint16{53, 5353, 5355}, DNSTimeout: 5 * time.Second}},
		Policies: []agent.PolicyConfig{{
			Topics: topics, Periods: 5, Single: true, DeepSamplePercent: 100,
		}},
	})
	if err != nil {
		return 0, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err = a.Run(context.Background(), map[string][]capture.Source{agent.Default: {src}})
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs, err
}
