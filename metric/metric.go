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

	typ     reflect.Type      // of the struct; nil if the table was declared at run time
	fields  [][]int           // of each desc
	off     [][]int           // the fields whose metrics the table does not have
	objects map[string]string // what the objects of the JSON are, by path

	// The rest is derived from Descs.
	at          map[string]int // the position of each path
	tree, state *node          // the nesting of the JSON: of a bucket, and of the gauges as of now
	gauges      []int
	seen, taken int // the counters of all events and of those that were analysed deeply, or -1
}

// Find returns the position of the metric with the given path.
func (t *Table) Find(path string) (int, bool) {
	i, ok := t.at[path]
	return i, ok
}

// index fills in what is derived from the descriptions.
func (t *Table) index() {
	t.at = make(map[string]int, len(t.Descs))
	t.seen, t.taken = -1, -1
	t.tree, t.state = new(node), new(node)
	for i := range t.Descs {
		d := &t.Descs[i]
		t.at[d.Path] = i
		if d.Seen {
			t.seen = i
		}
		if d.Taken {
			t.taken = i
		}
		if !d.ShowNow {
			t.tree.add(d.Path, i)
		}
		if d.Kind == KindGauge {
			t.gauges = append(t.gauges, i)
			t.state.add(d.Path, i)
		}
	}
}

// sampled reports whether the section says how much of what it has seen was analysed deeply.
func (t *Table) sampled() bool { return t.taken >= 0 }

// Section is one set of values of a table's metrics.
type Section struct {
	Table *Table

	value  any     // *T of Define[T], or nil
	values []value // of each desc; they are parts of the struct, if there is one

	// Where events of several sample rates were merged: the share of them that was analysed deeply. Else it is the bucket's.
	mixed   bool
	percent float64
}

// New makes an empty section.
func (t *Table) New() *Section {
	s := &Section{Table: t, values: make([]value, len(t.Descs))}
	if t.typ == nil {
		for i := range t.Descs {
			s.values[i] = reflect.New(t.Descs[i].Kind.typ).Interface().(value)
		}
	} else {
		v := reflect.New(t.typ)
		s.value = v.Interface()
		for i, at := range t.fields {
			s.values[i] = valueOf(v.Elem().FieldByIndex(at))
		}
		for _, at := range t.off {
			valueOf(v.Elem().FieldByIndex(at)).disable()
		}
	}
	for i, v := range s.values {
		v.init(&t.Descs[i])
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
// is of another table, or of one that has no struct.
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

// AddChange adds to each counter of dst by how much it has grown from last to now. All three are of one struct type, whose
// counters are the fields of an unsigned type with 64 bits; it leaves other fields alone. It allocates nothing.
func AddChange[T any](dst, last, now *T) {
	d, l, n := reflect.ValueOf(dst).Elem(), reflect.ValueOf(last).Elem(), reflect.ValueOf(now).Elem()
	for i := range d.NumField() {
		if f := d.Field(i); f.Kind() == reflect.Uint64 {
			f.SetUint(f.Uint() + n.Field(i).Uint() - l.Field(i).Uint())
		}
	}
}

// With makes a section of table t, which [Define] made of T, that has the values of v.
func With[T any](t *Table, v T) *Section {
	s := t.New()
	*Of[T](s) = v
	return s
}

// node is a JSON object of a section: its members in the order of their declaration.
type node struct {
	name    string
	desc    int // of a leaf
	members []*node
}

// add adds the metric desc at a path.
func (n *node) add(path string, desc int) {
	for name := range strings.SplitSeq(path, ".") {
		next := n.member(name)
		if next == nil {
			next = &node{name: name}
			n.members = append(n.members, next)
		}
		n = next
	}
	n.desc = desc
}

func (n *node) member(name string) *node {
	for _, m := range n.members {
		if m.name == name {
			return m
		}
	}
	return nil
}
