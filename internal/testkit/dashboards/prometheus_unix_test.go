//go:build unix

package dashboards

import (
	"fmt"
	"maps"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pktvisor/internal/testkit"
)

// emptyHere lists the queries that have no result with the replayed traffic, as "dashboard: panel: legend", with the reason.
var emptyHere = map[string]string{
	"pktvisor-dns: Latency, no direction: p50":               noDirection,
	"pktvisor-dns: Latency, no direction: p90":               noDirection,
	"pktvisor-dns: Latency, no direction: p95":               noDirection,
	"pktvisor-dns: Latency, no direction: p99":               noDirection,
	"pktvisor-dns: Latency, no direction: p99 of the minute": noDirection,
	"pktvisor-fleet: Refused: store: {{reason}}":             "a reason has a series from its first refusal on",
}

const noDirection = "all transactions of the captures are of hosts in the subnets"

// unborn lists metrics that alerts read and that have no series yet, with the reason.
var unborn = map[string]string{"pktvisor_hub_store_refused_total": "a reason has a series from its first refusal on"}

// recorded matches the name of a recording rule.
var recorded = regexp.MustCompile(`instance:\w+:\w+`)

// notYet reports whether a query reads a metric of DNS tables that the agent does not declare.
func notYet(query string) bool {
	for _, m := range selector.FindAllStringSubmatch(query, -1) {
		if strings.HasPrefix(m[1], "pktvisor_dns_") && !declared()[ending.ReplaceAllString(m[1], "")] && !declared()[m[1]] {
			return true
		}
	}
	return false
}

// fill replaces the variables of a dashboard.
func fill(expr, job, instance string) string {
	return strings.NewReplacer("$job", job, "$instance", instance, "$tag", "pop", "$value", ".*", "$policy", "", "$__rate_interval", "2m").Replace(expr)
}

// has reports whether a result has a number.
func has(samples []testkit.Sample, expr string) bool {
	return slices.ContainsFunc(samples, func(s testkit.Sample) bool { return !math.IsNaN(s.Value) || strings.Contains(expr, "or sum(") })
}

// TestPrometheus runs every query of every panel, every rule, and every query of docs/migrating.md against two real
// Prometheus servers that scrape two agents and a hub. No result is empty, and what the captures say about the packets of the
// second agent is what the queries return.
func TestPrometheus(t *testing.T) {
	if testing.Short() {
		t.Skip("takes two minutes")
	}
	l := start(t)
	views := []map[string]any{l.view(t, l.ns1, "/api/v1/metrics/bucket/1"), l.view(t, l.ns2, "/api/v1/metrics/bucket/1")}
	hub := l.view(t, l.hub, "/api/v1/metrics/bucket/1")
	t.Run("panels", func(t *testing.T) { l.testPanels(t) })
	t.Run("rules", func(t *testing.T) { l.testRules(t) })
	t.Run("migrating", func(t *testing.T) { l.testMigrating(t) })
	t.Run("counters", func(t *testing.T) { l.testCounters(t) })
	t.Run("tables", func(t *testing.T) {
		l.testTables(t, "pktvisor", views...)
		l.testTables(t, "pktvisor-hub", hub)
	})
	t.Run("latencies", func(t *testing.T) { l.testLatencies(t, views[1]) })
	t.Run("fleet", func(t *testing.T) { l.testFleet(t) })
}

// testPanels runs every query of every panel.
func (l *live) testPanels(t *testing.T) {
	queries := 0
	used := make(map[string]bool)
	for _, d := range All(migrating(t)) {
		job := "pktvisor"
		if d.Jobs == "pktvisor_hub_hosts" {
			job = "pktvisor-hub|pktvisor-pop"
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				where := d.File + ": " + p.Title + ": " + target.Legend
				expr := fill(d.expand(target.Expr), job, ".*")
				for name, server := range l.servers() {
					queries++
					samples, err := server.Query(expr, l.at)
					_, mayBeEmpty := emptyHere[where]
					used[where] = true
					switch empty := !has(samples, expr); {
					case err != nil:
						t.Errorf("%s, %s: %v", where, name, err)
					case empty && !mayBeEmpty:
						t.Errorf("%s, %s: no result: %s", where, name, expr)
					case !empty && mayBeEmpty:
						t.Errorf("%s, %s: has a result: remove it from emptyHere", where, name)
					}
				}
			}
		}
	}
	for where := range emptyHere {
		if !used[where] {
			t.Errorf("%s: no such query: remove it from emptyHere", where)
		}
	}
	t.Logf("%d queries of panels", queries)
}

// rule is a rule in the answer of Prometheus.
type rule struct{ Name, Query, Health, LastError, Type string }

