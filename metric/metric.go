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
// Prometheus, the binary form, the documentation. A dot in a name makes a nested object.
//
// A [Section] is one set of values of a table, a [Bucket] the sections of all analyzers over one
// stretch of time. Neither may be used by two goroutines at once while one of them writes.
package metric

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Kind is how a metric is measured, merged and shown.
type Kind uint8

// The kinds of metric.
const (
	KindCounter     Kind = iota // a number that only grows
	KindRate                    // events of every second, shown as quantiles
	KindHistogram               // values of every event, shown as quantiles
	KindCardinality             // how many distinct keys
	KindTop                     // which keys most often
)

var kindNames = [...]string{"counter", "rate", "histogram", "cardinality", "top"}

// String is the kind in the words of the documentation.
func (k Kind) String() string { return kindNames[k] }

// Desc describes a metric.
type Desc struct {
	// Section is the analyzer's name, Path the metric's place in the section's JSON, with a dot
	// between nested objects.
	Section, Path string
	// Help is a sentence for people; Unit is what is counted or measured.
	Help, Unit string
	Kind       Kind
	// Scale is what one unit of a histogram's stored integers is worth: 0.001 for a ratio that is
	// kept in thousandths. It is 1 elsewhere.
	Scale float64
	// Slots is the size of a top table's sketch: a power of two. Three quarters of it are the
	// number of distinct keys up to which the table is exact.
	Slots int
	// Group names the Prometheus group, by which series can be switched off; "" is the basic one.
	Group string
	// Label is the Prometheus label that carries a top table's names.
	Label string
}

// Table is the declaration of a section's metrics.
type Table struct {
	Section string
	Descs   []Desc

	typ   reflect.Type
	index [][]int // of each desc's field
	tree  *node   // the nesting of the JSON

	sampledOf int // the counter of all that deep_samples are a part of, or -1
}

// Define reads the declarations from the tags of T's fields, those of embedded structs included.
// It panics on a tag that it cannot understand: that is a mistake in the program, found by
// its first test.
func Define[T any](section string) *Table {
	t := &Table{Section: section, typ: reflect.TypeFor[T]()}
	t.collect(t.typ, nil)
	t.tree = newTree(t.Descs)
	if t.sampledOf = -1; len(t.Descs) > 0 && t.Descs[0].Kind == KindCounter {
		if _, sampled := t.Find("deep_samples"); sampled {
			t.sampledOf = 0 // a table begins with what it counts
		}
	}
	return t
}

func (t *Table) collect(typ reflect.Type, prefix []int) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		at := append(append([]int(nil), prefix...), i)
		if f.Anonymous {
			t.collect(f.Type, at)
			continue
		}
		path, ok := f.Tag.Lookup("metric")
		if !ok {
			panic(fmt.Sprintf("metric: %s.%s has no metric tag", typ, f.Name))
		}
		d := Desc{
			Section: t.Section, Path: path, Help: f.Tag.Get("help"), Unit: f.Tag.Get("unit"),
			Scale: 1, Group: f.Tag.Get("group"), Label: f.Tag.Get("label"),
		}
		switch f.Type {
		case reflect.TypeFor[Counter]():
			d.Kind = KindCounter
		case reflect.TypeFor[Rate]():
			d.Kind = KindRate
		case reflect.TypeFor[Histogram]():
			d.Kind = KindHistogram
		case reflect.TypeFor[Cardinality]():
			d.Kind = KindCardinality
		case reflect.TypeFor[Top]():
			d.Kind = KindTop
			d.Slots = defaultSlots
		default:
			panic(fmt.Sprintf("metric: %s.%s has type %s, which is no kind of metric", typ, f.Name, f.Type))
		}
		d.number(f.Tag, typ, f.Name)
		if d.Help == "" || d.Unit == "" {
			panic(fmt.Sprintf("metric: %s.%s needs a help and a unit", typ, f.Name))
		}
		t.Descs = append(t.Descs, d)
		t.index = append(t.index, at)
	}
}

