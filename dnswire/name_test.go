package dnswire

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestAppendName(t *testing.T) {
	tests := []struct{ wire, want string }{
		{"\x00", "."},
		{"\x03com\x00", "com"},
		{"\x03www\x07example\x03com\x00", "www.example.com"},
		{"\x03a.b\x02\\\"\x00", `a\.b.\\\"`},
		{"\x07();@$ x\x00", `\(\)\;\@\$\032x`},
		{"\x05\x00\t\x7f\x80\xff\x00", `\000\009\127\128\255`},
		{"\x04_a-*\x00", "_a-*"},
		{"\x06m\xc3\xbcnch\x00", `m\195\188nch`},
		// These are not names in wire form.
		{"", ""},
		{"\x03ab", ""},
		{"\x01a\x03ab", "a"},
		{"\x01a\xc0\x00", "a"},
	}
	for _, tt := range tests {
		if got := string(AppendName([]byte("x"), []byte(tt.wire))); got != "x"+tt.want {
			t.Errorf("%q: %s, want x%s", tt.wire, got, tt.want)
		}
	}
}

func TestSuffixes(t *testing.T) {
	tests := []struct {
		name         string
		labels       int
		qname2       string
		qname3       string
		has3         bool
		wire2, wire3 int // bytes
	}{
		{".", 0, ".", "", false, 1, 0},
		{"com.", 1, "com", "", false, 5, 0},
		{"example.com.", 2, "example.com", "", false, 13, 0},
		{"a.example.com.", 3, ".example.com", "a.example.com", true, 13, 15},
		{"www.a.example.com.", 4, ".example.com", ".a.example.com", true, 13, 15},
		{`w\.w.a.b.c.d.e.`, 6, ".d.e", ".c.d.e", true, 5, 7},
		{strings.Repeat("a.", 127), 127, ".a.a", ".a.a.a", true, 5, 7},
	}
	for _, tt := range tests {
		w := wire(tt.name)
		if n := Labels(w); n != tt.labels {
			t.Errorf("%s: %d labels, want %d", tt.name, n, tt.labels)
		}
		s2, cut2 := Qname2(w)
		s3, cut3 := Qname3(w)
		if got := string(appendSuffix(nil, s2, cut2)); got != tt.qname2 || len(s2) != tt.wire2 || cut2 != (tt.labels > 2) {
			t.Errorf("%s: qname2 %s, want %s", tt.name, got, tt.qname2)
		}
		if got := string(appendSuffix(nil, s3, cut3)); got != tt.qname3 || len(s3) != tt.wire3 || (s3 != nil) != tt.has3 || cut3 != (tt.labels > 3) {
			t.Errorf("%s: qname3 %s, want %s", tt.name, got, tt.qname3)
		}
		if !bytes.HasSuffix(w, s2) || !bytes.HasSuffix(w, s3) {
			t.Errorf("%s: suffixes %q, %q", tt.name, s2, s3)
		}
	}
}

func TestReadName(t *testing.T) {
	// "com" at 0, "Example" with a pointer to it at 5, "www" with a pointer to "Example" at 15.
	b := []byte("\x03COM\x00\x07Example\xc0\x00\x03www\xc0\x05!")
	var name [MaxName + 1]byte
	n, next, st := ReadName(&name, b, 15)
	if st != OK || string(name[:n]) != "\x03www\x07example\x03com\x00" || next != 21 {
		t.Errorf("%q %d %v", name[:n], next, st)
	}
	// Each pointer goes back by one pointer: as many hops as are allowed, and one more.
	chain := []byte{0, 0}
	for i := range maxHops + 1 {
		chain = append(chain, 0xc0|byte(i*2>>8), byte(i*2))
	}
	if _, _, st := ReadName(&name, chain, maxHops*2); st != OK {
		t.Errorf("%d hops: %v", maxHops, st)
	}
	if _, _, st := ReadName(&name, chain, maxHops*2+2); st != Malformed {
		t.Errorf("%d hops: %v", maxHops+1, st)
	}
	if _, _, st := ReadName(&name, b, -1); st != Cut {
		t.Errorf("offset -1: %v", st)
	}
}

func TestNames(t *testing.T) {
	// miekg/dns has no names, or different ones, for these types. IANA has assigned all of them.
	own := map[uint16]string{0: "TYPE0", 11: "WKS", 22: "NSAP", 38: "A6", 40: "SINK", 65535: "TYPE65535", 66: "DSYNC", 67: "HHIT", 68: "BRID",
		259: "DOA", 262: "WALLET", 263: "CLA", 264: "IPN"}
	for i := range 1 << 16 {
		typ := uint16(i)
		want := own[typ]
		if want == "" {
			want = dns.Type(typ).String()
		}
		if got := TypeName(typ); got != want {
			t.Errorf("type %d: %s, want %s", i, got, want)
		}
	}
	for i := range uint16(4096) {
		want, ok := dns.RcodeToString[int(i)]
		switch {
		case i == 16:
			want = "BADVERS"
		case i == 11:
			want = "DSOTYPENI"
		case !ok:
			want = "RCODE" + strconv.Itoa(int(i))
		}
		if got := RcodeName(i); got != strings.ToUpper(want) {
			t.Errorf("rcode %d: %s, want %s", i, got, want)
		}
	}
	for i, want := range []string{"QUERY", "IQUERY", "STATUS", "OPCODE3", "NOTIFY", "UPDATE", "DSO", "OPCODE7"} {
		if got := OpcodeName(uint8(i)); got != want {
			t.Errorf("opcode %d: %s, want %s", i, got, want)
		}
	}
}

// appendSuffix prints the result of Qname2 or Qname3, with a leading dot if labels were cut off: ".example.com" for
// www.example.com. AppendNames is tested against it.
func appendSuffix(dst, suffix []byte, cut bool) []byte {
	if cut {
		dst = append(dst, '.')
	}
	return AppendName(dst, suffix)
}
