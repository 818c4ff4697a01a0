package metric

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Object is the type of blank fields in a struct for [Define]. Their tags describe the section, or an object in its
// JSON that contains metrics.
//
//	_ metric.Object `metric:"" title:"Packets" help:"The network layer."`
//	_ metric.Object `metric:"bytes" help:"Bytes on the wire."`
type Object struct{}

// Define reads the declarations from the tags of T's fields, including those of embedded structs:
//
//   - metric is the path, help and title are texts, unit is the name of a [Unit], and group, label, prom and alias are
//     those of [Desc]. A path of "-" means that the field is not a metric. Path, help and unit are required.
//   - scale, slots and registers are numbers.
//   - holds is "address", "name" or "value": see [Holds]. A table of keys needs it to be published by an agent that anonymises.
//   - sample is "seen", "taken" or both separated by a comma, or "all", and show of a gauge may be "now": see [Desc].
//
// A field of type uint64 is a counter, so that a package can tag its own struct without importing this one.
//
// Define panics on an invalid declaration. That is a bug in the program, which its first test finds. [Check] finds two
// metrics with the same name.
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
		d := Desc{Section: t.Section, Scale: 1, Kind: kindOf(f.Type)}
		if d.Kind != nil && d.Kind.PerKey() {
			d.Slots = defaultSlots
		}
		tagged, err := d.parse(f.Tag)
		switch object := f.Type == reflect.TypeFor[Object](); {
		case err != nil:
		case !tagged:
			err = errors.New("has no metric tag")
		case d.Path == "-":
			continue
		case object:
			t.describe(&d)
			continue
		case d.Kind == nil:
			err = fmt.Errorf("has type %s, which is not a kind of metric", f.Type)
		default:
			if d.Title == "" {
				d.Title = titleOf(d.Path)
			}
			err = d.check()
		}
		if err != nil {
			panic(fmt.Sprintf("metric: %s.%s: %v", typ, f.Name, err))
		}
		t.Descs = append(t.Descs, d)
		t.fields = append(t.fields, at)
	}
}

// describe stores the texts in the tags of an [Object].
func (t *Table) describe(d *Desc) {
	if d.Path == "" {
		t.Title, t.Help = d.Title, d.Help
		return
	}
	if t.objects == nil {
		t.objects = make(map[string]string)
	}
	t.objects[d.Path] = d.Help
}

// parse reads a field's tags. It reads each only once, because there are hundreds of metrics and they are read at each
// start of the program. It reports whether one of the tags is a path.
func (d *Desc) parse(tag reflect.StructTag) (tagged bool, err error) {
	for rest := strings.TrimSpace(string(tag)); rest != ""; rest = strings.TrimSpace(rest) {
		key, quoted, ok := strings.Cut(rest, ":")
		if !ok || !strings.HasPrefix(quoted, `"`) {
			return false, fmt.Errorf("tag %q: want key:\"value\"", rest)
		}
		value := quoted[1:]
		end := strings.IndexAny(value, `"\`)
		if end >= 0 && value[end] == '"' {
			value, rest = value[:end], value[end+1:]
		} else { // the value contains a quote or a backslash
			quoted, err := strconv.QuotedPrefix(quoted)
			if err != nil {
				return false, fmt.Errorf("tag %s: %w", key, err)
			}
			value, _ = strconv.Unquote(quoted)
			rest = rest[len(key)+1+len(quoted):]
		}
		if err := d.set(key, value); err != nil {
			return false, fmt.Errorf("%s %q: %w", key, value, err)
		}
		tagged = tagged || key == "metric"
	}
	return tagged, nil
}

// set sets the field that belongs to a tag.
func (d *Desc) set(key, value string) (err error) {
	switch key {
	case "metric":
		d.Path = value
	case "title":
		d.Title = value
	case "help":
		d.Help = value
	case "unit":
		d.Unit, err = ParseUnit(value)
	case "group":
		d.Group = value
	case "label":
		d.Label = value
	case "fold":
		d.Fold = value
	case "within":
		d.Within = value
	case "prom":
		d.Prom = value
	case "alias":
		d.Alias = value
	case "holds":
		d.Holds, err = parseHolds(value)
	case "scale":
		if d.Scale, err = strconv.ParseFloat(value, 64); err == nil && d.Scale <= 0 {
			err = errors.New("want a positive number")
		}
	case "slots":
		if d.Slots, err = strconv.Atoi(value); err != nil || d.Slots < minSlots || d.Slots&(d.Slots-1) != 0 {
			err = errors.New("want a power of two")
		}
	case "registers":
		d.Registers, err = strconv.Atoi(value)
	case "show":
		if d.ShowNow = value == "now"; !d.ShowNow {
			err = errors.New("want now")
		}
	case "sample":
		for word := range strings.SplitSeq(value, ",") {
			d.Seen, d.Taken, d.Whole = d.Seen || word == "seen", d.Taken || word == "taken", d.Whole || word == "all"
			if word != "seen" && word != "taken" && word != "all" {
				err = errors.New("want seen, taken or all")
			}
		}
	default:
		err = errors.New("unknown tag")
	}
	return err
}

// finish computes what is derived from the descriptions. It reports descriptions that contradict each other.
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
		return errors.New("a table that samples needs exactly one counter tagged seen and one tagged taken, other tables neither")
	}
	t.index()
	return nil
}
