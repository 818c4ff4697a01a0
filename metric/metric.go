// Package metric declares every number that pktvisor publishes, each in one place.
//
// An analyzer declares its metrics as the fields of a struct. The fields' tags name the metrics and say how each is
// measured and what it means:
//
//	type Metrics struct {
//		Total  metric.Counter     `metric:"total" unit:"packets" help:"All packets seen."`
//		SrcIPs metric.Cardinality `metric:"cardinality.src_ips_in" unit:"addresses" help:"…"`
//	}
//
// [Define] turns the struct into a [Table]. All other code walks the table: merging, JSON, Prometheus, the binary form,
// the OpenAPI schema and the documentation. A dot in a name makes a nested object.
//
// A [Section] is one set of values of a table. A [Bucket] holds the sections of all analyzers over one stretch of time.
// Neither may be used by two goroutines at once while one of them writes.
package metric

import (
	"reflect"
	"strings"
)

// Table is the declaration of a section's metrics. It does not change, and any number of goroutines may use it.
type Table struct {
	// Section is the name of the section in the API, Title its name on a screen, and Help a sentence about it.
	Section, Title, Help string
	// Descs are the metrics in the order of the declaration.
	Descs []Desc

	typ     reflect.Type      // of the struct; nil if the table was declared at run time
	fields  [][]int           // the field of each desc
	off     [][]int           // the fields of metrics that the table does not have
	objects map[string]string // the help of the objects in the JSON, by path

	// The other fields are derived from Descs.
	at          map[string]int // the position of each path
	tree, state *node          // the nesting of the JSON of a bucket, and of the present gauges
	gauges      []int
	seen, taken int // the counters of all events and of those that were analysed in depth, or -1
}

// Find returns the position of the metric with the given path.
func (t *Table) Find(path string) (int, bool) {
	i, ok := t.at[path]
	return i, ok
}

// index computes the derived fields.
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

// sampled reports whether the section says which share of its events was analysed in depth.
func (t *Table) sampled() bool { return t.taken >= 0 }

// Section is one set of values of a table's metrics.
type Section struct {
	Table *Table

	value  any     // *T of Define[T], or nil
	values []value // of each desc; they are fields of the struct, if there is one

	// If events of several sample rates were merged, percent is the share that was analysed in depth. Otherwise the
	// bucket's percentage applies.
	mixed   bool
	percent float64

	sampling               sampling // only of a section that samples
	countsShare, keysShare Share    // see ShareOfCounts
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

// valueOf returns the value in a field.
func valueOf(field reflect.Value) value {
	p := field.Addr().Interface()
	if n, plain := p.(*uint64); plain {
		return (*Counter)(n)
	}
	return p.(value)
}

// Of returns the section's values as the struct that declared them. It panics if the section belongs to another table,
// or to one that has no struct.
func Of[T any](s *Section) *T { return s.value.(*T) }

// At returns the value of metric i of the section's table, or nil if the metric is not of kind T.
func At[T any](s *Section, i int) *T {
	v, _ := any(s.values[i]).(*T)
	return v
}

// Counter returns the value of the counter that is metric i of the table.
func (s *Section) Counter(i int) uint64 { return uint64(*At[Counter](s, i)) }

// Rate returns the rate that is metric i of the table, or nil if the metric is of another kind.
func (s *Section) Rate(i int) *Rate { return At[Rate](s, i) }

// Histogram returns the histogram that is metric i of the table, or nil if the metric is of another kind.
func (s *Section) Histogram(i int) *Histogram { return At[Histogram](s, i) }

// Cardinality returns the cardinality that is metric i of the table, or nil if the metric is of another kind.
func (s *Section) Cardinality(i int) *Cardinality { return At[Cardinality](s, i) }

// Top returns the top table that is metric i of the table, or nil if the metric is of another kind.
func (s *Section) Top(i int) *Top { return At[Top](s, i) }

// Distinct returns the distinct table that is metric i of the table, or nil if the metric is of another kind.
func (s *Section) Distinct(i int) *Distinct { return At[Distinct](s, i) }

// Amplification returns the table of amplification that is metric i of the table, or nil if the metric is of another kind.
func (s *Section) Amplification(i int) *Amplification { return At[Amplification](s, i) }

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

// merge adds o. If o lacks a metric of s, that metric stays as it is.
func (s *Section) merge(o *Section) {
	for i, v := range s.values {
		if other := s.match(o, i); other != nil {
			v.merge(other)
		}
	}
	s.sampling.merge(&o.sampling)
}

// AddCounters adds every counter of src to the same counter of dst, and sets those of src to 0. T is a struct whose
// fields are all counters. It allocates nothing.
func AddCounters[T any](dst, src *T) {
	d, s := reflect.ValueOf(dst).Elem(), reflect.ValueOf(src).Elem()
	for i := range s.NumField() {
		d.Field(i).SetUint(d.Field(i).Uint() + s.Field(i).Uint())
		s.Field(i).SetUint(0)
	}
}

// AddChange adds to each counter of dst the counter's growth from last to now. Counters are the fields of T of an
// unsigned type with 64 bits; other fields stay as they are. It allocates nothing.
func AddChange[T any](dst, last, now *T) {
	d, l, n := reflect.ValueOf(dst).Elem(), reflect.ValueOf(last).Elem(), reflect.ValueOf(now).Elem()
	for i := range d.NumField() {
		if f := d.Field(i); f.Kind() == reflect.Uint64 {
			f.SetUint(f.Uint() + n.Field(i).Uint() - l.Field(i).Uint())
		}
	}
}

// With makes a section of table t with the values of v. [Define] must have made t from T.
func With[T any](t *Table, v T) *Section {
	s := t.New()
	*Of[T](s) = v
	return s
}

// node is a JSON object of a section, with its members in the order of their declaration.
type node struct {
	name    string
	desc    int // only in a leaf
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
