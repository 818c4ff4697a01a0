package metric

import (
	"fmt"
	"slices"
)

// The limits of a table that is declared at run time. They bound the memory of a section: a full top table takes about
// 100 bytes a slot.
const (
	maxDescs         = 256
	maxSection       = 32 // bytes
	maxDeclaredSlots = 8192
	maxAllSlots      = 65536
)

// takenNames lists names that are already used beside the sections: in the JSON of a bucket, of /rates or of /app, or
// in Prometheus.
var takenNames = []string{"app", "period", "source", "state"}

// Declare makes a table at run time, for an analyzer that a user configures. The table has no struct; use [At] to get a
// value by its position. Path, Help, Unit and Kind are required. The other fields have the defaults of [Define], and
// the Prometheus label of a top table is "name".
//
// Declare returns an error for a description that is wrong or contradicts another one, and for metrics that are too
// many or too large. A section has at most 256 metrics. A top table has at most 8192 slots, and all top tables together
// have at most 65,536. The name of a section has at most 32 small letters and digits.
func Declare(section string, descs []Desc) (*Table, error) {
	fail := func(format string, args ...any) (*Table, error) {
		return nil, fmt.Errorf("section %q: "+format, append([]any{section}, args...)...)
	}
	if !isSection(section) || slices.Contains(takenNames, section) {
		return fail("want a name of at most %d small letters and digits that is not one of %v", maxSection, takenNames)
	}
	if len(descs) == 0 || len(descs) > maxDescs {
		return fail("%d metrics: want 1 to %d", len(descs), maxDescs)
	}
	t := &Table{Section: section, Descs: slices.Clone(descs)}
	slots := 0
	for i := range t.Descs {
		d := &t.Descs[i]
		d.Section = section
		if d.Kind == nil {
			return fail("metric %q: needs a kind", d.Path)
		}
		d.complete()
		if unit, err := ParseUnit(d.Unit.Name); d.Unit != (Unit{}) && (err != nil || unit != d.Unit) {
			return fail("metric %q: unit %q: want one that ParseUnit returns", d.Path, d.Unit.Name)
		}
		if err := d.check(); err != nil {
			return fail("metric %q: %w", d.Path, err)
		}
		if slots += d.Slots; d.Slots > maxDeclaredSlots || slots > maxAllSlots {
			return fail("metric %q: %d slots, %d with those before: want at most %d and %d", d.Path, d.Slots, slots, maxDeclaredSlots, maxAllSlots)
		}
	}
	if err := t.finish(); err != nil {
		return fail("%w", err)
	}
	if err := t.checkNames(make(map[string]bool)); err != nil {
		return fail("%w", err)
	}
	return t, nil
}

// complete sets the defaults.
func (d *Desc) complete() {
	if d.Title == "" {
		d.Title = titleOf(d.Path)
	}
	if d.Scale == 0 {
		d.Scale = 1
	}
	if !d.Kind.PerKey() {
		d.Slots, d.Label = 0, ""
		return
	}
	if d.Slots == 0 {
		d.Slots = defaultSlots
	}
	if d.Label == "" {
		d.Label = "name"
	}
}

// isSection reports whether s can be the name of a section that is declared at run time.
func isSection(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= maxSection
}
