package server_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.yaml.in/yaml/v3"

	"pktvisor/agent"
	"pktvisor/analyze/packets"
	"pktvisor/capture"
	"pktvisor/docs"
	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/apicheck"
	"pktvisor/internal/testkit/testagent"
	"pktvisor/metric"
	"pktvisor/server"
	"pktvisor/window"
)

// summary returns the policy of an agent that has read generated traffic.
func summary(t testing.TB, cfg testkit.TrafficConfig) *agent.Policy {
	t.Helper()
	return testagent.Traffic(t, cfg, func(c *agent.Config) { c.Host = "ns1.example" })
}

// counts returns the section with a source's counters.
func counts(st capture.Stats) *metric.Section { return metric.With(agent.SourceTable, st) }

// config returns the configuration of a server of the window, with a status in which every field is set.
func config(w *window.Window) server.Config {
	return server.Config{
		Window: w, Tables: agent.Tables, Sources: agent.SourceTable, Version: "1.2.3", Started: time.Now(), DeepSamplePercent: 100, TopN: 10,
		Status: func() server.Status {
			return server.Status{
				Tags: "country=nl,pop=ams1", Target: "eth0", Filter: "udp", Shards: 2, Hosts: []string{"192.0.2.0/24"},
				LastPacket: time.Now().Add(-3 * time.Second),
				State:      &server.State{Waiting: 2, Failed: 5, Dropped: 1, Error: "no space left on device", SyncedTS: 1795993200, Crashed: true, LostFromTS: 1795990000},
				Memory:     &server.Memory{Limit: 256 << 20, Needed: 200 << 20, Shed: []string{"cached answers", "history"}, Sheds: 3, Periods: 4},
				Push:       &server.Push{URL: "tls://hub.example:4222", Connected: true, Pending: 3, Acknowledged: 40, Failed: 2, Dropped: 1, Error: "no stream"},
				Sources: []server.Source{
					{Name: "eth0", Kind: "interface", Link: "EN10MB", Counts: counts(capture.Stats{Received: 10, OSDrops: 1, IfDrops: 2, Freezes: 3, Discarded: 4}), Lost: 3},
					{Name: "eth0", Kind: "interface", Shard: 1, Error: "gone", Counts: counts(capture.Stats{Received: 20})},
				},
			}
		},
	}
}

