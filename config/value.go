package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"pktvisor/policy"
)

// The bounds of a document. maxValues counts each use of an alias.
const (
	MaxBytes  = 4 << 20
	maxValues = 200_000
	maxFaults = 100 // that are reported one by one
)

// Fault is one mistake in a document.
type Fault struct {
	// File, Line and Column are where it is. Lines and columns count from 1; 0 means the whole document.
	File         string
	Line, Column int
	// Path leads to the key: "visor.taps.edge.config.iface".
	Path string
	// Problem says what is wrong and what to write instead.
	Problem string
	// Kind says what kind of mistake it is, for those that a client distinguishes.
	Kind Kind
}

// Kind is a kind of [Fault].
type Kind uint8

// The kinds of faults.
const (
	Invalid   Kind = iota // the document is wrong
	Duplicate             // it defines what exists
	Unmatched             // nothing is there that it selects
)

func (f *Fault) Error() string {
	at := f.File
	if f.Line > 0 {
		at = fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
	}
	if f.Path != "" {
		at += ": " + f.Path
	}
	return at + ": " + f.Problem
}

// document collects the mistakes while a document is read.
type document struct {
	file   string
	faults []*Fault
	more   int // faults beyond maxFaults
	values int
}

// value is one value of a document, with its path. A value that is not there has no node.
type value struct {
	doc  *document
	node *yaml.Node
	path string
}

// parse reads the YAML of a document. It returns no value if it is not YAML, or not one document.
func parse(file string, data []byte) (*document, value) {
	d := &document{file: file}
	root := value{doc: d}
	if len(data) > MaxBytes {
		root.fault("the document has %d bytes: give at most %d MiB", len(data), MaxBytes>>20)
		return d, root
	}
	if !utf8.Valid(data) {
		root.fault("the document is not UTF-8 text")
		return d, root
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := decoder.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("empty data: give taps and policies")
		}
		root.fault("%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return d, root
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		root.fault("several documents: give one")
		return d, root
	}
	root.node = doc.Content[0]
	return d, root.resolve()
}

// file, line and column are where the value is. They are zero for a value that is in no document.
func (v value) file() string {
	if v.doc == nil {
		return ""
	}
	return v.doc.file
}

func (v value) line() int {
	if v.node == nil {
		return 0
	}
	return v.node.Line
}

func (v value) column() int {
	if v.node == nil {
		return 0
	}
	return v.node.Column
}

// resolve follows aliases. The number of values is bounded, and so are aliases of aliases.
func (v value) resolve() value {
	if v.node == nil {
		return v
	}
	if v.doc.values++; v.doc.values > maxValues {
		if v.doc.values == maxValues+1 {
			v.fault("the document has more than %d values, with those that aliases repeat", maxValues)
		}
		v.node = nil
		return v
	}
	for v.node.Kind == yaml.AliasNode {
		v.node = v.node.Alias
	}
	return v
}

// given reports whether there is a value other than null.
func (v value) given() bool { return v.node != nil && v.node.Tag != "!!null" }

func (v value) fault(format string, args ...any) { v.faultKind(Invalid, format, args...) }

func (v value) faultKind(kind Kind, format string, args ...any) {
	if len(v.doc.faults) >= maxFaults {
		v.doc.more++
		return
	}
	f := &Fault{File: v.doc.file, Path: v.path, Problem: fmt.Sprintf(format, args...), Kind: kind}
	if v.node != nil {
		f.Line, f.Column = v.node.Line, v.node.Column
	}
	v.doc.faults = append(v.doc.faults, f)
}

// kind names what a value is, for messages.
func (v value) kind() string {
	switch {
	case !v.given():
		return "nothing"
	case v.node.Kind == yaml.MappingNode:
		return "a map"
	case v.node.Kind == yaml.SequenceNode:
		return "a list"
	}
	return strconv.Quote(shorten(v.node.Value))
}

