// Package psl finds the registered domain of a DNS name with the public suffix list (https://publicsuffix.org): the public suffix,
// below which a registry registers domains, and one more label. It works on names in wire form and allocates nothing.
//
// Only the ICANN section of a list is used. The private section has the suffixes below which a company lets its customers have
// names, such as github.io. But such a name is not registered: it has the company's servers, and those are what a flood of random
// names below the suffix hits. A list without the lines that mark the sections is used as a whole.
//
// A [List] does not change, and any number of goroutines may use it.
package psl

import (
	"bytes"
	_ "embed" // for the list
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"pktvisor/sketch"
)

// MaxSize is the maximum size of a list in bytes. The list of 2026 has 0.3 MB.
const MaxSize = 8 << 20

// maxRules bounds the rules of a list. The list of 2026 has 10,132.
const maxRules = 1 << 17

// List is a public suffix list.
type List struct {
	// slots is a hash table of the suffixes of all rules, by a fixed hash of their wire form: see [newList]. The names that are looked up are
	// not entered, so nobody who sends them can make a look-up take more steps than the rules do.
	slots []byte
	rules int
}

// A slot has slotSize bytes in little-endian order: the upper bits of the hash, and flags in its lower bits; 0 is free.
const slotSize = 8

// What a suffix is.
const (
	flagRule      = 1 << iota // the suffix is a rule: a public suffix
	flagWildcard              // each name one label longer is a public suffix
	flagException             // the suffix is not public, although a wildcard says so
	flagParent                // there are rules below
	flagUsed                  // the slot is not free

	flagMask = 1<<8 - 1
)

// embedded is the list that the program carries with it, as the slots of its table, so that it is not parsed at each start. TestEmbedded
// writes it from icann.txt.gz.
//
//go:embed icann.slots
var embedded []byte

// embeddedRules is the number of its rules.
const embeddedRules = 6930

var embeddedList = List{slots: embedded, rules: embeddedRules}

// Embedded returns the list that the program carries with it.
func Embedded() *List { return &embeddedList }

// ReadFile reads a list from a file in the form of public_suffix_list.dat. The error is one line that names the file and, if a rule is
// wrong, its line.
func ReadFile(path string) (*List, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // to open a named pipe would wait for a writer
		return nil, fmt.Errorf("open %s: not a regular file: give a public suffix list", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, err
	}
	l, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return l, nil
}

// The lines that mark the sections.
const (
	beginICANN = "// ===BEGIN ICANN DOMAINS==="
	endICANN   = "// ===END ICANN DOMAINS==="
)

// Parse reads a list in the form of public_suffix_list.dat: one rule a line, up to the first space; lines that begin with // are
// comments.
func Parse(text []byte) (*List, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("more than %d MiB: not a public suffix list", MaxSize>>20)
	}
	sections := bytes.Contains(text, []byte(beginICANN))
	rules, used := make(map[string]uint8, 1<<13), !sections
	n, count := 0, 0
	for line := range strings.Lines(string(text)) {
		n++
		switch line = strings.TrimSpace(line); {
		case sections && line == beginICANN:
			used = true
		case sections && line == endICANN:
			used = false
		case line == "" || strings.HasPrefix(line, "//"):
		default:
			if used {
				count++
			}
			if count > maxRules {
				return nil, fmt.Errorf("line %d: more than %d rules", n, maxRules)
			}
			if err := addRule(rules, line, used); err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
		}
	}
	if count == 0 {
		return nil, errors.New("no rules: not a public suffix list")
	}
	return newList(rules, count), nil
}

// addRule enters a rule and its suffixes. If used is false, it only checks the rule.
func addRule(rules map[string]uint8, line string, used bool) error {
	rule := line
	if end := strings.IndexAny(line, " \t"); end >= 0 {
		rule = line[:end]
	}
	flag, name := uint8(flagRule), rule
	if rest, ok := strings.CutPrefix(rule, "!"); ok {
		flag, name = flagException, rest
	} else if rest, ok := strings.CutPrefix(rule, "*."); ok {
		flag, name = flagWildcard, rest
	} else if rule == "*" { // the default, which always holds
		return nil
	}
	wire, err := toWire(name)
	if err != nil {
		return fmt.Errorf("rule %q: %w", shortened(rule), err)
	}
	if flag == flagException && wire[int(wire[0])+1] == 0 {
		return fmt.Errorf("rule %q: an exception needs two labels or more", shortened(rule))
	}
	if !used {
		return nil
	}
	rules[wire] |= flag
	for at := int(wire[0]) + 1; wire[at] != 0; at += int(wire[at]) + 1 {
		rules[wire[at:]] |= flagParent
	}
	return nil
}

