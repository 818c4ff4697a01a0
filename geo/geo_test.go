package geo

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/oschwald/maxminddb-golang/v2"
)

func en(name string) pairs { return pairs{"names", pairs{"de", "falsch", "en", name}} }

var cityNets = []network6{
	{"192.0.2.0/25", pairs{"continent", pairs{"code", "NA"}, "country", en("United States"),
		"subdivisions", []any{pairs{"iso_code", "CA"}, pairs{"iso_code", "XX"}}, "city", en("Mountain View"), "location", pairs{"time_zone", "x"}}},
	{"192.0.2.128/25", pairs{"continent", pairs{"code", "AS"}, "country", en("Japan")}},
	{"198.51.100.0/24", pairs{"country", en("Utopia"), "city", en("Amaurot")}},
	{"203.0.113.0/24", pairs{"registered_country", en("Nowhere")}},
	{"2001:db8::/32", pairs{"continent", pairs{"code", "EU"}, "country", en("Sweden"), "subdivisions", []any{pairs{"iso_code", "E"}}, "city", en("Linköping")}},
}

var asnNets = []network6{
	{"192.0.2.0/24", pairs{"autonomous_system_number", uint32(15169), "autonomous_system_organization", "GOOGLE"}},
	{"198.51.100.0/24", pairs{"autonomous_system_number", uint32(4200000000)}},
	{"203.0.113.0/24", pairs{"autonomous_system_organization", "no number"}},
	{"2001:db8::/32", pairs{"autonomous_system_number", uint32(64496), "autonomous_system_organization", strings.Repeat("ö", 200)}},
}

