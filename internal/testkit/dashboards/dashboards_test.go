package dashboards

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	heatmaps "github.com/grafana/grafana-foundation-sdk/go/heatmap"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	stats "github.com/grafana/grafana-foundation-sdk/go/stat"
	tables "github.com/grafana/grafana-foundation-sdk/go/table"
	graphs "github.com/grafana/grafana-foundation-sdk/go/timeseries"

	"pktvisor/agent"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// migrating returns the text of docs/migrating.md.
func migrating(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testkit.RepoRoot(t), "docs", "migrating.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestDashboards: the files in examples/grafana are current.
func TestDashboards(t *testing.T) {
	dir := filepath.Join(testkit.RepoRoot(t), "examples", "grafana")
	var names []string
	for _, d := range All(migrating(t)) {
		b, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		testkit.Golden(t, filepath.Join(dir, d.File+".json"), b)
		names = append(names, d.File+".json")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) != len(names) {
		t.Errorf("%d files for %d dashboards, %v: remove those that are not made any more", len(files), len(names), err)
	}
}

// TestGrafanaSchema: Grafana's own types accept each dashboard, with no unknown and no missing field.
func TestGrafanaSchema(t *testing.T) {
	runtime := cog.NewRuntime()
	runtime.RegisterPanelcfgVariant(graphs.VariantConfig())
	runtime.RegisterPanelcfgVariant(stats.VariantConfig())
	runtime.RegisterPanelcfgVariant(tables.VariantConfig())
	runtime.RegisterPanelcfgVariant(heatmaps.VariantConfig())
	runtime.RegisterDataqueryVariant(prometheus.VariantConfig())
	for _, d := range All(migrating(t)) {
		b, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		var doc map[string]json.RawMessage
		if err := json.Unmarshal(b, &doc); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"__inputs", "__requires"} { // only in files that are to be imported
			if doc[name] == nil {
				t.Errorf("%s: no %s", d.File, name)
			}
			delete(doc, name)
		}
		if b, err = json.Marshal(doc); err != nil {
			t.Fatal(err)
		}
		var grafana dashboard.Dashboard //lint:ignore SA1019 version 2 of the schema needs Grafana 12
		// It returns an empty list of errors, which is not nil, for a right dashboard.
		if err := grafana.UnmarshalJSONStrict(b); err != nil && err.Error() != "" {
			t.Errorf("%s: %v", d.File, err)
		}
		if err := grafana.Validate(); err != nil {
			t.Errorf("%s: %v", d.File, err)
		}
	}
}

// units are the units that the dashboards may use: a part of Grafana's list.
var units = []string{"short", "percent", "percentunit", "s", "decbytes", "decbits", "bps", "Bps", "pps", "ops", "reqps", "bool_yes_no"}

// TestPanels: the rules of Grafana's dashboard linter, as far as they apply to dashboards with an input.
func TestPanels(t *testing.T) {
	for _, d := range All(migrating(t)) {
		seen := make(map[string]bool)
		width := 0
		for _, p := range d.Panels {
			where := d.File + ": " + p.Title
			if p.Kind == row {
				seen, width = make(map[string]bool), 0
				continue
			}
			if p.Title == "" || !strings.HasSuffix(p.Description, ".") || len(p.Targets) == 0 {
				t.Errorf("%s: a panel needs a title, a description and a query", where)
			}
			if seen[p.Title] {
				t.Errorf("%s: twice in its row", where)
			}
			seen[p.Title] = true
			if !slices.Contains(units, p.Unit) {
				t.Errorf("%s: unit %q", where, p.Unit)
			}
			if width += p.Width; p.Width < 1 || p.Width > 24 {
				t.Errorf("%s: %d columns", where, p.Width)
			}
			for _, target := range p.Targets {
				expr := d.expand(target.Expr)
				for _, m := range selector.FindAllStringSubmatch(expr, -1) {
					if !strings.Contains(m[2], selection) {
						t.Errorf("%s: %s is not selected by the variables", where, m[1])
					}
				}
				if strings.Contains(expr, "@") || strings.Count(expr, "(") != strings.Count(expr, ")") {
					t.Errorf("%s: %s", where, expr)
				}
			}
		}
	}
}

// notShown lists families of the agent that no panel shows, with the reason.
var notShown = map[string]string{
	"pktvisor_shards":                     "the frames by source show the shards",
	"pktvisor_start_time_seconds":         "a restart shows in the counters",
	"pktvisor_pcap_received_total":        "the frames by source show it",
	"pktvisor_pcap_discarded_total":       "the frames by source show it",
	"pktvisor_packets_deep_samples_total": "pktvisor_deep_sample_ratio shows it",
	"pktvisor_dns_deep_samples_total":     "pktvisor_deep_sample_ratio shows it",
	"pktvisor_dns_wire_packets_total":     "its parts are shown",
	"pktvisor_dns_xact_counts_open_total": "it grows only at the end of a file",
	"pktvisor_pcap_copies_total":          "the frames by source show it",
}

