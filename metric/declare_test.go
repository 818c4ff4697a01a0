package metric

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func mustDeclare(t *testing.T, section string, descs ...Desc) *Table {
	t.Helper()
	table, err := Declare(section, descs)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// TestDeclare: a table declared at run time prints, merges and travels like a struct with the same metrics.
func TestDeclare(t *testing.T) {
	twin := mustDeclare(t, "test", testTable.Descs...)
	if len(twin.Descs) != len(testTable.Descs) {
		t.Fatalf("%d metrics", len(twin.Descs))
	}
	tables := []*Table{twin, otherTable}
	events := []event{{1000, 7, "a"}, {1001, 8, "b"}, {1002, 9, "a"}, {1100, 1, "c"}}
	defined := bucketOf(events...)
	declared := NewBucket(tables)
	declared.Merge(bucketOf(events[:2]...))
	s := NewBucket(tables)
	for _, e := range events[2:] {
		s.Cover(e.second, e.second+1)
		v := s.Sections[0]
		*At[Counter](v, 0)++
		*At[Counter](v, 1) += Counter(e.size & 1)
		v.Rate(2).Add(e.second, 1)
		v.Histogram(3).Record(e.size)
		v.Histogram(4).Record(e.size / 2)
		v.Cardinality(5).Add([]byte(e.name))
		At[Top](v, 7).Add([]byte(e.name), e.size)
		*At[Counter](s.Sections[1], 0)++
	}
	declared.Merge(s)
	if got, want := image(declared), image(defined); got != want {
		t.Errorf("JSON %s\nwant %s", got, want)
	}
	defined.Seal(256)
	declared.Seal(256)
	if !bytes.Equal(full(declared), full(defined)) {
		t.Error("the snapshots differ")
	}
	if got := image(mustRead(t, tables, full(defined))); got != image(defined) {
		t.Errorf("read as %s", got)
	}
	if schema := string(twin.AppendSchema(nil, "")); schema != string(testTable.AppendSchema(nil, "")) {
		t.Errorf("schema %s", schema)
	}
	few := twin.Select(func(d *Desc) bool { return d.Kind == KindTop })
	if few.New(); len(few.Descs) != 2 || few.Has("total") {
		t.Errorf("selected %+v", few.Descs)
	}
}

// TestDeclareDefaults: missing fields of a declaration get defaults, and the caller's descriptions do not change.
func TestDeclareDefaults(t *testing.T) {
	given := []Desc{{Path: "top_x", Help: "H.", Unit: unit(t, "bytes"), Kind: KindTop}, {Path: "in.n", Help: "H.", Unit: unit(t, "x"), Kind: KindCounter}}
	table := mustDeclare(t, "x1", given...)
	if table.Title != "x1" || given[0].Slots != 0 {
		t.Errorf("title %q; the caller has %+v", table.Title, given[0])
	}
	if d := table.Descs[0]; d.Section != "x1" || d.Slots != 8192 || d.Label != "name" || d.Scale != 1 || d.Title != "Top x" {
		t.Errorf("%+v", d)
	}
	if d := table.Descs[1]; d.Title != "In n" || d.Slots != 0 {
		t.Errorf("%+v", d)
	}
}

func TestDeclareRefuses(t *testing.T) {
	good := Desc{Path: "a", Help: "H.", Unit: unit(t, "x"), Kind: KindCounter}
	top := Desc{Path: "a", Help: "H.", Unit: unit(t, "x"), Kind: KindTop}
	with := func(d Desc, change func(d *Desc)) []Desc {
		change(&d)
		return []Desc{d}
	}
	many := func(n int, d Desc) (all []Desc) {
		for i := range n {
			d.Path = fmt.Sprintf("m%d", i)
			all = append(all, d)
		}
		return all
	}
	at := func(paths ...string) (all []Desc) {
		for _, p := range paths {
			all = append(all, with(good, func(d *Desc) { d.Path = p })...)
		}
		return all
	}
	for _, c := range []struct {
		name    string
		section string
		descs   []Desc
		want    string
	}{
		{"no section", "", at("a"), `section "": want a name`},
		{"large letters", "Dhcp", at("a"), "small letters and digits"},
		{"an underscore", "a_b", at("a"), "small letters and digits"},
		{"a digit first", "1a", at("a"), "small letters and digits"},
		{"a name that is taken", "period", at("a"), "is not one of [app period source state]"},
		{"a long name", strings.Repeat("a", 33), at("a"), "at most 32"},
		{"no metrics", "x", nil, "0 metrics"},
		{"too many metrics", "x", many(257, good), "257 metrics"},
		{"no kind", "x", with(good, func(d *Desc) { d.Kind = nil }), `metric "a": needs a kind`},
		{"no help", "x", with(good, func(d *Desc) { d.Help = "" }), "a help and a unit are required"},
		{"no unit", "x", with(good, func(d *Desc) { d.Unit = Unit{} }), "a help and a unit are required"},
		{"a unit that ParseUnit does not return", "x", with(good, func(d *Desc) { d.Unit.Scale = 5 }), `unit "x"`},
		{"no path", "x", at(""), `path ""`},
		{"an empty name", "x", at("a..b"), `path "a..b"`},
		{"a quote", "x", at(`a"b`), "want words"},
		{"a long path", "x", at(strings.Repeat("a", 129)), "at most 128 bytes"},
		{"a help of two lines", "x", with(good, func(d *Desc) { d.Help = "A\nB" }), "want one line"},
		{"a long title", "x", with(good, func(d *Desc) { d.Title = strings.Repeat("t", 65) }), "want one line"},
		{"a bad label", "x", with(top, func(d *Desc) { d.Label = "a-b" }), `"a-b"`},
		{"a bad group", "x", with(good, func(d *Desc) { d.Group = "," }), `","`},
		{"a bad Prometheus path", "x", with(good, func(d *Desc) { d.Prom = "a b" }), "want words"},
		{"a negative scale", "x", with(good, func(d *Desc) { d.Scale = -1 }), "scale -1"},
		{"a wrong number of slots", "x", with(top, func(d *Desc) { d.Slots = 100 }), "slots 100"},
		{"too many slots", "x", with(top, func(d *Desc) { d.Slots = 16384 }), "16384 slots"},
		{"too many slots together", "x", many(9, top), `metric "m8": 8192 slots, 73728 with those before`},
		{"one path twice", "x", at("a", "b", "a"), "a is declared twice"},
		{"an object in a metric", "x", at("a", "a.b"), "a is both a metric and an object"},
		{"a metric on an object", "x", at("a.b", "a"), "a is declared twice"},
		{"an error beside a cardinality", "x", append(with(good, func(d *Desc) { d.Kind = KindCardinality }), at("a_error")...), "a_error is declared twice"},
		{"one Prometheus name", "x", at("a_b", "a.b"), "two Prometheus families are called pktvisor_x_a_b_total"},
		{"a counter that shows its present value", "x", with(good, func(d *Desc) { d.ShowNow = true }), "only a gauge"},
		{"a sample of a gauge", "x", with(good, func(d *Desc) { d.Kind, d.Seen = KindGauge, true }), "only a counter"},
		{"seen without taken", "x", with(good, func(d *Desc) { d.Seen = true }), "tagged seen"},
		{"seen twice", "x", append(with(good, func(d *Desc) { d.Seen, d.Taken = true, true }), with(good, func(d *Desc) { d.Path, d.Seen, d.Taken = "b", true, true })...), "tagged seen"},
		{"a member of a sample", "x", append(with(good, func(d *Desc) { d.Seen, d.Taken = true, true }), at("deep_sample_factor")...), "deep_sample_factor is declared twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			table, err := Declare(c.section, c.descs)
			if err == nil || table != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q in it", err, c.want)
			}
		})
	}
}

