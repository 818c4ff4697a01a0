package agent

import (
	"context"
	"testing"

	"pktvisor/internal/testkit"
	"pktvisor/metric"
	"pktvisor/policy"
)

// TestBudget: the tables are as large as a policy's budget allows, and a flood of names or of senders takes no more than that.
func TestBudget(t *testing.T) {
	n := 400_000
	if testkit.RaceEnabled {
		n /= 20
	}
	type kind struct {
		shards int
		names  bool
	}
	usual := map[kind]int64{} // the bytes taken by default
	for _, c := range []struct {
		mib    policy.Budget
		shards int
		scale  int
	}{{0, 1, 0}, {0, 2, 0}, {384, 1, 2}, {64, 1, -4}, {64, 2, -5}, {48, 1, -5}} {
		for _, names := range []bool{true, false} {
			var most int64
			before := heap()
			a := newAgent(t, func(s *setup) {
				s.Single, s.Shards, s.Topics = false, c.shards, Topics(nil, s.DNSTimeout)
				cost := func(scale int) int64 { return s.TapConfig.Memory(scale) + s.PolicyConfig.Memory(c.shards, scale) }
				scale, ok := (c.mib << 20).Scale(cost)
				if !ok || scale != c.scale {
					t.Errorf("%d MiB for %d shards: scale %d, %t, %d kB; want %d", c.mib, c.shards, scale, ok, cost(scale)>>10, c.scale)
				}
				s.TapConfig.Scale, s.PolicyConfig.Scale = scale, scale
				if most = int64(c.mib << 20); most == 0 {
					most = cost(0)
				}
			})
			if err := a.RunFile(context.Background(), newFlood(names, n, 600_000)); err != nil {
				t.Fatal(err)
			}
			got := int64(heap() - before)
			t.Logf("%d MiB for %d shards, names %t: %d kB of %d", c.mib, c.shards, names, got>>10, most>>10)
			if !testkit.RaceEnabled && got > most {
				t.Errorf("%d MiB for %d shards: %d kB, want at most %d", c.mib, c.shards, got>>10, most>>10)
			}
			if c.mib == 0 {
				usual[kind{c.shards, names}] = got
			}
			if took := usual[kind{c.shards, names}]; !testkit.RaceEnabled && (c.scale < 0 && got > took*3/5 || c.scale > 0 && got < took*2) {
				t.Errorf("%d MiB for %d shards: %d kB, and %d by default", c.mib, c.shards, got>>10, took>>10)
			}
			if total := packetMetrics(a.Window().Totals()).Total; total != metric.Counter(n) {
				t.Errorf("%d MiB for %d shards: %d packets, want %d", c.mib, c.shards, total, n)
			}
		}
	}
}
