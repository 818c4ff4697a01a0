package metric

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pktvisor/sketch"
)

func TestParseUnit(t *testing.T) {
	for name, want := range map[string]Unit{
		"packets":   {Name: "packets", Base: "packets", Scale: 1, First: 7, Last: 17},
		"packets/s": {Name: "packets/s", PerSecond: true, Base: "packets", Scale: 1, First: 7, Last: 17},
		"bytes":     {Name: "bytes", Dimension: Information, Base: "bytes", Scale: 1, First: 5, Last: 16},
		"bits/s":    {Name: "bits/s", Dimension: Information, PerSecond: true, Base: "bits", Scale: 1, First: 8, Last: 19},
		"us":        {Name: "us", Dimension: Time, Base: "seconds", Scale: 1e-6, First: 5, Last: 23},
		"ratio":     {Name: "ratio", Dimension: Ratio, Base: "ratio", Scale: 1, First: 7, Last: 17},
	} {
		if got := unit(t, name); got != want || got.String() != name {
			t.Errorf("%s is %+v, want %+v", name, got, want)
		}
	}
	for _, name := range []string{"", "/s", "a b", "1a", "a/s/s", "ä", "%", strings.Repeat("x", 33)} {
		if u, err := ParseUnit(name); err == nil || u != (Unit{}) {
			t.Errorf("%q is %+v", name, u)
		}
	}
}

