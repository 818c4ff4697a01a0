package dashboards

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"pktvisor/internal/testkit"
)

// ruleFile is a file of rules, or of their tests.
type ruleFile struct {
	Groups []struct {
		Rules []struct {
			Record, Alert, Expr string
			Labels, Annotations map[string]string
		}
	}
	Tests []struct {
		PromQL []struct {
			Expr string
			Want []struct{ Labels string } `yaml:"exp_samples"`
		} `yaml:"promql_expr_test"`
	}
}

func readRules(t *testing.T, name string) (f ruleFile) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testkit.RepoRoot(t), "examples", "prometheus", name))
	if err == nil {
		err = yaml.Unmarshal(b, &f)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestRules: promtool accepts the rules, and their tests pass.
func TestRules(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("this test needs promtool (Debian: prometheus)")
	}
	for _, args := range [][]string{{"check", "rules", "pktvisor-recording.yml", "pktvisor-alerts.yml"}, {"test", "rules", "pktvisor-tests.yml"}} {
		cmd := exec.Command("promtool", args...)
		cmd.Dir = filepath.Join(testkit.RepoRoot(t), "examples", "prometheus")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

var alertName = regexp.MustCompile(`^ALERTS\{alertname="(\w+)", alertstate="firing"\}$`)

// TestAlerts: each alert says what has happened and what to do, links to its section of the docs, and is tested with traffic on
// which it fires and with traffic on which it does not.
func TestAlerts(t *testing.T) {
	fires, quiet := make(map[string]bool), make(map[string]bool)
	for _, test := range readRules(t, "pktvisor-tests.yml").Tests {
		for _, q := range test.PromQL {
			m := alertName.FindStringSubmatch(q.Expr)
			if m == nil {
				t.Fatalf("%s is not about an alert", q.Expr)
			}
			map[bool]map[string]bool{true: fires, false: quiet}[len(q.Want) > 0][m[1]] = true
		}
	}
	page, err := os.ReadFile(filepath.Join(testkit.RepoRoot(t), "docs", "grafana.md"))
	if err != nil {
		t.Fatal(err)
	}
	alerts := 0
	for _, group := range readRules(t, "pktvisor-alerts.yml").Groups {
		for _, r := range group.Rules {
			alerts++
			if !fires[r.Alert] || !quiet[r.Alert] {
				t.Errorf("%s: tested to fire: %v, not to fire: %v", r.Alert, fires[r.Alert], quiet[r.Alert])
			}
			if r.Annotations["summary"] == "" || !strings.HasSuffix(r.Annotations["description"], ".") || !slices.Contains([]string{"critical", "warning"}, r.Labels["severity"]) {
				t.Errorf("%s: annotations %v, labels %v", r.Alert, r.Annotations, r.Labels)
			}
			if r.Annotations["docs"] != "docs/grafana.md#"+strings.ToLower(r.Alert) || !strings.Contains(string(page), "\n### "+r.Alert+"\n") {
				t.Errorf("%s: no section in docs/grafana.md, or no link to it", r.Alert)
			}
		}
	}
	if alerts < 20 || strings.Count(string(page), "\n### ") != alerts {
		t.Errorf("%d alerts, %d sections", alerts, strings.Count(string(page), "\n### "))
	}
	for _, r := range readRules(t, "pktvisor-recording.yml").Groups[0].Rules {
		if !strings.HasPrefix(r.Record, "instance:pktvisor_") {
			t.Errorf("recording rule %s", r.Record)
		}
	}
}

// TestScrapeConfig: the configuration of Prometheus in docs/grafana.md is valid.
func TestScrapeConfig(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("this test needs promtool (Debian: prometheus)")
	}
	root := testkit.RepoRoot(t)
	page, err := os.ReadFile(filepath.Join(root, "docs", "grafana.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "```yaml\n")
	config, _, _ := strings.Cut(after, "```")
	config = strings.ReplaceAll(config, "[pktvisor-", "["+filepath.Join(root, "examples", "prometheus")+"/pktvisor-")
	config = strings.ReplaceAll(config, ", pktvisor-", ", "+filepath.Join(root, "examples", "prometheus")+"/pktvisor-")
	path := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("promtool", "check", "config", path).CombinedOutput(); err != nil || strings.Count(string(out), "rules found") != 2 {
		t.Errorf("promtool check config: %v\n%s", err, out)
	}
}
