package collect

import (
	"strings"
	"testing"

	"pktvisor/metric"
)

func TestParseTarget(t *testing.T) {
	for in, want := range map[string]Target{
		"ns1":                               {URL: "http://ns1:10853"},
		"NS1.Example:80":                    {URL: "http://ns1.example:80"},
		"192.0.2.1:8080,pop=ams1":           {URL: "http://192.0.2.1:8080", Tags: "pop=ams1"},
		"[2001:DB8::1]":                     {URL: "http://[2001:db8::1]:10853"},
		"[2001:db8::1]:1,b=2,a=1":           {URL: "http://[2001:db8::1]:1", Tags: "a=1,b=2"},
		"[fe80::1%eth0]:9":                  {URL: "http://[fe80::1%25eth0]:9"},
		"http://ns1":                        {URL: "http://ns1"},
		"http://ns1:80/":                    {URL: "http://ns1"},
		"https://NS1:443/a/ns1/,pop=ams1":   {URL: "https://ns1/a/ns1", Tags: "pop=ams1"},
		"https://[2001:db8::1]/a/../b":      {URL: "https://[2001:db8::1]/b"},
		"http://[2001:db8::1]:10853/a%20b/": {URL: "http://[2001:db8::1]:10853/a%20b"},
	} {
		got, err := ParseTarget(in)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"":                        "empty",
		",pop=ams1":               "empty",
		"ns1:0":                   "from 1 to 65535",
		"ns1:65536":               "from 1 to 65535",
		"ns1:x":                   "from 1 to 65535",
		"2001:db8::1":             "in brackets",
		"[ns1":                    "give a name or an IP address",
		"ns 1":                    "give a name or an IP address",
		"ns1/a":                   "give a name or an IP address",
		":10853":                  "give a name or an IP address",
		"ftp://ns1":               "begins with http",
		"http://":                 "give a name or an IP address",
		"http://u:p@ns1":          "password",
		"http://ns1?x=1":          "without ? and #",
		"http://ns1/?":            "without ? and #",
		"http://ns1/#a":           "without ? and #",
		"ns1,pop":                 "give key=value",
		"ns1,pop=a,pop=b":         "twice",
		"ns1,":                    "give key=value",
		strings.Repeat("a", 1000): "too long",
		strings.Repeat("a", 254):  "give a name or an IP address",
		"http://ns1:99999":        "65535",
		"http://a b":              "invalid character",
	} {
		if got, err := ParseTarget(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %+v, %v, want %q", in, got, err, want)
		}
	}
}

func TestParseFile(t *testing.T) {
	got, err := ParseFile([]byte("# agents\nagents:\n  - address: ns1:1\n    tags: {pop: ams1, country: nl}\n  - ns2,pop=fra1\n  - {address: \"[2001:db8::1]\", tags: {}}\n"))
	want := []Target{{"http://ns1:1", "country=nl,pop=ams1"}, {"http://ns2:10853", "pop=fra1"}, {"http://[2001:db8::1]:10853", ""}}
	if err != nil || len(got) != len(want) {
		t.Fatalf("%v, %v", got, err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
	for _, none := range []string{"agents:\n", "agents: []", "{}"} {
		if got, err := ParseFile([]byte(none)); err != nil || len(got) != 0 {
			t.Errorf("%q: %v, %v", none, got, err)
		}
	}
	for in, want := range map[string]string{
		"":                                    "empty",
		"a":                                   "line 1: the file: give KEY: VALUE",
		"agents: [":                           "line 1",
		"agents: 1":                           "line 1: agents is not a list",
		"hosts: []":                           `line 1: unknown key "hosts"`,
		"agents:\n- a\nagents: []":            `line 3: key "agents" appears twice`,
		"agents:\n- address: a\n  address: b": `line 3: key "address" appears twice`,
		"agents:\n- a\n- b\n- a:10853":        "line 4: agent http://a:10853 is also in line 2",
		"agents:\n- tags: {}":                 "line 2: an agent has no address",
		"agents:\n- address: a\n  tag: {}":    `line 3: unknown key "tag"`,
		"agents:\n- address: a\n  name: x":    "line 3: an agent's name is its own",
		"agents:\n- address: {}":              "line 2: the address is not a text",
		"agents:\n- address: a:b":             "line 2: agent \"a:b\": port",
		"agents:\n- address: a\n  tags:\n    pop: [a]":           "line 4: the value of a tag is not a text",
		"agents:\n- address: a\n  tags:\n    pop: a\n    Pop: b": "line 5: tag \"Pop=b\"",
		"agents:\n- address: a\n  tags: x":                       "line 3: tags: give KEY: VALUE",
		"agents:\n- [a]":                                         "line 2: an agent: give KEY: VALUE",
		"agents:\n- ? [a]\n  : b":                                "line 2: an agent: a key is not a text",
		"agents: []\n---\nagents: []":                            "several documents",
		"a: &a [x]\nagents: *a":                                  `line 1: unknown key "a"`,
		"agents:\n- &a b\n- *a":                                  "line 3: an agent: give KEY: VALUE",
	} {
		if got, err := ParseFile([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %q", in, got, err, want)
		}
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte("agents:\n  - address: ns1:1\n    tags: {pop: ams1}\n  - ns2,pop=fra1\n"))
	f.Add([]byte("agents: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		targets, err := ParseFile(data)
		if err != nil && len(targets) > 0 {
			t.Errorf("%v and %d targets", err, len(targets))
		}
		for _, target := range targets {
			tags, err := metric.ParseTags(target.Tags.List())
			again, err2 := ParseTarget(target.URL)
			if err != nil || tags != target.Tags || err2 != nil || again.URL != target.URL {
				t.Errorf("%+v: %v, %v, %+v, %v", target, tags, err, again, err2)
			}
		}
	})
}
