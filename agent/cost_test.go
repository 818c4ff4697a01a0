package agent

import (
	"bytes"
	"context"
	"runtime"
	"testing"

	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/internal/testkit"
)

// counting counts the flushes of an analyzer's keys.
type counting struct {
	analyze.Analyzer
	keys int
}

func (c *counting) FlushKeys(all bool, keys analyze.Keys) {
	c.keys++
	c.Analyzer.FlushKeys(all, keys)
}

// TestCosts compares the cost of packets with budgets that are the same on every machine: allocations, bytes and flushes. The
// second time that a shard sees a capture, its tables and the bucket's sketches have grown. A shard that still allocates then
// does so forever.
func TestCosts(t *testing.T) {
	const packets = 120_000
	for _, c := range []struct {
		name   string
		config testkit.TrafficConfig
		// The most flushes of the keys of packets and dns while the capture is read once. One or two more are for the sample of messages: see
		// docs/decisions/0034.
		flushes [2]int
	}{
		{"dns-heavy", testkit.DNSHeavy(), [2]int{2, 3}},
		{"all-tcp", testkit.AllTCP(), [2]int{2, 3}},
		{"all-distinct-names", testkit.AllDistinctNames(), [2]int{2, 4}},
		{"all-distinct-sources", testkit.AllDistinctSources(), [2]int{3, 4}},
		{"large-dnssec", testkit.LargeDNSSEC(), [2]int{2, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file, _ := traffic(t, c.config, packets, 1)
			a := summarise(t, file, nil)
			var counters [2]counting
			for i := range counters {
				counters[i].Analyzer = a.fronts[0].backs[0].parts[i].Analyzer
				a.fronts[0].backs[0].parts[i].Analyzer = &counters[i]
			}
			src, err := capture.OpenReader(bytes.NewReader(file), 0)
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if err := a.RunFile(context.Background(), src); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			mallocs, size := after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
			t.Logf("%d allocations, %d bytes, flushes of keys: %d packets, %d dns", mallocs, size, counters[0].keys, counters[1].keys)
			if mallocs > packets/500 {
				t.Errorf("%d allocations for %d packets", mallocs, packets)
			}
			for i := range counters {
				if counters[i].keys > c.flushes[i] {
					t.Errorf("analyzer %d: keys were flushed %d times, want at most %d", i, counters[i].keys, c.flushes[i])
				}
			}
		})
	}
}