// ending matches the parts of a sample's name after the family's.
var ending = regexp.MustCompile(`_(bucket|count|sum)$`)

// TestEveryMetricIsShown: each Prometheus metric of the agent is in the dashboards of agents or DNS.
func TestEveryMetricIsShown(t *testing.T) {
	shown := make(map[string]bool)
	for _, d := range []Dashboard{Agent(), DNS()} {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				for _, m := range selector.FindAllStringSubmatch(target.Expr, -1) {
					shown[ending.ReplaceAllString(m[1], "")], shown[m[1]] = true, true
				}
			}
		}
	}
	var missing []string
	for _, table := range agent.Tables {
		for i := range table.Descs {
			for _, f := range table.Descs[i].Families() {
				// The error of a cardinality and the last second of a rate stand beside what is shown.
				rate := f.Span == 1 && shown[f.Name+"_minute"]
				if _, ok := notShown[f.Name]; !ok && !rate && !shown[f.Name] && !strings.HasSuffix(f.Name, "_error_ratio") && !strings.Contains(f.Name, "rates_pps_") && !strings.Contains(f.Name, "rates_bps_") {
					missing = append(missing, f.Name)
				}
			}
		}
	}
	if len(missing) > 0 {
		t.Errorf("no panel shows %s", strings.Join(missing, ", "))
	}
}

// TestMigrations: docs/migrating.md has every metric of the original and of the successor, if their lists are beside the repository.
func TestMigrations(t *testing.T) {
	documented := make(map[string]bool)
	for _, m := range Migrations(migrating(t)) {
		for _, old := range m.Old {
			name, _, _ := strings.Cut(old, "{")
			documented[name] = true
			documented[strings.TrimSuffix(name, "_bucket")] = true
		}
	}
	if len(documented) < 300 {
		t.Errorf("only %d old names", len(documented))
	}
	reference := filepath.Join(testkit.RepoRoot(t), "..", "shared", "reference")
	list, err := os.ReadFile(filepath.Join(reference, "successor", "live-all-families.txt"))
	if err != nil {
		t.Skip("no lists of the original and the successor beside the repository (../shared/reference)")
	}
	for line := range strings.Lines(string(list)) {
		if name := strings.Fields(line)[0]; !documented[name] {
			t.Errorf("%s is missing", name)
		}
	}
	for _, file := range []string{"live-window-5.json", "live-bucket-1.json", "live-app.json", "dns_ipv4_udp.summary.json"} {
		b, err := os.ReadFile(filepath.Join(reference, "original-3.0.7", file))
		if err != nil {
			t.Fatal(err)
		}
		var doc map[string]any
		if err := json.Unmarshal(b, &doc); err != nil {
			t.Fatal(err)
		}
		for top, below := range doc {
			prefix := ""
			if top == "app" || top == "dns" {
				prefix = top + "."
			}
			paths(prefix, below, func(path string) {
				if !documented[path] {
					t.Errorf("%s: %s is missing", file, path)
				}
			})
		}
	}
}

// quantileOf matches the quantiles of which one is documented for all.
var quantileOf = regexp.MustCompile(`(quantiles_us\.)p\d+$|(pps_\w+\.)p\d+$`)

// paths calls f with the paths of a JSON object's members.
func paths(prefix string, v any, f func(path string)) {
	o, ok := v.(map[string]any)
	if !ok {
		path := strings.TrimSuffix(prefix, ".")
		if quantileOf.MatchString(path) {
			path = strings.TrimRight(path, "0123456789")
			path += map[bool]string{true: "95", false: "50"}[strings.Contains(path, "quantiles")]
		}
		f(path)
		return
	}
	for name, below := range o {
		paths(prefix+name+".", below, f)
	}
}

// TestSelected: the selection joins the matchers that a query has.
func TestSelected(t *testing.T) {
	got := selected(`increase(pktvisor_a_total[1m]) / pktvisor_b{stat="p50"}`)
	if want := `increase(pktvisor_a_total{@}[1m]) / pktvisor_b{@,stat="p50"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	d := Dashboard{Interval: "5m"}
	if got, want := d.expand(`rate(x{@,a="b"}[@])`), fmt.Sprintf(`rate(x{%s,a="b"}[5m])`, selection); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// declared are the names of the families of the agent's tables.
var declared = sync.OnceValue(func() map[string]bool {
	names := make(map[string]bool)
	for _, table := range agent.Tables {
		for i := range table.Descs {
			for _, f := range table.Descs[i].Families() {
				names[f.Name] = true
			}
		}
	}
	return names
})

// tableMetrics returns the metrics of the agent that have rows, by path.
func tableMetrics() map[string]*metric.Desc {
	all := make(map[string]*metric.Desc)
	for _, table := range agent.Tables {
		for i := range table.Descs {
			if d := &table.Descs[i]; d.Label != "" {
				all[table.Section+"."+d.Path] = d
			}
		}
	}
	return all
}