func get(t testing.TB, h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestRoutes checks every route's status, content type and form, as documented.
func TestRoutes(t *testing.T) {
	h := server.New(config(summary(t, testkit.TinyMixed()).Window())).Handler()
	check := apicheck.New(t)
	for _, c := range []struct {
		path        string
		status      int
		contentType string
		contains    string
	}{
		{"/api/v1/metrics/bucket/0", 200, "application/json", `{"1m":{"period":{"start_ts":`},
		{"/api/v1/metrics/bucket/1", 200, "application/json", `{"1m":{"period":{"start_ts":`},
		{"/api/v1/metrics/bucket/5", 400, "application/json", `{"error":"bucket \"5\": give 0 (the live one) to 4"}`},
		{"/api/v1/metrics/bucket/-1", 400, "application/json", `give 0 (the live one) to 4`},
		{"/api/v1/metrics/bucket/x", 400, "application/json", `give 0 (the live one) to 4`},
		{"/api/v1/metrics/bucket/99999999999999999999", 400, "application/json", `give 0`},
		{"/api/v1/metrics/window/2", 200, "application/json", `{"2m":{"period":{"start_ts":`},
		{"/api/v1/metrics/window/5", 200, "application/json", `{"5m":{"period":{"start_ts":`},
		{"/api/v1/metrics/window/1", 200, "application/json", `{"1m":{"period":{"start_ts":`},
		{"/api/v1/metrics/window/0", 400, "application/json", `{"error":"window \"0\": give 1 (the live minute alone) to 5"}`},
		{"/api/v1/metrics/window/6", 400, "application/json", `to 5`},
		{"/api/v1/metrics/window/5x", 400, "application/json", `to 5`},
		{"/api/v1/metrics/window/5?rows=3", 200, "application/json", `{"5m":{"period":{"start_ts":`},
		{"/api/v1/metrics/bucket/1?rows=0", 400, "application/json", `rows \"0\": give the maximum number of rows`},
		{"/api/v1/metrics/bucket/1?rows=", 400, "application/json", `rows \"\": give the maximum number of rows`},
		{"/api/v1/metrics/bucket/1?rows=1&rows=2", 400, "application/json", `rows is given more than once`},
		{"/api/v1/metrics/window/5?rows=x", 400, "application/json", `rows \"x\"`},
		{"/api/v1/metrics/window/5?_=1795993200", 200, "application/json", `{"5m":`},
		{"/api/v1/metrics/app?a;b", 400, "application/json", `cannot be read`},
		{"/api/v1/snapshots?since=1;a", 400, "application/json", `the query \"since=1;a\" cannot be read`},
		{"/api/v1/snapshots?since=%zz", 400, "application/json", `cannot be read`},
		{"/api/v1/snapshots?since=", 400, "application/json", `since \"\": give a Unix time`},
		{"/api/v1/snapshots?limit=0", 400, "application/json", `limit \"0\"`},
		{"/api/v1/metrics/rates", 200, "application/json", `{"packets":{"in":0,"out":0,"pps_in":0,`},
		{"/api/v1/metrics/app", 200, "application/json", `"version":"1.2.3"`},
		{"/healthz", 200, "application/json", `{"status":"alive"}`},
		{"/readyz", 200, "application/json", `{"status":"capturing"}`},
		{"/metrics", 200, "text/plain", "# HELP pktvisor_packets_total All packets."},
		{"/api/v1/tables", 200, "application/json", `{"sections":[{"name":"packets","title":"Packets","help":"The network layer`},
		{"/api/v1/openapi.yaml", 200, "application/yaml", "openapi: 3.1.0"},
		{"/api/docs", 200, "text/html", `<a href="../api/v1/metrics/window/5">/api/v1/metrics/window/{count}</a>`},
		{"/", 200, "text/html", `<script defer src="assets/app.js?v=`},
	} {
		w := get(t, h, c.path)
		if w.Code != c.status || !strings.HasPrefix(w.Header().Get("Content-Type"), c.contentType) || !strings.Contains(w.Body.String(), c.contains) {
			t.Errorf("GET %s: %d %s %.200s\nwant %d %s with %s", c.path, w.Code, w.Header().Get("Content-Type"), w.Body, c.status, c.contentType, c.contains)
		}
		check.Check(t, c.path, w.Code, w.Header(), w.Body.Bytes())
	}
	for path, contentType := range map[string]string{"/assets/app.js": "text/javascript", "/assets/app.css": "text/css", "/assets/licenses.txt": "text/plain"} {
		if w := get(t, h, path); w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), contentType) {
			t.Errorf("GET %s: %d %s", path, w.Code, w.Header().Get("Content-Type"))
		}
	}
}

// TestUnknownAndMethods: errors that do not belong to a route are JSON as well.
func TestUnknownAndMethods(t *testing.T) {
	h := server.New(config(summary(t, testkit.TinyMixed()).Window())).Handler()
	for _, path := range []string{"/nope", "/api/v1/metrics", "/api/v1/metrics/", "/api/v1/metrics/window/", "/api/v1/metrics/window/5/6", "/index.html", "/%00", "/metrics/x"} {
		w := get(t, h, path)
		var body struct{ Error string }
		if w.Code != 404 || json.Unmarshal(w.Body.Bytes(), &body) != nil || body.Error == "" {
			t.Errorf("GET %s: %d %s", path, w.Code, w.Body)
		}
	}
	for _, path := range []string{"/", "/metrics", "/api/v1/metrics/app", "/api/v1/metrics/window/5", "/healthz"} {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
			var body struct{ Error string }
			if w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" || json.Unmarshal(w.Body.Bytes(), &body) != nil || body.Error == "" {
				t.Errorf("%s %s: %d Allow %q %s", method, path, w.Code, w.Header().Get("Allow"), w.Body)
			}
		}
	}
}