// testRules: each rule is evaluated without an error, recording rules have results, and each metric that an alert reads has
// series.
func (l *live) testRules(t *testing.T) {
	for name, server := range l.servers() {
		var data struct{ Groups []struct{ Rules []rule } }
		if err := server.Get("/api/v1/rules", url.Values{}, &data); err != nil {
			t.Fatal(err)
		}
		rules := 0
		for _, group := range data.Groups {
			for _, r := range group.Rules {
				rules++
				if r.Health != "ok" {
					t.Errorf("%s, %s: %s %s", name, r.Name, r.Health, r.LastError)
				}
				if r.Type == "recording" {
					if samples, err := server.Query(r.Name, l.at); err != nil || !has(samples, "") {
						t.Errorf("%s, %s: no result: %v", name, r.Name, err)
					}
				}
				for _, m := range selector.FindAllStringSubmatch(recorded.ReplaceAllString(r.Query, ""), -1) {
					classic := ending.MatchString(m[1]) == (name == "classic")
					if notYet(m[1]) || unborn[m[1]] != "" || histogram(m[1]) && !classic {
						continue
					}
					if samples, err := server.Query(m[0], l.at); err != nil || !has(samples, "or sum(") {
						t.Errorf("%s, %s: %s has no series: %v", name, r.Name, m[0], err)
					}
				}
			}
		}
		if rules < 25 {
			t.Errorf("%s: only %d rules", name, rules)
		}
		firing, err := server.Query(`ALERTS{alertstate="firing"}`, l.at)
		if err != nil || len(firing) > 0 {
			t.Errorf("%s: alerts about ordinary traffic: %v %v", name, firing, err)
		}
	}
}

// histogram reports whether a metric, or a part of one, is a histogram.
func histogram(metric string) bool {
	base := ending.ReplaceAllString(metric, "")
	return strings.HasSuffix(base, "_seconds") && strings.Contains(base, "_xact_") || strings.HasSuffix(base, "_size_bytes") || strings.HasSuffix(base, "_xact_ratio")
}

// testMigrating runs the queries of docs/migrating.md, which have classic histograms.
func (l *live) testMigrating(t *testing.T) {
	queries := 0
	for _, m := range Migrations(migrating(t)) {
		if m.Query == "" {
			continue
		}
		if notYet(m.Query) {
			t.Logf("%s: this agent does not have %s", m.Old[0], m.Query)
			continue
		}
		queries++
		if samples, err := l.classic.Query(m.Query, l.at); err != nil || !has(samples, "") {
			t.Errorf("%s: %s: no result: %v", m.Old[0], m.Query, err)
		}
	}
	if queries < 200 {
		t.Errorf("only %d queries", queries)
	}
	t.Logf("%d queries of docs/migrating.md", queries)
}

// testCounters compares the counters of the second agent, and the panels made from them, with what tshark says.
func (l *live) testCounters(t *testing.T) {
	a := answers(t)
	ns2 := fmt.Sprintf(`instance=%q`, l.ns2.Addr)
	for name, want := range map[string]uint64{
		"packets.total": a.Packets, "packets.bytes.total": a.Bytes, "packets.udp": a.UDP, "packets.tcp": a.TCP, "packets.ipv4": a.IPv4, "packets.ipv6": a.IPv6,
		"packets.protocol.tcp.syn": a.TCPSyn, "dns.wire_packets.total": a.Messages, "dns.wire_packets.queries": a.Queries, "dns.wire_packets.replies": a.Replies,
		"dns.wire_packets.tcp": a.DNSTCP, "dns.wire_packets.edns": a.EDNS, "dns.wire_packets.ecs": a.ECS,
		"dns.wire_packets.noerror": a.Rcodes["NOERROR"], "dns.wire_packets.nxdomain": a.Rcodes["NXDOMAIN"], "dns.wire_packets.srvfail": a.Rcodes["SERVFAIL"],
		"dns.wire_packets.refused": a.Rcodes["REFUSED"],
	} {
		d, _ := find(name)
		for server, p := range l.servers() {
			// The whole increase is in the interval, because the traffic came after the first scrapes and ended before at.
			query := d.Families()[0].Name + `{job="pktvisor",` + ns2 + `}`
			l.compare(t, p, server, query, float64(want), 0)
			l.compare(t, p, server, "120 * rate("+query+"[2m])", float64(want), 0.05)
		}
	}
	total := float64(a.Replies)
	for panel, want := range map[string]float64{
		"NXDOMAIN": float64(a.Rcodes["NXDOMAIN"]) / total, "SERVFAIL": float64(a.Rcodes["SERVFAIL"]) / total,
		"Queries": float64(a.Queries) / 120, "Responses": total / 120,
	} {
		for server, p := range l.servers() {
			l.compare(t, p, server, l.panel(t, DNS(), panel, "", "pktvisor", l.ns2.Addr), want, 0.05)
		}
	}
}

// panel returns the query of a panel with a legend. With "" it is the first query.
func (l *live) panel(t *testing.T, d Dashboard, title, legend, job, instance string) string {
	t.Helper()
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			if p.Title == title && (legend == "" || target.Legend == legend) {
				return fill(d.expand(target.Expr), job, instance)
			}
		}
	}
	t.Fatalf("%s has no panel %s with %s", d.File, title, legend)
	return ""
}

