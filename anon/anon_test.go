package anon

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pktvisor/metric"
	"pktvisor/sketch"
)

// originalKey is the key in the original's sample.cpp.
var originalKey = [KeyLen]byte{21, 34, 23, 141, 51, 164, 207, 128, 19, 10, 91, 22, 73, 144, 125, 16, 216, 152, 143, 131, 121, 121, 101, 39, 98, 87, 76, 45, 42, 132, 34, 2}

// TestOriginal: addresses of the original's sample_trace_raw.dat become those of its sample_trace_sanitized.dat.
func TestOriginal(t *testing.T) {
	p := newPan(&originalKey)
	for real, want := range map[string]string{
		"128.11.68.132": "135.242.180.132", "129.118.74.4": "134.136.186.123", "130.132.252.244": "133.68.164.234", "141.223.7.43": "141.167.8.160",
		"141.233.145.108": "141.129.237.235", "152.163.225.39": "151.140.114.167", "156.29.3.236": "147.225.12.42", "165.247.96.84": "162.9.99.234",
		"166.107.77.190": "160.132.178.185", "192.102.249.13": "252.138.62.131", "24.0.250.221": "100.15.198.226", "38.15.67.68": "64.3.66.187",
		"4.3.88.225": "124.60.155.63", "63.14.55.111": "95.9.215.7", "64.39.15.238": "0.219.7.41",
	} {
		if got := p.addr(netip.MustParseAddr(real)).String(); got != want {
			t.Errorf("%s became %s, want %s", real, got, want)
		}
	}
}

// TestTAPIR: a secret gives the pseudonyms that the tests of DNS TAPIR's edge have (dnstapir/edm, TestPseudonymiseDnstap).
func TestTAPIR(t *testing.T) {
	known := map[string]*Anonymizer{}
	for _, secret := range []string{"key1", "key2"} {
		known[secret] = New(Config{Key: DeriveKey(secret, "aabbccddeeffgghh")})
	}
	for _, c := range []struct{ secret, real, want string }{
		{"key1", "198.51.100.20", "58.92.11.53"},
		{"key1", "198.51.100.30", "58.92.11.62"},
		{"key1", "2001:db8:1122:3344:5566:7788:99aa:bbcc", "b780:8dc8:6ed9:cbc5:4d61:a6bb:6255:5a03"},
		{"key1", "2001:db8:1122:3344:5566:7788:99aa:ddee", "b780:8dc8:6ed9:cbc5:4d61:a6bb:6255:262d"},
		{"key2", "198.51.100.20", "185.204.164.235"},
		{"key2", "2001:db8:1122:3344:5566:7788:99aa:ddee", "3f29:478:21d2:2c44:6915:7ca7:8654:d21f"},
	} {
		if got := string(known[c.secret].appendAddr(nil, []byte(c.real))); got != c.want {
			t.Errorf("%s, %s: %s, want %s", c.secret, c.real, got, c.want)
		}
	}
}

func testAnonymizer(t *testing.T, names string) *Anonymizer {
	n, err := ParseNames(names)
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{Key: &Key{originalKey}, Names: n})
}

// TestPrefixes: the pseudonym of a prefix is the prefix of the pseudonyms of its addresses.
func TestPrefixes(t *testing.T) {
	a := testAnonymizer(t, "")
	for addr, lengths := range map[string][]int{"128.11.68.132": {0, 8, 15, 16, 24, 31, 32}, "2001:db8:1:2:3:4:5:6": {0, 3, 32, 48, 56, 64, 127, 128}} {
		ip := netip.MustParseAddr(addr)
		pseudonym := netip.MustParseAddr(string(a.appendAddr(nil, []byte(addr))))
		for _, n := range lengths {
			prefix, _ := ip.Prefix(n)
			want, _ := pseudonym.Prefix(n)
			for range 2 { // the second one is remembered
				if got := string(a.appendAddr(nil, []byte(prefix.String()))); got != want.String() {
					t.Errorf("%s became %s, want %s", prefix, got, want)
				}
			}
		}
	}
	for _, bad := range []string{"", "x", "192.0.2.1/33", "192.0.2.1/x", "192.0.2.0.1"} {
		if got := string(a.appendAddr(nil, []byte(bad))); got != hidden {
			t.Errorf("%q became %q", bad, got)
		}
	}
	for i := range maxKnown + 10 {
		a.appendAddr(nil, []byte(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String()))
	}
	if len(a.known) > maxKnown {
		t.Errorf("%d pseudonyms are remembered", len(a.known))
	}
}

