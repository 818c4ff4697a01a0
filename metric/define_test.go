package metric

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// TestDefineRefuses checks that the error for each mistake in a declaration names the struct and the field.
func TestDefineRefuses(t *testing.T) {
	type number uint64
	for _, c := range []struct {
		name   string
		define func() *Table
		want   []string
	}{
		{"no tag", func() *Table {
			type Bad struct{ A Counter }
			return Define[Bad]("x")
		}, []string{"Bad.A", "no metric tag"}},
		{"other tags", func() *Table {
			type Bad struct {
				A Counter `unit:"n" help:"H."`
			}
			return Define[Bad]("x")
		}, []string{"Bad.A", "no metric tag"}},
		{"no kind", func() *Table {
			type Bad struct {
				A number `metric:"a" unit:"n" help:"H."`
			}
			return Define[Bad]("x")
		}, []string{"Bad.A", "metric.number", "not a kind"}},
		{"no help", func() *Table {
			type Bad struct {
				A Counter `metric:"a" unit:"n"`
			}
			return Define[Bad]("x")
		}, []string{"Bad.A", "help and a unit are required"}},
		{"no unit", func() *Table {
			type Bad struct {
				A Counter `metric:"a" help:"H."`
			}
			return Define[Bad]("x")
		}, []string{"Bad.A", "help and a unit are required"}},
		{"scale is not a number", func() *Table {
			type Bad struct {
				A Histogram `metric:"a" unit:"n" help:"H." scale:"big"`
			}
			return Define[Bad]("x")
		}, []string{"Bad.A", `scale "big"`}},
		{"scale is zero", func() *Table {
			type Bad struct {
				A Histogram `metric:"a" unit:"n" help:"H." scale:"0"`
			}
			return Define[Bad]("x")
		}, []string{"Bad.A", `scale "0"`}},
		{"slots are not a power of two", func() *Table {
			type Bad struct {
				A Top `metric:"a" unit:"n" help:"H." slots:"1000"`
			}
			return Define[Bad]("x")
		}, []string{"Bad.A", `slots "1000"`, "power of two"}},
		{"slots are too few", func() *Table {
			type Bad struct {
				A Top `metric:"a" unit:"n" help:"H." slots:"8"`
			}
			return Define[Bad]("x")
		}, []string{"Bad.A", `slots "8"`}},
		{"an unknown tag", func() *Table {
			type Bad struct {
				A Counter `metric:"a" unit:"n" help:"H." titel:"A"`
			}
			return Define[Bad]("x")
		}, []string{"Bad.A", `titel "A": unknown tag`}},
		{"a unit that is not a word", func() *Table {
			type Bad struct {
				A Counter `metric:"a" unit:"a b" help:"H."`
			}
			return Define[Bad]("x")
		}, []string{"Bad.A", `unit "a b"`}},
		{"shown at another time", func() *Table {
			type Bad struct {
				A Gauge `metric:"a" unit:"n" help:"H." show:"later"`
			}
			return Define[Bad]("x")
		}, []string{"Bad.A", `show "later"`}},
		{"a sample of another sort", func() *Table {
			type Bad struct {
				A Counter `metric:"a" unit:"n" help:"H." sample:"seen,used"`
			}
			return Define[Bad]("x")
		}, []string{"Bad.A", `sample "seen,used"`}},
		{"seen and not taken", func() *Table {
			type Bad struct {
				A Counter `metric:"a" unit:"n" help:"H." sample:"seen"`
			}
			return Define[Bad]("x")
		}, []string{"Bad", "tagged seen"}},
		{"in an embedded struct", func() *Table {
			type Inner struct{ A Counter }
			type Bad struct{ Inner }
			return Define[Bad]("x")
		}, []string{"Inner.A", "no metric tag"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer func() {
				got := fmt.Sprint(recover())
				for _, part := range c.want {
					if !strings.Contains(got, part) {
						t.Errorf("panics with %q, want %q in it", got, part)
					}
				}
			}()
			c.define()
			t.Error("the declaration was accepted")
		})
	}
}

