// Package metric declares every number that pktvisor publishes, once.
//
// An analyzer declares its metrics as the fields of a struct, whose tags say how each is named,
// measured and explained:
//
//	type Metrics struct {
//		Total  metric.Counter     `metric:"total" unit:"packets" help:"All packets seen."`
//		SrcIPs metric.Cardinality `metric:"cardinality.src_ips_in" unit:"addresses" help:"…"`
//	}
//
// [Define] turns the struct into a [Table], and everything else walks the table: merging, JSON,
// Prometheus, the binary form, the OpenAPI schema, the documentation. A dot in a name makes a nested object.
//
// A [Section] is one set of values of a table, a [Bucket] the sections of all analyzers over one
// stretch of time. Neither may be used by two goroutines at once while one of them writes.
package metric

import (
	"reflect"
	"strings"
)

// Table is the declaration of a section's metrics. It does not change, and any number of goroutines may use it.
type Table struct {
	// Section is the name of the section in the API, Title its name on a screen, Help a sentence about it.
	Section, Title, Help string
	// Descs are the metrics in the order of the declaration.
	Descs []Desc

	typ     reflect.Type      // of the struct
	fields  [][]int           // of each desc
	objects map[string]string // what the objects of the JSON are, by path
	at      map[string]int    // the position of each path in Descs
	tree    *node             // the nesting of the JSON

	seen, taken int // the counters of all events and of those that were analysed deeply, or -1
}

// Find returns the position of the metric with the given path.
func (t *Table) Find(path string) (int, bool) {
	i, ok := t.at[path]
	return i, ok
}

// Section is one set of values of a table's metrics.
type Section struct {
	Table *Table

	value  any     // *T of Define[T]
	values []value // of each desc; they are parts of the struct

	// Where events of several sample rates were merged: the share of them that was analysed deeply. Else it is the bucket's.
	mixed   bool
	percent float64
}

// New makes an empty section.
func (t *Table) New() *Section {
	v := reflect.New(t.typ)
	s := &Section{Table: t, value: v.Interface(), values: make([]value, len(t.Descs))}
	for i := range t.Descs {
		s.values[i] = valueOf(v.Elem().FieldByIndex(t.fields[i]))
		s.values[i].init(&t.Descs[i])
	}
	return s
}

// valueOf returns the value that a field is.
func valueOf(field reflect.Value) value {
	p := field.Addr().Interface()
	if n, plain := p.(*uint64); plain {
		return (*Counter)(n)
	}
	return p.(value)
}

// Of returns the section's values as the struct that declared them. It panics where the section
// is of another table.
func Of[T any](s *Section) *T { return s.value.(*T) }

// At returns the value of metric i of the section's table, or nil if it is of another kind than T.
func At[T any](s *Section, i int) *T {
	v, _ := any(s.values[i]).(*T)
	return v
}

// Counter returns the value of the counter that is metric i of the table.
func (s *Section) Counter(i int) uint64 { return uint64(*At[Counter](s, i)) }

// Rate returns the rate that is metric i of the table, or nil if that is of another kind.
func (s *Section) Rate(i int) *Rate { return At[Rate](s, i) }

// Histogram returns the histogram that is metric i of the table, or nil if that is of another kind.
func (s *Section) Histogram(i int) *Histogram { return At[Histogram](s, i) }

// Cardinality returns the cardinality that is metric i of the table, or nil if that is of another kind.
func (s *Section) Cardinality(i int) *Cardinality { return At[Cardinality](s, i) }

// Top returns the top table that is metric i of the table, or nil if that is of another kind.
func (s *Section) Top(i int) *Top { return At[Top](s, i) }

// match returns the value that o has for metric i of s, or nil if it has none.
func (s *Section) match(o *Section, i int) value {
	if o == nil {
		return nil
	}
	if o.Table == s.Table {
		return o.values[i]
	}
	d := &s.Table.Descs[i]
	if k, ok := o.Table.at[d.Path]; ok && o.Table.Descs[k].Kind == d.Kind {
		return o.values[k]
	}
	return nil
}

// merge adds o. Of each metric that only one of them has, the merge has what that one had, if s has the metric.
func (s *Section) merge(o *Section) {
	for i, v := range s.values {
		if other := s.match(o, i); other != nil {
			v.merge(other)
		}
	}
}

// AddCounters adds every counter of src to the one of dst, a struct of the same type made of
// counters alone, and sets those of src to 0. It allocates nothing.
func AddCounters[T any](dst, src *T) {
	d, s := reflect.ValueOf(dst).Elem(), reflect.ValueOf(src).Elem()
	for i := range s.NumField() {
		d.Field(i).SetUint(d.Field(i).Uint() + s.Field(i).Uint())
		s.Field(i).SetUint(0)
	}
}

// node is a JSON object of a section: its members in the order of their declaration.
type node struct {
	name    string
	desc    int // of a leaf
	members []*node
}

func newTree(descs []Desc) *node {
	root := &node{}
	for i, d := range descs {
		at := root
		for name := range strings.SplitSeq(d.Path, ".") {
			next := at.member(name)
			if next == nil {
				next = &node{name: name}
				at.members = append(at.members, next)
			}
			at = next
		}
		at.desc = i
	}
	return root
}

func (n *node) member(name string) *node {
	for _, m := range n.members {
		if m.name == name {
			return m
		}
	}
	return nil
}

// find returns the node at a path that there is.
func (n *node) find(path string) *node {
	for name := range strings.SplitSeq(path, ".") {
		n = n.member(name)
	}
	return n
}