// TestNames checks what is left of names. 128.11.68.132 becomes 135.242.180.132.
func TestNames(t *testing.T) {
	for _, c := range []struct{ names, key, want string }{
		{"", "www.example.com", "www.example.com"},
		{"", ".", "."},
		{"", "132.68.11.128.in-addr.arpa", "132.180.242.135.in-addr.arpa"},
		{"", "68.11.128.in-addr.arpa", "180.242.135.in-addr.arpa"},
		{"", ".128.in-addr.arpa", ".135.in-addr.arpa"},
		{"", ".in-addr.arpa", ".in-addr.arpa"},
		{"", "lb._dns-sd._udp.68.11.128.in-addr.arpa", "lb._dns-sd._udp.180.242.135.in-addr.arpa"},
		{"", "132.68.11.128.zen.example.org", "132.180.242.135.zen.example.org"},
		{"", "ip-128-11-68-132.example.net", "ip-135-242-180-132.example.net"},
		{"", "128-11-68-132.example.net", "135-242-180-132.example.net"},
		{"", "a-b-128-11-68-132x.example.net", "a-b-135-242-180-132x.example.net"},
		{"", "ec2-128-11-68-132.example.net", "ec2-135-242-180-132.example.net"},
		{"", "1-2-3.example.net", "1-2-3.example.net"},
		{"", "128-11-68-999.example.net", "128-11-68-999.example.net"},
		{"", "1.2.3.example.net", "1.2.3.example.net"},
		{"labels:2", "www.example.com", ".example.com"},
		{"labels:2", ".a.example.com", ".example.com"},
		{"labels:2", "example.com", "example.com"},
		{"labels:2", ".example.com", ".example.com"},
		{"labels:2", "com", "com"},
		{"labels:2", ".", "."},
		{"labels:2", "*.example.com", ".example.com"},
		{"labels:3", "*.example.com", "*.example.com"},
		{"labels:1", "www.example.com", ".com"},
		{"labels:2", `a\.b.c\\.example.com`, ".example.com"},
		{"labels:3", `x.a\.b.example.com`, `.a\.b.example.com`},
		{"labels:3", `x.a\046b.example.com`, `.a\046b.example.com`},
		{"labels:3", "132.68.11.128.in-addr.arpa", ".135.in-addr.arpa"},
		{"domain", "www.example.com", ".example.com"},
		{"domain", "a.b.example.co.uk", ".example.co.uk"},
		{"domain", "example.co.uk", "example.co.uk"},
		{"domain", ".co.uk", ".co.uk"},
		{"domain", "co.uk", "co.uk"},
		{"domain", "localhost", "localhost"},
		{"domain", "*.example.com", ".example.com"},
		{"domain", `x.\097.com`, `.\097.com`},
		{"domain", ".", "."},
	} {
		if got := string(testAnonymizer(t, c.names).appendName([]byte("x"), []byte(c.key))); got != "x"+c.want {
			t.Errorf("%s: %q became %q, want %q", c.names, c.key, got[1:], c.want)
		}
	}
	a := testAnonymizer(t, "")
	// A range of addresses (RFC 2317) has a part of one.
	if got := string(a.appendName(nil, []byte("0/25.68.11.128.in-addr.arpa"))); strings.Contains(got, "0/25") || !strings.HasSuffix(got, ".180.242.135.in-addr.arpa") {
		t.Errorf("a range became %q", got)
	}
	// Five numbers may be either of two addresses.
	if got := string(a.appendName(nil, []byte("x-1-128-11-68-132.example.net"))); strings.Contains(got, "-") || !strings.HasSuffix(got, ".example.net") {
		t.Errorf("a label of five numbers became %q", got)
	}
	addr := netip.MustParseAddr("2001:db8:1:2:3:4:5:6")
	if got, want := string(a.appendName(nil, reverse(addr))), string(reverse(a.pan.addr(addr))); got != want {
		t.Errorf("the reverse name of %s became %s, want %s", addr, got, want)
	}
	listed := append(bytes.TrimSuffix(reverse(addr), []byte("ip6.arpa")), "bl.example.org"...)
	if got, want := string(a.appendName(nil, listed)), string(bytes.TrimSuffix(reverse(a.pan.addr(addr)), []byte("ip6.arpa")))+"bl.example.org"; got != want {
		t.Errorf("the name in a block list became %s, want %s", got, want)
	}
}

// reverse returns the name in the reverse tree of an IPv6 address.
func reverse(a netip.Addr) (name []byte) {
	b := a.As16()
	for i := len(b) - 1; i >= 0; i-- {
		name = append(name, "0123456789abcdef"[b[i]&15], '.', "0123456789abcdef"[b[i]>>4], '.')
	}
	return append(name, "ip6.arpa"...)
}

