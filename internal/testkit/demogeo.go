package testkit

import "fmt"

// demoPlaces are invented, so that nobody takes them for the real places of the addresses. The numbers of their
// networks are reserved for documentation (RFC 5398).
var demoPlaces = []struct{ continent, country, region, city, network string }{
	{"EU", "Ruritania", "ST", "Strelsau", "Elphberg Telekom"},
	{"EU", "Graustark", "ED", "Edelweiss", "Graustark Post"},
	{"EU", "Sylvania", "", "Sylvania City", "Freedonia Backbone"},
	{"AS", "Shangri-La", "KA", "Karakal", "Blue Moon Online"},
	{"OC", "Lilliput", "MI", "Mildendo", "Small Pipe"},
	{"OC", "Blefuscu", "", "Blefuscu Town", "Big End Broadband"},
	{"NA", "Brobdingnag", "LO", "Lorbrulgrud", "Giant Access"},
	{"NA", "Barataria", "", "Sancho", "Ínsula Networks"},
	{"SA", "El Dorado", "MA", "Manoa", "Golden Line"},
	{"AF", "Opar", "", "Opar", "Opar Mobile"},
	{"OC", "Utopia", "AM", "Amaurot", "Commonwealth Cable"},
	{"OC", "Erewhon", "", "Nosnibor", "Erewhon Reverse DNS"},
}

// DemoGeoIP returns a database of invented places and networks, both in one, for the addresses in the capture of [Demo].
func DemoGeoIP() GeoIP {
	var records []Pairs
	for i, p := range demoPlaces {
		r := Pairs{
			"continent", Pairs{"code", p.continent},
			"country", Pairs{"names", Pairs{"en", p.country}},
			"city", Pairs{"names", Pairs{"en", p.city}},
			"autonomous_system_number", uint32(64496 + i),
			"autonomous_system_organization", p.network,
		}
		if p.region != "" {
			r = append(r, "subdivisions", []any{Pairs{"iso_code", p.region}})
		}
		records = append(records, r)
	}
	g := GeoIP{Type: "pktvisor demonstration", Built: 1_700_000_000}
	add := func(place int, format string, args ...any) {
		g.Networks = append(g.Networks, Network{fmt.Sprintf(format, args...), records[place%len(records)]})
	}
	for octet := 11; octet < 75; octet++ { // clients
		add(octet*octet/3, "%d.0.0.0/9", octet)
		add(octet*octet/7+1, "%d.128.0.0/9", octet)
	}
	for i := range 16 {
		add(i*i/2, "2a00:%x::/32", i)
	}
	add(0, "193.0.0.0/24") // servers
	add(3, "193.0.1.0/24")
	return g
}