// shortened returns the beginning of a rule, for an error.
func shortened(rule string) string {
	const most = 80
	if len(rule) <= most {
		return rule
	}
	return strings.ToValidUTF8(rule[:most], "") + "…"
}

// toWire returns a name in wire form, in lower case.
func toWire(name string) (string, error) {
	ascii := strings.TrimSuffix(name, ".")
	if !isLowerASCII(ascii) { // nearly all are, and the list is read at each start
		if !utf8.ValidString(name) {
			return "", errors.New("not UTF-8")
		}
		var err error
		if ascii, err = idna.Punycode.ToASCII(strings.ToLower(ascii)); err != nil {
			return "", errors.New("not a domain name")
		}
	}
	wire := make([]byte, 0, len(ascii)+2)
	for label := range strings.SplitSeq(ascii, ".") {
		if label == "" || len(label) > 63 {
			return "", errors.New("a label is empty or too long")
		}
		for _, c := range []byte(label) {
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return "", fmt.Errorf("%q cannot be in a label", c)
			}
		}
		wire = append(append(wire, byte(len(label))), label...)
	}
	if len(wire) > 254 {
		return "", errors.New("too long")
	}
	return string(append(wire, 0)), nil
}

func isLowerASCII(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= 0x80 || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

// newList makes the table of the suffixes. Suffixes that hash to the same slots are in the order of their hashes, so that equal rules make
// equal tables.
func newList(rules map[string]uint8, n int) *List {
	entries := make([]uint64, 0, len(rules))
	for wire, flags := range rules {
		entries = append(entries, sketch.HashItem([]byte(wire))&^flagMask|uint64(flags|flagUsed))
	}
	slices.Sort(entries)
	l := &List{slots: make([]byte, slotSize<<bits.Len(uint(len(rules)+len(rules)/4))), rules: n}
	for _, e := range entries {
		at := l.first(e)
		for l.slot(at) != 0 {
			at = l.next(at)
		}
		binary.LittleEndian.PutUint64(l.slots[at:], e)
	}
	return l
}

// first returns where the look-up of a hash begins, and next where it continues.
func (l *List) first(hash uint64) int { return int(hash>>32*slotSize) & (len(l.slots) - slotSize) }
func (l *List) next(at int) int       { return (at + slotSize) & (len(l.slots) - slotSize) }

func (l *List) slot(at int) uint64 { return binary.LittleEndian.Uint64(l.slots[at:]) }

// Rules returns the number of rules that are used.
func (l *List) Rules() int { return l.rules }

// Memory returns the bytes that the list takes.
func (l *List) Memory() int64 { return int64(len(l.slots)) }

// flags returns the flags of a suffix in wire form, or 0.
func (l *List) flags(suffix []byte) uint64 {
	hash := sketch.HashItem(suffix)
	for at := l.first(hash); ; at = l.next(at) {
		v := l.slot(at)
		if v == 0 {
			return 0
		}
		if (v^hash)&^flagMask == 0 {
			return v & flagMask
		}
	}
}

// Registered returns the offset at which the registered domain begins in a name, or -1 if the name is a public suffix or has only one
// label. The name is in wire form, lower-cased and not compressed, with its root label: the form of [dnswire.Message.Name]. If no rule matches, the
// last label is the public suffix.
func (l *List) Registered(name []byte) int {
	var starts [128]uint8
	n := 0
	for at := 0; at < len(name) && name[at] != 0 && n < len(starts); at += int(name[at]) + 1 {
		starts[n] = uint8(at)
		n++
	}
	public, wildcard := 1, false // the labels of the public suffix
	for labels := 1; labels <= n; labels++ {
		flags := l.flags(name[starts[n-labels]:])
		if flags&flagException != 0 {
			public = labels - 1
			break
		}
		if wildcard || flags&flagRule != 0 {
			public = labels
		}
		wildcard = flags&flagWildcard != 0
		if flags&(flagParent|flagWildcard) == 0 {
			break
		}
	}
	if public >= n {
		return -1
	}
	return int(starts[n-public-1])
}
