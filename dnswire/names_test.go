package dnswire

import "testing"

// TestParseCodes: what the name functions print can be read again, and so can what other tools write.
func TestParseCodes(t *testing.T) {
	for n := range 1 << 16 {
		if got, ok := ParseType(TypeName(uint16(n))); !ok || got != uint16(n) {
			t.Fatalf("type %d: %d, %v", n, got, ok)
		}
	}
	for n := range uint16(24) {
		if got, ok := ParseRcode(RcodeName(n)); !ok || got != n {
			t.Errorf("rcode %d: %d, %v", n, got, ok)
		}
	}
	for s, want := range map[string]uint16{"aaaa": 28, "*": 255, "28": 28, "type65": 65, "TA": 32768, "0": 0} {
		if got, ok := ParseType(s); !ok || got != want {
			t.Errorf("type %q: %d, %v", s, got, ok)
		}
	}
	for s, want := range map[string]uint16{"srvfail": 2, "ServFail": 2, "BADSIG": 16, "3": 3} {
		if got, ok := ParseRcode(s); !ok || got != want {
			t.Errorf("rcode %q: %d, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "B", "TYPE", "65536", "-1", "TYPE-1", "1x", "TYPE1.5", "A "} {
		if n, ok := ParseType(s); ok {
			t.Errorf("type %q: %d", s, n)
		}
	}
	for _, s := range []string{"", "24", "RCODE24", "NODATA", "NXDOMIAN"} {
		if n, ok := ParseRcode(s); ok {
			t.Errorf("rcode %q: %d", s, n)
		}
	}
}
