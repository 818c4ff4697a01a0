package timeline

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/api"
	"pktvisor/internal/testkit/apicheck"
	"pktvisor/metric"
	"pktvisor/server"
	"pktvisor/window"
)

// first is the start of a minute.
const first = 1_796_000_040 / 60 * 60

// testAgent is a window behind a server, with a clock.
type testAgent struct {
	t      testing.TB
	window *window.Window
	now    int64
	server http.Handler
	check  *apicheck.Checker
	places map[string][2]int
}

func newAgent(t testing.TB, periods int) *testAgent {
	a := &testAgent{t: t, now: first, check: apicheck.New(t), places: map[string][2]int{}}
	a.window = window.New(window.Config{Tables: agent.Tables, Periods: periods, Shards: 1, DeepSamplePercent: 100})
	clock := func() time.Time { return time.Unix(a.now, 0) }
	a.server = server.New(server.Config{
		Window: a.window, Tables: agent.Tables, Sources: agent.SourceTable, Version: "1", Started: time.Unix(first, 0),
		Status: func() server.Status { return server.Status{} },
		Routes: Routes(Config{Source: NewWindow(a.window, agent.Tables, "default", clock), Tables: agent.Tables, Now: clock}),
	}).Handler()
	for i, table := range agent.Tables {
		for k := range table.Descs {
			a.places[table.Section+"."+table.Descs[k].Path] = [2]int{i, k}
		}
	}
	return a
}

// value returns the value of a metric in a bucket.
func value[T any](a *testAgent, b *metric.Bucket, name string) *T {
	at := a.places[name]
	return metric.At[T](b.Sections[at[0]], at[1])
}

// at moves the clock to a second, and fills that second.
func (a *testAgent) at(second int64, fill func(b *metric.Bucket)) {
	a.now = second + 1
	a.window.Update(0, second, second, func(b *metric.Bucket, _ int64) { fill(b) })
}

// get returns an answer after it has checked its form.
func (a *testAgent) get(path string, q url.Values) (int, []byte) {
	a.t.Helper()
	at := path + "?" + q.Encode()
	w := httptest.NewRecorder()
	a.server.ServeHTTP(w, httptest.NewRequest(http.MethodGet, at, nil))
	a.check.Check(a.t, at, w.Code, w.Header(), w.Body.Bytes())
	return w.Code, w.Body.Bytes()
}

func into[T any](a *testAgent, path string, pairs ...string) (v T) {
	a.t.Helper()
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Add(pairs[i], pairs[i+1])
	}
	code, body := a.get(path, q)
	if err := json.Unmarshal(body, &v); code != 200 || err != nil {
		a.t.Fatalf("GET %s %v: %d %.300s %v", path, pairs, code, body, err)
	}
	return v
}

// numbers returns values, with -1 for null.
func numbers(list []*float64) (out []float64) {
	for _, v := range list {
		if v == nil {
			out = append(out, -1)
		} else {
			out = append(out, *v)
		}
	}
	return out
}

// traffic fills minutes 0 to 5, without minute 2, in which nothing happens. Minute 5 is live, and before minute 0 there is no agent. The count of minute i is 10·(i+1), and so are a row, and
// the values of a histogram, which are 1000·(i+1) µs and three times 0.
func traffic(t testing.TB) *testAgent {
	a := newAgent(t, 10)
	for i := range int64(6) {
		if i == 2 {
			continue
		}
		a.at(first+60*i+30, func(b *metric.Bucket) {
			n := uint64(10 * (i + 1))
			*value[metric.Counter](a, b, "dns.wire_packets.total") += metric.Counter(n)
			*value[metric.Counter](a, b, "packets.total") += metric.Counter(n)
			value[metric.Top](a, b, "dns.top_qname2").Add([]byte("<b>.example"), n)
			value[metric.Top](a, b, "dns.top_qname2").Add([]byte("other.example"), 5)
			value[metric.Histogram](a, b, "dns.xact.out.quantiles_us").RecordN(uint64(1000*(i+1)), n)
			value[metric.Histogram](a, b, "dns.xact.out.quantiles_us").RecordN(0, 3)
			value[metric.Rate](a, b, "packets.rates.pps_total").Add(first+60*i+30, n)
		})
	}
	a.window.Advance(a.now, a.now)
	return a
}

