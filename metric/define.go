package metric

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Object is the type of blank fields in a struct for [Define]. Their tags describe what holds the metrics: the section, or
// an object in its JSON.
//
//	_ metric.Object `metric:"" title:"Packets" help:"The network layer."`
//	_ metric.Object `metric:"bytes" help:"Bytes on the wire."`
type Object struct{}

// Define reads the declarations from the tags of T's fields, those of embedded structs included:
//
//   - metric is the path, help and title are texts, unit is the name of a [Unit], and group, label, prom and alias are those of
//     [Desc]. A path of "-" means that the field is no metric. Path, help and unit are needed.
//   - scale and slots are numbers.
//   - sample is "seen", "taken" or both with a comma between, and show of a gauge may be "now": see [Desc].
//
// A field of type uint64 is a counter, so that a package can tag its own struct without importing this one.
//
// Define panics on a declaration that it cannot understand: that is a mistake in the program, found by
// its first test.
func Define[T any](section string) *Table {
	t := &Table{Section: section, typ: reflect.TypeFor[T]()}
	t.collect(t.typ, nil)
	if err := t.finish(); err != nil {
		panic(fmt.Sprintf("metric: %s: %v", t.typ, err))
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
		switch {
		case !ok:
			panic(fmt.Sprintf("metric: %s.%s has no metric tag", typ, f.Name))
		case path == "-":
			continue
		case f.Type == reflect.TypeFor[Object]():
			t.describe(path, f.Tag)
			continue
		}
		d, err := parse(f, path)
		d.Section = t.Section
		if err == nil {
			err = d.check()
		}
		if err != nil {
			panic(fmt.Sprintf("metric: %s.%s: %v", typ, f.Name, err))
		}
		t.Descs = append(t.Descs, d)
		t.fields = append(t.fields, at)
	}
}

// describe reads the tag of an [Object].
func (t *Table) describe(path string, tag reflect.StructTag) {
	if path == "" {
		t.Title, t.Help = tag.Get("title"), tag.Get("help")
		return
	}
	if t.objects == nil {
		t.objects = make(map[string]string)
	}
	t.objects[path] = tag.Get("help")
}

// parse reads the tags of a field.
func parse(f reflect.StructField, path string) (Desc, error) {
	d := Desc{
		Path: path, Title: f.Tag.Get("title"), Help: f.Tag.Get("help"), Scale: 1,
		Group: f.Tag.Get("group"), Label: f.Tag.Get("label"), Prom: f.Tag.Get("prom"), Alias: f.Tag.Get("alias"),
		ShowNow: f.Tag.Get("show") == "now",
	}
	if d.Title == "" {
		d.Title = titleOf(path)
	}
	typ := f.Type
	if typ == reflect.TypeFor[uint64]() {
		typ = reflect.TypeFor[Counter]()
	}
	if d.Kind = kindOf(typ); d.Kind == nil {
		return d, fmt.Errorf("has type %s, which is no kind of metric", f.Type)
	}
	if name := f.Tag.Get("unit"); name != "" {
		unit, err := ParseUnit(name)
		if err != nil {
			return d, fmt.Errorf("unit %q: %w", name, err)
		}
		d.Unit = unit
	}
	if s, ok := f.Tag.Lookup("scale"); ok {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil || v <= 0 {
			return d, fmt.Errorf("scale %q", s)
		}
		d.Scale = v
	}
	if d.Kind == KindTop {
		d.Slots = defaultSlots
	}
	if s, ok := f.Tag.Lookup("slots"); ok {
		v, err := strconv.Atoi(s)
		if err != nil || v < minSlots || v&(v-1) != 0 {
			return d, fmt.Errorf("slots %q: want a power of two", s)
		}
		d.Slots = v
	}
	if s, ok := f.Tag.Lookup("sample"); ok {
		for word := range strings.SplitSeq(s, ",") {
			switch word {
			case "seen":
				d.Seen = true
			case "taken":
				d.Taken = true
			default:
				return d, fmt.Errorf("sample %q", s)
			}
		}
	}
	return d, nil
}

// finish makes what is derived from the descriptions. It reports what contradicts itself in them.
func (t *Table) finish() error {
	if t.Title == "" {
		t.Title = t.Section
	}
	seen, taken := 0, 0
	for i := range t.Descs {
		if t.Descs[i].Seen {
			seen++
		}
		if t.Descs[i].Taken {
			taken++
		}
	}
	if seen != taken || seen > 1 {
		return errors.New("either no counter says what was sampled, or one says what was seen and one what was taken of it")
	}
	t.index()
	return t.checkNames()
}

// checkNames reports two members of the JSON, or two Prometheus families, that have the same name.
func (t *Table) checkNames() error {
	// What has a name in the JSON: a metric, or an object.
	const metric, object = 1, 2
	names := make(map[string]int)
	families := make(map[string]bool)
	if t.sampled() {
		names[percentName], names[factorName] = metric, metric
	}
	for i := range t.Descs {
		d := &t.Descs[i]
		parent := strings.TrimSuffix(d.Path, d.leaf())
		for _, m := range d.Members() {
			if name := parent + m.Name; names[name] != 0 {
				return fmt.Errorf("%s is two things", name)
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
