package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/metric"
	"pktvisor/server"
	"pktvisor/window"
)

// unknown is a section that the page has no place for. Its texts could come from an analyzer that a user has
// configured.
type unknown struct {
	_ metric.Object `metric:"" title:"Unheard <b>of</b>" help:"<script>document.title = 'hacked'</script>"`

	Total metric.Counter     `metric:"total" title:"Things" unit:"things" help:"All things."`
	Hosts metric.Cardinality `metric:"cardinality.hosts" title:"Distinct hosts" unit:"hosts" help:"Distinct hosts."`
	Rate  metric.Rate        `metric:"rates.total" title:"Things a second" unit:"things/s" help:"Things a second."`
	Size  metric.Histogram   `metric:"size" title:"Size of a thing" unit:"bytes" help:"Sizes."`
	Top   metric.Top         `metric:"top_things" title:"Busiest things" unit:"things" help:"Things."`
}

// TestPage opens the page in a browser. The page has the titles that the agent declares, shows a section that it does
// not know, and works with an agent that declares nothing.
func TestPage(t *testing.T) {
	if testing.Short() {
		t.Skip("this test starts a browser")
	}
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("this test needs chromium")
	}
	tables := append([]*metric.Table{}, agent.Tables...)
	tables = append(tables, metric.Define[unknown]("unheard_of"))
	c := config(window.New(window.Config{Tables: tables, Periods: 5, Shards: 1, DeepSamplePercent: 100}))
	c.Tables = tables
	h := server.New(c).Handler()
	older := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/tables" {
			http.Error(w, `{"error":"there is nothing at /api/v1/tables"}`, http.StatusNotFound)
			return
		}
		h.ServeHTTP(w, r)
	})
	for _, c := range []struct {
		name      string
		handler   http.Handler
		has, lack []string
	}{
		{
			"this agent", h,
			[]string{"<h2>Top QName 2</h2>", "<h2>Unheard &lt;b&gt;of&lt;/b&gt;</h2>", "&lt;script&gt;document.title", "Things <small>things</small>", "Distinct hosts",
				"<h2>Each second</h2>", "Size of a thing", "<h2>Busiest things, things</h2>", "eth0 · pktvisor</title>"},
			[]string{"Names, two labels", "no answer", "hacked</title>"},
		},
		{"an older agent", older, []string{"<h2>Names, two labels</h2>", "eth0 · pktvisor</title>"}, []string{"Unheard", "no answer"}},
	} {
		s := httptest.NewServer(c.handler)
		defer s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(),
			"--virtual-time-budget=3000", "--dump-dom", s.URL)
		out, err := cmd.Output()
		if err != nil {
			t.Skipf("chromium does not run here: %v", err)
		}
		for _, text := range c.has {
			if !strings.Contains(string(out), text) {
				t.Errorf("%s: the page lacks %s", c.name, text)
			}
		}
		for _, text := range c.lack {
			if strings.Contains(string(out), text) {
				t.Errorf("%s: the page has %s", c.name, text)
			}
		}
		if t.Failed() {
			t.Logf("%s", out)
		}
	}
}