// compare runs a query that has one value, and compares the value within a share of it.
func (l *live) compare(t *testing.T, p *testkit.Prometheus, server, query string, want, share float64) {
	t.Helper()
	samples, err := p.Query(query, l.at)
	if err != nil || len(samples) != 1 {
		t.Errorf("%s, %s: %d values, %v", server, query, len(samples), err)
		return
	}
	if got := samples[0].Value; !(math.Abs(got-want) <= share*want+1e-9) {
		t.Errorf("%s, %s: %v, want %v", server, query, got, want)
	}
}

// testTables compares the rows of each panel of a top table with those in the JSON of the agents or of the hub.
func (l *live) testTables(t *testing.T, job string, views ...map[string]any) {
	tables, rows := 0, 0
	for _, d := range []Dashboard{Agent(), DNS()} {
		for _, p := range d.Panels {
			path, label := tablePath(p)
			if path == "" {
				continue
			}
			want := make(map[string]float64)
			for _, view := range views {
				list, _ := view[path].([]any)
				for _, r := range list {
					row := r.(map[string]any)
					want[row["name"].(string)] += row["estimate"].(float64)
				}
			}
			samples, err := l.classic.Query(fill(d.expand(p.Targets[0].Expr), job, ".*"), l.at)
			if err != nil {
				t.Error(err)
			}
			got := make(map[string]float64)
			for _, s := range samples {
				got[s.Labels[label]] = s.Value
			}
			// Of equal rows at the end, any may be shown.
			least := 0.0
			if values := slices.Sorted(maps.Values(want)); len(values) > 15 {
				least = values[len(values)-15]
			}
			for name, v := range want {
				if shown, ok := got[name]; v > least && !ok || ok && shown != v {
					t.Errorf("%s, %s: %s has %v, want %v", job, p.Title, name, shown, v)
				}
			}
			for name := range got {
				if _, ok := want[name]; !ok {
					t.Errorf("%s, %s: unknown row %s", job, p.Title, name)
				}
			}
			tables++
			rows += len(got)
		}
	}
	if tables < 18 || rows < 100 {
		t.Errorf("%s: only %d rows of %d tables", job, rows, tables)
	}
	t.Logf("%s: %d rows of %d tables", job, rows, tables)
}

// tablePath returns the path of the metric of a panel that shows a top table, and the label of its rows.
func tablePath(p Panel) (path, label string) {
	if p.Kind != table || !strings.HasPrefix(p.Targets[0].Expr, "topk(15, sum by") {
		return "", ""
	}
	m := selector.FindStringSubmatch(p.Targets[0].Expr)
	for path, d := range tableMetrics() {
		if f := d.Families()[0]; f.Name == m[1] {
			return path, f.Label
		}
	}
	return "", ""
}

// testLatencies compares the quantiles of the second agent with those of its JSON, which are within 1%. A native bucket is
// 4.4% wide, and the bound of a classic one is 1.41 times that before. The gauges of the minute are those of the JSON.
func (l *live) testLatencies(t *testing.T, view map[string]any) {
	compared := 0
	for panel, path := range map[string]string{
		"Latency, host is the server": "dns.xact.in.quantiles_us", "Latency, host is the client": "dns.xact.out.quantiles_us",
		"Latency, no direction": "dns.xact.unknown.quantiles_us", "Sizes of responses": "dns.response_size",
	} {
		for _, q := range []string{"p50", "p90", "p95"} {
			want, ok := view[path+"."+q].(float64)
			if !ok {
				continue
			}
			if strings.HasSuffix(path, "_us") {
				want /= 1e6
			}
			for server, p := range l.servers() {
				compared++
				l.compare(t, p, server, fmt.Sprintf("%s_minute{instance=%q,stat=%q}", name(path), l.ns2.Addr, q), want, 1e-9)
				if server == "classic" {
					l.compare(t, p, server, l.panel(t, DNS(), panel, q, "pktvisor", l.ns2.Addr), want, 0.42)
					continue
				}
				// Prometheus 2.42 sees a native histogram only when it has values, so a rate would miss the first of them.
				query := fmt.Sprintf("histogram_quantile(0.%s, %s{instance=%q})", q[1:], name(path), l.ns2.Addr)
				l.compare(t, p, server, query, want, 0.06)
			}
		}
	}
	if compared < 12 {
		t.Errorf("only %d quantiles", compared)
	}
}

// testFleet compares the hub's numbers with those of the agents.
func (l *live) testFleet(t *testing.T) {
	const job = "pktvisor-hub|pktvisor-pop"
	for server, p := range l.servers() {
		l.compare(t, p, server, l.panel(t, Fleet(), "Up", "", job, ".*"), 2, 0)
		l.compare(t, p, server, l.panel(t, Fleet(), "Away", "", job, ".*"), 0, 0)
		l.compare(t, p, server, l.panel(t, Fleet(), "Conflicts", "", job, ".*"), 0, 0)
		l.compare(t, p, server, l.panel(t, Fleet(), "State", "connected", job, ".*"), 1, 0)
		l.compare(t, p, server, `pktvisor_dns_wire_packets_total{job="pktvisor-pop",pop="fra1"}`, float64(answers(t).Messages), 0)
	}
}
