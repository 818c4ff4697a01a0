package subject

import (
	"net/url"
	"strings"
	"testing"

	"pktvisor/metric"
)

func TestToken(t *testing.T) {
	for name, want := range map[string]string{
		"": "%", "ns1": "ns1", "ns1.example.com": "ns1%2Eexample%2Ecom", "pop=ams1": "pop=ams1", "A-Z_09": "A-Z_09",
		"*": "%2A", ">": "%3E", "a b": "a%20b", "%": "%25", "%41": "%2541", "Zürich/2": "Z%C3%BCrich%2F2",
		"\x00\r\n\xff": "%00%0D%0A%FF", "$JS": "%24JS", "a:b": "a%3Ab", "~": "%7E",
	} {
		got := Token(name)
		if got != want {
			t.Errorf("Token(%q) = %q, want %q", name, got, want)
		}
		if back, ok := Name(got); back != name || !ok {
			t.Errorf("Name(%q) = %q, %v", got, back, ok)
		}
	}
}

func TestNameRefuses(t *testing.T) {
	for _, token := range []string{"", "a.b", "*", ">", "%2", "a%", "%%", "%2e", "%41", "%GG", "%2", "a b", "ü", "%3D", "a%2"} {
		if name, ok := Name(token); ok {
			t.Errorf("%q is the token of %q", token, name)
		}
	}
}

// FuzzToken compares with the percent encoding of net/url, which leaves '.' and '~' as they are, writes '+' for a space
// and escapes '='.
func FuzzToken(f *testing.F) {
	f.Add("ns1.example.com", "ns1%2Eexample%2Ecom")
	f.Add("", "%")
	f.Add("pop=ams1 \xff", "a.b")
	peer := strings.NewReplacer(".", "%2E", "~", "%7E", "+", "%20", "%3D", "=")
	f.Fuzz(func(t *testing.T, name, token string) {
		got := Token(name)
		if want := peer.Replace(url.QueryEscape(name)); name != "" && got != want {
			t.Fatalf("Token(%q) = %q, want %q", name, got, want)
		}
		if back, ok := Name(got); back != name || !ok {
			t.Fatalf("Name(%q) = %q, %v", got, back, ok)
		}
		if name, ok := Name(token); ok && Token(name) != token {
			t.Fatalf("%q and %q are tokens of %q", token, Token(name), name)
		}
	})
}

func TestSubjects(t *testing.T) {
	if got := Raw("pv", "default", "ns1.example"); got != "pv.raw.default.ns1%2Eexample" {
		t.Error(got)
	}
	if got := Raw("a.pv", "", ""); got != "a.pv.raw.%.%" {
		t.Error(got)
	}
	if got := Want("pv", "ns1.example"); got != "pv.want.ns1%2Eexample" {
		t.Error(got)
	}
	id := metric.Identity{Host: "a/b", Tap: "x", Policy: "d/", Tags: "pop=ams1", Boot: 1<<64 - 1, Seq: 7, Revision: 2}
	if got := MsgID(id, 1_600_000_020); got != "d%2F/a%2Fb/18446744073709551615/1600000020/7/2" {
		t.Error(got)
	}
}

func TestCheckPrefix(t *testing.T) {
	for prefix, ok := range map[string]bool{
		"pv": true, "PV_2-a.fleet": true, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false,
		"": false, "pv.": false, ".pv": false, "a..b": false, "*": false, "a.>": false, "a b": false, "%": false, "a=b": false, "$JS": false, "a%20": false,
	} {
		if err := CheckPrefix(prefix); (err == nil) != ok {
			t.Errorf("%q: %v", prefix, err)
		}
	}
}