// TestSlashAtTheEnd: a trailing slash makes no difference.
func TestSlashAtTheEnd(t *testing.T) {
	w := summary(t, testkit.TinyMixed()).Window()
	synctest.Test(t, func(t *testing.T) { // a second that ends between two requests would change an answer
		h := server.New(config(w)).Handler()
		for _, path := range []string{
			"/api/v1/metrics/window/5", "/api/v1/metrics/bucket/1", "/api/v1/metrics/rates", "/api/v1/metrics/app", "/api/v1/snapshots",
			"/metrics", "/healthz", "/readyz", "/api/v1/openapi.yaml", "/api/v1/tables",
		} {
			plain, slash := get(t, h, path), get(t, h, path+"/")
			if slash.Code != 200 || slash.Header().Get("Content-Type") != plain.Header().Get("Content-Type") || slash.Header().Get("ETag") != plain.Header().Get("ETag") {
				t.Errorf("%s/: %d %v, want %v", path, slash.Code, slash.Header(), plain.Header())
			}
		}
		if got := get(t, h, "/api/docs/"); got.Code != 301 || got.Header().Get("Location") != "../docs" {
			t.Errorf("/api/docs/: %d %v", got.Code, got.Header())
		}
	})
}

// TestRows: the tables have as many rows as the request asks for, up to what they hold, and ten by default. The first
// rows are always the same.
func TestRows(t *testing.T) {
	cfg := testkit.TinyMixed()
	cfg.Packets, cfg.Names, cfg.Clients, cfg.DNSShare = 20_000, 3000, 500, 0.9
	w := summary(t, cfg).Window()
	h := server.New(config(w)).Handler()
	type row struct{ Name string }
	table := func(path string) (names []row) {
		t.Helper()
		got := get(t, h, path)
		apicheck.New(t).Check(t, path, got.Code, got.Header(), got.Body.Bytes())
		var v map[string]struct {
			DNS struct {
				TopQname2 []row `json:"top_qname2"`
			}
		}
		if err := json.Unmarshal(got.Body.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, s := range v {
			names = s.DNS.TopQname2
		}
		return names
	}
	for _, path := range []string{"/api/v1/metrics/window/5", "/api/v1/metrics/bucket/1", "/api/v1/metrics/window/1"} {
		b := w.Bucket(1)
		if strings.Contains(path, "window") {
			b = w.Merged(int(path[len(path)-1] - '0'))
		}
		dns, _ := b.Section("dns")
		at, _ := dns.Table.Find("top_qname2")
		held := dns.Top(at).Len()
		if held < 100 {
			t.Fatalf("%s: only %d names", path, held)
		}
		all := table(path + "?rows=1000000")
		for query, want := range map[string]int{"": 10, "?rows=1": 1, "?rows=10": 10, "?rows=57": 57, "?rows=8192": held, "?rows=9223372036854775807": held} {
			got := table(path + query)
			if len(got) != want || !slices.Equal(got, all[:want]) {
				t.Errorf("%s%s: %d rows, want %d", path, query, len(got), want)
			}
		}
	}
	if n := len(scrape(t, h, acceptText)["pktvisor_dns_top_qname2"].Metric); n != 11 {
		t.Errorf("Prometheus has %d rows", n)
	}
}

// TestReadiness: /readyz answers 503 with the reason while something is wrong.
func TestReadiness(t *testing.T) {
	cfg := config(summary(t, testkit.TinyMixed()).Window())
	cfg.Status = func() server.Status { return server.Status{Shards: 1, Fault: "interface eth0 is down"} }
	h := server.New(cfg).Handler()
	check := apicheck.New(t)
	for path, want := range map[string]int{"/readyz": 503, "/healthz": 200, "/api/v1/metrics/app": 200} {
		w := get(t, h, path)
		if w.Code != want {
			t.Errorf("GET %s: %d, want %d", path, w.Code, want)
		}
		check.Check(t, path, w.Code, w.Header(), w.Body.Bytes())
	}
	if body := get(t, h, "/readyz").Body.String(); !strings.Contains(body, "interface eth0 is down") {
		t.Errorf("/readyz does not say why: %s", body)
	}
}

// TestBeforeAnything: a new agent has no bucket, and still answers.
func TestBeforeAnything(t *testing.T) {
	h := server.New(config(window.New(window.Config{Tables: agent.Tables, Periods: 3, Shards: 1, DeepSamplePercent: 50}))).Handler()
	check := apicheck.New(t)
	for path, want := range map[string]int{
		"/api/v1/metrics/bucket/0": 200, "/api/v1/metrics/window/3": 200, "/api/v1/metrics/rates": 200,
		"/api/v1/metrics/app": 200, "/metrics": 200, "/api/v1/metrics/bucket/1": 404,
	} {
		w := get(t, h, path)
		if w.Code != want {
			t.Errorf("GET %s: %d %s", path, w.Code, w.Body)
		}
		check.Check(t, path, w.Code, w.Header(), w.Body.Bytes())
	}
}

// TestCaching checks conditional requests, compression and HEAD.
func TestCaching(t *testing.T) {
	h := server.New(config(summary(t, testkit.TinyMixed()).Window())).Handler()
	const path = "/api/v1/metrics/bucket/2"
	plain := get(t, h, path)
	etag := plain.Header().Get("ETag")
	if etag == "" || plain.Header().Get("Cache-Control") != "no-cache" {
		t.Fatalf("ETag %q, Cache-Control %q", etag, plain.Header().Get("Cache-Control"))
	}
	for header, want := range map[string]int{
		etag: 304, "*": 304, `"x", ` + etag: 304, strings.TrimPrefix(etag, "W/"): 304, `"x"`: 200, "": 200,
	} {
		w := get(t, h, path, "If-None-Match", header)
		if w.Code != want || want == 304 && w.Body.Len() != 0 {
			t.Errorf("If-None-Match %q: %d with %d bytes, want %d", header, w.Code, w.Body.Len(), want)
		}
	}
	for header, want := range map[string]string{
		"gzip": "gzip", "br, gzip;q=0.5": "gzip", "*": "gzip", "GZIP": "gzip",
		"": "", "gzip;q=0": "", "gzip; q=0.0": "", "br": "", "gzip;q=0, *": "", "x-gzip": "gzip", "gzip;Q=0": "",
		"gzip;q=0.001": "gzip", "gzip;q=0.5, identity": "", "gzip, identity;q=0.5": "gzip", "*;q=0, gzip": "gzip", "*;q=0, identity": "",
		"gzip;q=2": "", "gzip;q=nan": "", "gzip;q=0.0001": "", "identity;q=0, gzip;q=0.1": "gzip", "gzip;q=0;q=1": "", "gzip;level=1;q=0": "",
	} {
		w := get(t, h, path, "Accept-Encoding", header)
		body := w.Body.Bytes()
		if w.Header().Get("Content-Encoding") != want {
			t.Errorf("Accept-Encoding %q: %q, want %q", header, w.Header().Get("Content-Encoding"), want)
			continue
		}
		if want == "gzip" {
			z, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(body, plain.Body.Bytes()) {
			t.Errorf("Accept-Encoding %q: another body", header)
		}
	}
	for _, header := range []string{"*;q=0", "identity;q=0", "gzip;q=0, identity;q=0.0", "br, *;q=0"} {
		if w := get(t, h, path, "Accept-Encoding", header); w.Code != 406 || w.Header().Get("Content-Encoding") != "" {
			t.Errorf("Accept-Encoding %q: %d, want 406", header, w.Code)
		}
	}
	head := httptest.NewRecorder()
	h.ServeHTTP(head, httptest.NewRequest(http.MethodHead, path, nil))
	if head.Code != 200 || head.Body.Len() != 0 || head.Header().Get("Content-Length") != plain.Header().Get("Content-Length") {
		t.Errorf("HEAD: %d, %d bytes, Content-Length %s", head.Code, head.Body.Len(), head.Header().Get("Content-Length"))
	}
}

// TestManyReaders: a hundred readers polling once a second cost one merge a second.
func TestManyReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := window.New(window.Config{Tables: agent.Tables, Periods: 5, Shards: 1, DeepSamplePercent: 100})
		cfg := config(w)
		h := server.New(cfg).Handler()
		const seconds, readers = 10, 100
		var all sync.WaitGroup
		for i := range readers {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond) // each at a different time within the second
				for range seconds {
					if got := get(t, h, "/api/v1/metrics/window/5").Code; got != 200 {
						t.Errorf("status %d", got)
					}
					w.Update(0, time.Now().Unix(), time.Now().Unix(), func(*metric.Bucket, int64) {})
					time.Sleep(time.Second)
				}
			})
		}
		all.Wait()
		var app struct {
			App struct {
				ViewsRendered int `json:"views_rendered"`
			}
		}
		if err := json.Unmarshal(get(t, h, "/api/v1/metrics/app").Body.Bytes(), &app); err != nil {
			t.Fatal(err)
		}
		if n := app.App.ViewsRendered; n < seconds || n > seconds+2 {
			t.Errorf("%d requests in %d seconds made %d views", readers*seconds, seconds, n)
		}
	})
}

