package config

import (
	"errors"
	"maps"
	"slices"
)

// Kinds of what a document adds to a set: see [Set.Add].
const (
	Taps     = "taps"
	Policies = "policies"
)

// only says what a document may have that adds one thing to a set.
type only struct {
	what    string // Taps or Policies
	replace bool
	name    string
}

// Add returns a set that also has the one tap or policy of a document. What is [Taps] or [Policies]. With replace, one of the
// same name is replaced in its place. Policies that use a tap that is replaced get the new one. The receiver does not change.
// The errors are those of [Read]; if the name is taken, one of them has the kind [Duplicate].
func (s *Set) Add(file string, data []byte, what string, replace bool) (next *Set, name string, err error) {
	next = s.clone()
	d, root := parse(file, data)
	r := &reader{document: d, set: next, globals: map[string]value{}, only: &only{what: what, replace: replace}}
	if root.node != nil {
		for kind, v := range s.globals {
			v.doc = &document{file: v.doc.file} // they were checked with their own document
			r.globals[kind] = v
		}
		r.root(root)
	}
	if err := d.err(); err != nil {
		return nil, "", err
	}
	next.settle()
	return next, r.only.name, nil
}

// Remove returns a set without a tap or a policy. Whether a policy uses the tap is the caller's to know.
func (s *Set) Remove(what, name string) *Set {
	next := s.clone()
	if what == Taps {
		next.Taps = slices.DeleteFunc(next.Taps, func(t Tap) bool { return t.Name == name })
	} else {
		next.Policies = slices.DeleteFunc(next.Policies, func(p Policy) bool { return p.Name == name })
	}
	return next
}

// With returns a set that also has what another one has, after its own. The error is a [Fault] for each name that both have.
func (s *Set) With(other *Set) (*Set, error) {
	next := s.clone()
	var errs []error
	for _, t := range other.Taps {
		if slices.ContainsFunc(s.Taps, func(o Tap) bool { return o.Name == t.Name }) {
			errs = append(errs, &Fault{File: t.at.file(), Line: t.at.line(), Column: t.at.column(), Path: t.at.path, Kind: Duplicate,
				Problem: "the command line makes a tap of this name: give this one another name, or leave the target out of the command line"})
		}
	}
	for i := range other.Policies {
		p := &other.Policies[i]
		if slices.ContainsFunc(s.Policies, func(o Policy) bool { return o.Name == p.Name }) {
			f := p.Fault("the command line makes a policy of this name: give this one another name, or leave the target out of the command line")
			f.Kind = Duplicate
			errs = append(errs, f)
		}
	}
	next.Taps, next.Policies = append(next.Taps, other.Taps...), append(next.Policies, other.Policies...)
	next.Settings, next.globals = other.Settings, other.globals
	return next, errors.Join(errs...)
}

// Users returns the names of the policies that use a tap.
func (s *Set) Users(tap string) (names []string) {
	for _, p := range s.Policies {
		if slices.ContainsFunc(p.Taps, func(t Tap) bool { return t.Name == tap }) {
			names = append(names, p.Name)
		}
	}
	return names
}

func (s *Set) clone() *Set {
	return &Set{Settings: s.Settings, Taps: slices.Clone(s.Taps), Policies: slices.Clone(s.Policies), globals: maps.Clone(s.globals)}
}

// settle leaves one tap and one policy of each name: the last one, in the place of the first. Policies get the taps as they are now.
func (s *Set) settle() {
	s.Taps = lastOfName(s.Taps, func(t *Tap) string { return t.Name })
	s.Policies = lastOfName(s.Policies, func(p *Policy) string { return p.Name })
	for i := range s.Policies {
		p := &s.Policies[i]
		p.Taps = slices.Clone(p.Taps)
		for j := range p.Taps {
			at := slices.IndexFunc(s.Taps, func(t Tap) bool { return t.Name == p.Taps[j].Name })
			if at >= 0 && !p.Taps[j].Changed {
				p.Taps[j] = s.Taps[at]
			}
		}
	}
}

func lastOfName[T any](list []T, name func(*T) string) []T {
	var all []T
	for i := range list {
		at := slices.IndexFunc(all, func(x T) bool { return name(&x) == name(&list[i]) })
		if at >= 0 {
			all[at] = list[i]
		} else {
			all = append(all, list[i])
		}
	}
	return all
}

// document checks that a document has one tap or one policy, and nothing else.
func (o *only) document(r *reader, root, visor value) {
	from := root
	if visor.node != nil {
		from = visor
	}
	one := map[string]string{Taps: "tap", Policies: "policy"}[o.what]
	if visor.node == nil && o.bare(root) {
		root.fault("write %s: {NAME: {…}}: this document has the keys of a %s, and not its name", o.what, one)
		return
	}
	found := false
	for _, m := range from.members() {
		switch m.key {
		case "version", "visor":
		case o.what:
			found = true
			all := m.members()
			switch {
			case len(all) == 0:
				m.at.fault("no %s found in schema: give one", o.what)
			case len(all) > 1:
				m.at.fault("only a single %s expected but got %d", one, len(all))
			default:
				o.name = all[0].key
				if r.has(o.what, o.name) && !o.replace {
					text := map[string]string{Taps: "module name '%s' already exists", Policies: "policy with name '%s' already defined"}[o.what]
					all[0].at.faultKind(Duplicate, text+": remove it first, or replace it with PUT", shorten(o.name))
				}
			}
		default:
			m.at.fault("this document adds one %s: leave out %s", one, shorten(m.key))
		}
	}
	if !found && len(r.faults) == 0 {
		from.fault("no %s found in schema: give one", o.what)
	}
}

// bare reports whether a document is a tap or a policy without its name: it lacks the key for its kind,
// and has other keys than a document. A key that is nearly the missing one is misspelt, and does not count.
func (o *only) bare(root value) bool {
	inside := false
	for _, m := range root.members() {
		switch m.key {
		case "version", "visor", "agent":
		case Taps, Policies:
			if m.key == o.what {
				return false
			}
			inside = inside || o.what == Policies && m.kind() != "a map"
		default:
			inside = inside || distance(m.key, o.what, 3) >= 3
		}
	}
	return inside
}

// has reports whether the set has a tap or a policy with a name.
func (r *reader) has(what, name string) bool {
	if what == Taps {
		return r.tap(name) != nil
	}
	return slices.ContainsFunc(r.set.Policies, func(p Policy) bool { return p.Name == name })
}
