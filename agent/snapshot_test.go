package agent

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// places is a Locator of 1500 cities and 4096 networks.
type places struct{}

func place(a netip.Addr) int {
	b := a.As16()
	return int(b[13])<<4 | int(b[12]&15)
}

// City implements packets.Locator.
func (places) City(a netip.Addr) string {
	return fmt.Sprintf("NA/United States/S%d/City of %d", place(a)%97, place(a)%1500)
}

// ASN implements packets.Locator.
func (places) ASN(a netip.Addr) string {
	return fmt.Sprintf("%d/NETWORK-%x", place(a)*7, place(a)*7919)
}

// TestSnapshotSize: the snapshot of a busy minute has at most 95 kB. A minute of 12 million packets takes a tenth more than the
// one here: see docs/snapshot.md.
func TestSnapshotSize(t *testing.T) {
	if testing.Short() {
		t.Skip("two captures of half a million packets take long")
	}
	for _, name := range []string{"dns-heavy", "all-tcp", "all-distinct-names", "all-distinct-sources"} {
		cfg := testkit.Presets[name]()
		cfg.Rate, cfg.Start = 200_000, time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)
		file, _ := traffic(t, cfg, 500_000, 1)
		b := summarise(t, file, func(c *setup) { c.Locate = places{} }).Window().Merged(1)
		json := metric.JSONOptions{Key: "1m", Rows: 10}
		want := b.AppendJSON(nil, json)
		sent := b.AppendSnapshot(nil, metric.SnapshotOptions{})
		all := b.AppendSnapshot(nil, metric.SnapshotOptions{TopKeys: -1})
		t.Logf("%s: %d bytes sent, %d in full, JSON %d", name, len(sent), len(all), len(want))
		if len(sent) > 95_000 {
			t.Errorf("%s: %d bytes, want at most 95000", name, len(sent))
		}
		got, err := metric.ReadSnapshot(Tables, all)
		if err != nil {
			t.Fatal(err)
		}
		if g := got.AppendJSON(nil, json); !bytes.Equal(g, want) {
			t.Errorf("%s: read as %s, want %s", name, g, want)
		}
	}
}
