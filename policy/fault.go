package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Fault is one mistake in a configuration.
type Fault struct {
	// Field is the field to change, by its path: "policy.periods".
	Field string
	// text describes the fault. Its arguments are the function that names a field, and the separator between the name
	// and the value.
	text func(name func(field string) string, between string) string
}

// Error describes the fault with the names of the fields: "policy.periods: 1: give a number of minutes from 2 to 1440".
func (f *Fault) Error() string {
	return f.text(func(field string) string { return field }, ": ")
}

// Flag describes the fault with the flags that fill the fields: "--periods 1: give a number of minutes from 2 to 1440".
// name returns the flag that fills a field.
func (f *Fault) Flag(name func(field string) string) string { return f.text(name, " ") }

// faults collects the mistakes in one part of a configuration.
type faults struct {
	part string // its name
	all  *[]*Fault
}

// sentence adds a fault of a field that is described by a whole sentence. text receives the names of the field and of
// the other fields, which are given by their paths.
func (f faults) sentence(field string, text func(names ...string) string, others ...string) {
	path := f.part + "." + field
	*f.all = append(*f.all, &Fault{path, func(name func(string) string, _ string) string {
		names := []string{name(path)}
		for _, other := range others {
			names = append(names, name(other))
		}
		return text(names...)
	}})
}

// value adds a fault of a field whose value is wrong. The format says what to give instead.
func (f faults) value(field string, value any, format string, args ...any) {
	path, problem := f.part+"."+field, fmt.Sprintf(format, args...)
	*f.all = append(*f.all, &Fault{path, func(name func(string) string, between string) string {
		return name(path) + between + fmt.Sprint(value) + ": " + problem
	}})
}

// problem adds a fault of a field. The problem itself says which part of the value is wrong.
func (f faults) problem(field, problem string) {
	path := f.part + "." + field
	*f.all = append(*f.all, &Fault{path, func(name func(string) string, _ string) string { return name(path) + ": " + problem }})
}

// Known is information that Validate needs and the configuration does not have.
type Known struct {
	// Groups are the existing groups of metrics.
	Groups []string
	// IsInterface reports whether a target can only mean an interface.
	IsInterface func(target string) bool
	// HostName returns an error if the server cannot be reached by that name.
	HostName func(name string) error
	// Origin returns an error if no browser sends that origin.
	Origin func(origin string) error
	// Memory returns how many bytes the policy of a configuration takes at a scale: see [Budget.Scale]. Validate calls
	// it only if the configuration has no other mistake.
	Memory func(c *Config, scale int) int64
}

// Validate returns all mistakes in the configuration.
func (c *Config) Validate(known Known) []*Fault {
	var all []*Fault
	c.Tap.validate(faults{"tap", &all})
	c.Policy.validate(faults{"policy", &all})
	c.Program.validate(faults{"program", &all}, known)
	c.Push.validate(faults{"push", &all})
	c.Access.validate(faults{"access", &all}, known)
	c.OTLP.validate(faults{"otlp", &all}, known)
	switch {
	case !c.Policy.Summary:
	case c.Tap.Replay:
		faults{"tap", &all}.sentence("replay", func(names ...string) string {
			return names[1] + " is for a capture file; " + names[0] + " plays it as if it were live"
		}, "policy.summary")
	case known.IsInterface(c.Tap.Target):
		faults{"policy", &all}.sentence("summary", func(names ...string) string {
			return names[0] + " is for a capture file, and " + c.Tap.Target + " is captured live"
		})
	}
	if c.Policy.Anonymize && c.Policy.AnonymizeKeyFile == "" && c.Program.StateDir != "" {
		faults{"policy", &all}.sentence("anonymize_key_file", func(names ...string) string {
			return names[1] + " and " + names[2] + " need " + names[0] + ": with a new key at each start, the minutes of the last run would be removed"
		}, "policy.anonymize", "program.state_dir")
	}
	if len(all) > 0 {
		return all
	}
	cost := func(scale int) int64 { return known.Memory(c, scale) }
	if _, ok := c.Policy.Budget.Scale(cost); !ok {
		faults{"policy", &all}.value("budget", int64(c.Policy.Budget), "give at least %d bytes, or 0 for the default", cost(MinScale))
	}
	return all
}

// groups adds a fault for each name in a field that is not that of a group of metrics.
func (k *Known) groups(f faults, field string, names []string) {
	for _, g := range names {
		if !slices.Contains(k.Groups, g) {
			f.value(field, g, "unknown group; give one of %s", strings.Join(k.Groups, ", "))
		}
	}
}