// number reads the tags that are numbers.
func (d *Desc) number(tag reflect.StructTag, typ reflect.Type, field string) {
	if s, ok := tag.Lookup("scale"); ok {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil || v <= 0 {
			panic(fmt.Sprintf("metric: %s.%s: scale %q", typ, field, s))
		}
		d.Scale = v
	}
	if s, ok := tag.Lookup("slots"); ok {
		v, err := strconv.Atoi(s)
		if err != nil || v < 16 || v&(v-1) != 0 {
			panic(fmt.Sprintf("metric: %s.%s: slots %q: want a power of two", typ, field, s))
		}
		d.Slots = v
	}
}

// Section is one set of values of a table's metrics.
type Section struct {
	Table *Table

	value        any // *T of Define[T]
	counters     []*Counter
	rates        []*Rate
	histograms   []*Histogram
	cardinals    []*Cardinality
	tops         []*Top
	kindPosition []int // of each desc among those of its kind

	// Where events of several sample rates were merged: the share of them that was analysed deeply, weighted by how
	// many there were. Else it is the bucket's.
	mixed   bool
	percent float64
}

// New makes an empty section.
func (t *Table) New() *Section {
	v := reflect.New(t.typ)
	s := &Section{Table: t, value: v.Interface(), kindPosition: make([]int, len(t.Descs))}
	for i, d := range t.Descs {
		field := v.Elem().FieldByIndex(t.index[i]).Addr().Interface()
		switch d.Kind {
		case KindCounter:
			s.kindPosition[i] = len(s.counters)
			s.counters = append(s.counters, field.(*Counter))
		case KindRate:
			s.kindPosition[i] = len(s.rates)
			s.rates = append(s.rates, field.(*Rate))
		case KindHistogram:
			s.kindPosition[i] = len(s.histograms)
			s.histograms = append(s.histograms, field.(*Histogram))
		case KindCardinality:
			s.kindPosition[i] = len(s.cardinals)
			s.cardinals = append(s.cardinals, field.(*Cardinality))
		case KindTop:
			s.kindPosition[i] = len(s.tops)
			top := field.(*Top)
			top.init(d.Slots)
			s.tops = append(s.tops, top)
		}
	}
	return s
}

// Of returns the section's values as the struct that declared them. It panics where the section
// is of another table.
func Of[T any](s *Section) *T { return s.value.(*T) }

// Counter returns the value of the counter that is metric i of the table.
func (s *Section) Counter(i int) uint64 { return uint64(*s.counters[s.kindPosition[i]]) }

// Rate returns the rate that is metric i of the table.
func (s *Section) Rate(i int) *Rate { return s.rates[s.kindPosition[i]] }

// Histogram returns the histogram that is metric i of the table.
func (s *Section) Histogram(i int) *Histogram { return s.histograms[s.kindPosition[i]] }

// Cardinality returns the cardinality that is metric i of the table.
func (s *Section) Cardinality(i int) *Cardinality { return s.cardinals[s.kindPosition[i]] }

// Top returns the top table that is metric i of the table.
func (s *Section) Top(i int) *Top { return s.tops[s.kindPosition[i]] }

// merge adds o, a section of the same table, to s. It leaves o as it was. The rates of o are shifted by so many
// seconds.
func (s *Section) mergeAllButRates(o *Section) {
	for i, c := range s.counters {
		*c += *o.counters[i]
	}
	for i, h := range s.histograms {
		h.Merge(o.histograms[i])
	}
	for i, c := range s.cardinals {
		c.Merge(o.cardinals[i])
	}
	for i, t := range s.tops {
		t.Merge(o.tops[i])
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

// Find returns the position of the metric with the given path.
func (t *Table) Find(path string) (int, bool) {
	for i := range t.Descs {
		if t.Descs[i].Path == path {
			return i, true
		}
	}
	return 0, false
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
			var next *node
			for _, m := range at.members {
				if m.name == name {
					next = m
				}
			}
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