// TestSealedOnce: the JSON of a sealed bucket is made once, however many clients ask for it.
func TestSealedOnce(t *testing.T) {
	h := server.New(config(summary(t, testkit.TinyMixed()).Window())).Handler()
	for range 50 {
		get(t, h, "/api/v1/metrics/bucket/1")
	}
	if body := get(t, h, "/api/v1/metrics/app").Body.String(); !strings.Contains(body, `"views_rendered":1}`) {
		t.Errorf("not exactly one view: %s", body)
	}
}

// TestLiveRates: rates are those of the last whole second, also across the end of a minute.
func TestLiveRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := window.New(window.Config{Tables: agent.Tables, Periods: 3, Shards: 1, DeepSamplePercent: 100})
		h := server.New(config(w)).Handler()
		time.Sleep(55 * time.Second) // bubbles start at midnight
		for range 10 {
			now := time.Now().Unix()
			w.Update(0, now, now, func(b *metric.Bucket, second int64) {
				m := metric.Of[packets.Metrics](b.Sections[0])
				m.PpsIn.Add(second, uint64(now%60+1))
				m.PpsTotal.Add(second, uint64(now%60+1))
			})
			time.Sleep(1700 * time.Millisecond) // the second is over and settled
			want := float64(now%60 + 1)
			var rates struct{ Packets map[string]float64 }
			if err := json.Unmarshal(get(t, h, "/api/v1/metrics/rates").Body.Bytes(), &rates); err != nil {
				t.Fatal(err)
			}
			if rates.Packets["in"] != want || rates.Packets["pps_in"] != want || rates.Packets["pps_total"] != want || rates.Packets["out"] != 0 {
				t.Errorf("second %d: rates %v, want %v in", now%60, rates.Packets, want)
			}
			var win map[string]struct {
				Packets struct {
					Rates map[string]map[string]float64
				}
			}
			if err := json.Unmarshal(get(t, h, "/api/v1/metrics/window/2").Body.Bytes(), &win); err != nil {
				t.Fatal(err)
			}
			if live := win["2m"].Packets.Rates["pps_in"]["live"]; live != want {
				t.Errorf("second %d: live %v, want %v", now%60, live, want)
			}
			time.Sleep(300 * time.Millisecond)
		}
	})
}

