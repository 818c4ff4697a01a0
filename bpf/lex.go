package bpf

import (
	"fmt"
	"net/netip"
	"strings"
)

// Error is a mistake in a filter expression.
type Error struct {
	Column int // where it is, in bytes from 1; 0 if it has no single place
	Msg    string
}

func (e *Error) Error() string {
	if e.Column == 0 {
		return e.Msg
	}
	return fmt.Sprintf("column %d: %s", e.Column, e.Msg)
}

func errorAt(pos int, format string, args ...any) *Error {
	return &Error{Column: pos + 1, Msg: fmt.Sprintf(format, args...)}
}

// kind is the kind of a token. The kind of punctuation of one character is its ASCII value.
type kind uint16

const (
	tokEOF kind = 0

	// The operators of one character are '+' '-' '*' '/' '%' '&' '|' '^' '<' '>' '=' '!'
	// '(' ')' '[' ']' ':'.

	tokWord   kind = 0x100 + iota // a name, or what followed a backslash
	tokNumber                     // num is its value
	tokIPv4                       // 10.1 or 10.1.2.3: two to four numbers and dots
	tokIPv6
	tokMAC
	tokKey // a keyword; key says which
	tokAnd
	tokOr
	tokGE
	tokLE
	tokNE
	tokLsh
	tokRsh
)

type token struct {
	kind kind
	key  keyword
	num  uint32
	text string // as written, without a backslash
	pos  int    // offset of its first byte
}

func (t token) String() string {
	if t.kind == tokEOF {
		return "the end"
	}
	return fmt.Sprintf("%q", t.text)
}

// lex splits an expression into tokens, and ends it with a tokEOF. Like libpcap's scanner it takes the longest token
// that fits: 1-2 is a word, not a subtraction.
func lex(s string) ([]token, *Error) {
	var toks []token
	for i := 0; i < len(s); {
		if isSpace(s[i]) {
			i++
			continue
		}
		t, n, err := lexOne(s, i)
		if err != nil {
			return nil, err
		}
		t.pos, t.text = i, s[i:i+n]
		if t.text[0] == '\\' {
			t.text = t.text[1:]
		}
		toks = append(toks, t)
		if len(toks) > maxTokens {
			return nil, errorAt(i, "the expression is too long: more than %d words", maxTokens)
		}
		i += n
	}
	return append(toks, token{kind: tokEOF, pos: len(s)}), nil
}

// operators lists longer operators first.
var operators = []struct {
	text string
	kind kind
}{
	{"&&", tokAnd}, {"||", tokOr}, {">=", tokGE}, {"<=", tokLE}, {"!=", tokNE}, {"==", '='},
	{"<<", tokLsh}, {">>", tokRsh},
}

// lexOne reads the token at s[i:] and returns it with its length.
func lexOne(s string, i int) (token, int, *Error) {
	rest := s[i:]
	for _, o := range operators {
		if strings.HasPrefix(rest, o.text) {
			return token{kind: o.kind}, len(o.text), nil
		}
	}
	if n := addressLen(rest); n > 0 {
		return lexAddress(rest, i, n)
	}
	if strings.IndexByte("+-*/%:[]!<>()&|^=", rest[0]) >= 0 {
		return token{kind: kind(rest[0])}, 1, nil
	}
	if rest[0] == '\\' {
		n := 1
		for n < len(rest) && strings.IndexByte(" !()\n\t", rest[n]) < 0 {
			n++
		}
		if n == 1 {
			return token{}, 0, errorAt(i, "expected a name after the backslash")
		}
		return token{kind: tokWord}, n, nil
	}
	n := wordLen(rest)
	if n == 0 {
		return token{}, 0, errorAt(i, "unexpected character %q", firstRune(rest))
	}
	return lexWord(rest[:n], i)
}

// lexWord classifies a run of letters, digits, dots and inner dashes.
func lexWord(w string, pos int) (token, int, *Error) {
	switch k, isKey := keywords[w]; {
	case isKey && k == keyAnd:
		return token{kind: tokAnd}, len(w), nil
	case isKey && k == keyOr:
		return token{kind: tokOr}, len(w), nil
	case isKey && k == keyNot:
		return token{kind: '!'}, len(w), nil
	case isKey:
		return token{kind: tokKey, key: k}, len(w), nil
	}
	if v, ok := namedNumbers[w]; ok {
		return token{kind: tokNumber, num: v}, len(w), nil
	}
	if isMAC(w) {
		return token{kind: tokMAC}, len(w), nil
	}
	if isNumber(w) {
		v, err := parseNumber(w, pos)
		return token{kind: tokNumber, num: v}, len(w), err
	}
	if parts := strings.Split(w, "."); len(parts) >= 2 && len(parts) <= 4 {
		all := true
		for _, p := range parts {
			all = all && isNumber(p)
		}
		if all {
			return token{kind: tokIPv4}, len(w), nil
		}
	}
	return token{kind: tokWord}, len(w), nil
}