// TestDeclareAnything: every declaration is either rejected or gives a table that works.
func TestDeclareAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := func(name string) string {
			return rapid.OneOf(rapid.SampledFrom([]string{"", "a", "b", "a.b", "a_error", "total", "name"}), rapid.String()).Draw(t, name)
		}
		var descs []Desc
		for range rapid.IntRange(0, 4).Draw(t, "metrics") {
			u, _ := ParseUnit(rapid.SampledFrom([]string{"bytes", "us", "x", "x/s", "", "a b"}).Draw(t, "unit"))
			descs = append(descs, Desc{
				Path: text("path"), Title: text("title"), Help: text("help"), Unit: u, Kind: rapid.SampledFrom(append(Kinds(), nil)).Draw(t, "kind"),
				Scale: rapid.Float64().Draw(t, "scale"), Slots: rapid.SampledFrom([]int{0, -1, 15, 16, 1 << 30}).Draw(t, "slots"),
				Group: text("group"), Label: text("label"), Prom: text("prom"), Alias: text("alias"), ShowNow: rapid.Bool().Draw(t, "now"),
			})
		}
		table, err := Declare(text("section"), descs)
		if err != nil {
			return
		}
		tables := []*Table{table}
		b := NewBucket(tables)
		b.Start, b.End = 0, 60
		for i := range table.Descs {
			table.Descs[i].Families()
			switch v := any(b.Sections[0].values[i]).(type) {
			case *Counter:
				*v = 3
			case *Gauge:
				*v = -3
			case *Rate:
				v.Add(5, 7)
			case *Histogram:
				v.Record(9)
			case *Cardinality:
				v.Add([]byte("k"))
			case *Top:
				v.Add([]byte("k"), 2)
			}
		}
		o := NewBucket(tables)
		o.Merge(b)
		b.Seal(256)
		json1 := b.AppendJSON(nil, JSONOptions{Key: "k"})
		if !json.Valid(json1) || !json.Valid(append(b.AppendState([]byte("{")), '}')) {
			t.Fatalf("no JSON: %s", json1)
		}
		sent, err := ReadSnapshot(tables, b.AppendSnapshot(nil, SnapshotOptions{}))
		if err != nil || string(sent.AppendJSON(nil, JSONOptions{Key: "k"})) != string(json1) {
			t.Fatalf("%v: %s", err, json1)
		}
	})
}