// TestSize: the JSON of a busy minute stays under 25 kB.
func TestSize(t *testing.T) {
	for name, preset := range testkit.Presets {
		cfg := preset()
		cfg.Packets, cfg.Rate = 60_000, 1000
		h := server.New(config(summary(t, cfg).Window())).Handler()
		for _, path := range []string{"/api/v1/metrics/bucket/1", "/api/v1/metrics/window/5"} {
			if n := get(t, h, path).Body.Len(); n > 25_000 {
				t.Errorf("%s: %s has %d bytes", name, path, n)
			} else {
				t.Logf("%s: %s has %d bytes", name, path, n)
			}
		}
	}
}

// TestEveryMetricDocumented checks that the document matches the tables: it has each metric with its kind and its unit.
func TestEveryMetricDocumented(t *testing.T) {
	type schema struct {
		Ref         string            `yaml:"$ref"`
		Description string            `yaml:"description"`
		Unit        string            `yaml:"x-unit"`
		Properties  map[string]schema `yaml:"properties"`
	}
	var doc struct {
		Components struct{ Schemas map[string]schema }
	}
	text, err := os.ReadFile("../docs/openapi.yaml") // docs.OpenAPI is older if this run has written the file
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	sections := doc.Components.Schemas["Summary"].Properties
	for _, table := range agent.Tables {
		for i := range table.Descs {
			d := &table.Descs[i]
			if d.ShowNow {
				continue // not in a bucket
			}
			at := doc.Components.Schemas[path.Base(sections[table.Section].Ref)]
			for name := range strings.SplitSeq(d.Path, ".") {
				at = at.Properties[name]
			}
			want := "#/components/schemas/" + d.Members()[0].Ref
			if at.Ref != want || at.Unit != d.Unit.Name || !strings.HasPrefix(at.Description, d.Help) {
				t.Errorf("%s %s: the document has %q, %q, %q, want %q, %q, %q", table.Section, d.Path, at.Ref, at.Unit, at.Description, want, d.Unit, d.Help)
			}
		}
	}
}

