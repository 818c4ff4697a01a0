package packets

import (
	"fmt"
	"net/netip"
	"testing"

	"pktvisor/linktype"
	"pktvisor/metric"
)

// asked is a Locator that counts its calls.
type asked struct{ cities, networks int }

func (a *asked) City(addr netip.Addr) string {
	a.cities++
	return fmt.Sprint("city ", addr.AsSlice()[3]%5)
}

func (a *asked) ASN(addr netip.Addr) string {
	a.networks++
	return fmt.Sprint("network ", addr.AsSlice()[3]%3)
}

// TestWanted: an analyzer with some of the metrics has the same values for these as an analyzer with all. It does not look up
// the location of an address and keeps no memory for a table that it lacks.
func TestWanted(t *testing.T) {
	count := func(table *metric.Table) (*bench, *asked) {
		locate := new(asked)
		b := newBench(t, 100, locate)
		if table != nil {
			cfg := b.cfg
			cfg.Table = table
			b.Analyzer, b.section = New(cfg), table.New()
		}
		for i := range 3000 { // more than the locations' tables hold, and in several batches
			far := netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)})
			b.frame(udp(far, host4, i%100), 100, linktype.Ethernet)
			if i%3 == 0 {
				b.frame(udp(host6, far6, 1), 100, linktype.Ethernet)
				b.frame(udp(host4, far, 1), 100, linktype.Ethernet)
			}
		}
		b.flush(1)
		return b, locate
	}
	image := func(b *bench, table *metric.Table) string {
		bucket := metric.NewBucket([]*metric.Table{table})
		bucket.Merge(&metric.Bucket{Sections: []*metric.Section{b.section}})
		return string(bucket.AppendJSON(nil, metric.JSONOptions{Key: "k", Rows: 20}))
	}
	all, _ := count(nil)
	whole := Topic(new(asked)).Memory(nil, 0)
	const sources = 3001 // distinct addresses of the other side
	for _, c := range []struct {
		name                 string
		off                  []string
		cities, networks     int
		peers, weights       int
		memory, locationSums int64
	}{
		{"all", nil, sources, sources, tallySize, tallySize, 0, 2},
		{"no locations", []string{"top_geoLoc", "top_ASN"}, 0, 0, tallySize, tallySize, 2 * locationBytes * tallySize, 0},
		{"no cities", []string{"top_geoLoc"}, 0, sources, tallySize, tallySize, locationBytes * tallySize, 1},
		{"no networks", []string{"top_ASN"}, sources, 0, tallySize, tallySize, locationBytes * tallySize, 1},
		{"no IPv4", []string{"top_ipv4"}, sources, sources, tallySize, tallySize, 0, 2},
		{"no IPv6", []string{"top_ipv6"}, sources, sources, tallySize, tallySize, 0, 2},
		{"no addresses", []string{"top_ipv4", "top_ipv6"}, sources, sources, tallySize, 0, 8 * tallySize, 2},
		{"no sources", []string{"cardinality.src_ips_in"}, sources, sources, tallySize, tallySize, 0, 2},
		{"no destinations", []string{"cardinality.dst_ips_out"}, sources, sources, tallySize, tallySize, 0, 2},
		{"only locations", []string{"cardinality.src_ips_in", "cardinality.dst_ips_out", "top_ipv4", "top_ipv6"}, sources, sources, tallySize, 0, 8 * tallySize, 2},
		{
			"none", []string{"cardinality.src_ips_in", "cardinality.dst_ips_out", "top_ipv4", "top_ipv6", "top_geoLoc", "top_ASN"}, 0, 0, 0, 0,
			whole - bytesAt(0, wanted{}), 0,
		},
	} {
		table := Table.Select(func(d *metric.Desc) bool {
			for _, path := range c.off {
				if d.Path == path {
					return false
				}
			}
			return true
		})
		b, locate := count(table)
		if got, want := image(b, table), image(all, table); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, want)
		}
		if *locate != (asked{c.cities, c.networks}) {
			t.Errorf("%s: the look-ups are %+v", c.name, *locate)
		}
		peers := 0
		if b.peers != nil {
			peers = cap(b.peers.Entries())
		}
		if peers != c.peers || cap(b.weights) != c.weights {
			t.Errorf("%s: there is space for %d addresses and %d weights", c.name, peers, cap(b.weights))
		}
		if n := int64(min(1, cap(b.cities.sums)) + min(1, cap(b.networks.sums))); n != c.locationSums {
			t.Errorf("%s: there are %d sums of locations", c.name, n)
		}
		if got := whole - Topic(locate).Memory(table, 0); got != c.memory {
			t.Errorf("%s: %d bytes less than with all, want %d", c.name, got, c.memory)
		}
	}
}
