// Package config reads documents that say what an agent observes and summarises: taps and policies, in YAML or JSON.
//
// It reads two forms. One is the document of the original's successor, with the key visor. The other is this project's own, which is
// shorter. Both make a [Set].
//
// [Read] reports all mistakes of a document at once. A [Fault] has the file, line and column, the path of the key, and what to
// write instead. A document has at most [MaxBytes] bytes; each use of an alias counts as the values that it repeats.
// The package reads no other files and opens nothing.
package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"pktvisor/policy"
)

// Set is what a document configures.
type Set struct {
	// Settings are settings of the program.
	Settings []Setting
	Taps     []Tap
	Policies []Policy
	// Notes say what was accepted and has no effect. Each has a place.
	Notes []string

	globals map[string]value // what the document says of all handlers of a type
}

// Setting gives a value to a flag of the program: "listen" means --listen.
type Setting struct {
	Flag   string
	Values []string
	at     value
}

// Fault returns a mistake in the setting.
func (s *Setting) Fault(format string, args ...any) *Fault {
	d := &document{file: s.at.doc.file}
	at := s.at
	at.doc = d
	at.fault(format, args...)
	return d.faults[0]
}

// Tap is a place to observe.
type Tap struct {
	Name string
	// Tags are what selectors of policies match.
	Tags map[string]string
	policy.Tap
	// Hosts is the list of host subnets, separated by commas. If it is empty, the addresses of the interface are the host's.
	Hosts string
	// Input says what the tap reads: only pcap is built so far.
	Input string
	// Changed says that a policy changes settings of the tap, for itself.
	Changed bool

	at value
}

// Note returns a line about the tap with its place in the document.
func (t *Tap) Note(format string, args ...any) string {
	return (&Fault{File: t.at.file(), Line: t.at.line(), Column: t.at.column(), Path: t.at.path, Problem: fmt.Sprintf(format, args...)}).Error()
}

// Policy says what to summarise of the events of some taps.
type Policy struct {
	Name string
	// Description is for people.
	Description string
	// Taps are the taps whose events count, each with the settings that the policy changes.
	Taps []Tap
	// Filter is what events must meet.
	Filter policy.Filter
	policy.Policy
	// OwnWindow means that the document says how long to keep the summaries and how much to sample. Otherwise flags do.
	OwnWindow bool
	// Rows is the number of rows of a top table that are served: 1 to [MaxRows].
	Rows int
	// Handlers are the analyzers, in the order of the document. Chained means that each gets only what those before it let pass.
	Handlers []Handler
	Chained  bool
	// Merged makes one summary of all taps.
	Merged bool
	// ForEach keeps a summary for each of the heaviest keys of a table; nil means none.
	ForEach *ForEach

	given map[string]bool // the keys of the document for which there are flags
	at    value
}

// Fill sets what the document leaves to the flags, which are given.
func (p *Policy) Fill(flags *policy.Policy) {
	if !p.given["window"] {
		if !p.given["periods"] {
			p.Periods = flags.Periods
		}
		if !p.given["deep_sample"] {
			p.DeepSamplePercent = flags.DeepSamplePercent
		}
	}
	if !p.given["min_deep_sample"] {
		p.MinDeepSamplePercent = min(flags.MinDeepSamplePercent, p.DeepSamplePercent)
	}
	if !p.given["dns_timeout"] {
		p.DNSTimeout = flags.DNSTimeout
	}
	if !p.given["anonymize"] {
		p.Anonymize = flags.Anonymize
	}
	if !p.given["anonymize_names"] {
		p.AnonymizeNames = flags.AnonymizeNames
	}
	p.AnonymizeKeyFile, p.AnonymizeSalt = flags.AnonymizeKeyFile, flags.AnonymizeSalt
	p.DNSPorts, p.MaxCPU, p.AutoHost = flags.DNSPorts, flags.MaxCPU, flags.AutoHost
}

// Fault returns a mistake in the policy as a whole.
func (p *Policy) Fault(format string, args ...any) *Fault {
	return &Fault{File: p.at.file(), Line: p.at.line(), Column: p.at.column(), Path: p.at.path, Problem: fmt.Sprintf(format, args...)}
}

// Hint returns a line about what the policy does and its author may not expect, with its place in the document, or "". A filter that is
// only about responses lets every query pass: see decision 47.
func (p *Policy) Hint() string {
	f := &p.Filter
	about := len(f.Rcodes) > 0 || len(f.NotRcodes) > 0 || f.DNSSEC || f.Answers != nil || f.SlowerThan > 0
	if !about || f.Responses || f.Queries || len(f.QNames) > 0 || len(f.QNameSuffixes) > 0 || len(f.QTypes) > 0 {
		return ""
	}
	key := "responses"
	if strings.HasPrefix(p.at.path, "visor") {
		key = "only_responses"
	}
	return p.Fault("the filter is about responses, and queries count too: add %s: true to count responses only", key).Error()
}

// Handler is an analyzer of a policy.
type Handler struct {
	Name string
	// Type is the analyzer: dns, net or pcap. Version is the successor's version of the form of its answers: "1.0" or "2.0".
	Type, Version string
	Filter        policy.Filter
	// Enable and Disable are groups of metrics. Disable applies first. "all" means all of them.
	Enable, Disable []string
	// Rows is the number of rows of its top tables, or 0 for that of the policy. Percentile hides the rows below that percentile.
	Rows, Percentile int
}

