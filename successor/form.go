package successor

import (
	"slices"
	"strings"
)

// kind is what a metric is in the successor's terms. It decides how the metric is printed.
type kind uint8

const (
	counter   kind = iota // a number; a gauge in Prometheus
	distinct              // a number of distinct keys; a gauge
	rate                  // quantiles over seconds; a summary
	quantiles             // quantiles of values; a summary
	histogram             // cumulative buckets; a histogram
	table                 // the rows with the most; a gauge with a label for the key
)

// row declares a metric of the successor.
type row struct {
	// path is its place below the schema, with dots. below is that of a form's metrics that the successor has once for each
	// direction; they are in an object of the direction's name, or have a label "direction".
	path string
	kind kind
	// group lists the groups of metrics, separated by blanks, that must all be enabled. "" means that it is always there.
	group string
	// label is the Prometheus label of a table's keys.
	label string
	// from says what it is made from: see parse. It is "" if the metric is missing.
	from string
	// scale multiplies a rate or quantile; 0 means 1.
	scale float64
	// observed marks a rate of all events, also of those that a filter rejected. Only the others are counted by second, so the
	// rate is left out of a bucket in which something was rejected.
	observed bool
	// prefix is the beginning of the Prometheus name if it is not the schema.
	prefix string
	// help is a sentence for Prometheus. remark says what is different from the successor, or why the metric is missing.
	help, remark string
}

// directions are the names of the successor's directions.
var directions = [...]string{"in", "out", "unknown"}

// whole is the direction of a metric that has none.
const whole = -1

// item is a row that was prepared.
type item struct {
	row
	parts  []string // of path
	groups uint     // a bit for each group of the form
	from   [len(directions)]source
}

// group is a group of metrics that can be switched.
type group struct {
	name string
	on   bool // unless the handler says otherwise
}

// form is the form of a handler's answers in one version.
type form struct {
	schema        string
	kind, version string
	// section is the section of a bucket without which there is nothing to show.
	section string
	groups  []group
	// below have an object for each direction; seen are the counts of a direction's events. A direction without events is left out.
	below []item
	seen  [len(directions)]source
	whole []item
	// filtered are the events that a filter rejected.
	filtered source
}

// declaration is a form as the tables give it.
type declaration struct {
	schema        string
	kind, version string
	section       string
	groups        []group
	whole         []row
	below         []row
	seen          string
	filtered      string
}

// prepare makes a form from its declaration. It panics if the declaration is wrong.
func (d *declaration) prepare() *form {
	f := &form{schema: d.schema, kind: d.kind, version: d.version, section: d.section, groups: d.groups, seen: parseEach(d.seen), filtered: parse(d.filtered)}
	f.whole, f.below = f.items(d.whole, false), f.items(d.below, true)
	return f
}

func (f *form) items(rows []row, below bool) (all []item) {
	for _, r := range rows {
		it := item{row: r, parts: strings.Split(r.path, ".")}
		for name := range strings.FieldsSeq(r.group) {
			it.groups |= f.bit(name)
		}
		switch {
		case r.from == "":
		case below:
			it.from = parseEach(r.from)
		default:
			it.from[0] = parse(r.from)
		}
		all = append(all, it)
	}
	return all
}

// bit returns the bit of a group, or 0 if the form does not have it.
func (f *form) bit(name string) uint {
	i := slices.IndexFunc(f.groups, func(g group) bool { return g.name == name })
	if i < 0 {
		return 0
	}
	return 1 << i
}

// enabledBy returns the groups that are on for a handler. A group that only another version has changes nothing.
func (f *form) enabledBy(h *Handler) (on uint) {
	for i, g := range f.groups {
		if g.on {
			on |= 1 << i
		}
	}
	bits := func(names []string) (bits uint) {
		for _, name := range names {
			if name == "all" {
				return 1<<len(f.groups) - 1
			}
			bits |= f.bit(name)
		}
		return bits
	}
	return on&^bits(h.Disable) | bits(h.Enable)
}

// term is a metric of ours in a source.
type term struct {
	section, path string
	minus         bool
	// optional terms are 0 if the bucket does not have the metric.
	optional bool
}

// source says what a number is made from: the sum of terms. An empty one means that there is no such number.
type source []term

// parse reads a source such as "dns.xact.counts.total - dns.xact.in.total". Each metric is named by its section and path. A ?
// behind it means that it is 0 if the bucket does not have it.
func parse(text string) (s source) {
	minus := false
	for word := range strings.FieldsSeq(text) {
		switch word {
		case "+", "-":
			minus = word == "-"
			continue
		}
		section, path, _ := strings.Cut(word, ".")
		name := strings.TrimSuffix(path, "?")
		s = append(s, term{section: section, path: name, minus: minus, optional: name != path})
	}
	return s
}

// parseEach reads a source for each direction, with | between them. A blank one means that this direction has no such number.
func parseEach(text string) (all [len(directions)]source) {
	for i, part := range strings.SplitN(text, "|", len(directions)) {
		all[i] = parse(part)
	}
	return all
}

// forms are all forms that can be shown.
var forms = []*form{net1.prepare(), net2.prepare(), dns1.prepare(), dns2.prepare(), pcap1.prepare()}

// formOf returns the form of a handler's answers, or nil.
func formOf(h *Handler) *form {
	for _, f := range forms {
		if f.kind == h.Type && (f.version == h.Version || h.Version == "" && f.version == "1.0") {
			return f
		}
	}
	return nil
}
