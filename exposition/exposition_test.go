package exposition

import (
	"bytes"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/proto"
)

// began is a time of creation.
var began = time.UnixMilli(1_795_993_200_250)

// write writes samples of each type, some of them hostile.
func write(format Format) []byte {
	e := NewEncoder([]byte{}, format, nil)
	e.Family(NewFamily("a_bytes_total", "Bytes \"in\" \\ and\nout.", Counter))
	e.Value(3, began)
	e.Value(1<<60, began, Label{"policy", "p"}, Label{"tap", "t"})
	e.Family(NewFamily("unused", "No samples.", Gauge))
	e.Family(NewFamily("b", "Rows.", Gauge))
	e.Value(0.25, began, Label{"name", "a\"b\\c\nd\xff"})
	e.Value(math.Inf(-1), began, Label{"name", ""})
	e.Value(math.NaN(), began, Label{"name", strings.Repeat("x", 300)})
	e.Family(NewFamily("c_seconds", "Times.", Histogram))
	e.Distribution(&Distribution{
		Count: 7, Sum: 1.5, Schema: 4, Zeros: 2,
		Buckets: []Bucket{{0.000045, 2}, {1, 5}},
		Spans:   []Span{{-20, 2}, {300, 1}}, Deltas: []int64{1, 2, -1},
	}, began, Label{"tap", "t"})
	e.Distribution(&Distribution{Schema: 4, Buckets: []Bucket{{1, 0}}}, time.Time{})
	e.Family(NewFamily("d_ratio", "Ratios.", Summary))
	e.Summary(9, 2.5, []Quantile{{0, 0.125}, {0.5, 1}, {1, 2}}, began)
	return append(e.Bytes(), format.End()...)
}

const wantText = `# HELP a_bytes_total Bytes "in" \\ and\nout.
# TYPE a_bytes_total counter
a_bytes_total 3
a_bytes_total{policy="p",tap="t"} 1.152921504606847e+18
# HELP b Rows.
# TYPE b gauge
b{name="a\"b\\c\nd` + "\ufffd" + `"} 0.25
b{name=""} -Inf
b{name="LONG"} NaN
# HELP c_seconds Times.
# TYPE c_seconds histogram
c_seconds_bucket{tap="t",le="4.5e-05"} 2
c_seconds_bucket{tap="t",le="1"} 5
c_seconds_bucket{tap="t",le="+Inf"} 7
c_seconds_sum{tap="t"} 1.5
c_seconds_count{tap="t"} 7
c_seconds_bucket{le="1"} 0
c_seconds_bucket{le="+Inf"} 0
c_seconds_sum 0
c_seconds_count 0
# HELP d_ratio Ratios.
# TYPE d_ratio summary
d_ratio{quantile="0"} 0.125
d_ratio{quantile="0.5"} 1
d_ratio{quantile="1"} 2
d_ratio_sum 2.5
d_ratio_count 9
`

const wantOpenMetrics = `# HELP a_bytes Bytes \"in\" \\ and\nout.
# TYPE a_bytes counter
# UNIT a_bytes bytes
a_bytes_total 3
a_bytes_created 1795993200.25
a_bytes_total{policy="p",tap="t"} 1.152921504606847e+18
a_bytes_created{policy="p",tap="t"} 1795993200.25
# HELP b Rows.
# TYPE b gauge
b{name="a\"b\\c\nd` + "\ufffd" + `"} 0.25
b{name=""} -Inf
b{name="LONG"} NaN
# HELP c_seconds Times.
# TYPE c_seconds histogram
# UNIT c_seconds seconds
c_seconds_bucket{tap="t",le="4.5e-05"} 2
c_seconds_bucket{tap="t",le="1.0"} 5
c_seconds_bucket{tap="t",le="+Inf"} 7
c_seconds_sum{tap="t"} 1.5
c_seconds_count{tap="t"} 7
c_seconds_created{tap="t"} 1795993200.25
c_seconds_bucket{le="1.0"} 0
c_seconds_bucket{le="+Inf"} 0
c_seconds_sum 0
c_seconds_count 0
# HELP d_ratio Ratios.
# TYPE d_ratio summary
# UNIT d_ratio ratio
d_ratio{quantile="0.0"} 0.125
d_ratio{quantile="0.5"} 1
d_ratio{quantile="1.0"} 2
d_ratio_sum 2.5
d_ratio_count 9
d_ratio_created 1795993200.25
# EOF
`

func TestTextFormats(t *testing.T) {
	for format, want := range map[Format]string{Text: wantText, OpenMetrics: wantOpenMetrics} {
		if got, want := string(write(format)), strings.ReplaceAll(want, "LONG", strings.Repeat("x", 300)); got != want {
			t.Errorf("%s\ngot\n%s\nwant\n%s", format.ContentType(), got, want)
		}
	}
}

// decode reads an answer with Prometheus' own library.
func decode(t *testing.T, body []byte, format expfmt.FormatType) (families []*dto.MetricFamily) {
	t.Helper()
	d := expfmt.NewDecoder(bytes.NewReader(body), expfmt.NewFormat(format))
	for {
		f := new(dto.MetricFamily)
		switch err := d.Decode(f); err {
		case nil:
			families = append(families, f)
		case io.EOF:
			return families
		default:
			t.Fatal(err)
		}
	}
}

