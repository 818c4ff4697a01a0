package ui

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// maxName bounds a cleaned name, in runes. A DNS name with every byte escaped fits.
const maxName = 1100

// clean makes text from the network safe to show. In its result, each character has one rune and a known width of one
// or two cells, and every terminal shows the characters in the order in which they were written. It replaces everything
// else with an escape (\x1b, \u{202e}), so that two different names stay different.
//
// It escapes control characters, invalid UTF-8, format characters (bidi overrides, zero-width joiners), combining
// marks, invisible letters, private and unassigned code points, letters of right-to-left scripts (terminals reorder the
// whole line around them), and symbols whose width differs between terminals, such as emoji. If unicodeOK is false, it
// escapes everything except ASCII.
func clean(s string, unicodeOK bool) string {
	if plainASCII(s) {
		return s
	}
	var b strings.Builder
	n := 0
	for i, r := range s {
		if n++; n > maxName {
			b.WriteString("...")
			break
		}
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r < 0x80 && shows(r), r >= 0x80 && unicodeOK && shows(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
	}
	return b.String()
}

// plainASCII reports whether s needs no cleaning.
func plainASCII(s string) bool {
	if len(s) > maxName {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// shows reports whether r may be sent to the terminal. See clean.
func shows(r rune) bool {
	if r < 0x7f {
		return r >= 0x20
	}
	switch {
	case r >= 0x10000 && (r < 0x20000 || r > 0x3fffd): // emoji and rare scripts
		return false
	case r >= 0x0590 && r <= 0x08ff, r >= 0xfb1d && r <= 0xfdff, r >= 0xfe70 && r <= 0xfeff: // right to left
		return false
	case r >= 0x1100 && r <= 0x11ff, r >= 0xa960 && r <= 0xa97f, r >= 0xd7b0 && r <= 0xd7ff: // conjoining jamo
		return false
	case r == 0x3164, r == 0xffa0, r == 0x2800, r == 0x0e33, r == 0x0eb3: // invisible, or joined to the left
		return false
	case !unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S):
		return false
	}
	w := runeWidth(r)
	return w == 1 || w == 2 && !unicode.Is(unicode.So, r)
}

// runeWidth returns the number of cells that r takes, as the renderer counts them.
func runeWidth(r rune) int {
	if r < 0x7f {
		return 1
	}
	return ansi.StringWidth(string(r))
}

// textWidth returns the number of cells that the cleaned text s takes.
func textWidth(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

// fit cuts the cleaned text s in the middle so that it takes at most w cells. The end of a name says whose it is, and
// the beginning distinguishes it from similar names.
func fit(s string, w int, ellipsis rune) string {
	if textWidth(s) <= w {
		return s
	}
	if w < 8 {
		head, _ := cutCells(s, w-1)
		return head + string(ellipsis)
	}
	head, _ := cutCells(s, (w-1)*2/5)
	at, left := len(s), w-1-textWidth(head)
	for {
		r, size := utf8.DecodeLastRuneInString(s[:at])
		if left -= runeWidth(r); left < 0 {
			return head + string(ellipsis) + s[at:]
		}
		at -= size
	}
}

// cutCells splits s after at most w cells.
func cutCells(s string, w int) (head, rest string) {
	for i, r := range s {
		if w -= runeWidth(r); w < 0 {
			return s[:i], s[i:]
		}
	}
	return s, ""
}