// TestSeriesOfAWindow: each step has the values of its minutes, also of the live minute and of one that is not sealed yet.
func TestSeriesOfAWindow(t *testing.T) {
	a := traffic(t)
	s := into[api.Series](a, "/api/v1/series", "metric", "dns.wire_packets.total", "metric", "packets.rates.pps_total", "from", fmt.Sprint(first-60), "to", "now")
	if s.From != first-60 || s.To != first+360 || s.StepS != 60 || s.MissingMinutes != 1 || s.Policy != "default" || len(s.Series) != 6 {
		t.Fatalf("%+v", s)
	}
	for _, i := range []int{0, 5} { // the count, and the most in a second
		if got := numbers(s.Series[i].Values); !slices.Equal(got, []float64{-1, 10, 20, 0, 40, 50, 60}) {
			t.Errorf("%s %s: %v", s.Series[i].Metric, s.Series[i].Stat, got)
		}
	}
	two := into[api.Series](a, "/api/v1/series", "metric", "dns.wire_packets.total", "from", fmt.Sprint(first), "step", "2m")
	if got := numbers(two.Series[0].Values); !slices.Equal(got[len(got)-3:], []float64{30, 40, 110}) {
		t.Errorf("steps of two minutes: %v", got)
	}
	// By default there is the whole window.
	all := into[api.Series](a, "/api/v1/series", "metric", "dns.wire_packets.total")
	if all.To != first+360 || all.From != first+360-600 || all.MissingMinutes != 4 {
		t.Errorf("%+v", all)
	}
	// Just after the end of a minute, the minute is closing.
	a.at(first+360, func(b *metric.Bucket) { *value[metric.Counter](a, b, "dns.wire_packets.total") = 1 })
	if n := len(a.window.Minutes()); n != 5 {
		t.Errorf("%d minutes are sealed, want the last one not to be", n)
	}
	s = into[api.Series](a, "/api/v1/series", "metric", "dns.wire_packets.total", "from", fmt.Sprint(first+240))
	if got := numbers(s.Series[0].Values); !slices.Equal(got, []float64{50, 60, 1}) {
		t.Errorf("at the end of a minute: %v", got)
	}
}

// TestHeat: the counts of the bins are those of the values.
func TestHeat(t *testing.T) {
	a := traffic(t)
	const name = "dns.xact.out.quantiles_us"
	s := into[api.Series](a, "/api/v1/series", "metric", name, "metric", "packets.total", "heat", "1", "from", fmt.Sprint(first-60))
	if len(s.Bins) != 1 || s.Bins[0].Metric != name || s.Bins[0].Unit != "us" || len(s.Bins[0].Steps) != 7 || len(s.Series) != 7 {
		t.Fatalf("%+v", s)
	}
	if s.Bins[0].Steps[0] != nil {
		t.Errorf("before the agent: %v", s.Bins[0].Steps[0])
	}
	for i, bins := range s.Bins[0].Steps[1:] {
		if i == 2 {
			if len(bins) != 0 || bins == nil {
				t.Errorf("a minute without packets has %v", bins)
			}
			continue
		}
		value, n := float64(1000*(i+1)), float64(10*(i+1))
		if len(bins) != 2 || bins[0] != [2]float64{0, 3} || bins[1][1] != n || bins[1][0] < value || bins[1][0] > value*s.Bins[0].Ratio {
			t.Errorf("minute %d: %v, ratio %v", i, bins, s.Bins[0].Ratio)
		}
	}
	if s := into[api.Series](a, "/api/v1/series", "metric", name); s.Bins != nil {
		t.Errorf("without heat: %v", s.Bins)
	}
}

// TestHistory: a row has what its minutes have.
func TestHistory(t *testing.T) {
	a := traffic(t)
	h := into[api.History](a, "/api/v1/history", "table", "dns.top_qname2", "name", "<b>.example", "name", "none.example", "name", "<b>.example", "from", fmt.Sprint(first-60))
	if h.From != first-60 || h.StepS != 60 || h.MissingMinutes != 1 || h.Kind != "top" || h.Unit != "messages" || h.Table != "dns.top_qname2" || len(h.Rows) != 2 {
		t.Fatalf("%+v", h)
	}
	for want, got := range map[string][]*float64{
		"[-1 15 25 0 45 55 65]": h.Total, "[-1 10 20 0 40 50 60]": h.Rows[0].Lower, "[-1 0 0 0 0 0 0]": h.Rows[1].Upper,
	} {
		if text := fmt.Sprint(numbers(got)); text != want {
			t.Errorf("%s, want %s", text, want)
		}
	}
	if !slices.Equal(numbers(h.Rows[0].Lower), numbers(h.Rows[0].Upper)) || h.Rows[0].Name != "<b>.example" {
		t.Errorf("%+v", h.Rows[0])
	}
}

