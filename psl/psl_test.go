package psl

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/publicsuffix"
)

var update = flag.Bool("update", false, "write the embedded list again")

// netRules returns the ICANN rules that golang.org/x/net has, in the version that go.mod says.
func netRules(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/net").Output()
	if err != nil {
		t.Skip("the source of golang.org/x/net is not here:", err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "publicsuffix", "table_test.go"))
	if err != nil {
		t.Skip("the source of golang.org/x/net is not here:", err)
	}
	count := regexp.MustCompile(`numICANNRules = (\d+)`).FindSubmatch(source)
	_, list, ok := bytes.Cut(source, []byte("var rules = [...]string{"))
	list, _, ok2 := bytes.Cut(list, []byte("\n}"))
	if count == nil || !ok || !ok2 {
		t.Fatal("golang.org/x/net has another form")
	}
	var rules []string
	for _, m := range regexp.MustCompile(`"([^"]+)"`).FindAllSubmatch(list, -1) {
		rules = append(rules, string(m[1]))
	}
	n, _ := strconv.Atoi(string(count[1]))
	return rules[:n]
}

const header = `// The ICANN section of the public suffix list, https://publicsuffix.org, without comments.
// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0. If a copy of the MPL was not distributed with
// this file, You can obtain one at https://mozilla.org/MPL/2.0/.
`

