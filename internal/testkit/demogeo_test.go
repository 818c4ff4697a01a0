package testkit

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pktvisor/geo"
)

// TestDemoGeoIP: the demonstration database is what DemoGeoIP makes. With -update, the test writes it.
func TestDemoGeoIP(t *testing.T) {
	path := filepath.Join(Captures(t), "..", "geoip", "demo.mmdb")
	want := DemoGeoIP().Bytes()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("demo.mmdb is not what DemoGeoIP makes; run with -update")
	}
	d, err := geo.Open(path, path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	// Both sides of everything that the demonstration invents.
	places := map[string]bool{}
	for _, addr := range []string{"11.0.0.1", "42.128.0.1", "74.255.255.255", "193.0.0.1", "193.0.1.250", "2a00:0:1:1::1", "2a00:f:1:1::1"} {
		a := netip.MustParseAddr(addr)
		city, asn := d.City(a), d.ASN(a)
		if strings.Count(city, "/") < 2 || !strings.HasPrefix(asn, "64") || !strings.Contains(asn, "/") {
			t.Errorf("%s: %s, %s", addr, city, asn)
		}
		places[city] = true
	}
	if len(places) < 4 {
		t.Errorf("everything is in %v", places)
	}
	if got := d.City(netip.MustParseAddr("192.0.2.53")); got != geo.Unknown {
		t.Errorf("the host is in %s", got)
	}
}