// TestDefine checks that a table has what the tags declare, in the order of the fields.
func TestDefine(t *testing.T) {
	want := []Desc{
		{Section: "test", Path: "total", Title: "Total", Help: "All.", Unit: unit(t, "packets"), Kind: KindCounter, Scale: 1},
		{Section: "test", Path: "in.total", Title: "In total", Help: "In.", Unit: unit(t, "packets"), Kind: KindCounter, Scale: 1},
		{Section: "test", Path: "rates.pps", Title: "Rates pps", Help: "A second.", Unit: unit(t, "packets/s"), Kind: KindRate, Scale: 1},
		{Section: "test", Path: "in.size", Title: "In size", Help: "Size.", Unit: unit(t, "bytes"), Kind: KindHistogram, Scale: 1},
		{Section: "test", Path: "ratio", Title: "Ratio", Help: "Ratio.", Unit: unit(t, "ratio"), Kind: KindHistogram, Scale: 0.001},
		{Section: "test", Path: "cardinality.names", Title: "Cardinality names", Help: "Names.", Unit: unit(t, "names"), Kind: KindCardinality, Scale: 1},
		{Section: "test", Path: "top_names", Title: "Top names", Help: "Top.", Unit: unit(t, "packets"), Kind: KindTop, Scale: 1, Slots: 16, Group: "g", Label: "name"},
		{Section: "test", Path: "top_all", Title: "Top all", Help: "Top.", Unit: unit(t, "packets"), Kind: KindTop, Scale: 1, Slots: 8192},
	}
	if len(testTable.Descs) != len(want) {
		t.Fatalf("%d metrics, want %d", len(testTable.Descs), len(want))
	}
	for i, d := range testTable.Descs {
		if d != want[i] {
			t.Errorf("metric %d is %+v, want %+v", i, d, want[i])
		}
		if at, ok := testTable.Find(d.Path); !ok || at != i {
			t.Errorf("Find(%q) = %d, %v", d.Path, at, ok)
		}
	}
	if _, ok := testTable.Find("in"); ok {
		t.Error("an object is found as a metric")
	}
	for k, name := range map[*Kind]string{KindCounter: "counter", KindRate: "rate", KindHistogram: "histogram", KindCardinality: "cardinality", KindTop: "top"} {
		if k.String() != name {
			t.Errorf("a kind is called %q, want %q", k, name)
		}
	}
}

// TestDefineTags: the values of tags may contain quotes, backslashes and colons.
func TestDefineTags(t *testing.T) {
	type odd struct {
		A Counter `metric:"a"   unit:"n" help:"A \"quote\", a \\ and a: \"b\"." title:"T:"`
		B uint64  `metric:"b" unit:"n" help:"H."`
		C string  `metric:"-"`
	}
	descs := Define[odd]("x").Descs
	if len(descs) != 2 || descs[0].Help != `A "quote", a \ and a: "b".` || descs[0].Title != "T:" || descs[1].Kind != KindCounter {
		t.Errorf("%+v", descs)
	}
	for _, tag := range []string{`metric`, `metric:a`, `metric:"a`, `metric:"\q"`} {
		if tagged, err := new(Desc).parse(reflect.StructTag(tag)); err == nil || tagged {
			t.Errorf("tag %s was read", tag)
		}
	}
}

// TestCheck: names that occur twice are found within a table and across tables.
func TestCheck(t *testing.T) {
	type twice struct {
		A Counter `metric:"a" unit:"n" help:"H."`
		B Rate    `metric:"a" unit:"n" help:"H."`
	}
	type deep struct {
		A Counter `metric:"b.c" unit:"n" help:"H."`
	}
	type flat struct {
		A Counter `metric:"c" unit:"n" help:"H."`
	}
	for _, c := range []struct {
		tables []*Table
		want   string
	}{
		{testTables, "<nil>"},
		{[]*Table{Define[twice]("x")}, "section x: a is declared twice"},
		{[]*Table{Define[deep]("x"), Define[flat]("x")}, "two sections are called x"},
		{[]*Table{Define[deep]("a"), Define[flat]("a_b")}, "section a_b: two Prometheus families are called pktvisor_a_b_c_total"},
	} {
		if got := fmt.Sprint(Check(c.tables)); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// TestSectionFields checks that the accessors by position and the struct return the same values.
func TestSectionFields(t *testing.T) {
	s := testTable.New()
	v := Of[testMetrics](s)
	v.InTotal = 7
	v.Pps.Add(5, 3)
	v.Ratio.Record(1500)
	v.Names.Add([]byte("a"))
	v.TopAll.Add([]byte("k"), 9)
	at := func(path string) int {
		i, _ := testTable.Find(path)
		return i
	}
	if s.Counter(at("in.total")) != 7 || s.Counter(at("total")) != 0 {
		t.Error("counters are mixed up")
	}
	if s.Rate(at("rates.pps")).At(5) != 3 || s.Histogram(at("ratio")).Max() != 1500 || s.Histogram(at("in.size")).Count() != 0 {
		t.Error("rates or histograms are mixed up")
	}
	if s.Cardinality(at("cardinality.names")).Estimate() != 1 || s.Top(at("top_all")).Total() != 9 || s.Top(at("top_names")).Total() != 0 {
		t.Error("cardinalities or tops are mixed up")
	}
}

func TestAddCounters(t *testing.T) {
	dst, src := testCounters{Total: 1, InTotal: 2}, testCounters{Total: 10, InTotal: 20}
	AddCounters(&dst, &src)
	if dst != (testCounters{Total: 11, InTotal: 22}) || src != (testCounters{}) {
		t.Errorf("dst %+v, src %+v", dst, src)
	}
}

func unit(t *testing.T, name string) Unit {
	t.Helper()
	u, err := ParseUnit(name)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
