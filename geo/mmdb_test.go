package geo

import "pktvisor/internal/testkit"

// pairs is a map in a database: key, value, key, value …
type pairs = testkit.Pairs

// network6 is a network and its record.
type network6 struct {
	prefix string
	record pairs
}

// build makes a database of the given type, with 24 bits a record.
func build(kind string, nets []network6) []byte { return buildBits(kind, nets, 24) }

func buildBits(kind string, nets []network6, bits int) []byte {
	g := testkit.GeoIP{Type: kind, RecordBits: bits, Built: 1700000000}
	for _, n := range nets {
		g.Networks = append(g.Networks, testkit.Network{Prefix: n.prefix, Record: n.record})
	}
	return g.Bytes()
}

func appendValue(b []byte, v any) []byte { return testkit.AppendGeoIPValue(b, v) }
