package agent

import (
	"testing"

	"pktvisor/analyze/packets"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// TestLocate: every packet that counts at an address also counts at the address's place and network, whether the addresses were
// flushed because a tally was full or at the end.
func TestLocate(t *testing.T) {
	file, _ := traffic(t, testkit.AllDistinctSources(), 40_000, 1)
	for _, shards := range []int{1, 3} {
		a := summarise(t, file, func(c *setup) { c.Locate, c.Shards = places{}, shards })
		m := metric.Of[packets.Metrics](a.Window().Merged(1).Sections[0])
		want := m.TopIPv4.Total() + m.TopIPv6.Total()
		if want < 30_000 || m.TopGeoLoc.Total() != want || m.TopASN.Total() != want {
			t.Errorf("%d shards: %d packets at places, %d at networks, want %d", shards, m.TopGeoLoc.Total(), m.TopASN.Total(), want)
		}
	}
}