// write writes a database to a file of this test.
func write(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, city, asn string) *DB {
	t.Helper()
	d, err := Open(city, asn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestLookup(t *testing.T) {
	city, asn := write(t, "city", build("GeoLite2-City", cityNets)), write(t, "asn", build("DBIP-ASN-Lite", asnNets))
	for _, path := range []string{city, asn} { // the test's databases are sound
		r, err := maxminddb.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Verify(); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	d := open(t, city, asn)
	tests := []struct{ addr, city, asn string }{
		{"192.0.2.1", "NA/United States/CA/Mountain View", "15169/GOOGLE"},
		{"::ffff:192.0.2.1", "NA/United States/CA/Mountain View", "15169/GOOGLE"},
		{"192.0.2.200", "AS/Japan", "15169/GOOGLE"},
		{"198.51.100.7", "Utopia/Amaurot", "4200000000"},
		{"203.0.113.1", Unknown, Unknown}, // in the database, but without what makes a name
		{"10.0.0.1", Unknown, Unknown},
		{"2001:db8::1", "EU/Sweden/E/Linköping", "64496/" + strings.Repeat("ö", 125)},
		{"2001:db8::1%eth0", "EU/Sweden/E/Linköping", "64496/" + strings.Repeat("ö", 125)},
		{"2001:db9::1", Unknown, Unknown},
	}
	for range 2 { // from the database, then from the cache
		for _, tt := range tests {
			a := netip.MustParseAddr(tt.addr)
			if got := d.City(a); got != tt.city {
				t.Errorf("City(%s) = %s, want %s", a, got, tt.city)
			}
			if got := d.ASN(a); got != tt.asn {
				t.Errorf("ASN(%s) = %s, want %s", a, got, tt.asn)
			}
		}
	}
	if d.City(netip.Addr{}) != Unknown {
		t.Error("the zero address is known")
	}
}

// TestRecordBits: records of each size are read and checked correctly.
func TestRecordBits(t *testing.T) {
	for _, bits := range []int{24, 28, 32} {
		b := buildBits("GeoLite2-City", cityNets, bits)
		d := open(t, write(t, "city", b), "")
		for addr, want := range map[string]string{"192.0.2.1": "NA/United States/CA/Mountain View", "2001:db8::1": "EU/Sweden/E/Linköping", "10.0.0.1": Unknown} {
			if got := d.City(netip.MustParseAddr(addr)); got != want {
				t.Errorf("%d bits: City(%s) = %s, want %s", bits, addr, got, want)
			}
		}
		n, err := d.city.file.countRecords()
		if n != len(cityNets) || err != nil {
			t.Errorf("%d bits: %d records, %v", bits, n, err)
		}
		// A pointer in either half that leads nowhere is found.
		size := bits / 4
		for half := range 2 {
			damaged := bytes.Clone(b)
			node := damaged[size*half:] // from the first or second node on: one half belongs to another node
			copy(node[size/2*half:], bytes.Repeat([]byte{0x7f}, size/2))
			if d, err := Open(write(t, "damaged", damaged), ""); err == nil || !strings.Contains(err.Error(), "an invalid pointer") {
				t.Errorf("%d bits, half %d: %v", bits, half, err)
				d.Close()
			}
		}
	}
}

func TestMissing(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.1")
	d := open(t, "", write(t, "asn", build("GeoLite2-ASN", asnNets)))
	if d.HasCity() || !d.HasASN() || d.City(a) != "" || d.ASN(a) != "15169/GOOGLE" {
		t.Errorf("%v %v %q %q", d.HasCity(), d.HasASN(), d.City(a), d.ASN(a))
	}
	var none *DB
	if none.HasCity() || none.HasASN() || none.City(a) != "" || none.ASN(a) != "" || none.Reload() != nil || none.Close() != nil {
		t.Error("a nil DB has something")
	}
}

func TestOpenErrors(t *testing.T) {
	city, asn := build("GeoLite2-City", cityNets), build("GeoIP2-ISP", asnNets)
	cityPath, asnPath := write(t, "city", city), write(t, "asn", asn)
	damaged := build("GeoLite2-City", []network6{{"8.0.0.0/8", pairs{"country", en("Utopia")}}})
	damaged = bytes.Replace(damaged, []byte("Utopia"), []byte("Uto"), 1) // the bytes that follow are three bytes too early
	tests := []struct{ name, city, asn, want string }{
		{"missing", filepath.Join(t.TempDir(), "none.mmdb"), "", "none.mmdb: no such file"},
		{"directory", t.TempDir(), "", "is not a regular file"},
		{"device", "/dev/zero", "", "/dev/zero is not a regular file"},
		{"empty", write(t, "empty", nil), "", "empty is not a MaxMind database"},
		{"of something else", write(t, "else", build("GeoIP2-Anonymous-IP", []network6{{"192.0.2.0/24", pairs{"is_anonymous", uint32(1)}}})), "",
			`else, of type "GeoIP2-Anonymous-IP", has no names: its records are neither in MaxMind's form nor in another known form; they have ["is_anonymous"]`},
		{"of texts", "", write(t, "texts", build("x", []network6{{"192.0.2.0/24", pairs{"asn", pairs{}}}})), `texts, of type "x", has no names`},
		{"without records", write(t, "none", build("GeoLite2-City", nil)), "", "none has no records"},
		{"text", write(t, "text", []byte("not a database at all\n")), "", "text is not a MaxMind database"},
		{"cut", write(t, "cut", city[:len(city)-40]), "", "cut is not a MaxMind database"},
		{"no tree", write(t, "no-tree", city[len(city)-300:]), "", "no-tree is not a MaxMind database"},
		{"ASN as city", asnPath, "", `asn is a database of type "GeoIP2-ISP", want a City or Country database`},
		{"city as ASN", cityPath, cityPath, `city is a database of type "GeoLite2-City", want an ASN or ISP database`},
		{"damaged", write(t, "damaged", damaged), asnPath, "damaged is damaged: its records are damaged"},
	}
	for _, tt := range tests {
		d, err := Open(tt.city, tt.asn)
		if err == nil {
			t.Errorf("%s: opened", tt.name)
			d.Close()
			continue
		}
		if s := err.Error(); !strings.Contains(s, tt.want) || strings.Contains(s, "\n") {
			t.Errorf("%s: %q, want %q", tt.name, s, tt.want)
		}
	}
}

func TestReload(t *testing.T) {
	path := write(t, "city", build("GeoLite2-City", cityNets))
	d := open(t, path, "")
	a := netip.MustParseAddr("192.0.2.1")
	replace := func(b []byte) {
		t.Helper()
		if err := os.Rename(write(t, "new", b), path); err != nil {
			t.Fatal(err)
		}
	}
	const before, after = "NA/United States/CA/Mountain View", "EU/Utopia"
	replace([]byte("rubbish"))
	if err := d.Reload(); err == nil || d.City(a) != before {
		t.Errorf("reloaded rubbish: %v, %s", err, d.City(a))
	}
	replace(build("GeoLite2-City", []network6{{"192.0.2.0/25", pairs{"continent", pairs{"code", "EU"}, "country", en("Utopia")}}}))
	if got := d.City(a); got != before {
		t.Errorf("before Reload: %s", got)
	}
	// Readers continue while the database is replaced, and see one version or the other.
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			seen := before
			for seen == before {
				if seen = d.City(a); seen != before && seen != after {
					t.Errorf("during Reload: %s", seen)
				}
			}
		})
	}
	if err := d.Reload(); err != nil {
		t.Error(err)
		d.Close()
	}
	wg.Wait()
	if err := d.Close(); err != nil || d.City(a) != Unknown {
		t.Errorf("after Close: %v, %s", err, d.City(a))
	}
}

