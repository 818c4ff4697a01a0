package server_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pktvisor/agent"
	"pktvisor/analyze/dns"
	"pktvisor/metric"
	"pktvisor/server"
	"pktvisor/window"
)

// TestState: a state gauge is in /app, under its section and path, and in Prometheus, but in no bucket.
func TestState(t *testing.T) {
	w := window.New(window.Config{Tables: agent.Tables, Periods: 3, Shards: 1})
	wait := func(second int64, n metric.Gauge) {
		w.Update(0, second, second, func(b *metric.Bucket, _ int64) { metric.Of[dns.Metrics](b.Sections[1]).Waiting += n })
	}
	wait(60, 9)
	wait(125, -2)
	w.Advance(130, 130)
	h := server.New(config(w)).Handler()
	if body := get(t, h, "/api/v1/metrics/app").Body.String(); !strings.Contains(body, `},"dns":{"xact":{"open":7}}`) {
		t.Errorf("/app: %s", body)
	}
	want := "# HELP pktvisor_dns_xact_open Queries that wait for their response.\n# TYPE pktvisor_dns_xact_open gauge\npktvisor_dns_xact_open 7\n"
	if body := get(t, h, "/metrics").Body.String(); !strings.Contains(body, want) {
		t.Error("/metrics does not have pktvisor_dns_xact_open 7")
	}
	for _, path := range []string{"/api/v1/metrics/bucket/0", "/api/v1/metrics/bucket/1", "/api/v1/metrics/window/3"} {
		body := get(t, h, path).Body.String()
		if _, xact, _ := strings.Cut(body, `"counts":{`); strings.Count(xact, `"open":`) != 1 || !strings.Contains(xact, `"open":0}`) {
			t.Errorf("%s: %s", path, body)
		}
	}
}

// TestSourceCounts: the counters of a source's table are those of /app and of Prometheus. The total of drops is the sum
// of the lost frames of the sources.
func TestSourceCounts(t *testing.T) {
	h := server.New(config(window.New(window.Config{Tables: agent.Tables, Periods: 3, Shards: 1}))).Handler()
	var answer struct {
		App struct {
			Sources []map[string]any
			Drops   map[string]float64
		}
	}
	body := get(t, h, "/api/v1/metrics/app").Body.Bytes()
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	if want := `"sources":[{"name":"eth0","kind":"interface","link":"EN10MB","shard":0,"received":10,"os_drops":1,"if_drops":2,"freezes":3,"discarded":4,"copies":0},` +
		`{"name":"eth0","kind":"interface","shard":1,"error":"gone","received":20,"os_drops":0,"if_drops":0,"freezes":0,"discarded":0,"copies":0}],` +
		`"drops":{"total":3,"received":30,"os_drops":1,"if_drops":2,"freezes":3,"discarded":4,"copies":0},`; !strings.Contains(string(body), want) {
		t.Errorf("%s\nwant %s", body, want)
	}
	families := scrape(t, h, acceptText)
	for i := range agent.SourceTable.Descs {
		d := &agent.SourceTable.Descs[i]
		f := families["pktvisor_source_"+d.Path+"_total"]
		if f == nil || len(f.Metric) != 2 || f.GetHelp() != d.Help {
			t.Fatalf("%s: %v", d.Path, f)
		}
		for k, m := range f.Metric {
			if got, want := m.Counter.GetValue(), answer.App.Sources[k][d.Path]; got != want || len(m.Label) != 2 {
				t.Errorf("%s of source %d is %v, in the JSON %v", d.Path, k, got, want)
			}
		}
	}
	none := config(window.New(window.Config{Tables: agent.Tables, Periods: 3, Shards: 1}))
	none.Status = func() server.Status { return server.Status{} }
	body = get(t, server.New(none).Handler(), "/api/v1/metrics/app").Body.Bytes()
	if !strings.Contains(string(body), `"sources":[],"drops":{"total":0,"received":0,`) {
		t.Errorf("without a source: %s", body)
	}
}