// ForEach asks for a summary for each of the heaviest keys of a table.
type ForEach struct {
	// Top is the table: "dns.top_qname2". Most is the number of keys: 1 to [MaxForEach].
	Top  string
	Most int
}

// The bounds of a document's content.
const (
	MaxTaps     = 256
	MaxPolicies = 1000
	MaxRows     = 100
	MaxForEach  = 100
	maxName     = 128 // bytes
)

// Read reads a document. file names it in messages. The error joins all mistakes, of type [*Fault]; then there is no set.
func Read(file string, data []byte) (*Set, error) {
	d, root := parse(file, data)
	set := new(Set)
	if root.node != nil {
		r := &reader{document: d, set: set}
		r.root(root)
		set.globals = r.globals
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return set, nil
}

// err joins the mistakes, in the order of their places.
func (d *document) err() error {
	if len(d.faults) == 0 {
		return nil
	}
	file := d.file
	var errs []error
	slices.SortStableFunc(d.faults, func(a, b *Fault) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	for _, f := range d.faults {
		errs = append(errs, f)
	}
	if d.more > 0 {
		errs = append(errs, fmt.Errorf("%s: and %d more mistakes", file, d.more))
	}
	return errors.Join(errs...)
}

// reader reads one document into a set.
type reader struct {
	*document
	set     *Set
	globals map[string]value // by the type of handlers
	only    *only            // nil for a whole configuration
}

func (r *reader) root(v value) {
	form := map[string]func(value){}
	var visor, own value
	var unknown []member
	for _, m := range v.members() {
		switch m.key {
		case "visor":
			visor = m.value
		case "version":
			r.version(m.value)
		case "agent", "taps", "policies":
			own = m.value
		default:
			unknown = append(unknown, m)
		}
	}
	if r.only != nil {
		if r.only.document(r, v, visor); visor.node == nil && len(r.faults) > 0 {
			return // what is unknown is one of them
		}
	}
	for _, m := range unknown {
		if visor.node != nil { // the agents of the successor's fleet manager pass their own file, with the key orb
			r.note(m.at, "this key is not for pktvisor and has no effect")
			continue
		}
		form["agent"], form["taps"], form["policies"], form["visor"], form["version"] = nil, nil, nil, nil, nil
		m.at.fault("unknown key%s", suggest(m.key, form))
	}
	switch {
	case len(r.faults) > 0 && r.only != nil:
	case visor.node != nil && own.node != nil:
		visor.fault("the document has both visor and keys of the short form: use one of the two")
	case visor.node != nil:
		r.visor(visor)
	case own.node != nil:
		r.own(v)
	case len(r.faults) == 0:
		v.fault("invalid schema: give visor, or taps and policies")
	}
}

// version accepts the one version of the successor's form.
func (r *reader) version(v value) {
	var text string
	if v.text(&text); text != "1.0" && text != "" {
		v.fault("unsupported version %q: give \"1.0\"", shorten(text))
	}
}

// names matches the names of taps, policies and handlers.
var names = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_-]*$`)

// name checks the name of a tap, a policy or a handler.
func name(m member) bool {
	switch {
	case len(m.key) > maxName:
		m.at.fault("this name has %d bytes: give at most %d", len(m.key), maxName)
	case !names.MatchString(m.key):
		m.at.fault("invalid module name: %q: begin with a letter or _, and go on with letters, digits, _ and -", shorten(m.key))
	default:
		return true
	}
	return false
}

// tap returns a tap of the set by its name.
func (r *reader) tap(name string) *Tap {
	if i := slices.IndexFunc(r.set.Taps, func(t Tap) bool { return t.Name == name }); i >= 0 {
		return &r.set.Taps[i]
	}
	return nil
}

// missingTap says that there is no such tap, and which there are.
func (r *reader) missingTap(v value, name string) {
	known := map[string]bool{}
	for i := range r.set.Taps {
		known[r.set.Taps[i].Name] = true
	}
	hint := suggest(name, known)
	if len(known) == 0 {
		hint = ": define it under taps"
	}
	v.fault("tap '%s' does not exist%s", shorten(name), hint)
}

// note records that a key has no effect.
func (r *reader) note(v value, format string, args ...any) {
	f := Fault{File: r.file, Line: v.node.Line, Column: v.node.Column, Path: v.path, Problem: fmt.Sprintf(format, args...)}
	if len(r.set.Notes) < maxFaults {
		r.set.Notes = append(r.set.Notes, f.Error())
	}
}

// pairs reads a map of texts.
func (v value) pairs() map[string]string {
	all := map[string]string{}
	for _, m := range v.members() {
		var s string
		if m.text(&s); s != "" {
			all[m.key] = s
		}
	}
	return all
}

// oneOf reads a text that is one of some.
func (v value) oneOf(into *string, of ...string) {
	var s string
	if v.text(&s); s != "" && !slices.Contains(of, s) {
		known := map[string]bool{}
		for _, name := range of {
			known[name] = true
		}
		v.fault("%q is unknown%s", shorten(s), suggest(s, known))
		return
	}
	*into = s
}

// lower returns a name as filters compare it.
func lower(name string) string { return strings.Trim(strings.ToLower(name), ".") }
