// Command writer makes the databases in geo/testdata with MaxMind's own writer, of invented places and networks:
//
//	cd geo/testdata/writer && go run . ..
//
// It is a module of its own, so that the project does not depend on the writer.
package main

import (
	"net"
	"os"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

func names(en string) mmdbtype.Map {
	return mmdbtype.Map{"names": mmdbtype.Map{"de": mmdbtype.String("anders"), "en": mmdbtype.String(en)}}
}

func place(continent, country, iso, city string, subdivisions ...string) mmdbtype.Map {
	m := mmdbtype.Map{"continent": mmdbtype.Map{"code": mmdbtype.String(continent), "geoname_id": mmdbtype.Uint32(1)}, "location": mmdbtype.Map{"latitude": mmdbtype.Float64(1.5), "accuracy_radius": mmdbtype.Uint16(100)}}
	if country != "" {
		m["country"] = mmdbtype.Map{"iso_code": mmdbtype.String(iso), "names": names(country)["names"]}
	}
	if city != "" {
		m["city"] = names(city)
	}
	var s mmdbtype.Slice
	for _, x := range subdivisions {
		s = append(s, mmdbtype.Map{"iso_code": mmdbtype.String(x)})
	}
	if s != nil {
		m["subdivisions"] = s
	}
	return m
}

func write(path, typ string, size int, nets map[string]mmdbtype.DataType) {
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: typ, RecordSize: size, IncludeReservedNetworks: true, BuildEpoch: 1_700_000_000, Description: map[string]string{"en": "invented places"}})
	if err != nil {
		panic(err)
	}
	for n, v := range nets {
		_, ipnet, err := net.ParseCIDR(n)
		if err != nil {
			panic(err)
		}
		if err := w.Insert(ipnet, v); err != nil {
			panic(err)
		}
	}
	f, err := os.Create(path)
	if err != nil {
		panic(err)
	}
	if _, err := w.WriteTo(f); err != nil {
		panic(err)
	}
	f.Close()
}

func main() {
	city := map[string]mmdbtype.DataType{
		"192.0.2.0/25":     place("EU", "Elbonia", "EL", "Mudville", "MU", "MV"),
		"192.0.2.128/25":   place("EU", "Elbonia", "EL", ""),
		"198.51.100.0/24":  place("NA", "Freedonia", "FR", "Sylvania Südstadt", "SY"),
		"203.0.113.64/26":  place("AS", "", "", ""),
		"2001:db8:53::/48": place("OC", "Grand Fenwick", "GF", "Fenwick", "FE"),
	}
	asn := map[string]mmdbtype.DataType{
		"192.0.2.0/24":    mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(64500), "autonomous_system_organization": mmdbtype.String("Mudville Telegraph")},
		"198.51.100.0/24": mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(4200000000), "autonomous_system_organization": mmdbtype.String("Sylvania & Söhne"), "isp": mmdbtype.String("x")},
		"203.0.113.0/24":  mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(64502)},
		"2001:db8::/32":   mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(64503), "autonomous_system_organization": mmdbtype.String("Fenwick Networks")},
	}
	dir := os.Args[1]
	for _, size := range []int{24, 28, 32} {
		write(dir+"/writer-city-"+map[int]string{24: "24", 28: "28", 32: "32"}[size]+".mmdb", "GeoLite2-City", size, city)
	}
	write(dir+"/writer-asn.mmdb", "GeoLite2-ASN", 24, asn)
}