// TestCacheDisplaced: with more records than the cache holds, records displace each other and stay right.
func TestCacheDisplaced(t *testing.T) {
	const n = 2 * cacheSize
	var nets []network6
	for i := range n {
		nets = append(nets, network6{fmt.Sprintf("10.%d.%d.0/24", i>>8, i&255), pairs{"autonomous_system_number", uint32(i + 1)}})
	}
	d := open(t, "", write(t, "asn", build("GeoLite2-ASN", nets)))
	for _, step := range []int{1, 7919, n - 1} {
		for i := range n {
			k := i * step % n
			a := netip.AddrFrom4([4]byte{10, byte(k >> 8), byte(k), 1})
			if got, want := d.ASN(a), fmt.Sprint(k+1); got != want {
				t.Fatalf("ASN(%s) = %s, want %s", a, got, want)
			}
		}
	}
}

func TestAllocs(t *testing.T) {
	d := open(t, write(t, "city", build("GeoLite2-City", cityNets)), write(t, "asn", build("GeoLite2-ASN", asnNets)))
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:192.0.2.200"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("10.0.0.1")}
	n := testing.AllocsPerRun(100, func() {
		for _, a := range addrs {
			d.City(a)
			d.ASN(a)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

const maxmind = "../../shared/corpus/maxmind+MaxMind-DB"

// TestMaxMind: the values are from MaxMind's source-data.
func TestMaxMind(t *testing.T) {
	if _, err := os.Stat(maxmind); err != nil {
		t.Skip("the corpus is not here: ", err)
	}
	d := open(t, maxmind+"/test-data/GeoLite2-City-Test.mmdb", maxmind+"/test-data/GeoLite2-ASN-Test.mmdb")
	isp := open(t, "", maxmind+"/test-data/GeoIP2-ISP-Test.mmdb")
	for addr, want := range map[string]string{
		"2.125.160.216": "EU/United Kingdom/ENG/Boxford",
		"81.2.69.142":   "EU/United Kingdom/ENG/London",
		"216.160.83.56": "NA/United States/WA/Milton",
		"89.160.20.112": "EU/Sweden/E/Linköping",
		"175.16.199.1":  "AS/China/22/Changchun",
		"67.43.156.1":   "AS/Bhutan",
		"2001:218::1":   "AS/Japan",
		"127.0.0.1":     Unknown,
	} {
		if got := d.City(netip.MustParseAddr(addr)); got != want {
			t.Errorf("City(%s) = %s, want %s", addr, got, want)
		}
	}
	for addr, want := range map[string]string{
		"1.128.0.0":     "1221/Telstra Pty Ltd",
		"12.81.92.1":    "7018/AT&T Services",
		"89.160.20.112": "29518/Bredband2 AB",
		"2600:7000::1":  "6939/Hurricane Electric, Inc.",
		"127.0.0.1":     Unknown,
	} {
		if got := d.ASN(netip.MustParseAddr(addr)); got != want {
			t.Errorf("ASN(%s) = %s, want %s", addr, got, want)
		}
	}
	if got, want := isp.ASN(netip.MustParseAddr("1.128.0.0")), "1221/Telstra Pty Ltd"; got != want {
		t.Errorf("ISP: %s, want %s", got, want)
	}
}

// TestMaxMindBroken: files that MaxMind damaged on purpose are refused.
func TestMaxMindBroken(t *testing.T) {
	broken, err := filepath.Glob(maxmind + "/bad-data/*/*.mmdb")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(maxmind + "/test-data/*.mmdb")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(broken, more...) {
		if strings.Contains(path, "bad-data") || strings.Contains(path, "broken") || strings.Contains(path, "Invalid") {
			if d, err := Open(path, ""); err == nil {
				t.Errorf("%s was opened", path)
				d.Close()
			}
		}
	}
	if len(broken) == 0 {
		t.Skip("the corpus is not here")
	}
}
