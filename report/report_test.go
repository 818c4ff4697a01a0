package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/api"
	"pktvisor/internal/testkit/apicheck"
	"pktvisor/metric"
	"pktvisor/server"
	"pktvisor/timeline"
	"pktvisor/window"
)

// first is the start of a minute.
const first = 1_796_000_040 / 60 * 60

// hostile are names that end elements, or look like markup.
var hostile = []string{"</script><script>alert(1)</script>", "<!--<script>", "\u2028\u202e", `"\'&amp;`, strings.Repeat("x", 255)}

// config returns the configuration of a report of some minutes, which fill fills.
func config(minutes int64, fill func(b *metric.Bucket, minute int64)) Config {
	w := window.New(window.Config{Tables: agent.Tables, Periods: int(minutes) + 1, Shards: 1, DeepSamplePercent: 100})
	for i := range minutes {
		w.Update(0, first+60*i+30, 0, func(b *metric.Bucket, _ int64) { fill(b, i) })
	}
	end := int64(first + 60*minutes - 29)
	now := func() time.Time { return time.Unix(end-1, 0) }
	return Config{
		Tables: agent.Tables, From: first + 30, To: end, Name: "<i>.pcap", Program: "pktvisord 1", Script: []byte("script()"), Style: []byte("a{}"), Licences: []byte("<l>"),
		API: server.New(server.Config{
			Window: w, Tables: agent.Tables, Sources: agent.SourceTable, Version: "1", Started: time.Unix(first, 0), Status: func() server.Status { return server.Status{} },
			Routes: timeline.Routes(timeline.Config{Source: timeline.NewWindow(w, agent.Tables, "default", now), Tables: agent.Tables, Now: now}),
		}).Handler(),
	}
}

func value[T any](b *metric.Bucket, section, path string) *T {
	s, _ := b.Section(section)
	i, _ := s.Table.Find(path)
	return metric.At[T](s, i)
}

func fill(b *metric.Bucket, minute int64) {
	n := uint64(10 * (minute + 1))
	*value[metric.Counter](b, "packets", "total") += metric.Counter(n)
	for i, name := range hostile {
		value[metric.Top](b, "dns", "top_qname2").Add([]byte(name), n+uint64(i))
	}
	value[metric.Histogram](b, "dns", "xact.out.quantiles_us").RecordN(1000, n)
}

var data = regexp.MustCompile(`(?s)<script type="application/json" id="report">(.*?)</script>`)

