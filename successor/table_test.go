package successor

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/dashboards"
	"pktvisor/metric"
)

// names returns the Prometheus names of all forms, also of what is missing, with their types.
func names() map[string]string {
	all := map[string]string{}
	for _, f := range forms {
		for _, it := range slices.Concat(f.whole, f.below) {
			all[it.prometheus(f)] = types[it.kind]
		}
	}
	return all
}

// TestEachNameOfTheSuccessor: each metric of its handlers dns, net and pcap that docs/migrating.md lists is in a table.
func TestEachNameOfTheSuccessor(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(testkit.RepoRoot(t), "docs", "migrating.md"))
	if err != nil {
		t.Fatal(err)
	}
	ours, listed := names(), 0
	for _, m := range dashboards.Migrations(string(page)) {
		for _, old := range m.Old {
			name, _, _ := strings.Cut(old, "{")
			if !strings.Contains(m.Section, "(handler ") && !strings.HasPrefix(name, "pcap_") {
				continue
			}
			listed++
			if ours[strings.TrimSuffix(name, "_bucket")] == "" {
				t.Errorf("%s is in no table", name)
			}
		}
	}
	if listed < 120 {
		t.Errorf("only %d names", listed)
	}
}

// reference returns a file of what the successor printed, if it is beside the repository.
func reference(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testkit.RepoRoot(t), "..", "shared", "reference", "successor", name))
	if err != nil {
		t.Skip("no recorded answers of the successor beside the repository (../shared/reference)")
	}
	return b
}

// TestReferenceNames: each name and each path that the successor printed is in a table, with its type.
func TestReferenceNames(t *testing.T) {
	ours := names()
	for line := range strings.Lines(string(reference(t, "live-all-families.txt"))) {
		name, typ, _ := strings.Cut(strings.TrimSpace(line), " ")
		if regexp.MustCompile(`^(dns|net|packets|payload|pcap)_`).MatchString(name) && ours[name] != typ {
			t.Errorf("%s is %q in the tables, want %s", name, ours[name], typ)
		}
	}
	for _, file := range []string{"live-metrics-bucket-1.json", "live-metrics-window-5.json", "dns_udp_tcp_random.host.json", "ecs.pcap.json", "dhcp-flow.pcap.json"} {
		var doc map[string]map[string]any
		if err := json.Unmarshal(reference(t, file), &doc); err != nil {
			t.Fatal(err)
		}
		for _, schemas := range doc {
			for _, f := range forms {
				if body, ok := schemas[f.schema].(map[string]any); ok && f.version == "1.0" {
					for path := range leaves("", body) {
						if !declares(f, path) {
							t.Errorf("%s: %s.%s is in no table", file, f.schema, path)
						}
					}
				}
			}
		}
	}
}

// declares reports whether a path of an answer belongs to a metric of a form.
func declares(f *form, path string) bool {
	if strings.HasPrefix(path, "period.") {
		return true
	}
	below := path
	for _, d := range directions {
		if rest, ok := strings.CutPrefix(path, d+"."); ok && len(f.below) > 0 {
			below = rest
		}
	}
	has := func(items []item, path string) bool {
		return slices.ContainsFunc(items, func(it item) bool { return path == it.path || strings.HasPrefix(path, it.path+".") })
	}
	return has(f.whole, path) || below != path && has(f.below, below)
}

// leaves returns the values of a JSON object that are not objects, by their paths.
func leaves(prefix string, v any) map[string]any {
	all := map[string]any{}
	if o, ok := v.(map[string]any); ok {
		for name, below := range o {
			maps.Copy(all, leaves(prefix+name+".", below))
		}
		return all
	}
	return map[string]any{strings.TrimSuffix(prefix, "."): v}
}

// ours evaluates the source of a metric on our own JSON. It knows nothing of buckets.
type ours map[string]any

// number returns a counter, or the sum of a table's rows.
func (o ours) number(path string) float64 {
	if rows, ok := o[path].([]any); ok {
		sum := 0.
		for _, r := range rows {
			sum += r.(map[string]any)["estimate"].(float64)
		}
		return sum
	}
	n, _ := o[path].(float64)
	return n
}

// sum evaluates a source of counters.
func (o ours) sum(from string) (sum float64) {
	sign := 1.
	for _, word := range strings.Fields(from) {
		switch word {
		case "+":
			sign = 1
		case "-":
			sign = -1
		default:
			sum += sign * o.number(strings.TrimSuffix(word, "?"))
		}
	}
	return sum
}

