package geo

import (
	"encoding/binary"
	"net/netip"
)

// pairs is a map in a MaxMind database: key, value, key, value …
type pairs []any

// network6 is a network with its record.
type network6 struct {
	prefix string
	record pairs
}

// build makes a MaxMind database of the given type in IP version 6, 24 bits a record, following the
// "MaxMind DB File Format Specification", version 2.0. Networks must not contain each other.
func build(kind string, nets []network6) []byte {
	const empty = -1
	nodes := [][2]int{{empty, empty}} // another node, or -2 less the offset of a record
	var data []byte
	for _, n := range nets {
		p := netip.MustParsePrefix(n.prefix)
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
				nodes[at][side] = -2 - len(data)
			case nodes[at][side] == empty:
				nodes = append(nodes, [2]int{empty, empty})
				nodes[at][side] = len(nodes) - 1
				fallthrough
			default:
				at = nodes[at][side]
			}
		}
		data = appendValue(data, n.record)
	}
	var out []byte
	for _, n := range nodes {
		for _, v := range n {
			switch {
			case v == empty:
				v = len(nodes)
			case v < 0:
				v = len(nodes) + 16 + -2 - v
			}
			out = append(out, byte(v>>16), byte(v>>8), byte(v))
		}
	}
	out = append(out, make([]byte, 16)...)
	out = append(out, data...)
	out = append(out, "\xab\xcd\xefMaxMind.com"...)
	return appendValue(out, pairs{
		"binary_format_major_version", uint16(2),
		"binary_format_minor_version", uint16(0),
		"build_epoch", uint64(1700000000),
		"database_type", kind,
		"description", pairs{"en", "made by a test"},
		"ip_version", uint16(6),
		"languages", []any{"en"},
		"node_count", uint32(len(nodes)),
		"record_size", uint16(24),
	})
}

// appendValue appends a value in the format's data section.
func appendValue(b []byte, v any) []byte {
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
	case pairs:
		control(7, len(v)/2)
		for _, x := range v {
			b = appendValue(b, x)
		}
	case []any:
		control(11, len(v))
		for _, x := range v {
			b = appendValue(b, x)
		}
	}
	return b
}
