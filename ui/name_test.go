package ui

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestReadable shows names in the form that people write. The A-labels come from RFC 3492, 7.1, from IDNA's test
// domains, and from well-known homograph attacks.
func TestReadable(t *testing.T) {
	for name, want := range map[string]string{
		"":                               "",
		"www.example.org":                "www.example.org",
		`drucker\032b\195\188ro._ipp`:    `drucker\032büro._ipp`,
		`\229\174\162\229\142\133.local`: "客厅.local",
		`\195\040`:                       `\195\040`,   // not UTF-8
		`\195`:                           `\195`,       // cut off
		`\195\18`:                        `\195\18`,    // not an escape
		`\\195\\188`:                     `\\195\\188`, // a backslash, escaped
		`a\\\195\188`:                    `a\\ü`,
		`\226\128\174gnp.exe`:            `\226\128\174gnp.exe`, // U+202E, right-to-left override
		`\226\128\139`:                   `\226\128\139`,        // U+200B, zero width space
		`\027[31m`:                       `\027[31m`,            // a control character in the name stays escaped
		`\194\155m`:                      `\194\155m`,           // U+009B, CSI
		`\240\159\152\128`:               `\240\159\152\128`,    // an emoji, whose width differs between terminals
		`\215\148`:                       `\215\148`,            // Hebrew: terminals would reorder the line
		`e\204\129`:                      `e\204\129`,           // a combining accent
		`\237\160\128`:                   `\237\160\128`,        // a surrogate
		`\192\175`:                       `\192\175`,            // an overlong slash
		"xn--bcher-kva.example":          "bücher.example (idn)",
		"www.xn--fsqu00a.xn--0zwm56d":    "www.例子.测试 (idn)",
		"xn--r8jz45g.xn--zckzah":         "例え.テスト (idn)",
		"xn--9n2bp8q.xn--9t4b11yi5a":     "실례.테스트 (idn)",
		"xn--e1afmkfd.xn--80akhbyknj4f":  "пример.испытание (idn)",
		"xn--mgbh0fb.xn--kgbechtv":       "xn--mgbh0fb.xn--kgbechtv", // Arabic
		"xn--80ak6aa92e.com":             "xn--80ak6aa92e.com",       // аррӏе, all Cyrillic
		"xn--pple-43d.com":               "xn--pple-43d.com",         // аpple, mixed
		"xn--":                           "xn--",
		"xn--a":                          "xn--a",
		"xn--a-":                         "xn--a-", // ASCII in disguise
		"xn--999999999":                  "xn--999999999",
		"xn--bcher-kva8445foa":           "xn--bcher-kva8445foa",
		"axn--bcher-kva":                 "axn--bcher-kva",
	} {
		if got := readable(name, true); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if got := readable(name, false); got != clean(name, false) {
			t.Errorf("%s in ASCII: %q", name, got)
		}
	}
}

// FuzzReadable: the result for any name is clean, and different names stay different.
func FuzzReadable(f *testing.F) {
	for _, s := range []string{`b\195\188cher`, "xn--bcher-kva", `\226\128\174`, `\\195\188`, "ü", "xn--80ak6aa92e.xn--", "bücher (idn)", `\032(idn)`} {
		f.Add(s, "xn--bcher-kva.xn--bcher-kva")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		got := readable(a, true)
		if !utf8.ValidString(got) {
			t.Fatalf("%q: %q is not UTF-8", a, got)
		}
		for _, r := range got {
			if !shows(r) {
				t.Fatalf("%q: %q has %U", a, got, r)
			}
		}
		// Agents send ASCII without blanks. No two such names may be shown alike.
		agents := func(s string) bool {
			return plainASCII(s) && !strings.Contains(s, " ") && len(s) < maxName/4 && s == strings.ToLower(s)
		}
		if a != b && agents(a) && agents(b) && readable(b, true) == got {
			t.Errorf("%q and %q are both shown as %q", a, b, got)
		}
	})
}
