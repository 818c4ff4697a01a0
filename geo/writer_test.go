package geo

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

// TestWriter reads databases that MaxMind's own writer made, with records of every size (see testdata/writer).
func TestWriter(t *testing.T) {
	for _, size := range []string{"24", "28", "32"} {
		d := open(t, "testdata/writer-city-"+size+".mmdb", "testdata/writer-asn.mmdb")
		for addr, want := range map[string][2]string{
			"192.0.2.1":           {"EU/Elbonia/MU/Mudville", "64500/Mudville Telegraph"},
			"192.0.2.127":         {"EU/Elbonia/MU/Mudville", "64500/Mudville Telegraph"},
			"192.0.2.128":         {"EU/Elbonia", "64500/Mudville Telegraph"},
			"198.51.100.255":      {"NA/Freedonia/SY/Sylvania Südstadt", "4200000000/Sylvania & Söhne"},
			"::ffff:198.51.100.1": {"NA/Freedonia/SY/Sylvania Südstadt", "4200000000/Sylvania & Söhne"},
			"203.0.113.64":        {"AS", "64502"},
			"203.0.113.1":         {Unknown, "64502"},
			"2001:db8:53::53":     {"OC/Grand Fenwick/FE/Fenwick", "64503/Fenwick Networks"},
			"2001:db8:54::":       {Unknown, "64503/Fenwick Networks"},
			"2001:db9::1":         {Unknown, Unknown},
			"192.0.3.0":           {Unknown, Unknown},
		} {
			a := netip.MustParseAddr(addr)
			if got := [2]string{d.City(a), d.ASN(a)}; got != want {
				t.Errorf("%s-bit records, %s: %q, want %q", size, addr, got, want)
			}
		}
	}
}

// TestCutDatabase: a database that is cut anywhere is refused.
func TestCutDatabase(t *testing.T) {
	whole, err := os.ReadFile("testdata/writer-city-28.mmdb")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cut.mmdb")
	for n := 0; n < len(whole); n += 13 {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if d, err := Open(path, ""); err == nil {
			t.Errorf("%d of %d bytes were opened", n, len(whole))
			d.Close()
		}
	}
}
