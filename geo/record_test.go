package geo

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"testing"
)

// nest puts a value into n arrays.
func nest(n int, v any) any {
	for range n {
		v = []any{v}
	}
	return v
}

// TestSteps: records that cost as much as possible are refused, or read, in a bounded number of steps.
func TestSteps(t *testing.T) {
	many := pairs{}
	for i := range 1 << 15 {
		many = append(many, fmt.Sprint(i), "x")
	}
	tests := []struct {
		name string
		b    []byte
		err  error
	}{
		{"a pointer to itself", []byte{0x20, 0x00}, errDamaged},
		{"pointers in a ring", []byte{0x20, 0x02, 0x20, 0x00}, errDamaged},
		{"a map of itself", []byte{0xe1, 0x41, 'a', 0x20, 0x00}, nil},
		{"a country that is its record", append([]byte{0xe1, 0x47}, "country\x20\x00"...), nil},
		{"a map without end", []byte{0xff, 0xff, 0xff, 0xff}, errDamaged},
		{"a map as large as the rest", append([]byte{0xfe, 0x03, 0x00}, make([]byte, 2000)...), errDamaged},
		{"a string without end", []byte{0xe1, 0x5f, 0xff, 0xff, 0xff, 'a'}, errDamaged},
		{"a pointer beyond", []byte{0xe1, 0x38, 0xff, 0xff, 0xff, 0xff}, errDamaged},
		{"an unknown kind", []byte{0xe1, 0x41, 'a', 0x00, 0x40}, errDamaged},
		{"deep arrays", appendValue(nil, pairs{"a", nest(100_000, "x")}), errTooMany},
		{"many keys", appendValue(nil, many), errTooMany},
		{"many arrays of many", append([]byte{0xe1, 0x41, 'a'}, bytes.Repeat([]byte{0x1d, 0x04, 0x00}, 50_000)...), errTooMany},
	}
	for _, tt := range tests {
		for _, name := range []naming{place, network} {
			r := record{b: tt.b}
			s, err := name(&r, 0)
			if !errors.Is(err, tt.err) || s != "" {
				t.Errorf("%s: %q, %v, want %v", tt.name, s, err, tt.err)
			}
			if r.steps > maxSteps+1 {
				t.Errorf("%s: %d steps", tt.name, r.steps)
			}
		}
	}
}

// TestStepsOfFlood: addresses that never find their record in the cache cost no more than making a name.
func TestStepsOfFlood(t *testing.T) {
	var nets []network6
	for i := range 2 * cacheSize {
		nets = append(nets, network6{fmt.Sprintf("10.%d.%d.0/24", i>>8, i&255),
			pairs{"country", pairs{"iso_code", "US", "names", pairs{"en", fmt.Sprint("Country ", i)}}, "city", en("City")}})
	}
	d := open(t, write(t, "city", build("GeoLite2-City", nets)), "")
	const lookups = 200_000
	for i := range lookups {
		k := i * 7919 % len(nets)
		d.City(netip.AddrFrom4([4]byte{10, byte(k >> 8), byte(k), byte(i)}))
	}
	// The record has 15 values. Each is read as part of its map, skipped, and read again.
	if perLookup := float64(d.city.steps) / lookups; perLookup > 60 {
		t.Errorf("%.0f steps a look-up", perLookup)
	}
	if len(d.city.cache) != cacheSize {
		t.Error("the cache grew")
	}
}