// FuzzName: whatever a name is, cutting it leaves at most as many labels, and an address in the reverse tree becomes its pseudonym.
func FuzzName(f *testing.F) {
	for _, name := range []string{"www.example.com", ".", `a\.b\`, "4.3.2.1.in-addr.arpa", "ip-1-2-3-4.example", "*.x.y", strings.Repeat("a.", 500)} {
		f.Add([]byte(name), uint8(2), uint32(0x01020304))
	}
	f.Fuzz(func(t *testing.T, key []byte, labels uint8, v uint32) {
		labels = labels%maxLabels + 1
		for _, names := range []Names{{}, {labels: int(labels)}, {domain: true}} {
			a := New(Config{Key: &Key{originalKey}, Names: names})
			got := splitName(a.appendName(nil, key))
			if names.labels > 0 && len(got.labels) > names.labels {
				t.Errorf("%d labels of %q are left: %q", len(got.labels), key, got.labels)
			}
			if before := splitName(key); len(got.labels) > len(before.labels) {
				t.Errorf("%q became longer: %q", key, got.labels)
			}
		}
		a := New(Config{Key: &Key{originalKey}})
		addr := netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
		p := a.pan.addr(addr)
		if addr == p && v != 0 {
			t.Skip("an address may be its own pseudonym")
		}
		text := func(ip netip.Addr) string {
			b := ip.As4()
			return netip.AddrFrom4([4]byte{b[3], b[2], b[1], b[0]}).String() + ".in-addr.arpa"
		}
		if got := string(a.appendName(nil, []byte(text(addr)))); got != text(p) {
			t.Errorf("%s became %s, want %s", text(addr), got, text(p))
		}
	})
}

func TestParseNames(t *testing.T) {
	for text, ok := range map[string]bool{"": true, "domain": true, "labels:1": true, "labels:127": true, "labels:0": false, "labels:128": false, "labels:": false, "labels:-1": false, "labels:x": false, "Domain": false, "2": false} {
		n, err := ParseNames(text)
		if (err == nil) != ok || ok && n.String() != text {
			t.Errorf("%q: %v, %v", text, n, err)
		}
	}
}

func TestReadKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for content, want := range map[string]string{
		"a secret of the fleet\n": "", "  a secret of the fleet\r\n": "", "hex:" + hex.EncodeToString(originalKey[:]) + "\n": "",
		"": "it is empty", strings.Repeat("x", 1025): "a secret has at most 1024 bytes",
		"one line\nand another": "more than one line", "hex:1234": "hex: needs 64 hexadecimal digits", "hex:" + strings.Repeat("x", 64): "hex: needs 64 hexadecimal digits",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := ReadKey(path, DefaultSalt)
		switch {
		case (err == nil) != (want == ""):
			t.Errorf("%q: %v", content, err)
		case err != nil && (!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) || strings.ContainsAny(err.Error(), "\n")):
			t.Errorf("%q: %v, want %s", content, err, want)
		case strings.HasPrefix(content, "hex:") && err == nil && k.pan != originalKey:
			t.Errorf("the key is %x", k.pan)
		}
	}
	if _, err := ReadKey(filepath.Join(t.TempDir(), "none"), DefaultSalt); err == nil {
		t.Error("a missing file is a key")
	}
	a, b := DeriveKey("a secret of the fleet", DefaultSalt), DeriveKey("a secret of the fleet", "another salt")
	if a.pan == b.pan || a.Name() == b.Name() || a.Name() != DeriveKey("a secret of the fleet", DefaultSalt).Name() || len(a.Name()) != 16 {
		t.Errorf("names %s and %s", a.Name(), b.Name())
	}
	if one, two := RandomKey(), RandomKey(); *one == *two {
		t.Error("random keys are equal")
	}
}

// TestNothing: New returns nil if there is nothing to anonymise. An Anonymizer without a key does not change addresses.
func TestNothing(t *testing.T) {
	none := New(Config{})
	if none != nil || none.Anonymity() != "" || none.BlindKey() != nil {
		t.Error("an empty configuration anonymises")
	}
	n, _ := ParseNames("domain")
	a := New(Config{Names: n})
	if a.Anonymity() != "names=domain" || a.BlindKey() != nil {
		t.Errorf("%q", a.Anonymity())
	}
	if got := string(a.appendName(nil, []byte("132.68.11.128.in-addr.arpa"))); got != ".128.in-addr.arpa" {
		t.Errorf("a reverse name became %q", got)
	}
	all := testAnonymizer(t, "labels:2")
	if want := metric.AnonymityOf(all.cfg.Key.Name(), "labels:2"); all.Anonymity() != want || all.BlindKey() == nil {
		t.Errorf("%q, want %q", all.Anonymity(), want)
	}
	var one, other [sketch.BlindKeyLen]byte = *all.BlindKey(), *New(Config{Key: RandomKey()}).BlindKey()
	if one == other {
		t.Error("two keys have the same blind key")
	}
}

func BenchmarkAddr(b *testing.B) {
	a := New(Config{Key: &Key{originalKey}})
	for name, addr := range map[string]string{"ipv4": "128.11.68.132", "ipv6": "2001:db8:1:2:3:4:5:6"} {
		ip := netip.MustParseAddr(addr)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				a.pan.addr(ip)
			}
		})
		b.Run(name+"-known", func(b *testing.B) {
			var dst []byte
			for b.Loop() {
				dst = a.appendAddr(dst[:0], []byte(addr))
			}
		})
	}
}
