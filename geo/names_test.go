package geo

import (
	"net/netip"
	"testing"
)

// flatNets are records in the forms of other makers: field names and examples from their documents, invented names.
var flatNets = []network6{
	// IPinfo, country and ASN, as it was until 2025.
	{"192.0.2.0/28", pairs{"country", "US", "country_name", "United States", "continent", "NA", "continent_name", "North America",
		"asn", "AS64496", "as_name", "Example Net", "as_domain", "example.net"}},
	// IPinfo Lite.
	{"192.0.2.16/28", pairs{"country", "Japan", "country_code", "JP", "continent", "Asia", "continent_code", "AS",
		"asn", "AS64497", "as_domain", "example.org"}},
	// IPinfo, location and ASN.
	{"192.0.2.32/28", pairs{"city", "Mountain View", "region", "California", "region_code", "CA", "country", "US", "asn", "AS64498", "name", "Example", "domain", "example.com"}},
	// IPLocate.
	{"192.0.2.48/28", pairs{"country_code", "SE", "country_name", "Sweden", "continent_code", "EU", "asn", uint32(64499), "name", "EXAMPLE-AS", "org", "Example AB"}},
	// ip-location-db.
	{"192.0.2.64/28", pairs{"country_code", "NL", "state1", "North Holland", "city", "Amsterdam", "autonomous_system_number", uint32(64500), "autonomous_system_organization", "Example BV"}},
	// DB-IP Lite: in MaxMind's form, without codes of subdivisions; its ISP in traits.
	{"192.0.2.80/28", pairs{"continent", pairs{"code", "NA", "names", pairs{"en", "North America"}}, "country", pairs{"iso_code", "US", "names", pairs{"en", "United States"}},
		"subdivisions", []any{pairs{"names", pairs{"en", "California"}}}, "city", en("Mountain View"), "traits", pairs{"autonomous_system_number", uint32(64501), "isp", "Example ISP"}}},
	// MaxMind's form, with codes only.
	{"192.0.2.96/28", pairs{"country", pairs{"iso_code", "US"}, "continent", pairs{"code", "NA"}, "asn", "64502"}},
	// Without English names.
	{"192.0.2.112/28", pairs{"country", pairs{"names", pairs{"de", "Utopien"}}, "org", "x", "asn", "AS64503 Example Org"}},
	// IP2Location's text for nothing, and numbers that are not numbers.
	{"192.0.2.128/28", pairs{"country_code", "-", "country_name", "-", "region", "-", "city", "-", "asn", "-", "as", "-"}},
	{"192.0.2.144/28", pairs{"country", uint32(840), "asn", "AS", "as_name", "no number"}},
	{"192.0.2.160/28", pairs{"country", []any{"US"}, "asn", "AS4294967296"}},
	// A maker that has the number only inside a map.
	{"192.0.2.176/28", pairs{"country", pairs{"code", "FR", "name", "France"}, "asn", pairs{"asn", "AS64504", "name", "Exemple SA"}}},
}

func TestNamesOfOtherMakers(t *testing.T) {
	path := write(t, "flat", build("ipinfo generic_country_asn_free.mmdb", flatNets))
	d := open(t, path, path)
	for _, tt := range []struct{ addr, city, asn string }{
		{"192.0.2.1", "NA/United States", "64496/Example Net"},
		{"192.0.2.17", "AS/Japan", "64497/example.org"},
		{"192.0.2.33", "US/CA/Mountain View", "64498/Example"},
		{"192.0.2.49", "EU/Sweden", "64499/EXAMPLE-AS"},
		{"192.0.2.65", "NL/North Holland/Amsterdam", "64500/Example BV"},
		{"192.0.2.81", "NA/United States/California/Mountain View", "64501/Example ISP"},
		{"192.0.2.97", "NA/US", "64502"},
		{"192.0.2.113", "Utopien", "64503/Example Org"},
		{"192.0.2.129", Unknown, Unknown},
		{"192.0.2.145", Unknown, Unknown},
		{"192.0.2.161", Unknown, Unknown},
		{"192.0.2.177", "France", "64504/Exemple SA"},
	} {
		a := netip.MustParseAddr(tt.addr)
		if got := d.City(a); got != tt.city {
			t.Errorf("City(%s) = %s, want %s", a, got, tt.city)
		}
		if got := d.ASN(a); got != tt.asn {
			t.Errorf("ASN(%s) = %s, want %s", a, got, tt.asn)
		}
	}
}