// TestChangesOfAWindow: two stretches of the window are compared. The live minute has 31 of its seconds, and the first one
// began in its 30th second.
func TestChangesOfAWindow(t *testing.T) {
	a := traffic(t)
	c := into[api.Changes](a, "/api/v1/changes", "from", fmt.Sprint(first+240), "base_from", fmt.Sprint(first), "base_to", fmt.Sprint(first+120), "rows", "1000")
	if c.Now.Minutes != 2 || c.Base.Minutes != 2 || c.Now.From != first+240 || c.Base.To != first+120 || c.Measure != "per_second" {
		t.Errorf("%+v %+v", c.Now, c.Base)
	}
	found := false
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
	for _, row := range c.Changes {
		switch row.Name {
		case "<b>.example":
			found = row.Metric == "dns.top_qname2" && near(row.Now.Lower, 110./91) && near(row.Base.Upper, 30./90) && near(row.Change, 110./91-30./90)
		}
	}
	if !found {
		t.Errorf("%+v", c.Changes)
	}
}

// TestRangeOfAWindow: a range is the merge of its minutes.
func TestRangeOfAWindow(t *testing.T) {
	a := traffic(t)
	_, body := a.get("/api/v1/metrics/range", url.Values{"from": {fmt.Sprint(first + 180)}, "to": {fmt.Sprint(first + 300)}})
	var all map[string]struct {
		Period struct{ Length int }
		DNS    struct {
			Wire struct{ Total int } `json:"wire_packets"`
			Top  []api.Row           `json:"top_qname2"`
		}
	}
	if err := json.Unmarshal(body, &all); err != nil {
		t.Fatal(err)
	}
	if got, ok := all["2m"]; !ok || got.DNS.Wire.Total != 90 || got.Period.Length != 120 || got.DNS.Top[0].Name != "<b>.example" || got.DNS.Top[0].Estimate != api.N(90) {
		t.Errorf("%+v", all)
	}
}

// TestErrorsOfAWindow: wrong questions have one clear error.
func TestErrorsOfAWindow(t *testing.T) {
	a := traffic(t)
	for _, path := range []string{
		"series?metric=dns.wire_packets.total&tag=pop=x", "series?metric=dns.wire_packets.total&host=x", "series?metric=dns.wire_packets.total&by=pop", "series?metric=dns.wire_packets.total&policy=other",
		"series?metric=dns.top_qname2", "series?metric=x", "series", "series?metric=packets.total&heat=2", "series?metric=packets.total&from=-9y", "series?metric=dns.xact.out.quantiles_us&heat=1&from=-10h&step=60",
		"history", "history?table=dns.top_qname2", "history?table=packets.total&name=x", "history?table=x&name=x", "history?table=dns.top_qname2&name=", "history?table=dns.top_qname2&name=" + strings.Repeat("x", 1025),
		"history?table=dns.top_qname2&" + strings.Repeat("name=x&", 51), "history?table=dns.top_qname2&name=x&from=-1000d&step=60", "history?table=dns.top_qname2&table=dns.top_qname3&name=x",
		"changes?base_tag=pop=x", "changes?base_host=x", "changes?tag=pop=x", "changes?rows=0", "changes?base_from=x", "metrics/range?rows=0", "metrics/range?from=x", "events?tag=x", "events?host=x",
	} {
		w := httptest.NewRecorder()
		a.server.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/"+path, nil))
		a.check.Check(t, "/api/v1/"+path, w.Code, w.Header(), w.Body.Bytes())
		var e struct{ Error string }
		if err := json.Unmarshal(w.Body.Bytes(), &e); w.Code != 400 || err != nil || e.Error == "" || len(e.Error) > 500 {
			t.Errorf("GET %.120s: %d %.300s", path, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	if a.server.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/overlap", nil)); w.Code != 404 {
		t.Errorf("overlap, which only a hub has: %d", w.Code)
	}
	empty := newAgent(t, 5)
	s := into[api.Series](empty, "/api/v1/series", "metric", "packets.total")
	if got := numbers(s.Series[0].Values); !slices.Equal(got, []float64{-1, -1, -1, -1, -1}) || s.MissingMinutes != 5 {
		t.Errorf("before the first packet: %+v", s)
	}
	if c := into[api.Changes](empty, "/api/v1/changes"); len(c.Changes) != 0 {
		t.Errorf("before the first packet: %+v", c)
	}
}
