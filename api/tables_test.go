package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestParseTables(t *testing.T) {
	got, err := ParseTables([]byte(`{"new":1,"sections":[
		{"name":"arp","title":"ARP","help":"Who has what.","metrics":[
			{"path":"total","kind":"counter","unit":"packets","title":"Packets","help":"All.","group":"","label":""},
			{"path":"top_ips","kind":"top","unit":"packets","title":"Addresses","help":"Most.","group":"g","label":"ip","slots":1024,"exact":768,"new":[]},
			{"path":"total","kind":"gauge"},{"kind":"counter","title":"no path"},{"path":"x","kind":7,"title":5,"slots":1e99}]},
		{"name":"arp","title":"again"},{"title":"no name"},{"name":"z"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := Tables{Sections: []Section{
		{Name: "arp", Title: "ARP", Help: "Who has what.", Metrics: []Metric{
			{Path: "total", Kind: Counter, Unit: "packets", Title: "Packets", Help: "All."},
			{Path: "top_ips", Kind: Top, Unit: "packets", Title: "Addresses", Help: "Most.", Group: "g", Label: "ip", Slots: 1024, Exact: 768},
			{Path: "x", Title: "x"},
		}},
		{Name: "z", Title: "z"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	s, _ := got.Find("arp")
	if m, ok := s.Find("top_ips"); !ok || m.Exact != 768 {
		t.Errorf("Find: %+v", m)
	}
	if _, ok := got.Find("dns"); ok {
		t.Error("found a section that does not exist")
	}
	for _, bad := range []string{``, `[]`, `7`, `{"sections":`} {
		if _, err := ParseTables([]byte(bad)); err == nil {
			t.Errorf("%q was accepted as a declaration", bad)
		}
	}
}

// TestTablesAreBounded: ten thousand sections and a title of a megabyte are cut to the bounds.
func TestTablesAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"sections":[`)
	for i := range 10_000 {
		fmt.Fprintf(&b, `{"name":"s%d","title":"a","metrics":[{"path":"p","kind":"counter"}]},`, i)
	}
	b.WriteString(`{"name":"last"}]}`)
	got, err := ParseTables([]byte(b.String()))
	if err != nil || len(got.Sections) != maxSections || got.Sections[63].Name != "s63" {
		t.Errorf("%d sections, %v; want %d", len(got.Sections), err, maxSections)
	}
	long := strings.Repeat("é", 1<<19)
	got, err = ParseTables([]byte(`{"sections":[{"name":"a","title":"x` + long + `","help":"` + long + `","metrics":[` +
		strings.Repeat(`{"path":"`+long[:200]+`","kind":"counter"},`, 3) + `{"path":"q","unit":"` + long[:130] + `"},{"path":"p","title":"` + long + `"}]}]}`))
	if err != nil || len(got.Sections) != 1 || len(got.Sections[0].Metrics) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	s := got.Sections[0]
	if len(s.Title) != maxTitle-1 || len(s.Help) != maxHelp || len(s.Metrics[0].Title) != maxTitle || !utf8.ValidString(s.Title) {
		t.Errorf("title of %d bytes, help of %d, title of a metric of %d", len(s.Title), len(s.Help), len(s.Metrics[0].Title))
	}
	b.Reset()
	b.WriteString(`{"sections":[{"name":"a","metrics":[`)
	for i := range 5000 {
		fmt.Fprintf(&b, `{"path":"p%d"},`, i)
	}
	b.WriteString(`{"path":"last"}]},{"name":"b","metrics":[{"path":"p"}]}]}`)
	got, err = ParseTables([]byte(b.String()))
	if err != nil || len(got.Sections[0].Metrics) != maxMetrics || len(got.Sections[1].Metrics) != 0 {
		t.Errorf("%d and %d metrics, %v", len(got.Sections[0].Metrics), len(got.Sections[1].Metrics), err)
	}
}

// TestOthers: the values of a section without a field are read by path.
func TestOthers(t *testing.T) {
	s, err := ParseSummary([]byte(`{"5m":{"packets":{"total":1},"arp":{"total":7,"odd":"x","none":null,"card":{"ips":5,"ips_error":0.02},
		"rates":{"total":{"p50":1,"p90":2,"p95":3,"p99":4,"live":9}},"size":{"p50":1.5,"max":8,"count":3},"empty":{},
		"top_ips":[{"name":"a","estimate":3,"lower":3,"upper":4},{"name":5}],"flags":[1]},"7":8}}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Others) != 2 || HasType("arp") || !HasType("packets") {
		t.Errorf("others: %v", s.Others)
	}
	v := s.Others["arp"]
	got := []any{v.Number("total"), v.Number("odd"), v.Number("none"), v.Number("card.ips"), v.Error("card.ips"), v.Quantiles("rates.total"), v.Quantiles("size"),
		v.Quantiles("empty"), v.Rows("top_ips"), v.Rows("nothing"), s.Others["absent"].Number("total")}
	want := []any{N(7), Number{}, Number{}, N(5), N(0.02), Quantiles{P50: N(1), P90: N(2), P95: N(3), P99: N(4), Live: N(9)}, Quantiles{P50: N(1.5), Max: N(8), Count: N(3)},
		Quantiles{}, []Row{{Name: "a", Estimate: N(3), Lower: N(3), Upper: N(4)}, {}}, []Row(nil), Number{}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if s.Packets.Total != N(1) || s.Odd != "" {
		t.Errorf("packets %v, odd %q", s.Packets.Total, s.Odd)
	}
}

// TestOthersAreBounded: many values, long keys and deep nesting do not make a summary large.
func TestOthersAreBounded(t *testing.T) {
	many := map[string]any{"deep": json.RawMessage(strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500)), strings.Repeat("k", 1000): 1}
	for i := range 10_000 {
		many[fmt.Sprint("n", i)] = i
	}
	long := map[string]any{strings.Repeat("k", 100): map[string]any{strings.Repeat("l", 100): map[string]any{strings.Repeat("m", 100): 1}}}
	b, err := json.Marshal(map[string]any{"5m": map[string]any{"a": many, "b": map[string]any{"n": 1}, "0": long}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSummary(b)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.Others["a"].numbers); n != maxValues || len(s.Others["b"].numbers) != 0 || len(s.Others["0"].numbers) != 0 {
		t.Errorf("%d values, then %v, %v", n, s.Others["b"], s.Others["0"])
	}
	nested := func(levels int) Number {
		s, err := ParseSummary([]byte(`{"5m":{"a":` + strings.Repeat(`{"":`, levels) + "1" + strings.Repeat("}", levels) + "}}"))
		if err != nil {
			t.Fatal(err)
		}
		return s.Others["a"].Number("")
	}
	if nested(maxNesting) != N(1) || nested(maxNesting+1).Known {
		t.Errorf("%v at %d levels, %v at one more", nested(maxNesting), maxNesting, nested(maxNesting+1))
	}
	if !s.Others["a"].Number("n0").Known {
		t.Error("the first values are not kept")
	}
}

func TestClientTables(t *testing.T) {
	status := http.StatusOK
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/prefix/api/v1/tables" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"sections":[{"name":"arp"}]}`))
	})
	got, err := c.Tables(t.Context())
	if err != nil || len(got.Sections) != 1 || got.Sections[0].Title != "arp" {
		t.Errorf("%+v, %v", got, err)
	}
	for code, notThere := range map[int]bool{404: true, 503: false} {
		status = code
		_, err := c.Tables(t.Context())
		if e, ok := err.(*Error); !ok || e.NotThere() != notThere {
			t.Errorf("%d: %v", code, err)
		}
	}
}

func FuzzParseTables(f *testing.F) {
	f.Add([]byte(`{"sections":[{"name":"arp","title":"ARP","metrics":[{"path":"top","kind":"top","slots":16},{"path":"a.b","kind":"rate","unit":"us"}]}]}`), []byte(`{"1m":{"arp":{"top":[{}],"a":{"b":{"p50":1}}}}}`))
	f.Add([]byte(`{"sections":[{"name":"\u202e","title":"\ud800"},{"metrics":[{}]},null,{"name":"a","metrics":null}]}`), []byte(`{"1m":{"":{"":{"":[]}}}}`))
	f.Fuzz(func(t *testing.T, declared, summary []byte) {
		tables, err := ParseTables(declared)
		if err != nil {
			return
		}
		s, _ := ParseSummary(summary)
		metrics := 0
		if len(tables.Sections) > maxSections {
			t.Errorf("%d sections", len(tables.Sections))
		}
		for i, section := range tables.Sections {
			if found, ok := tables.Find(section.Name); !ok || found != &tables.Sections[i] || section.Title == "" || len(section.Title) > maxTitle || len(section.Help) > maxHelp {
				t.Errorf("section %+v", section)
			}
			for _, m := range section.Metrics {
				if m.Path == "" || m.Title == "" || max(len(m.Path), len(m.Unit)) > maxKey || max(len(m.Title), len(m.Help)) > maxHelp {
					t.Errorf("metric %+v", m)
				}
				v := s.Others[section.Name]
				_, _, _ = v.Number(m.Path), v.Quantiles(m.Path), v.Rows(m.Path)
				metrics++
			}
		}
		if metrics > maxMetrics {
			t.Errorf("%d metrics", metrics)
		}
	})
}