// TestEmbedded: the text of the list has the rules of golang.org/x/net, and the embedded table is that of the text.
func TestEmbedded(t *testing.T) {
	rules := netRules(t)
	want := header + strings.Join(rules, "\n") + "\n"
	if *update {
		var b bytes.Buffer
		w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		io.WriteString(w, want)
		w.Close()
		if err := os.WriteFile("icann.txt.gz", b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if got := embeddedText(t); string(got) != want {
		t.Error("the list is another one: run go test ./psl -update")
	}
}

// embeddedText returns the text of the embedded list.
func embeddedText(t testing.TB) []byte {
	t.Helper()
	f, err := os.Open("icann.txt.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestEmbeddedTable: the embedded table is that of the text beside it, and no look-up takes many steps.
func TestEmbeddedTable(t *testing.T) {
	l, err := Parse(embeddedText(t))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("icann.slots", l.slots, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	e := Embedded()
	if e.rules != l.rules || !bytes.Equal(e.slots, l.slots) {
		t.Errorf("the table has %d rules and %d bytes, the list %d and %d: run go test ./psl -update", e.rules, len(e.slots), l.rules, len(l.slots))
	}
	longest, n := 0, 0
	for at := 0; at < 2*len(l.slots); at += slotSize {
		if n++; l.slot(at%len(l.slots)) == 0 {
			longest, n = max(longest, n), 0
		}
	}
	if longest > 50 {
		t.Errorf("a look-up may take %d steps", longest)
	}
}

// wireOf returns a name in wire form.
func wireOf(name string) []byte {
	var b []byte
	if name != "" {
		for label := range strings.SplitSeq(name, ".") {
			b = append(append(b, byte(len(label))), label...)
		}
	}
	return append(b, 0)
}

// registered returns the registered domain of a name as text, or "".
func registered(l *List, name string) string {
	at := l.Registered(wireOf(name))
	if at < 0 {
		return ""
	}
	return name[at:]
}

const testList = `// comment
// ===BEGIN ICANN DOMAINS===
com
uk
co.uk   trailing words
jp
*.kawasaki.jp
!city.kawasaki.jp
*.ck
!www.ck
公司.cn
cn
a.b.c.d
// ===END ICANN DOMAINS===
// ===BEGIN PRIVATE DOMAINS===
github.io
// ===END PRIVATE DOMAINS===
`

// TestRegistered: rules, wildcards, exceptions, names without a rule, and the private section.
func TestRegistered(t *testing.T) {
	l, err := Parse([]byte(testList))
	if err != nil {
		t.Fatal(err)
	}
	if l.Rules() != 11 {
		t.Errorf("%d rules", l.Rules())
	}
	for name, want := range map[string]string{
		"":                              "",
		"com":                           "",
		"example.com":                   "example.com",
		"b.example.com":                 "example.com",
		"uk":                            "",
		"co.uk":                         "",
		"example.co.uk":                 "example.co.uk",
		"a.b.example.co.uk":             "example.co.uk",
		"other.uk":                      "other.uk",
		"kawasaki.jp":                   "kawasaki.jp", // the rule is for names below
		"x.kawasaki.jp":                 "",
		"a.x.kawasaki.jp":               "a.x.kawasaki.jp",
		"b.a.x.kawasaki.jp":             "a.x.kawasaki.jp",
		"city.kawasaki.jp":              "city.kawasaki.jp",
		"www.city.kawasaki.jp":          "city.kawasaki.jp",
		"ck":                            "",
		"x.ck":                          "",
		"a.x.ck":                        "a.x.ck",
		"www.ck":                        "www.ck",
		"a.www.ck":                      "www.ck",
		"unlisted":                      "",
		"a.unlisted":                    "a.unlisted",
		"b.a.unlisted":                  "a.unlisted",
		"xn--55qx5d.cn":                 "",
		"shishi.xn--55qx5d.cn":          "shishi.xn--55qx5d.cn",
		"b.c.d":                         "c.d", // a.b.c.d is a rule, but b.c.d and c.d are not
		"a.b.c.d":                       "",
		"x.a.b.c.d":                     "x.a.b.c.d",
		"foo.github.io":                 "github.io",
		"a\x00b.\xff\x01.com":           "\xff\x01.com",
		strings.Repeat("a.", 126) + "b": "a.b",
	} {
		if got := registered(l, name); got != want {
			t.Errorf("%q is below %q, want %q", name, got, want)
		}
	}
}

// reference is the algorithm of https://publicsuffix.org/list/, rule by rule.
func reference(rules []string, name string) string {
	labels := strings.Split(name, ".")
	public := 1
	for _, rule := range rules {
		parts := strings.Split(strings.TrimPrefix(rule, "!"), ".")
		if len(parts) > len(labels) {
			continue
		}
		matches := true
		for i := range parts {
			if p := parts[len(parts)-1-i]; p != "*" && p != labels[len(labels)-1-i] {
				matches = false
			}
		}
		if matches && rule[0] == '!' {
			public = len(parts) - 1
			break
		}
		if matches {
			public = max(public, len(parts))
		}
	}
	if public >= len(labels) {
		return ""
	}
	return strings.Join(labels[len(labels)-public-1:], ".")
}

// TestAgainstReference compares names at and around all rules with the plain algorithm and with golang.org/x/net.
func TestAgainstReference(t *testing.T) {
	rules := netRules(t)
	l := Embedded()
	byLast := make(map[string][]string)
	for _, rule := range rules {
		last := rule[strings.LastIndexByte(rule, '.')+1:]
		byLast[last] = append(byLast[last], rule)
	}
	r := rand.New(rand.NewPCG(1, 1))
	compared := 0
	for _, rule := range rules {
		base := strings.TrimPrefix(strings.ReplaceAll(rule, "*", fmt.Sprint("w", r.IntN(9))), "!")
		_, parent, _ := strings.Cut(base, ".")
		for _, name := range []string{base, "a." + base, "b.a." + base, parent, "x." + parent} {
			if name == "" || strings.HasSuffix(name, ".") {
				continue
			}
			want := reference(byLast[name[strings.LastIndexByte(name, '.')+1:]], name)
			if got := registered(l, name); got != want {
				t.Fatalf("%q is below %q, want %q", name, got, want)
			}
			if suffix, icann := publicsuffix.PublicSuffix(name); icann { // otherwise a private rule decides
				want, _ := publicsuffix.EffectiveTLDPlusOne(name)
				if got := registered(l, name); got != want {
					t.Fatalf("%q is below %q, golang.org/x/net says %q (%s)", name, got, want, suffix)
				}
				compared++
			}
		}
	}
	if compared < 10_000 {
		t.Errorf("only %d names compared", compared)
	}
}

// TestWholeList reads the published list with its comments, IDNs and private section.
func TestWholeList(t *testing.T) {
	var l *List
	for _, file := range []string{"../../shared/corpus/publicsuffix+list/public_suffix_list.dat", "/usr/share/publicsuffix/public_suffix_list.dat"} {
		if _, err := os.Stat(file); err == nil {
			if l, err = ReadFile(file); err != nil {
				t.Fatal(err)
			}
		}
	}
	if l == nil {
		t.Skip("there is no public suffix list here")
	}
	if l.Rules() < 6000 || l.Rules() > 9000 {
		t.Errorf("%d rules", l.Rules())
	}
	for name, want := range map[string]string{
		"www.example.co.uk": "example.co.uk", "a.b.city.kobe.jp": "city.kobe.jp", "a.b.c.kobe.jp": "b.c.kobe.jp", "x.foo.github.io": "github.io",
		"shishi.xn--fiqs8s": "shishi.xn--fiqs8s", "www.xn--85x722f.xn--55qx5d.cn": "xn--85x722f.xn--55qx5d.cn",
	} {
		if got := registered(l, name); got != want {
			t.Errorf("%q is below %q, want %q", name, got, want)
		}
	}
}

// TestBadLists: the error names the line.
func TestBadLists(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "no rules",
		"// only a comment\n":                "no rules",
		"com\nfoo..bar\n":                    `line 2: rule "foo..bar": a label is empty or too long`,
		"com\n\n<html>\n":                    `line 3: rule "<html>": '<' cannot be in a label`,
		"com\n!\n":                           `line 2: rule "!"`,
		"!com\n":                             `line 1: rule "!com": an exception needs two labels`,
		"com\nfoo.*.bar\n":                   `line 2: rule "foo.*.bar"`,
		"com\n\xff\xfe\n":                    "line 2: rule",
		"com\n" + strings.Repeat("a", 64):    "line 2",
		"com\n" + strings.Repeat("a.", 1000): "line 2",
		testList + "// x\n*.\n":              "line 19",
		strings.Repeat("x", MaxSize+1):       "more than 8 MiB",
	} {
		if l, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 300 {
			t.Errorf("%.40q: %v, %v; want %q", text, l, err, want)
		}
	}
	file := filepath.Join(t.TempDir(), "list.dat")
	if err := os.WriteFile(file, []byte("com\n?\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(file); err == nil || err.Error() != "read "+file+`: line 2: rule "?": '?' cannot be in a label` {
		t.Error(err)
	}
	if _, err := ReadFile(filepath.Dir(file)); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Error(err)
	}
}

// FuzzParse: any text is rejected or makes a list, and any name has a registered domain within it or none.
func FuzzParse(f *testing.F) {
	f.Add([]byte(testList), []byte("\x03www\x02ck\x00"))
	f.Add([]byte("*.a\n!b.a"), wireOf("c.b.a"))
	f.Fuzz(func(t *testing.T, text, name []byte) {
		l, err := Parse(text)
		if err != nil {
			l = Embedded()
		}
		if at := l.Registered(name); at < -1 || at >= len(name) {
			t.Fatalf("at %d of %d bytes", at, len(name))
		}
	})
}

func TestRegisteredAllocates(t *testing.T) {
	l, name := Embedded(), wireOf("a.very.long.name.example.co.uk")
	if n := testing.AllocsPerRun(100, func() { l.Registered(name) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRegistered(b *testing.B) {
	l := Embedded()
	for _, name := range []string{"www.example.com", "k2j3h4.victim.co.uk"} {
		wire := wireOf(name)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				l.Registered(wire)
			}
		})
		b.Run("net/"+name, func(b *testing.B) {
			for b.Loop() {
				publicsuffix.EffectiveTLDPlusOne(name)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	text := embeddedText(b)
	b.ReportAllocs()
	for b.Loop() {
		Parse(text)
	}
}
