package server_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"pktvisor/agent"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
	"pktvisor/server"
	"pktvisor/window"
)

// newWindow returns a window of two minutes with the agent's tables.
func newWindow() *window.Window {
	return window.New(window.Config{Tables: agent.Tables, Periods: 2, Shards: 1})
}

// fill counts a minute. keys adds to the sections packets and DNS.
func fill(w *window.Window, minute int64, keys func(packets, dns *metric.Section)) {
	w.Update(0, minute*60, minute*60, func(b *metric.Bucket, _ int64) { *metric.At[metric.Counter](b.Sections[0], 0) += 1 })
	lock := func(section int) *metric.Section { return w.LockKeys(0, section, minute*60, minute*60) }
	packets := lock(0)
	keys(packets, nil)
	w.UnlockKeys(0)
	dns := lock(1)
	keys(nil, dns)
	w.UnlockKeys(1)
	w.Advance((minute+1)*60, (minute+1)*60)
	w.Finish()
}

// flood adds rows with random names to each top table, and one name that has half of the weight of each.
func flood(rng *rand.Rand) func(packets, dns *metric.Section) {
	return func(packets, dns *metric.Section) {
		for _, s := range []*metric.Section{packets, dns} {
			if s == nil {
				continue
			}
			for i := range s.Table.Descs {
				if t := s.Top(i); t != nil {
					t.Add([]byte("victim.example"), 1000)
					for range 100 {
						t.Add(fmt.Appendf(nil, "%x.example", rng.Uint64()), 10)
					}
				}
			}
		}
	}
}

// lines returns the series in an answer in OpenMetrics, without values.
func lines(t testing.TB, cfg server.Config) (series []string) {
	t.Helper()
	body := get(t, server.New(cfg).Handler(), "/metrics", "Accept", "application/openmetrics-text").Body.String()
	return seriesOf(t, body)
}

func seriesOf(t testing.TB, body string) (series []string) {
	t.Helper()
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, "#") {
			series = append(series, line[:strings.LastIndexByte(line, ' ')])
		}
	}
	slices.Sort(series)
	if n := len(series); n != len(slices.Compact(slices.Clone(series))) {
		t.Error("a series comes twice")
	}
	return series
}

// number returns the value of a gauge.
func number(families map[string]*dto.MetricFamily, name string) int {
	return int(value(families[name]))
}

// TestSeriesBudget: an answer has no more series than its budget, in any format. The rows that are left out are counted, and their
// weight is in the rest of their table.
func TestSeriesBudget(t *testing.T) {
	w := newWindow()
	fill(w, 1, flood(rand.New(rand.NewPCG(1, 2))))
	cfg := config(w)
	all := len(lines(t, cfg))
	for _, limit := range []int{all - 270, all - 269, all - 200, all - 10, all - 1, all, 10_000} {
		cfg.Series = limit
		got := len(lines(t, cfg))
		if got > limit || got > all || limit >= all && got != all || limit < all && got < limit-30 {
			t.Errorf("limit %d: %d of %d series", limit, got, all)
		}
		h := server.New(cfg).Handler()
		text, proto := scrape(t, h, acceptText), scrape(t, h, acceptProto)
		left := number(text, "pktvisor_prometheus_left_out_rows")
		if number(text, "pktvisor_prometheus_series") != got || number(proto, "pktvisor_prometheus_series") != got ||
			(left > 0) != (limit < all) || number(text, "pktvisor_prometheus_series_limit") != limit {
			t.Errorf("limit %d: it says %d series and %d rows left out, of %d", limit, number(text, "pktvisor_prometheus_series"), left, got)
		}
		least, most := 1000, 0
		for name, f := range text {
			if !strings.Contains(name, "_top_") || name == "pktvisor_dns_top_opcode" { // which has fewer slots
				continue
			}
			sum, rows := 0.0, map[string]float64{}
			for _, m := range f.Metric {
				rows[m.Label[0].GetValue()] = m.GetGauge().GetValue()
				sum += m.GetGauge().GetValue()
			}
			least, most = min(least, len(rows)), max(most, len(rows))
			if sum != 2000 {
				t.Errorf("limit %d, %s: the rows have %v, want 2000", limit, name, sum)
			}
			if len(rows) > 1 && rows["victim.example"] != 1000 {
				t.Errorf("limit %d, %s: the heaviest row is missing: %v", limit, name, rows)
			}
		}
		if most-least > 1 {
			t.Errorf("limit %d: the smallest table has %d rows, the greatest %d", limit, least, most)
		}
	}
}

