package testkit

import (
	"encoding/binary"
	"net/netip"
)

// Pairs is a map in a GeoIP database: key, value, key, value …
type Pairs []any

// Network is a network and its record in a GeoIP database.
type Network struct {
	Prefix string
	Record Pairs
}

// GeoIP is a database that can be written in MaxMind's format.
type GeoIP struct {
	Type     string // "GeoLite2-City", for instance
	Networks []Network
	// RecordBits is the size of half a node of the search tree: 24, 28 or 32 bits; 0 is 24.
	RecordBits int
	// Built is the time when the database was made, in seconds since the Unix epoch.
	Built uint64
}

// Bytes returns the database, with IP version 6, as in the "MaxMind DB File Format Specification", version 2.0.
// Networks must not contain each other.
func (g GeoIP) Bytes() []byte {
	const empty = -1
	nodes := [][2]int{{empty, empty}} // another node, or -2 less the offset of a record
	var data []byte
	offsets := map[string]int{} // the offset of each record; networks with equal records share one
	offset := func(r Pairs) int {
		b := string(AppendGeoIPValue(nil, r))
		if _, ok := offsets[b]; !ok {
			offsets[b] = len(data)
			data = append(data, b...)
		}
		return offsets[b]
	}
	for _, n := range g.Networks {
		p := netip.MustParsePrefix(n.Prefix)
		bits := p.Bits()
		a := p.Addr().As16()
		if p.Addr().Is4() {
			bits += 96
			clear(a[:12]) // IPv4 is at ::/96
		}
		at := 0
		for i := range bits {
			side := int(a[i/8]>>(7-i%8)) & 1
			switch {
			case i == bits-1:
				nodes[at][side] = -2 - offset(n.Record)
			case nodes[at][side] == empty:
				nodes = append(nodes, [2]int{empty, empty})
				nodes[at][side] = len(nodes) - 1
				fallthrough
			default:
				at = nodes[at][side]
			}
		}
	}
	bits := max(g.RecordBits, 24)
	var out []byte
	for _, n := range nodes {
		for i, v := range n {
			switch {
			case v == empty:
				n[i] = len(nodes)
			case v < 0:
				n[i] = len(nodes) + 16 + -2 - v
			}
		}
		out = appendNode(out, n, bits)
	}
	out = append(out, make([]byte, 16)...)
	out = append(out, data...)
	out = append(out, "\xab\xcd\xefMaxMind.com"...)
	return AppendGeoIPValue(out, Pairs{
		"binary_format_major_version", uint16(2),
		"binary_format_minor_version", uint16(0),
		"build_epoch", g.Built,
		"database_type", g.Type,
		"description", Pairs{"en", "invented places and networks"},
		"ip_version", uint16(6),
		"languages", []any{"en"},
		"node_count", uint32(len(nodes)),
		"record_size", uint16(bits),
	})
}

// appendNode appends a node of two halves.
func appendNode(b []byte, n [2]int, bits int) []byte {
	left, right := uint32(n[0]), uint32(n[1])
	if bits == 32 {
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, left), right)
	}
	b = append(b, byte(left>>16), byte(left>>8), byte(left))
	if bits == 28 {
		b = append(b, byte(left>>24<<4|right>>24))
	}
	return append(b, byte(right>>16), byte(right>>8), byte(right))
}

// AppendGeoIPValue appends a value in the form of the format's data section.
func AppendGeoIPValue(b []byte, v any) []byte {
	control := func(kind, size int) {
		var long []byte
		switch {
		case size >= 285:
			size, long = 30, binary.BigEndian.AppendUint16(nil, uint16(size-285))
		case size >= 29:
			size, long = 29, []byte{byte(size - 29)}
		}
		if kind > 7 {
			b = append(b, byte(size), byte(kind-7))
		} else {
			b = append(b, byte(kind<<5|size))
		}
		b = append(b, long...)
	}
	switch v := v.(type) {
	case string:
		control(2, len(v))
		b = append(b, v...)
	case uint16:
		control(5, 2)
		b = binary.BigEndian.AppendUint16(b, v)
	case uint32:
		control(6, 4)
		b = binary.BigEndian.AppendUint32(b, v)
	case uint64:
		control(9, 8)
		b = binary.BigEndian.AppendUint64(b, v)
	case Pairs:
		control(7, len(v)/2)
		for _, x := range v {
			b = AppendGeoIPValue(b, x)
		}
	case []any:
		control(11, len(v))
		for _, x := range v {
			b = AppendGeoIPValue(b, x)
		}
	}
	return b
}