// TestReport: the file has the answers of the API, with hostile names in them, and its policy allows just its own script and style.
func TestReport(t *testing.T) {
	cfg := config(5, fill)
	var page bytes.Buffer
	if err := Write(t.Context(), &page, cfg); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	if strings.Count(text, "<script") != 2 || strings.Count(text, "</script") != 2 || strings.Contains(text, "<!--") || strings.Contains(text, "<i>") || strings.Contains(text, "<l>") {
		t.Errorf("names became markup: %.2000s", text)
	}
	for _, want := range []string{"script-src '" + hash(cfg.Script) + "'", "style-src '" + hash(cfg.Style) + "'", "default-src 'none'", "<script>script()</script>", "<style>a{}</style>"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(text, "unsafe") || strings.Contains(text, "http:") || strings.Contains(text, "https:") {
		t.Error("the page may load something")
	}
	var c content
	if err := json.Unmarshal([]byte(data.FindStringSubmatch(text)[1]), &c); err != nil {
		t.Fatal(err)
	}
	var h api.History
	if err := json.Unmarshal(c.History["dns.top_qname2"], &h); err != nil || len(h.Rows) != len(hostile) {
		t.Fatalf("%v: %s", err, c.History["dns.top_qname2"])
	}
	for _, row := range h.Rows {
		if i := slices.Index(hostile, row.Name); i < 0 || *row.Lower[4] != float64(50+i) || *row.Upper[0] != float64(10+i) {
			t.Errorf("%+v", row)
		}
	}
	found := 0
	for _, answer := range c.Series {
		var s api.Series
		if err := json.Unmarshal(answer, &s); err != nil || s.From != first || s.StepS != 60 {
			t.Fatal(err)
		}
		found += len(s.Series)
		for _, l := range s.Series {
			if l.Metric == "packets.total" && *l.Values[3] != 40 {
				t.Errorf("%+v", l)
			}
		}
		for _, b := range s.Bins {
			if b.Metric == "dns.xact.out.quantiles_us" && b.Steps[2][0][1] != 30 {
				t.Errorf("%+v", b)
			}
		}
	}
	want := 0
	for _, table := range agent.Tables {
		for i := range table.Descs {
			if d := &table.Descs[i]; !d.ShowNow {
				want += len(d.Kind.Stats())
			}
		}
	}
	if found != want {
		t.Errorf("%d lines of metrics, want %d", found, want)
	}
	var changes api.Changes
	if err := json.Unmarshal(c.Changes, &changes); err != nil || changes.Now.From != first+120 || changes.Now.Minutes != 3 || changes.Base.From != first || changes.Base.Minutes != 2 || len(changes.Changes) == 0 {
		t.Errorf("%v: %.500s", err, c.Changes)
	}
}

// TestAnswersOfTheAPI: what is in the file has the form of the API's answers.
func TestAnswersOfTheAPI(t *testing.T) {
	check := apicheck.New(t)
	cfg := config(1, fill)
	api := cfg.API
	asked := 0
	cfg.API = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := httptest.NewRecorder()
		api.ServeHTTP(got, r)
		check.Check(t, r.URL.RequestURI(), got.Code, got.Header(), got.Body.Bytes())
		asked++
		w.Write(got.Body.Bytes())
	})
	var page bytes.Buffer
	if err := Write(t.Context(), &page, cfg); err != nil || asked < 8 {
		t.Errorf("%d requests: %v", asked, err)
	}
}

// TestSize: the size of a report does not depend on the traffic: not on its length, and not on the number of keys.
func TestSize(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var page bytes.Buffer
	err := Write(t.Context(), &page, config(118, func(b *metric.Bucket, minute int64) {
		for _, s := range b.Sections {
			for i := range s.Table.Descs {
				switch s.Table.Descs[i].Kind {
				case metric.KindCounter:
					*metric.At[metric.Counter](s, i) = metric.Counter(rnd.Uint64N(1e12))
				case metric.KindHistogram:
					for range 50 {
						s.Histogram(i).Record(rnd.Uint64() >> rnd.UintN(60))
					}
				case metric.KindTop:
					for k := range 250 {
						s.Top(i).Add(fmt.Appendf(nil, "%s%d", strings.Repeat("<", 250), k), 1e9+rnd.Uint64N(1e9))
					}
				}
			}
		}
	}))
	if n := page.Len(); err != nil || n > 24<<20 || n < 1<<20 {
		t.Errorf("%d bytes: %v", n, err)
	} else {
		t.Logf("%d bytes", n)
	}
}

// TestStepFor: a range has at most the given number of steps.
func TestStepFor(t *testing.T) {
	for minutes := int64(1); minutes <= 1440; minutes++ {
		step := stepFor(minutes * 60)
		from := int64(first + 60)
		if n := (from+minutes*60+step-1)/step - from/step; n > MaxSteps || step%60 != 0 {
			t.Fatalf("%d minutes in %d steps of %d s", minutes, n, step)
		}
	}
}

// TestFailures: a failure of the API, and a script that would end its element, are errors.
func TestFailures(t *testing.T) {
	cfg := config(1, fill)
	cfg.Script = []byte("'</SCRIPT>'")
	if err := Write(t.Context(), new(bytes.Buffer), cfg); err == nil {
		t.Error("a script that ends its element is written")
	}
	cfg = config(1, fill)
	cfg.API = http.NotFoundHandler()
	if err := Write(t.Context(), new(bytes.Buffer), cfg); err == nil || !strings.Contains(err.Error(), "metrics/app") {
		t.Errorf("an API that does not answer: %v", err)
	}
}