// TestSeriesOverTime: in a flood of random names, a table shows at most sixteen times its rows in an hour, and at most one new one in a
// minute at the end. The heaviest row is always there. A row that is new and heavy is shown in its first minute.
func TestSeriesOverTime(t *testing.T) {
	w, rng := newWindow(), rand.New(rand.NewPCG(3, 4))
	cfg := config(w)
	cfg.TopN = 10
	h := server.New(cfg).Handler()
	const name = "pktvisor_dns_top_qname2"
	seen := map[string]int{}
	newest := 0
	for minute := range int64(60) {
		fill(w, minute+1, func(packets, dns *metric.Section) {
			flood(rng)(packets, dns)
			if i, _ := agent.Tables[1].Find("top_qname2"); dns != nil && minute == 50 {
				dns.Top(i).Add([]byte("heavy.example"), 500)
			}
		})
		for range 3 { // scrapes of one minute have the same rows
			newest = 0
			body := get(t, h, "/metrics?name[]="+name).Body.String()
			for _, s := range seriesOf(t, body) {
				if seen[s]++; seen[s] == 1 {
					newest++
				}
			}
			if seen[name+`{qname="victim.example"}`] == 0 || seen[name+`{qname="other"}`] == 0 {
				t.Fatalf("minute %d: %s", minute, body)
			}
		}
		if minute == 50 && seen[name+`{qname="heavy.example"}`] == 0 {
			t.Error("a heavy new row is not shown")
		}
	}
	if len(seen) > 161 || len(seen) < 150 {
		t.Errorf("%d different rows in an hour", len(seen))
	}
	if held := number(scrape(t, h, acceptText), "pktvisor_prometheus_held_back_rows"); held < 8*10 {
		t.Errorf("%d rows are held back", held)
	}
}

// policies returns a configuration with the windows of three policies over two taps.
func policies() (server.Config, *window.Window) {
	first := newWindow()
	second, third, fourth := newWindow(), newWindow(), newWindow()
	for i, w := range []*window.Window{first, second, third, fourth} {
		rng := rand.New(rand.NewPCG(uint64(i), 6))
		for minute := range int64(i + 1) {
			fill(w, minute+1, flood(rng))
		}
	}
	cfg := config(nil)
	cfg.Window = nil
	one := func(tap string, w window.Views, handlers ...server.Handler) server.PolicyWindow {
		return server.PolicyWindow{Tap: tap, Views: w, Tables: agent.Tables, Started: cfg.Started.Add(time.Second), Handlers: handlers}
	}
	list := []*server.Policy{
		{Name: "default", Windows: []server.PolicyWindow{{Tap: "default", Views: first, Tables: agent.Tables}}},
		{Name: "anycast", Windows: []server.PolicyWindow{one("eth0", second), one("eth1", third)}},
		{Name: "zones", Windows: []server.PolicyWindow{one("", fourth), one("", second, server.Handler{Name: "again"}), one("", third, server.Handler{Name: "again"})}},
	}
	cfg.Policies = func() []*server.Policy { return list }
	return cfg, first
}

// TestPolicyLabels: the default policy's series have no labels, those of the others have policy and tap. Each family and each series
// comes once.
func TestPolicyLabels(t *testing.T) {
	cfg, _ := policies()
	h := server.New(cfg).Handler()
	for _, accept := range []string{acceptText, acceptProto} {
		families := scrape(t, h, accept)
		got := map[string]float64{}
		for _, m := range families["pktvisor_packets_total"].Metric {
			labels := ""
			for _, l := range m.Label {
				labels += l.GetName() + "=" + l.GetValue() + " "
			}
			got[labels] = m.GetCounter().GetValue()
			if at := m.GetCounter().GetCreatedTimestamp(); accept == acceptProto && at.AsTime().Equal(cfg.Started) != (labels == "") {
				t.Errorf("%s: created %v", labels, at.AsTime())
			}
		}
		want := map[string]float64{"": 1, "policy=anycast tap=eth0 ": 2, "policy=anycast tap=eth1 ": 3, "policy=zones ": 4, "policy=zones handler=again ": 2}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v, want %v", got, want)
		}
		if n := len(families["pktvisor_minute_start_time_seconds"].Metric); n != 5 {
			t.Errorf("%d windows", n)
		}
	}
	body := get(t, h, "/metrics", "Accept", "application/openmetrics-text").Body.String()
	seriesOf(t, body)
	heads := map[string]bool{}
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "# TYPE") {
			name := strings.Fields(line)[2]
			if heads[name] {
				t.Errorf("%s has two types", name)
			}
			heads[name] = true
		}
	}
	if len(heads) < 100 {
		t.Errorf("%d families", len(heads))
	}
}