// wordLen returns the length of the word that s starts with. A word ends with a letter, a digit or a dot, never with
// a dash.
func wordLen(s string) int {
	if !isAlnum(s[0]) {
		return 0
	}
	n := 1
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case isAlnum(c) || c == '.':
			n = i + 1
		case c != '-' && c != '_':
			return n
		}
	}
	return n
}

// addressLen returns the length of the IPv6 or colon-separated MAC address that s starts with, or 0. An address
// counts only if it is longer than the word there.
func addressLen(s string) int {
	run, colons := 0, 0
	for run < len(s) && (isHex(s[run]) || s[run] == ':' || s[run] == '.') {
		if s[run] == ':' {
			colons++
		}
		run++
	}
	if colons < 2 {
		return 0
	}
	run = min(run, len("1111:1111:1111:1111:1111:1111:255.255.255.255"))
	for n := run; n >= 2; n-- {
		if strings.Count(s[:n], ":") < 2 {
			return 0
		}
		if isMAC(s[:n]) || isIPv6(s[:n]) {
			return n
		}
	}
	return 0
}

func lexAddress(s string, pos, n int) (token, int, *Error) {
	if n < len(s) && isAlnum(s[n]) {
		return token{}, 0, errorAt(pos, "bogus address %q", s[:n+wordLen(s[n:])])
	}
	if isMAC(s[:n]) {
		return token{kind: tokMAC}, n, nil
	}
	return token{kind: tokIPv6}, n, nil
}

func isIPv6(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6()
}

// isMAC reports whether s is a MAC address in a spelling of pcap-filter(7): six pairs of hex digits separated by ':',
// '-' or '.' (a leading 0 may be left out), three groups of four separated by '.', or twelve digits.
func isMAC(s string) bool {
	if len(s) == 12 && allHex(s) {
		return true
	}
	if p := strings.Split(s, "."); len(p) == 3 {
		return len(s) == 14 && len(p[0]) == 4 && len(p[1]) == 4 && allHex(p[0]+p[1]+p[2])
	}
	for _, sep := range []string{":", "-", "."} {
		p := strings.Split(s, sep)
		if len(p) != 6 {
			continue
		}
		ok := true
		for _, g := range p {
			ok = ok && (len(g) == 1 || len(g) == 2) && allHex(g)
		}
		if ok {
			return true
		}
	}
	return false
}

// parseMAC parses an address that isMAC accepts.
func parseMAC(s string) (mac [6]byte) {
	n := 0
	for i := 0; i < len(s) && n < 6; n++ {
		if !isHex(s[i]) {
			i++
		}
		mac[n] = hexValue(s[i])
		i++
		if i < len(s) && isHex(s[i]) {
			mac[n] = mac[n]<<4 | hexValue(s[i])
			i++
		}
	}
	return mac
}

// isNumber reports whether w is written as a number: decimal, 0octal or 0xhex.
func isNumber(w string) bool {
	if len(w) > 2 && (w[:2] == "0x" || w[:2] == "0X") {
		return allHex(w[2:])
	}
	for i := range len(w) {
		if w[i] < '0' || w[i] > '9' {
			return false
		}
	}
	return w != ""
}

func parseNumber(w string, pos int) (uint32, *Error) {
	base, digits := uint64(10), w
	switch {
	case len(w) > 2 && (w[1] == 'x' || w[1] == 'X'):
		base, digits = 16, w[2:]
	case w[0] == '0':
		base = 8
	}
	v := uint64(0)
	for i := range len(digits) {
		d := uint64(hexValue(digits[i]))
		if d >= base {
			return 0, errorAt(pos, "%s starts with 0 and is octal, but has the digit %d", w, d)
		}
		if v = v*base + d; v > 0xffffffff {
			return 0, errorAt(pos, "the number %s does not fit in 32 bits", w)
		}
	}
	return uint32(v), nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func allHex(s string) bool {
	for i := range len(s) {
		if !isHex(s[i]) {
			return false
		}
	}
	return s != ""
}

func hexValue(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}

func firstRune(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}