// TestTwoWays: for each capture, each number that is shown is the number of our JSON from which its table says that it is made, and
// each number of the tables that the capture has is shown.
func TestTwoWays(t *testing.T) {
	compared := map[string]int{}
	for _, c := range testkit.OwnCaptures(t) {
		b := summary(t, c.Path, testkit.HostSpec)
		var doc map[string]map[string]any
		if err := json.Unmarshal(b.AppendJSON(nil, metric.JSONOptions{Key: "1m", Rows: 1 << 20}), &doc); err != nil {
			t.Fatal(err)
		}
		json := ours(leaves("", doc["1m"]))
		for _, f := range forms {
			got := leaves("", shown(t, b, Handler{Type: f.kind, Version: f.version, Enable: []string{"all"}}, 0))
			if got["period.start_ts"] != float64(b.Start) || got["period.length"] != float64(b.End-b.Start) {
				t.Errorf("%s: %s has the wrong period", c.Name, f.schema)
			}
			for path := range got {
				if !declares(f, path) {
					t.Errorf("%s: %s.%s is in no table", c.Name, f.schema, path)
				}
			}
			for _, it := range f.whole {
				compare(t, c.Name, json, got, &it, it.row.from, "", compared)
			}
			for i, seen := range strings.Split(f.declared(t).seen, "|") {
				if strings.TrimSpace(seen) == "" {
					continue
				}
				prefix := directions[i] + "."
				if json.sum(seen) == 0 {
					for path := range got {
						if strings.HasPrefix(path, prefix) {
							t.Errorf("%s: %s.%s, without events of this direction", c.Name, f.schema, path)
						}
					}
					continue
				}
				for _, it := range f.below {
					if sources := strings.Split(it.row.from, "|"); i < len(sources) {
						compare(t, c.Name, json, got, &it, sources[i], prefix, compared)
					}
				}
			}
		}
	}
	for _, f := range forms {
		for _, it := range slices.Concat(f.whole, f.below) {
			if it.row.from != "" && compared[it.prometheus(f)] == 0 && compared[it.path] == 0 {
				t.Errorf("no capture has %s", it.prometheus(f))
			}
		}
	}
}

// declared returns the declaration of a form.
func (f *form) declared(t *testing.T) *declaration {
	for _, d := range []*declaration{net1, net2, dns1, dns2, pcap1} {
		if d.schema == f.schema && d.version == f.version {
			return d
		}
	}
	t.Fatalf("no declaration of %s %s", f.kind, f.version)
	return nil
}

// compare compares what is shown of a metric, below a prefix, with what our JSON says of its source.
func compare(t *testing.T, capture string, json ours, got map[string]any, it *item, from, prefix string, compared map[string]int) {
	t.Helper()
	from = strings.TrimSpace(from)
	path := prefix + it.path
	if from == "" {
		for p := range got {
			if p == path || strings.HasPrefix(p, path+".") {
				t.Errorf("%s: %s is shown, and the table says that it is missing", capture, p)
			}
		}
		return
	}
	scale := it.row.scale
	if scale == 0 {
		scale = 1
	}
	want := map[string]any{}
	switch it.kind {
	case counter, distinct:
		want[path] = json.sum(from)
	case rate, quantiles:
		for _, q := range []string{"p50", "p90", "p95", "p99"} {
			if v, ok := json[from+"."+q]; ok {
				want[path+"."+q] = v.(float64) * scale
			}
		}
	case table:
		rows, _ := json[from].([]any)
		var first []any
		for _, r := range rows[:min(len(rows), 10)] {
			row := r.(map[string]any)
			first = append(first, map[string]any{"name": spelled(it.label, row["name"].(string)), "estimate": row["estimate"]})
		}
		want[path] = first
	case histogram:
		if n, ok := json[from+".count"]; ok {
			want[path+".buckets.+Inf"] = n
		}
	}
	for p, v := range want {
		g, ok := got[p]
		switch {
		case !ok:
			t.Errorf("%s: %s is not shown, want %v", capture, p, v)
		case it.kind == table && fmt.Sprint(g) != fmt.Sprint(v):
			t.Errorf("%s: %s is %v, want %v", capture, p, g, v)
		case it.kind != table && math.Abs(g.(float64)-v.(float64)) > 1e-9*v.(float64):
			t.Errorf("%s: %s is %v, want %v", capture, p, g, v)
		}
		compared[it.path]++
	}
}
