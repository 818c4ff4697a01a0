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
	// Section is the analyzer's name, Path the metric's place in the section's JSON, with a dot
	// between nested objects.
	Section, Path string
	// Title is the metric's name on a screen, Help a sentence for people.
	Title, Help string
	// Unit is what is counted or measured.
	Unit Unit
	Kind *Kind
	// Scale is what one unit of a histogram's stored integers is worth: 0.001 for a ratio that is
	// kept in thousandths. It is 1 elsewhere.
	Scale float64
	// Slots is the size of a top table's sketch: a power of two. Three quarters of it are the
	// number of distinct keys up to which the table is exact.
	Slots int
	// Group names the group of metrics that are switched on and off together; "" is the basic one.
	Group string
	// Label is the Prometheus label that carries a top table's names.
	Label string
	// Prom is the path from which the Prometheus name is made, if that is another one than Path.
	Prom string
	// Alias is a second name of a rate where the rates of one second are published: the name that the original has for it.
	Alias string
	// Seen marks the counter of all events of the section that could be in the sample, Taken the counter of those that
	// are. A section that samples has one of each.
	Seen, Taken bool
	// ShowNow publishes only what a gauge is now, and not what it was at the end of a minute: its values are neither
	// in the JSON of buckets nor in snapshots.
	ShowNow bool
}

// What one metric may have at most.
const (
	maxPath  = 128 // bytes
	maxTitle = 64  // bytes
	maxHelp  = 1024
	minSlots = 16
	maxSlots = 1 << 20
)

// check reports what is wrong with a description whose unit is one of [ParseUnit].
func (d *Desc) check() error {
	switch {
	case d.Help == "" || d.Unit == Unit{}:
		return errors.New("needs a help and a unit")
	case !isPath(d.Path) || d.Prom != "" && !isPath(d.Prom):
		return fmt.Errorf("path %q: want words of letters, digits and underscores with dots between them, at most %d bytes", d.Path+d.Prom, maxPath)
	case !isText(d.Title, maxTitle) || !isText(d.Help, maxHelp):
		return fmt.Errorf("a title or help that is too long or not one line of text: at most %d and %d bytes", maxTitle, maxHelp)
	case !(d.Scale > 0) || math.IsInf(d.Scale, 0):
		return fmt.Errorf("scale %v: want a positive number", d.Scale)
	case d.Kind == KindTop && (d.Slots < minSlots || d.Slots > maxSlots || d.Slots&(d.Slots-1) != 0):
		return fmt.Errorf("slots %d: want a power of two from %d to %d", d.Slots, minSlots, maxSlots)
	case d.ShowNow && d.Kind != KindGauge:
		return errors.New("only a gauge has a value as of now")
	case (d.Seen || d.Taken) && d.Kind != KindCounter:
		return errors.New("only a counter says how many events were sampled")
	}
	for _, word := range []string{d.Group, d.Label, d.Alias} {
		if word != "" && (!isWord(word) || len(word) > maxTitle) {
			return fmt.Errorf("%q: want a word of letters, digits and underscores", word)
		}
	}
	return nil
}

// isPath reports whether s is made of words with dots between them.
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

// leaf returns the last name of the path: that of the JSON member.
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