// shorten cuts a long text from a document for a message.
func shorten(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// join adds a key to a path.
func join(path, key string) string {
	key = shorten(key)
	if strings.ContainsAny(key, ". \t\n\"") || key == "" {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// member is one entry of a map.
type member struct {
	key string
	at  value // the key itself
	value
}

// members returns the entries of a map in the order of the document. Anything else than a map is a fault, except nothing. A key that
// is there twice is a fault.
func (v value) members() []member {
	if !v.given() {
		return nil
	}
	if v.node.Kind != yaml.MappingNode {
		v.fault("this is %s: give a map", v.kind())
		return nil
	}
	var all []member
	first := map[string]int{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := value{v.doc, v.node.Content[i], v.path}.resolve()
		if key.node == nil {
			return all
		}
		if key.node.Kind != yaml.ScalarNode {
			key.fault("a key of this map is %s: give a name", key.kind())
			continue
		}
		name := key.node.Value
		key.path = join(v.path, name)
		if line, twice := first[name]; twice {
			key.fault("this key is already in line %d: give it once", line)
			continue
		}
		first[name] = key.node.Line
		m := member{name, key, value{v.doc, v.node.Content[i+1], key.path}.resolve()}
		if m.node != nil {
			all = append(all, m)
		}
	}
	return all
}

// fields reads a map whose keys are known. An unknown key is a fault.
func (v value) fields(known map[string]func(value)) {
	v.fieldsElse(known, func(m member) {
		m.at.fault("unknown key%s", suggest(m.key, known))
	})
}

// fieldsElse is like fields, and gives unknown keys to a function.
func (v value) fieldsElse(known map[string]func(value), unknown func(member)) {
	for _, m := range v.members() {
		if read := known[m.key]; read != nil {
			read(m.value)
		} else {
			unknown(m)
		}
	}
}

// elements returns the elements of a list. A single scalar counts as a list of one. Anything else is a fault.
func (v value) elements() []value {
	if !v.given() {
		return nil
	}
	switch v.node.Kind {
	case yaml.ScalarNode:
		return []value{v}
	case yaml.SequenceNode:
		var all []value
		for i, n := range v.node.Content {
			if e := (value{v.doc, n, fmt.Sprintf("%s[%d]", v.path, i)}).resolve(); e.node != nil {
				all = append(all, e)
			}
		}
		return all
	}
	v.fault("this is %s: give a list", v.kind())
	return nil
}

// text reads a scalar as text. Quotes make no difference.
func (v value) text(into *string) {
	if v.node == nil || v.node.Kind != yaml.ScalarNode || !v.given() {
		v.fault("this is %s: give a text", v.kind())
		return
	}
	*into = v.node.Value
}

// texts reads a list of texts.
func (v value) texts(into *[]string) {
	for _, e := range v.elements() {
		var s string
		if e.text(&s); s != "" {
			*into = append(*into, s)
		}
	}
}

// boolean reads true or false, in any case, and yes, no, on and off.
func (v value) boolean(into *bool) {
	var s string
	if v.node != nil && v.node.Kind == yaml.ScalarNode {
		s = strings.ToLower(v.node.Value)
	}
	switch s {
	case "true", "yes", "on":
		*into = true
	case "false", "no", "off":
		*into = false
	default:
		v.fault("this is %s: give true or false", v.kind())
	}
}

// number reads a whole number within bounds.
func (v value) number(into *int, least, most int) {
	if v.node != nil && v.node.Kind == yaml.ScalarNode {
		if n, err := strconv.ParseInt(v.node.Value, 10, 64); err == nil && n >= int64(least) && n <= int64(most) {
			*into = int(n)
			return
		}
	}
	v.fault("this is %s: give a whole number from %d to %d", v.kind(), least, most)
}

// suggest names the known key that is most like an unknown one, or all of them if none is.
func suggest[V any](key string, known map[string]V) string {
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	best, least := "", min(max(len(key)/3, 1)+1, len(key))
	for _, name := range names {
		if d := distance(key, name, least); d < least {
			best, least = name, d
		}
	}
	switch {
	case best != "":
		return ": did you mean " + best + "?"
	case len(names) == 0:
		return ": nothing is expected here"
	}
	return ": give one of " + strings.Join(names, ", ")
}

// distance returns the number of insertions, deletions, replacements and swaps of neighbours that turn a into b (optimal string
// alignment), or a number of at least limit if that many do not suffice.
func distance(a, b string, limit int) int {
	if len(a) > 64 || len(b) > 64 || abs(len(a)-len(b)) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}

func abs(n int) int { return max(n, -n) }

// seconds reads a whole number of a unit of so many milliseconds, up to 5 minutes.
func (v value) seconds(into *time.Duration, milliseconds int) {
	n := 0
	if v.number(&n, 1, 5*60*1000/milliseconds); n > 0 {
		*into = time.Duration(n*milliseconds) * time.Millisecond
	}
}

// factor reads a number that is not negative, up to 1,000,000.
func (v value) factor(into *float64) {
	if v.node != nil && v.node.Kind == yaml.ScalarNode {
		if f, err := strconv.ParseFloat(v.node.Value, 64); err == nil && f >= 0 && f <= 1e6 {
			*into = f
			return
		}
	}
	v.fault("this is %s: give a number from 0 to 1000000", v.kind())
}

// bytes reads a number of bytes, with a unit such as MiB or without.
func (v value) bytes(into *policy.Budget) {
	var s string
	if v.text(&s); s == "" {
		return
	}
	digits := strings.TrimRight(s, "kKMGiBb ")
	n, err := strconv.ParseInt(digits, 10, 64)
	unit, known := map[string]int64{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[strings.TrimSpace(s[len(digits):])]
	if err != nil || !known || n < 0 || n > (1<<50)/unit {
		v.fault("this is %s: give a number of bytes, such as 64MiB", v.kind())
		return
	}
	*into = policy.Budget(n * unit)
}
