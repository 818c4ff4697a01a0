package metric

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Desc describes a metric.
type Desc struct {
	// Section is the analyzer's name. Path is the metric's place in the section's JSON, with a dot between nested
	// objects.
	Section, Path string
	// Title is the metric's name on a screen. Help is a sentence for people.
	Title, Help string
	// Unit is what is counted or measured.
	Unit Unit
	Kind *Kind
	// Scale is the value of one unit of a histogram's stored integers: 0.001 for a ratio that is kept in thousandths.
	// It is 1 otherwise.
	Scale float64
	// Slots is the size of the sketch of a top table or a distinct table, a power of two. The table is exact up to three
	// quarters as many distinct keys, or pairs of a key and an item.
	Slots int
	// Registers is the number of registers of a cardinality, a power of two, or 0 for 2^14. See [sketch.DistinctOf].
	Registers int
	// Group names the group of metrics that are switched on and off together. "" is the basic group.
	Group string
	// Label is the Prometheus label that carries the names of a table of keys.
	Label string
	// Fold lists the paths, separated by commas, of the distinct tables of the section that say how many names a row "*.zone"
	// stands for: its JSON has the greatest of their estimates as "names". It is "" if the metric has no such rows.
	Fold string
	// Within is the path of the top table of the section that says what a key of this distinct table has at most: a client has asked
	// for no more names than it has sent queries. It is "" if there is no such table.
	Within string
	// Holds says what the keys of a table are.
	Holds Holds
	// Prom is the path from which the Prometheus name is made, if it differs from Path.
	Prom string
	// Alias is a second name of a rate among the rates of one second: the name in the original's API.
	Alias string
	// Seen marks the counter of all events of the section that could be in the sample. Taken marks the counter of the
	// events that are in it. A section that samples has one of each.
	Seen, Taken bool
	// Whole marks a value that covers all events, also those that are not in the sample.
	Whole bool
	// ShowNow publishes only the present value of a gauge, not its value at the end of a minute. Its values are neither
	// in the JSON of buckets nor in snapshots.
	ShowNow bool
}

// Memory returns the maximum memory of the metric in bytes, in a bucket that is being filled, and in a sealed bucket whose top
// tables keep the given number of slots.
func (d *Desc) Memory(slots int) (open, sealed int64) {
	if d.Kind.memory != nil {
		return d.Kind.memory(d, slots)
	}
	return 1 << 10, 1 << 10
}

// The limits of one metric.
const (
	maxPath  = 128 // bytes
	maxTitle = 64  // bytes
	maxHelp  = 1024
	minSlots = 16
)

// check reports what is wrong with a description. The unit must come from [ParseUnit].
func (d *Desc) check() error {
	switch {
	case d.Help == "" || d.Unit == Unit{}:
		return errors.New("a help and a unit are required")
	case !isPath(d.Path) || d.Prom != "" && !isPath(d.Prom):
		return fmt.Errorf("path %q: want words of letters, digits and underscores separated by dots, at most %d bytes", d.Path+d.Prom, maxPath)
	case !isText(d.Title, maxTitle) || !isText(d.Help, maxHelp):
		return fmt.Errorf("title or help: want one line of text of at most %d and %d bytes", maxTitle, maxHelp)
	case !(d.Scale > 0) || math.IsInf(d.Scale, 0):
		return fmt.Errorf("scale %v: want a positive number", d.Scale)
	case d.Kind.PerKey() && (d.Slots < minSlots || d.Slots > d.Kind.maxSlots || d.Slots&(d.Slots-1) != 0):
		return fmt.Errorf("slots %d: want a power of two from %d to %d", d.Slots, minSlots, d.Kind.maxSlots)
	case d.Registers != 0 && (d.Kind != KindCardinality || d.Registers < minSlots || d.Registers > 1<<14 || d.Registers&(d.Registers-1) != 0):
		return fmt.Errorf("registers %d: want a power of two from %d to %d, for a cardinality", d.Registers, minSlots, 1<<14)
	case d.ShowNow && d.Kind != KindGauge:
		return errors.New("only a gauge can show its present value")
	case (d.Seen || d.Taken) && d.Kind != KindCounter:
		return errors.New("only a counter can count sampled events")
	}
	for _, word := range []string{d.Group, d.Label, d.Alias} {
		if word != "" && (!isWord(word) || len(word) > maxTitle) {
			return fmt.Errorf("%q: want a word of letters, digits and underscores", word)
		}
	}
	return nil
}

// isPath reports whether s is made of words separated by dots.
func isPath(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if !isWord(part) {
			return false
		}
	}
	return len(s) <= maxPath
}

// isText reports whether s is one line of at most most bytes.
func isText(s string, most int) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f { // rarely
			return len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
		}
	}
	return len(s) <= most
}

// leaf returns the last name of the path, which is the name of the JSON member.
func (d *Desc) leaf() string { return d.Path[strings.LastIndexByte(d.Path, '.')+1:] }

// titleOf makes a title from a path: "xact.in.total" becomes "Xact in total".
func titleOf(path string) string {
	title := []byte(path)
	for i, c := range title {
		if c == '.' || c == '_' {
			title[i] = ' '
		}
	}
	if len(title) > 0 && 'a' <= title[0] && title[0] <= 'z' {
		title[0] -= 'a' - 'A'
	}
	return string(title[:min(len(title), maxTitle)])
}