// TestPoliciesShareBudget: each policy gets as many rows, and the last policies are left out only if their counters do not fit.
func TestPoliciesShareBudget(t *testing.T) {
	cfg, _ := policies()
	count := func(limit int) (byPolicy map[string]int, rows map[string]int, left int) {
		cfg.Series = limit
		body := get(t, server.New(cfg).Handler(), "/metrics", "Accept", "application/openmetrics-text").Body.String()
		byPolicy, rows = map[string]int{}, map[string]int{}
		list := seriesOf(t, body)
		if limit > 0 && len(list) > limit {
			t.Errorf("%d series, the limit is %d", len(list), limit)
		}
		for _, s := range list {
			policy := "default"
			if _, rest, found := strings.Cut(s, `policy="`); found {
				policy, _, _ = strings.Cut(rest, `"`)
			}
			byPolicy[policy]++
			if strings.Contains(s, "_top_qname2{") {
				rows[policy]++
			}
		}
		_, after, _ := strings.Cut(body, "\npktvisor_prometheus_left_out_windows ")
		fmt.Sscan(after, &left)
		return byPolicy, rows, left
	}
	all, rows, left := count(0)
	if left != 0 || rows["default"] != 11 || rows["anycast"] != 22 || rows["zones"] != 22 {
		t.Errorf("without a limit: %v, rows %v, %d left out", all, rows, left)
	}
	sum := all["default"] + all["anycast"] + all["zones"]
	if _, rows, left = count(sum - 500); left != 0 || rows["default"] < 5 || rows["default"] > 10 || rows["anycast"] < 2*rows["default"]-2 || rows["anycast"] > 2*rows["default"]+2 {
		t.Errorf("with less: rows %v, %d left out", rows, left)
	}
	if some, _, left := count(1700); left == 0 || left == 5 || some["default"] < 500 || some["zones"] > 20 {
		t.Errorf("with 1700: %v, %d left out", some, left)
	}
}

// TestPoliciesMayBeNone: an agent without policies still answers.
func TestPoliciesMayBeNone(t *testing.T) {
	cfg := config(nil)
	cfg.Window = nil
	cfg.Policies = func() []*server.Policy { return nil }
	families := scrape(t, server.New(cfg).Handler(), acceptText)
	if families["pktvisor_build_info"] == nil || families["go_goroutines"] == nil || families["pktvisor_packets_total"] != nil {
		t.Errorf("%d families", len(families))
	}
}

// TestFormatsAgree: text and Protocol Buffers have the same values, and OpenMetrics the same lines as text, with times of creation.
func TestFormatsAgree(t *testing.T) {
	h := server.New(config(summary(t, testkit.TinyMixed()).Window())).Handler()
	// What the process does changes between two answers.
	ours := func(name string) bool {
		return strings.HasPrefix(name, "pktvisor_packets") || strings.HasPrefix(name, "pktvisor_dns")
	}
	text, proto := scrape(t, h, acceptText), scrape(t, h, acceptProto)
	compared := 0
	for name, f := range text {
		p := proto[name]
		if !ours(name) {
			continue
		}
		if p == nil || p.GetType() != f.GetType() || p.GetHelp() != f.GetHelp() || len(p.Metric) != len(f.Metric) {
			t.Fatalf("%s: %v\n%v", name, f, p)
		}
		for i, m := range f.Metric {
			q := p.Metric[i]
			compared++
			if m.GetCounter().GetValue() != q.GetCounter().GetValue() || m.GetGauge().GetValue() != q.GetGauge().GetValue() || fmt.Sprint(m.Label) != fmt.Sprint(q.Label) {
				t.Errorf("%s: %v, %v", name, m, q)
			}
			if h := m.Histogram; h != nil {
				n := len(h.Bucket) - 1 // the text also has +Inf
				if h.GetSampleCount() != q.Histogram.GetSampleCount() || h.GetSampleSum() != q.Histogram.GetSampleSum() || fmt.Sprint(h.Bucket[:n]) != fmt.Sprint(q.Histogram.Bucket) {
					t.Errorf("%s: %v\n%v", name, h, q.Histogram)
				}
			}
		}
	}
	if compared < 300 {
		t.Errorf("only %d samples", compared)
	}
	plain := func(accept string) (lines []string) {
		for line := range strings.Lines(get(t, h, "/metrics", "Accept", accept).Body.String()) {
			if ours(line) && !strings.Contains(line, "_created") {
				lines = append(lines, strings.ReplaceAll(line, `.0"`, `"`)) // OpenMetrics writes the bound 1 as 1.0
			}
		}
		return lines
	}
	if a, b := plain(acceptText), plain("application/openmetrics-text"); !slices.Equal(a, b) || len(a) < 300 {
		t.Errorf("%d lines of text, %d of OpenMetrics", len(a), len(b))
	}
}

// TestSuccessorNames: the successor's names come in addition, make every answer text, and count in the budget.
func TestSuccessorNames(t *testing.T) {
	w := newWindow()
	fill(w, 1, flood(rand.New(rand.NewPCG(1, 2))))
	cfg := config(w)
	without := scrape(t, server.New(cfg).Handler(), acceptText)
	cfg.SuccessorNames = true
	h := server.New(cfg).Handler()
	a := get(t, h, "/metrics", "Accept", acceptProto)
	if got := a.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/plain") {
		t.Errorf("%s, %d bytes", got, a.Body.Len())
	}
	with := scrape(t, h, acceptText)
	added := 0
	for name, f := range with {
		if without[name] == nil && !strings.HasPrefix(name, "pktvisor_") {
			added += len(f.Metric)
		}
	}
	if with["packets_total"].GetMetric() == nil || with["dns_top_qname2"].GetMetric() == nil || added < 100 {
		t.Errorf("%d series of the successor's names", added)
	}
	if n := number(with, "pktvisor_prometheus_series") - number(without, "pktvisor_prometheus_series"); n < added {
		t.Errorf("%d more series count, want at least %d", n, added)
	}
}
