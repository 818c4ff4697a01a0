package geo

import (
	"net/netip"
	"os"
	"testing"

	"github.com/oschwald/maxminddb-golang/v2"
)

// A damaged database gives an error or some name; it never panics, hangs or gives a name without
// bounds.
func FuzzDamaged(f *testing.F) {
	bases := [][]byte{build("GeoLite2-City", cityNets), build("GeoLite2-ASN", asnNets)}
	for _, name := range []string{"GeoLite2-City-Test", "GeoIP2-ISP-Test"} {
		if b, err := os.ReadFile(maxmind + "/test-data/" + name + ".mmdb"); err == nil {
			bases = append(bases, b)
		}
	}
	for i, b := range bases {
		f.Add(uint8(i), uint(0), []byte{})
		f.Add(uint8(i), uint(len(b)/2), []byte{0xff, 0xff})
		f.Add(uint8(i), uint(len(b)-20), []byte{1})
	}
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("81.2.69.142"), netip.MustParseAddr("1.128.0.0")}
	f.Fuzz(func(t *testing.T, base uint8, at uint, patch []byte) {
		src := bases[int(base)%len(bases)]
		b := append([]byte{}, src...)
		copy(b[at%uint(len(b)):], patch)
		r, err := maxminddb.OpenBytes(b)
		if err != nil {
			return
		}
		for _, tab := range []*table{{types: []string{"city"}, name: place}, {types: []string{"asn", "isp"}, name: network}} {
			if err := tab.check(r); err != nil {
				continue
			}
			tab.reader = r
			for _, a := range addrs {
				if s := tab.lookup(a); s == "" || len(s) > maxName {
					t.Errorf("%s: %d bytes", a, len(s))
				}
			}
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	d := open(b, write(b, "city", build("GeoLite2-City", cityNets)), write(b, "asn", build("GeoLite2-ASN", asnNets)))
	for _, bb := range []struct{ name, addr string }{{"v4", "192.0.2.1"}, {"v6", "2001:db8::1"}, {"unknown", "10.0.0.1"}} {
		a := netip.MustParseAddr(bb.addr)
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d.City(a)
			}
		})
	}
}