// TestDocsPage: the page has every route and schema, and loads nothing from other sites.
func TestDocsPage(t *testing.T) {
	var doc struct {
		Paths      map[string]any
		Components struct{ Schemas map[string]any }
	}
	if err := yaml.Unmarshal(docs.OpenAPI, &doc); err != nil {
		t.Fatal(err)
	}
	page := get(t, server.New(config(summary(t, testkit.TinyMixed()).Window())).Handler(), "/api/docs").Body.String()
	for path := range doc.Paths {
		if !strings.Contains(page, ">"+path+"</a></h3>") {
			t.Errorf("the page lacks %s", path)
		}
	}
	for name := range doc.Components.Schemas {
		if !strings.Contains(page, `id="`+name+`"`) {
			t.Errorf("the page lacks the schema %s", name)
		}
	}
	for _, row := range []string{
		`<a href="#Bucket">Bucket</a> <small>application/json</small>`, `<td><code>any</code></td><td> <a href="#Summary">Summary</a>`, `<a href="#Snapshot">Snapshot</a>`,
		`<td><code>xact.in.quantiles_us</code></td><td> <a href="#Quantiles">Quantiles</a> <small></small></td><td>us</td>`,
	} {
		if !strings.Contains(page, row) {
			t.Errorf("the page lacks %s", row)
		}
	}
	for _, elsewhere := range []string{`src="http`, `href="http`, "@import", "url("} {
		if strings.Contains(page, elsewhere) {
			t.Errorf("the page has %s", elsewhere)
		}
	}
}

// TestOriginalShape: every field of the original's API is present with the same type. Whole numbers are written without a
// decimal point, because the original's UI decodes them as integers. The files in testdata/original have the original's fields, with invented values.
func TestOriginalShape(t *testing.T) {
	h := server.New(config(summary(t, testkit.TinyMixed()).Window())).Handler()
	for path, file := range map[string]string{
		"app": "app.json", "rates": "rates.json", "bucket/0": "bucket-1.json", "bucket/1": "bucket-1.json", "window/5": "window-5.json",
	} {
		text, err := os.ReadFile(filepath.Join(testkit.RepoRoot(t), "testdata", "original", file))
		if err != nil {
			t.Fatal(err)
		}
		compareShape(t, path, decode(t, text), decode(t, get(t, h, "/api/v1/metrics/"+path).Body.Bytes()))
	}
}

func decode(t *testing.T, b []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func compareShape(t *testing.T, at string, want, got any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			t.Errorf("%s: %v, want an object", at, got)
			return
		}
		for name, v := range want {
			if _, ok := object[name]; !ok {
				t.Errorf("%s.%s is missing", at, name)
				continue
			}
			compareShape(t, at+"."+name, v, object[name])
		}
	case []any:
		list, ok := got.([]any)
		if !ok {
			t.Errorf("%s: %v, want a list", at, got)
		} else if len(want) > 0 && len(list) > 0 {
			compareShape(t, at+"[0]", want[0], list[0])
		}
	case json.Number:
		n, ok := got.(json.Number)
		if !ok || !strings.ContainsAny(want.String(), ".eE") && strings.ContainsAny(n.String(), ".eE") {
			t.Errorf("%s: %v, want a number like %v", at, got, want)
		}
	case string:
		if _, ok := got.(string); !ok {
			t.Errorf("%s: %v, want a string", at, got)
		}
	case bool:
		if _, ok := got.(bool); !ok {
			t.Errorf("%s: %v, want true or false", at, got)
		}
	}
}
