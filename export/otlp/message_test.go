package otlp

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"pktvisor/agent"
	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/testagent"
	"pktvisor/metric"
	"pktvisor/server"
	"pktvisor/window"
)

// busy returns a window with some minutes of generated traffic.
func busy(t testing.TB) *window.Window { return busyWith(t, testkit.TinyMixed()) }

func busyWith(t testing.TB, cfg testkit.TrafficConfig) *window.Window {
	t.Helper()
	return testagent.Traffic(t, cfg, nil).Window()
}

var quiet = slog.New(slog.DiscardHandler)

// newExporter makes an exporter of windows that connects nowhere.
func newExporter(t testing.TB, cfg Config, windows ...Window) *Exporter {
	t.Helper()
	if cfg.URL == "" {
		cfg.URL = "http://127.0.0.1:9/v1/metrics"
	}
	if cfg.Log == nil {
		cfg.Log = quiet
	}
	cfg.Interval, cfg.Version = time.Minute, "1.2.3"
	cfg.Windows = func() []Window { return windows }
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// decode reads a message with the official types. MetricsData has the wire format of ExportMetricsServiceRequest.
func decode(t testing.TB, message []byte) *metrics.ResourceMetrics {
	t.Helper()
	var m metrics.MetricsData
	if err := proto.Unmarshal(message, &m); err != nil {
		t.Fatal(err)
	}
	if len(m.ResourceMetrics) != 1 || len(m.ProtoReflect().GetUnknown()) > 0 {
		t.Fatalf("%d resources", len(m.ResourceMetrics))
	}
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(&m)
	if err != nil || len(again) > len(message)+len(message)/50 { // fields of oneofs and zeros may differ a little
		t.Fatalf("%v: %d bytes, and %d by the library", err, len(message), len(again))
	}
	return m.ResourceMetrics[0]
}

// labels returns attributes as text.
func labels(list []*common.KeyValue) string {
	m := map[string]string{}
	for _, a := range list {
		m[a.Key] = a.Value.GetStringValue()
	}
	return fmt.Sprint(m)
}

// page returns what /metrics has, by name and labels.
func page(t testing.TB, w *window.Window) (values map[string]float64, histograms map[string]*dto.Histogram, types map[string]dto.MetricType, help map[string]string) {
	t.Helper()
	h := server.New(server.Config{
		Window: w, Tables: agent.Tables, Version: "1.2.3", Started: time.Now(), TopN: 10, Sources: agent.SourceTable,
		Status: func() server.Status { return server.Status{} },
	}).Handler()
	r := httptest.NewRecorder()
	q := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	q.Header.Set("Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	h.ServeHTTP(r, q)
	values, histograms, types, help = map[string]float64{}, map[string]*dto.Histogram{}, map[string]dto.MetricType{}, map[string]string{}
	for d := expfmt.NewDecoder(r.Body, expfmt.ResponseFormat(r.Header())); ; {
		var f dto.MetricFamily
		if err := d.Decode(&f); err == io.EOF {
			return values, histograms, types, help
		} else if err != nil {
			t.Fatal(err)
		}
		types[f.GetName()], help[f.GetName()] = f.GetType(), f.GetHelp()
		for _, m := range f.Metric {
			l := map[string]string{}
			for _, p := range m.Label {
				l[p.GetName()] = p.GetValue()
			}
			key := f.GetName() + fmt.Sprint(l)
			if m.Histogram != nil {
				histograms[key] = m.Histogram
				continue
			}
			values[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
}

// numberOf returns the value of a point.
func numberOf(p *metrics.NumberDataPoint) float64 {
	if v, ok := p.Value.(*metrics.NumberDataPoint_AsInt); ok {
		return float64(v.AsInt)
	}
	return p.GetAsDouble()
}

// TestMessage: a push has every sample of /metrics about the traffic, with its name, text, labels, value and type.
func TestMessage(t *testing.T) {
	w := busy(t)
	since := time.Now().Add(-time.Hour)
	e := newExporter(t, Config{Rows: 10, Scale: MaxScale, Resource: []Attribute{{"service.name", "pktvisord"}, {"host.name", ""}, {"service.instance.id", "ns1\xff"}}},
		Window{Policy: "default", Plain: true, Since: since, Views: w, Tables: agent.Tables})
	now := time.Now()
	r := decode(t, e.encoder.encode(now, e.cfg.Windows(), nil))
	if got := labels(r.Resource.Attributes); got != "map[service.instance.id:ns1\ufffd service.name:pktvisord]" {
		t.Errorf("resource %s", got)
	}
	if r.SchemaUrl != schemaURL || len(r.ScopeMetrics) != 1 {
		t.Fatalf("schema %s, %d scopes", r.SchemaUrl, len(r.ScopeMetrics))
	}
	s := r.ScopeMetrics[0]
	if s.Scope.Name != "pktvisor" || s.Scope.Version != "1.2.3" || labels(s.Scope.Attributes) != "map[policy:default]" {
		t.Errorf("scope %v", s.Scope)
	}
	values, histograms, types, help := page(t, w)
	seen := map[string]bool{}
	minute := w.Bucket(1)
	points := 0
	for _, m := range s.Metrics {
		if seen[m.Name] {
			t.Errorf("%s comes twice", m.Name)
		}
		seen[m.Name] = true
		if m.Description != help[m.Name] || m.Description == "" || m.Unit == "" {
			t.Errorf("%s: %q, unit %q", m.Name, m.Description, m.Unit)
		}
		var list []*metrics.NumberDataPoint
		switch data := m.Data.(type) {
		case *metrics.Metric_Sum:
			if types[m.Name] != dto.MetricType_COUNTER || !data.Sum.IsMonotonic || data.Sum.AggregationTemporality != metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE {
				t.Errorf("%s: %v", m.Name, data.Sum)
			}
			list = data.Sum.DataPoints
			for _, p := range list {
				if p.StartTimeUnixNano != uint64(since.UnixNano()) || p.TimeUnixNano != uint64(now.UnixNano()) {
					t.Errorf("%s: from %d to %d", m.Name, p.StartTimeUnixNano, p.TimeUnixNano)
				}
			}
		case *metrics.Metric_Gauge:
			if types[m.Name] != dto.MetricType_GAUGE {
				t.Errorf("%s is a gauge", m.Name)
			}
			list = data.Gauge.DataPoints
		case *metrics.Metric_ExponentialHistogram:
			points += len(data.ExponentialHistogram.DataPoints)
			p := data.ExponentialHistogram.DataPoints[0]
			h := histograms[m.Name+"map[]"]
			if types[m.Name] != dto.MetricType_HISTOGRAM || p.Count != h.GetSampleCount() || p.GetSum() != h.GetSampleSum() || p.ZeroCount != h.GetZeroCount() {
				t.Errorf("%s: %v, want %v", m.Name, p, h)
			}
			delete(histograms, m.Name+"map[]")
		default:
			t.Errorf("%s: %T", m.Name, data)
		}
		points += len(list)
		for _, p := range list {
			key := m.Name + labels(p.Attributes)
			if want, ok := values[key]; !ok || numberOf(p) != want {
				t.Errorf("%s: %v, want %v", key, numberOf(p), want)
			}
			delete(values, key)
			if strings.HasPrefix(m.Name, "pktvisor_packets_top_") && p.TimeUnixNano != uint64(minute.End)*1e9 {
				t.Errorf("%s is of %d, want the end of the minute, %d", key, p.TimeUnixNano, minute.End)
			}
		}
	}
	for key := range values { // the rest is about the agent itself
		for _, table := range []string{"pktvisor_packets", "pktvisor_dns", "pktvisor_pcap"} {
			if strings.HasPrefix(key, table) {
				t.Errorf("%s is missing", key)
			}
		}
	}
	if len(histograms) != 0 || len(seen) < 150 || points != e.encoder.count {
		t.Errorf("%d histograms are missing; %d metrics, %d points, %d counted", len(histograms), len(seen), points, e.encoder.count)
	}
	t.Logf("%d metrics, %d points", len(seen), points)
}

// TestUnits pins units.
func TestUnits(t *testing.T) {
	w := busy(t)
	e := newExporter(t, Config{Rows: 10}, Window{Policy: "default", Plain: true, Views: w, Tables: agent.Tables})
	units := map[string]string{}
	for _, m := range decode(t, e.encoder.encode(time.Now(), e.cfg.Windows(), nil)).ScopeMetrics[0].Metrics {
		units[m.Name] = m.Unit
	}
	for name, want := range map[string]string{
		"pktvisor_packets_total": "{packets}", "pktvisor_packets_bytes_total": "By", "pktvisor_packets_size_bytes": "By", "pktvisor_dns_xact_in_seconds": "s",
		"pktvisor_dns_xact_ratio": "1", "pktvisor_packets_rates_pps_in": "{packets}/s", "pktvisor_packets_cardinality_src_ips_in": "{addresses}",
		"pktvisor_packets_cardinality_src_ips_in_error_ratio": "1", "pktvisor_dns_top_qname2": "{messages}",
	} {
		if units[name] != want {
			t.Errorf("%s is in %q, want %q", name, units[name], want)
		}
	}
}

// TestPolicies: the points of each policy have their attributes, and those of the default policy have none.
func TestPolicies(t *testing.T) {
	w := busy(t)
	of := func(policy, tap string, plain bool) Window {
		return Window{Policy: policy, Tap: tap, Plain: plain, Views: w, Tables: agent.Tables}
	}
	e := newExporter(t, Config{Rows: 1}, of("default", "", true), of("anycast", "", false), of("anycast", "eth1", false))
	r := decode(t, e.encoder.encode(time.Now(), e.cfg.Windows(), nil))
	if len(r.ScopeMetrics) != 3 {
		t.Fatalf("%d scopes", len(r.ScopeMetrics))
	}
	for i, want := range []string{"map[]", "map[policy:anycast]", "map[policy:anycast tap:eth1]"} {
		for _, m := range r.ScopeMetrics[i].Metrics {
			switch m.Name {
			case "pktvisor_packets_total":
				if got := labels(m.GetSum().DataPoints[0].Attributes); got != want {
					t.Errorf("window %d: %s, want %s", i, got, want)
				}
			case "pktvisor_packets_size_bytes":
				if got := labels(m.GetExponentialHistogram().DataPoints[0].Attributes); got != want {
					t.Errorf("window %d: %s, want %s", i, got, want)
				}
			}
		}
	}
	// A policy that is gone is forgotten.
	e.encoder.accepted()
	e.encoder.encode(time.Now(), e.cfg.Windows()[:1], nil)
	e.encoder.accepted()
	if len(e.encoder.acked) != 1 {
		t.Errorf("%d windows are remembered", len(e.encoder.acked))
	}
	e.encoder.encode(time.Now(), nil, nil)
}

// counter is a table with one counter, one gauge, one histogram and one top table.
type counter struct {
	N   metric.Counter   `metric:"n" unit:"things" help:"Things."`
	G   metric.Gauge     `metric:"g" unit:"things" help:"State."`
	H   metric.Histogram `metric:"h" unit:"us" help:"Times."`
	Top metric.Top       `metric:"top" unit:"things" label:"name" holds:"name" help:"Names."`
}

var counterTable = metric.Define[counter]("test")

// views is a window whose minutes the test makes.
type views struct {
	window.Views
	totals *metric.Bucket
	sealed []*metric.Bucket
}

func (v *views) Totals() *metric.Bucket                    { return v.totals }
func (v *views) Second(_ int64, read func(*metric.Bucket)) { read(nil) }
func (v *views) Minutes() (list []window.Minute) {
	for _, b := range v.sealed {
		list = append(list, window.Minute{Start: b.Start, End: b.End, Version: b, Bucket: func() *metric.Bucket { return b }})
	}
	return list
}

// seal adds a minute with one row for each name.
func (v *views) seal(names ...string) {
	b := metric.NewBucket([]*metric.Table{counterTable})
	b.Start = int64(60 * (len(v.sealed) + 1))
	b.End = b.Start + 60
	for _, name := range names {
		metric.Of[counter](b.Sections[0]).Top.Add([]byte(name), 5)
	}
	v.sealed = append(v.sealed, b)
}

// rowsOf returns the points of the top table: minute, name, value.
func rowsOf(t *testing.T, e *Exporter) (list []string) {
	t.Helper()
	for _, m := range decode(t, e.encoder.encode(time.Unix(10_000, 0), e.cfg.Windows(), nil)).ScopeMetrics[0].Metrics {
		if m.Name != "pktvisor_test_top" {
			continue
		}
		for _, p := range m.GetGauge().DataPoints {
			text := fmt.Sprint(p.TimeUnixNano/60e9-1, " ", labels(p.Attributes)[len("map[name:"):], " ", p.GetAsDouble())
			if p.Flags == 1 && p.Value == nil {
				text = strings.TrimSuffix(text, "0") + "ends"
			}
			list = append(list, text)
		}
	}
	return list
}

// TestMinutes: each finished minute is sent until it is taken, and a row that the next minute lacks ends.
func TestMinutes(t *testing.T) {
	v := &views{totals: metric.NewBucket([]*metric.Table{counterTable})}
	e := newExporter(t, Config{Rows: 10}, Window{Policy: "p", Plain: true, Views: v, Tables: []*metric.Table{counterTable}})
	expect := func(what string, want ...string) {
		t.Helper()
		if got := rowsOf(t, e); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s:\n%q, want\n%q", what, got, want)
		}
	}
	expect("no minute")
	v.seal("old")
	v.seal("a", "b")
	expect("at first, the newest", "2 a] 5", "2 b] 5", "2 other] 0")
	expect("not taken", "2 a] 5", "2 b] 5", "2 other] 0")
	e.encoder.accepted()
	expect("nothing is new")
	e.encoder.accepted()
	v.seal("b", "c")
	expect("a has ended", "3 b] 5", "3 c] 5", "3 other] 0", "3 a] ends")
	v.seal()
	expect("and all others", "3 b] 5", "3 c] 5", "3 other] 0", "3 a] ends", "4 b] ends", "4 c] ends", "4 other] ends")
	for range 10 {
		v.seal("z")
	}
	expect("five at most", "10 z] 5", "10 other] 0", "10 a] ends", "10 b] ends",
		"11 z] 5", "11 other] 0", "12 z] 5", "12 other] 0", "13 z] 5", "13 other] 0", "14 z] 5", "14 other] 0")
}

// TestNumbers: numbers that no double or int64 can hold are as near as can be, and clocks that were set back give no wrong times.
func TestNumbers(t *testing.T) {
	v := &views{totals: metric.NewBucket([]*metric.Table{counterTable})}
	c := metric.Of[counter](v.totals.Sections[0])
	since := time.Unix(2000, 0)
	e := newExporter(t, Config{}, Window{Policy: "p", Plain: true, Since: since, Views: v, Tables: []*metric.Table{counterTable}})
	for _, n := range []uint64{0, 1, 1<<53 + 1, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64} {
		c.N, c.G = metric.Counter(n), metric.Gauge(-5)
		for _, m := range decode(t, e.encoder.encode(time.Unix(1000, 0), e.cfg.Windows(), nil)).ScopeMetrics[0].Metrics {
			switch m.Name {
			case "pktvisor_test_n_total":
				p := m.GetSum().DataPoints[0]
				if v, ok := p.Value.(*metrics.NumberDataPoint_AsInt); ok != (n <= math.MaxInt64) || ok && uint64(v.AsInt) != n || !ok && p.GetAsDouble() != float64(n) {
					t.Errorf("%d: %v", n, p)
				}
				if p.StartTimeUnixNano != 1000e9 || p.TimeUnixNano != 1000e9 {
					t.Errorf("from %d to %d", p.StartTimeUnixNano, p.TimeUnixNano)
				}
			case "pktvisor_test_g":
				if p := m.GetGauge().DataPoints[0]; p.GetAsInt() != -5 {
					t.Errorf("%v", p)
				}
			}
		}
	}
}

// TestOwn: metrics about the agent have a scope of their own.
func TestOwn(t *testing.T) {
	e := newExporter(t, Config{Started: time.Unix(5, 0)})
	own := []Own{
		{Name: "a_total", Help: "A.", Points: []OwnPoint{{Value: 3}}},
		{Name: "b", Help: "B.", Gauge: true, Labels: []string{"source", "shard"}, Points: []OwnPoint{{[]string{"eth\xff", "0"}, 1.5}, {[]string{"", "1"}, 2}}},
		{Name: "none"},
	}
	r := decode(t, e.encoder.encode(time.Unix(10, 0), nil, own))
	m := r.ScopeMetrics[0].Metrics
	if len(m) != 2 || labels(r.ScopeMetrics[0].Scope.Attributes) != "map[part:agent]" {
		t.Fatalf("%v", r.ScopeMetrics)
	}
	if p := m[0].GetSum().DataPoints[0]; p.GetAsDouble() != 3 || p.StartTimeUnixNano != 5e9 || p.TimeUnixNano != 10e9 || !m[0].GetSum().IsMonotonic {
		t.Errorf("%v", p)
	}
	for i, want := range []string{"map[shard:0 source:eth\ufffd] 1.5", "map[shard:1] 2"} {
		if p := m[1].GetGauge().DataPoints[i]; fmt.Sprint(labels(p.Attributes), " ", p.GetAsDouble()) != want {
			t.Errorf("%v, want %s", p, want)
		}
	}
}

// TestDisabled: groups that are switched off are not sent, and without rows there are no tables.
func TestDisabled(t *testing.T) {
	w := busy(t)
	count := func(cfg Config) (top, all int) {
		e := newExporter(t, cfg, Window{Policy: "default", Plain: true, Views: w, Tables: agent.Tables})
		for _, m := range decode(t, e.encoder.encode(time.Now(), e.cfg.Windows(), nil)).ScopeMetrics[0].Metrics {
			if all++; strings.Contains(m.Name, "_top_") {
				top++
			}
		}
		return top, all
	}
	top, all := count(Config{Rows: 10})
	none, rest := count(Config{})
	fewer, few := count(Config{Rows: 10, DisableGroups: metric.Groups(agent.Tables)})
	if top < 20 || none != 0 || rest >= all || fewer >= top || few >= rest {
		t.Errorf("%d of %d, %d of %d, %d of %d", top, all, none, rest, fewer, few)
	}
}
