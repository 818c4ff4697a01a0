package geo

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

// FuzzDamaged: a damaged database gives an error or some name. It never panics, hangs or gives a name without bounds.
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
	dir := f.TempDir()
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("81.2.69.142"), netip.MustParseAddr("1.128.0.0")}
	f.Fuzz(func(t *testing.T, base uint8, at uint, patch []byte) {
		src := bases[int(base)%len(bases)]
		b := append([]byte{}, src...)
		copy(b[at%uint(len(b)):], patch)
		path := filepath.Join(dir, "db")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := openFile(path)
		if err != nil {
			return
		}
		defer file.close()
		for _, tab := range []*table{{name: place}, {name: network}} {
			_ = tab.check(file) // the database is used even so: check does not read each record
			tab.file = file
			for _, a := range addrs {
				before := tab.steps
				if s := tab.lookup(a); s == "" || len(s) > maxName {
					t.Errorf("%s: %d bytes", a, len(s))
				}
				if n := tab.steps - before; n > maxSteps+1 {
					t.Errorf("%s: %d steps", a, n)
				}
			}
		}
	})
}

// FuzzRecord reads any bytes as a record.
func FuzzRecord(f *testing.F) {
	for _, nets := range [][]network6{cityNets, asnNets, flatNets} {
		for _, n := range nets {
			f.Add(appendValue(nil, n.record), 0)
		}
	}
	f.Add([]byte{0xe1, 0x20, 0x00, 0x20, 0x00}, 0) // a map whose key is a pointer to itself
	f.Fuzz(func(t *testing.T, b []byte, off int) {
		for _, name := range []func(*record, int) (string, error){place, network} {
			r := record{b: b}
			s, err := name(&r, off)
			if r.steps > maxSteps+1 {
				t.Errorf("%d steps", r.steps)
			}
			if len(s) > 5*maxName || err != nil && s != "" {
				t.Errorf("%d bytes, %v", len(s), err)
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
