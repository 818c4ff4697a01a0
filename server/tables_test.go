package server_test

import (
	"net/http/httptest"
	"slices"
	"testing"

	"pktvisor/agent"
	"pktvisor/api"
	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/apicheck"
	"pktvisor/metric"
	"pktvisor/server"
)

// TestTables: the route publishes every metric of every table, in order, with kinds and units that clients know.
func TestTables(t *testing.T) {
	h := server.New(config(summary(t, testkit.TinyMixed()).Window())).Handler()
	w := get(t, h, "/api/v1/tables")
	apicheck.New(t).Check(t, "/api/v1/tables", w.Code, w.Header(), w.Body.Bytes())
	got, err := api.ParseTables(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Sections) != len(agent.Tables) {
		t.Fatalf("%d sections, want %d", len(got.Sections), len(agent.Tables))
	}
	kinds := []api.MetricKind{api.Counter, api.Gauge, api.Rate, api.Histogram, api.Cardinality, api.Top, api.Distinct}
	for i, table := range agent.Tables {
		s := got.Sections[i]
		if s.Name != table.Section || s.Title != table.Title || s.Help != table.Help || len(s.Metrics) != len(table.Descs) {
			t.Errorf("section %q, %q, %q with %d metrics, want %q, %q, %q with %d", s.Name, s.Title, s.Help, len(s.Metrics), table.Section, table.Title, table.Help, len(table.Descs))
			continue
		}
		for k := range table.Descs {
			d, m := &table.Descs[k], s.Metrics[k]
			want := api.Metric{Path: d.Path, Kind: api.MetricKind(d.Kind.String()), Unit: api.Unit(d.Unit.Name), Title: d.Title, Help: d.Help, Group: d.Group, Label: d.Label, Now: d.ShowNow, Slots: d.Slots}
			if d.Kind.PerKey() {
				want.Exact = d.Slots * 3 / 4
			}
			if m != want {
				t.Errorf("%s %s: %+v, want %+v", s.Name, d.Path, m, want)
			}
			if !slices.Contains(kinds, m.Kind) {
				t.Errorf("%s %s: clients do not know the kind %q", s.Name, d.Path, m.Kind)
			}
		}
	}
	for _, unit := range []api.Unit{api.Bytes, api.Micros, api.Ratio} {
		if u, err := metric.ParseUnit(string(unit)); err != nil || u.Dimension == metric.Count {
			t.Errorf("clients show the unit %s in a form of its own, but it counts things: %+v, %v", unit, u, err)
		}
	}
}

// TestTablesAreCached: a client that already has the declaration gets 304. Other clients get gzip if they accept it.
func TestTablesAreCached(t *testing.T) {
	h := server.New(config(summary(t, testkit.TinyMixed()).Window())).Handler()
	first := get(t, h, "/api/v1/tables")
	r := httptest.NewRequest("GET", "/api/v1/tables", nil)
	r.Header.Set("If-None-Match", first.Header().Get("ETag"))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if first.Header().Get("ETag") == "" || first.Header().Get("Cache-Control") != "no-cache" || w.Code != 304 || w.Body.Len() != 0 {
		t.Errorf("first %v, then %d with %d bytes", first.Header(), w.Code, w.Body.Len())
	}
	r = httptest.NewRequest("GET", "/api/v1/tables", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w = httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 200 || w.Header().Get("Content-Encoding") != "gzip" || w.Body.Len() >= first.Body.Len()/2 {
		t.Errorf("with gzip: %d %v, %d bytes of %d", w.Code, w.Header(), w.Body.Len(), first.Body.Len())
	}
}