// TestKinds: each kind has its own code in snapshots, which never changes.
func TestKinds(t *testing.T) {
	want := []string{"counter 1", "gauge 6", "rate 2", "histogram 3", "cardinality 4", "top 5", "distinct 8", "amplification 10"}
	var got []string
	for _, k := range Kinds() {
		got = append(got, fmt.Sprint(k, " ", k.wire))
		if k.about == "" || kindOf(k.typ) != k {
			t.Errorf("%s is incomplete", k)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("kinds %q, want %q", got, want)
	}
}

type familyMetrics struct {
	Total    Counter       `metric:"total" unit:"packets" help:"H."`
	InTotal  Counter       `metric:"in.total" unit:"packets" help:"H."`
	Bytes    Counter       `metric:"bytes.total" unit:"bytes" help:"H."`
	BytesIn  Counter       `metric:"bytes.in" prom:"in" unit:"bytes" help:"H."`
	Spent    Counter       `metric:"spent" unit:"us" help:"H."`
	Plain    uint64        `metric:"plain" unit:"x" help:"H."`
	Open     Gauge         `metric:"xact.open" unit:"queries" help:"H."`
	Rate     Rate          `metric:"rates.total" prom:"rates.all" unit:"x/s" help:"H."`
	Latency  Histogram     `metric:"in.quantiles_us" prom:"in" unit:"us" help:"H."`
	Ratio    Histogram     `metric:"ratio" unit:"ratio" scale:"0.001" help:"H."`
	Distinct Cardinality   `metric:"top_geoLoc" unit:"places" help:"H."`
	Top      Top           `metric:"top_x" unit:"packets" slots:"16" label:"x" help:"H."`
	Children Distinct      `metric:"top_zones" unit:"names" slots:"16" label:"zone" help:"H."`
	Amp      Amplification `metric:"top_amp" unit:"bytes" slots:"16" label:"net" help:"H."`
	Skipped  int           `metric:"-"`
}

// TestFamilies: Prometheus names contain the base unit and the type once each, and the help states the time.
func TestFamilies(t *testing.T) {
	want := []string{
		"pktvisor_f_total counter 0 H. Unit: packets.",
		"pktvisor_f_in_total counter 0 H. Unit: packets.",
		"pktvisor_f_bytes_total counter 0 H. Unit: bytes.",
		"pktvisor_f_in_bytes_total counter 0 H. Unit: bytes.",
		"pktvisor_f_spent_seconds_total counter 0 H. Unit: us.",
		"pktvisor_f_plain_total counter 0 H. Unit: x.",
		"pktvisor_f_xact_open gauge 0 H.",
		"pktvisor_f_rates_all gauge 1 In the last whole second. H. Unit: x/s.",
		"pktvisor_f_rates_all_minute stat gauge 2 Quantiles over the seconds of the newest finished minute. H. Unit: x/s.",
		"pktvisor_f_in_seconds histogram 0 H. Unit: seconds.",
		"pktvisor_f_in_seconds_minute stat gauge 2 Quantiles of the newest finished minute, within 1%. Missing if it has no values. H. Unit: seconds.",
		"pktvisor_f_ratio histogram 0 H. Unit: ratio.",
		"pktvisor_f_ratio_minute stat gauge 2 Quantiles of the newest finished minute, within 1%. Missing if it has no values. H. Unit: ratio.",
		"pktvisor_f_top_geoloc gauge 2 In the newest finished minute. H. Unit: places.",
		"pktvisor_f_top_geoloc_error_ratio gauge 2 Half the width of the 95% interval of pktvisor_f_top_geoloc, as a share of it.",
		"pktvisor_f_top_x x gauge 2 Lower bounds for the newest finished minute. H. Unit: packets. The row \"other\" sums up the rest.",
		"pktvisor_f_top_zones zone gauge 2 Lower bounds for the newest finished minute. H. Unit: names. The row \"other\" estimates the rest.",
		"pktvisor_f_top_amp_bytes net gauge 2 Lower bounds for the newest finished minute. H. Unit: bytes of responses. The row \"other\" sums up the rest.",
		"pktvisor_f_top_amp_queries_bytes net gauge 2 Bytes of the queries of the same rows, lower bounds.",
	}
	table := Define[familyMetrics]("f")
	var got []string
	for i := range table.Descs {
		for _, f := range table.Descs[i].Families() {
			got = append(got, strings.Join(strings.Fields(fmt.Sprint(f.Name, " ", f.Label, " ", f.Type, " ", f.Span, " ", f.Help)), " "))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("families\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if i, _ := table.Find("in.quantiles_us"); table.Descs[i].BaseScale() != 1e-6 || table.Descs[i].InBase(11585) != 0.011585 {
		t.Error("a microsecond is not a millionth of a second")
	}
	if i, _ := table.Find("ratio"); table.Descs[i].BaseScale() != 0.001 || table.Descs[i].InBase(1234) != 1.234 {
		t.Error("a ratio is not kept in thousandths")
	}
	i, _ := table.Find("in.quantiles_us")
	if bounds := table.Descs[i].Bounds(); len(bounds) != 37 || !slices.Equal(bounds[:5], []uint64{32, 45, 64, 90, 128}) || bounds[36] != 1<<23 {
		t.Errorf("bounds of classic buckets: %d", bounds)
	}
}

// TestSamples: each kind emits its samples only for the span of their families.
func TestSamples(t *testing.T) {
	table := Define[familyMetrics]("f")
	s := table.New()
	m := Of[familyMetrics](s)
	m.Total, m.Plain, m.Open = 5, 6, -7
	m.Rate.Add(100, 8)
	m.Latency.Record(9)
	m.Distinct.Add([]byte("a"))
	m.Top.Add([]byte("b"), 10)
	m.Top.Add([]byte("c"), 3)
	m.Top.Add([]byte("other"), 4)
	for i := range uint64(5) {
		m.Children.Add([]byte("z"), i/2, 1)
		m.Children.Add([]byte("y"), i, 1)
		m.Children.Add([]byte{byte('a' + i%2)}, i/4, 1)
	}
	for i, key := range []string{"v", "w\xff", "other", "quiet"} {
		m.Amp.AddPrepared(sketch.Prepare([]byte(key)), uint64(3-i)*1000, &sketch.Asked{Bytes: uint64(10 + i)})
	}
	for span, want := range map[Span][]string{
		SinceStart: {"total 0 5", "in.total 0 0", "bytes.total 0 0", "bytes.in 0 0", "spent 0 0", "plain 0 6", "xact.open 0 -7", "in.quantiles_us 0 0", "ratio 0 0"},
		LastSecond: {"rates.total 0 8"},
		LastMinute: {"rates.total 1 8 p50", "rates.total 1 8 p90", "rates.total 1 8 p95", "rates.total 1 8 p99", "rates.total 1 8 max", "in.quantiles_us 1 9e-06 p50", "in.quantiles_us 1 9e-06 p90", "in.quantiles_us 1 9e-06 p95", "in.quantiles_us 1 9e-06 p99", "in.quantiles_us 1 9e-06 max", "top_geoLoc 0 1", "top_geoLoc 1 0", "top_x 0 10 b", "top_x 0 7 other", "top_zones 0 5 y", "top_zones 0 3 z", "top_zones 0 3 other", "top_amp 0 3000 v", "top_amp 1 10 v", "top_amp 0 2000 w\ufffd", "top_amp 1 11 w\ufffd", "top_amp 0 1000 other"},
	} {
		var got []string
		s.Samples(span, SampleOptions{Second: 100, Rows: 2}, func(x Sample) {
			d := &table.Descs[x.Metric]
			if f := d.Families()[x.Family]; f.Span != span || (f.Label != "") != (x.Label != "") || (f.Type == FamilyHistogram) != (x.Histogram != nil) {
				t.Errorf("%s: a sample %+v of the family %+v", d.Path, x, f)
			}
			got = append(got, strings.TrimSpace(fmt.Sprint(d.Path, " ", x.Family, " ", x.Value, " ", x.Label)))
		})
		if !slices.Equal(got, want) {
			t.Errorf("span %d: %q\nwant %q", span, got, want)
		}
	}
	s.Samples(LastMinute, SampleOptions{Rows: 0}, func(x Sample) {
		if table.Descs[x.Metric].Kind == KindTop {
			t.Errorf("a sample with no rows wanted: %+v", x)
		}
	})
}

// TestSchema: the schema has the members of the JSON with the same nesting.
func TestSchema(t *testing.T) {
	type schema struct {
		_       Object      `metric:"" title:"Things" help:"About \"things\"."`
		_       Object      `metric:"in" help:"To the host."`
		Total   Counter     `metric:"total" sample:"seen" unit:"packets" help:"All."`
		Taken   Counter     `metric:"taken" sample:"taken" unit:"packets" help:"Taken."`
		In      Cardinality `metric:"in.names" unit:"names" help:"Names."`
		Ratio   Histogram   `metric:"in.ratio" scale:"0.5" unit:"ratio" help:"Ratio."`
		Open    Gauge       `metric:"open.in" unit:"x" help:"Open."`
		Waiting Gauge       `metric:"open.now" show:"now" unit:"x" help:"Wait."`
	}
	table := Define[schema]("things")
	if table.Title != "Things" || table.Help != `About "things".` {
		t.Errorf("title %q, help %q", table.Title, table.Help)
	}
	const want = `- type: object
- description: "About \"things\"."
- required: [total, taken, in, open, deep_sample_percent]
- properties:
-   total:
-     $ref: '#/components/schemas/Counter'
-     description: "All."
-     x-unit: "packets"
-   taken:
-     $ref: '#/components/schemas/Counter'
-     description: "Taken."
-     x-unit: "packets"
-   in:
-     type: object
-     description: "To the host."
-     required: [names, names_error, ratio]
-     properties:
-       names:
-         $ref: '#/components/schemas/Cardinality'
-         description: "Names."
-         x-unit: "names"
-       names_error:
-         $ref: '#/components/schemas/RelativeError'
-         description: "Half the width of the 95% interval of names, as a share of it. 0 if it is exact."
-         x-unit: "ratio"
-       names_scaled:
-         $ref: '#/components/schemas/Counter'
-         description: "What names of the sample stands for, if each key comes from one address pair."
-         x-unit: "names"
-       names_scaled_lower:
-         $ref: '#/components/schemas/Counter'
-         description: "Its lower bound, at 97.5%."
-         x-unit: "names"
-       names_scaled_upper:
-         $ref: '#/components/schemas/Counter'
-         description: "Its upper bound, at 97.5%, wherever the keys come from."
-         x-unit: "names"
-       ratio:
-         $ref: '#/components/schemas/RatioQuantiles'
-         description: "Ratio."
-         x-unit: "ratio"
-   open:
-     type: object
-     required: [in]
-     properties:
-       in:
-         $ref: '#/components/schemas/Gauge'
-         description: "Open."
-         x-unit: "x"
-   deep_sample_percent:
`
	if got := string(table.AppendSchema(nil, "- ")); !strings.HasPrefix(got, want) {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	state := string(table.AppendStateSchema(nil, ""))
	if !strings.Contains(state, "required: [open]") || !strings.Contains(state, "required: [in, now]") || strings.Contains(state, "deep_sample") {
		t.Error(state)
	}
	if got := testTable.AppendStateSchema(nil, ""); len(got) > 0 {
		t.Errorf("a table without a state: %s", got)
	}
}

type sourceCounts struct {
	Received uint64  `metric:"received" unit:"x" help:"H."`
	Lost     Counter `metric:"lost" unit:"x" help:"H."`
	Size     int64   `metric:"-"`
}

// TestAddChange: the counters of dst grow by the change, and nothing else changes.
func TestAddChange(t *testing.T) {
	dst, last, now := sourceCounts{100, 200, 300}, sourceCounts{5, 6, 7}, sourceCounts{15, 6, 70}
	if allocs := testing.AllocsPerRun(10, func() { AddChange(&dst, &now, &now) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	AddChange(&dst, &last, &now)
	if want := (sourceCounts{110, 200, 300}); dst != want || last.Received != 5 || now.Received != 15 {
		t.Errorf("%+v, want %+v; from %+v to %+v", dst, want, last, now)
	}
	s := With(Define[sourceCounts]("s"), dst)
	if got := string(s.AppendMembers([]byte(`{"a":1`))); got != `{"a":1,"received":110,"lost":200` {
		t.Error(got)
	}
}
