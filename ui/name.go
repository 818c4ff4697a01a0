package ui

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// idnMark follows a name with a label that was encoded for IDNA. No name can contain it otherwise, because a space in a
// label is escaped.
const idnMark = " (idn)"

// readable turns the presentation form of a DNS name, as an agent sends it, into the form that people write. It
// replaces escaped bytes (\195\188) with the UTF-8 that they encode, which mDNS uses. It replaces an A-label (xn--…) of
// IDNA with its letters, and marks the name. The result is clean.
//
// Only runes that [shows] accepts replace an escape, so that a name can do no more to a terminal than before. An
// A-label that could look like another name is not replaced: see [honest]. Different names are shown differently.
func readable(name string, unicodeOK bool) string {
	if !unicodeOK {
		return clean(name, false)
	}
	name = unescape(name)
	if !strings.Contains(name, "xn--") {
		return clean(name, true)
	}
	labels, decoded := strings.Split(name, "."), false
	for i, label := range labels {
		if u, ok := uLabel(label); ok {
			labels[i], decoded = u, true
		}
	}
	name = clean(strings.Join(labels, "."), true)
	if decoded {
		name += idnMark
	}
	return name
}

// unescape replaces runs of escaped bytes with the letters that they encode in UTF-8, if these may be shown. Escaped
// ASCII stays as it is, because it was escaped for its special meaning.
func unescape(name string) string {
	if !strings.Contains(name, `\`) {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); {
		r, n := escapedRune(name[i:])
		switch {
		case n > 0:
			b.WriteRune(r)
			i += n
		case name[i] == '\\' && i+1 < len(name):
			b.WriteString(name[i : i+2]) // the next byte does not begin an escape
			i += 2
		default:
			b.WriteByte(name[i])
			i++
		}
	}
	return b.String()
}

// escapedRune returns the rune beyond ASCII at the start of s whose bytes are all escaped, and how many bytes of s it
// takes. It returns 0 if there is no such rune that may be shown.
func escapedRune(s string) (rune, int) {
	var bytes []byte
	for len(bytes) < utf8.UTFMax {
		c, ok := escapedByte(s[4*len(bytes):])
		if !ok || c < utf8.RuneSelf {
			break
		}
		bytes = append(bytes, c)
		if utf8.FullRune(bytes) {
			break
		}
	}
	r, size := utf8.DecodeRune(bytes)
	if size < 2 || !shows(r) {
		return 0, 0
	}
	return r, 4 * size
}

// escapedByte returns the byte for which \DDD at the start of s stands.
func escapedByte(s string) (byte, bool) {
	if len(s) < 4 || s[0] != '\\' {
		return 0, false
	}
	n := 0
	for _, c := range []byte(s[1:4]) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return byte(n), n < 256
}

// uLabel returns the letters of an A-label if they encode to it again and are honest.
func uLabel(label string) (string, bool) {
	if !strings.HasPrefix(label, "xn--") {
		return "", false
	}
	u, err := idna.Punycode.ToUnicode(label)
	if err != nil || u == label || strings.ContainsAny(u, `.\ `) || !honest(u) {
		return "", false
	}
	again, err := idna.Punycode.ToASCII(u)
	return u, err == nil && again == label
}

// scripts lists scripts whose letters may be mixed in a label: the highly restrictive profile of Unicode TS 39, 5.2,
// without Latin.
var scripts = [][]*unicode.RangeTable{
	{unicode.Latin}, {unicode.Greek}, {unicode.Cyrillic}, {unicode.Armenian}, {unicode.Georgian}, {unicode.Thai},
	{unicode.Devanagari}, {unicode.Bengali}, {unicode.Tamil}, {unicode.Ethiopic},
	{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo}, {unicode.Han, unicode.Hangul},
}

// latinLike lists letters of other scripts that look like Latin letters. A label with no other letters is treated as an
// imitation.
const latinLike = "аԁеһіјӏорԛѕԝхуъьҽпгѵѡвкмнт" + "αικνορτυωγηχ" + "օսցոհ"

// honest reports whether a label cannot be mistaken for another. It must have only letters of one script, digits and
// hyphens, none of which needs an escape, and not all of its letters may look like Latin letters.
func honest(label string) bool {
	like := true
	for _, r := range label {
		switch {
		case r == '-' || r >= '0' && r <= '9':
		case !shows(r) || !unicode.IsLetter(r) || unicode.IsUpper(r):
			return false
		default:
			like = like && strings.ContainsRune(latinLike, r)
		}
	}
	if like {
		return false
	}
	for _, together := range scripts {
		if strings.IndexFunc(label, func(r rune) bool { return unicode.IsLetter(r) && !unicode.In(r, together...) }) < 0 {
			return true
		}
	}
	return false
}
