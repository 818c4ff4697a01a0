package metric

import (
	"fmt"
	"strings"
)

// Check reports two members of the JSON, or two Prometheus families, that have the same name in the tables of one
// program. Call it from a test: checking all names in [Define] would double the time that it takes at each start.
func Check(tables []*Table) error {
	families := make(map[string]bool)
	sections := make(map[string]bool)
	for _, t := range tables {
		if sections[t.Section] {
			return fmt.Errorf("two sections are called %s", t.Section)
		}
		sections[t.Section] = true
		if err := t.checkNames(families); err != nil {
			return fmt.Errorf("section %s: %w", t.Section, err)
		}
	}
	return nil
}

// checkNames reports names that occur twice. It adds the table's Prometheus families to those of other tables.
func (t *Table) checkNames(families map[string]bool) error {
	// The kinds of named things in the JSON.
	const metric, object = 1, 2
	names := make(map[string]int)
	if t.sampled() {
		names[percentName], names[factorName], names[samplingName] = metric, metric, metric
	}
	for i := range t.Descs {
		d := &t.Descs[i]
		parent := strings.TrimSuffix(d.Path, d.leaf())
		for _, m := range d.Members() {
			if name := parent + m.Name; names[name] != 0 {
				return fmt.Errorf("%s is declared twice", name)
			}
			names[parent+m.Name] = metric
		}
		for at, c := range d.Path {
			if c != '.' {
				continue
			}
			if name := d.Path[:at]; names[name] == metric {
				return fmt.Errorf("%s is both a metric and an object", name)
			}
			names[d.Path[:at]] = object
		}
		for _, f := range d.Families() {
			if families[f.Name] {
				return fmt.Errorf("two Prometheus families are called %s", f.Name)
			}
			families[f.Name] = true
		}
	}
	return nil
}