// TestProtobuf: Prometheus' own library reads what was written.
func TestProtobuf(t *testing.T) {
	families := decode(t, write(Protobuf), expfmt.TypeProtoDelim)
	if len(families) != 4 {
		t.Fatalf("%d families", len(families))
	}
	at := func(got interface {
		GetSeconds() int64
		GetNanos() int32
	}) bool {
		return got.GetSeconds() == 1795993200 && got.GetNanos() == 250_000_000
	}
	a, b, c, d := families[0], families[1], families[2], families[3]
	if a.GetName() != "a_bytes_total" || a.GetUnit() != "bytes" || a.GetHelp() != "Bytes \"in\" \\ and\nout." || a.GetType() != dto.MetricType_COUNTER ||
		a.Metric[0].Counter.GetValue() != 3 || !at(a.Metric[0].Counter.CreatedTimestamp) || a.Metric[1].Counter.GetValue() != 1<<60 ||
		a.Metric[1].Label[1].GetName() != "tap" || a.Metric[1].Label[1].GetValue() != "t" {
		t.Errorf("a: %v", a)
	}
	if b.Metric[0].Gauge.GetValue() != 0.25 || b.Metric[0].Label[0].GetValue() != "a\"b\\c\nd\ufffd" || b.Unit != nil ||
		!math.IsNaN(b.Metric[2].Gauge.GetValue()) || len(b.Metric[2].Label[0].GetValue()) != 300 {
		t.Errorf("b: %v", b)
	}
	h := c.Metric[0].Histogram
	want := &dto.Histogram{
		SampleCount: new(uint64(7)), SampleSum: new(1.5), Schema: new(int32(4)), ZeroThreshold: new(0.0), ZeroCount: new(uint64(2)),
		Bucket:        []*dto.Bucket{{CumulativeCount: new(uint64(2)), UpperBound: new(0.000045)}, {CumulativeCount: new(uint64(5)), UpperBound: new(1.0)}},
		PositiveSpan:  []*dto.BucketSpan{{Offset: new(int32(-20)), Length: new(uint32(2))}, {Offset: new(int32(300)), Length: new(uint32(1))}},
		PositiveDelta: []int64{1, 2, -1}, CreatedTimestamp: h.CreatedTimestamp,
	}
	if !proto.Equal(h, want) || !at(h.CreatedTimestamp) {
		t.Errorf("c: %v\nwant %v", h, want)
	}
	if empty := c.Metric[1].Histogram; len(empty.PositiveSpan) != 1 || empty.CreatedTimestamp != nil {
		t.Errorf("an empty histogram is not known as a native one: %v", empty)
	}
	if s := d.Metric[0].Summary; s.GetSampleCount() != 9 || s.GetSampleSum() != 2.5 || len(s.Quantile) != 3 || s.Quantile[1].GetQuantile() != 0.5 || s.Quantile[1].GetValue() != 1 || !at(s.CreatedTimestamp) {
		t.Errorf("d: %v", d)
	}
}

// TestSeries: the number of series is that of the lines in OpenMetrics, in every format and also of what was not chosen.
func TestSeries(t *testing.T) {
	for format := range formats {
		for _, only := range []func(string) bool{nil, func(string) bool { return false }} {
			e := NewEncoder(nil, format, only)
			e.Family(NewFamily("a_total", "A.", Counter))
			e.Value(1, began)
			e.Family(NewFamily("b", "B.", Gauge))
			e.Value(1, began)
			e.Family(NewFamily("c", "C.", Histogram))
			e.Distribution(&Distribution{Buckets: []Bucket{{1, 1}, {2, 1}}}, began)
			e.Family(NewFamily("d", "D.", Summary))
			e.Summary(1, 1, []Quantile{{0, 1}}, began)
			if e.Series() != 13 {
				t.Errorf("%s: %d series", format.ContentType(), e.Series())
			}
			body := e.Bytes()
			if only != nil && len(body) > 0 {
				t.Errorf("%s: %q was not chosen", format.ContentType(), body)
			}
			lines := 0
			for line := range strings.Lines(string(body)) {
				if !strings.HasPrefix(line, "#") {
					lines++
				}
			}
			if only == nil && format == OpenMetrics && lines != 13 {
				t.Errorf("%d lines:\n%s", lines, body)
			}
		}
	}
}

func TestNegotiate(t *testing.T) {
	weight := func(parameters string) (int, bool) {
		switch q := parameterOf(parameters, "q"); q {
		case "":
			return 1000, true
		case "x":
			return 0, false
		default:
			return map[string]int{"0": 0, "0.2": 200, "0.5": 500, "0.6": 600, "0.75": 750}[q], true
		}
	}
	const proto = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
	for accept, want := range map[string]Format{
		"": Text, "*/*": Text, "text/html": Text, "text/plain": Text, "text/*": Text,
		"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1": OpenMetrics, // Prometheus 2.42
		proto + ",application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5":                                             Protobuf,    // Prometheus 2.42, native histograms
		"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;q=0.5,*/*;q=0.2":                        OpenMetrics, // Prometheus 3
		"application/openmetrics-text": OpenMetrics, "Application/OpenMetrics-Text; Version=\"1.0.0\"": OpenMetrics,
		"application/openmetrics-text;version=0.0.1": Text, "application/openmetrics-text;version=2.0.0": Text,
		"application/openmetrics-text;q=0": Text, proto + ";q=x": Text, proto + ";q=0.2,text/plain;q=0.5": Text,
		"application/vnd.google.protobuf;encoding=delimited": Text, "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text": Text,
		"application/vnd.google.protobuf": Text, ",,;;=,": Text,
	} {
		if got := Negotiate([]string{accept}, weight); got != want {
			t.Errorf("%q: %s", accept, got.ContentType())
		}
	}
}
