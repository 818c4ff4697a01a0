package chain

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pktvisor/internal/testkit"
	"pktvisor/metric"
	"pktvisor/minute"
)

// point is a data point of the OpenTelemetry protocol in JSON (opentelemetry-proto, metrics.proto). 64-bit integers are strings.
type point struct {
	Attributes []struct {
		Key   string
		Value struct{ StringValue string }
	}
	Time           string `json:"timeUnixNano"`
	Flags          int
	AsDouble       *float64
	Sum            float64
	Count          string
	BucketCounts   []string
	ExplicitBounds []float64
	QuantileValues []struct{ Quantile, Value float64 }
}

// points is what all kinds of metrics have.
type points struct{ DataPoints []point }

// collected reads what the file exporter wrote: for each time, the series in the classic form of Prometheus.
func collected(t *testing.T, file string) map[string]map[string]float64 {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]float64{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Buffer(nil, 1<<24); lines.Scan(); {
		var line struct {
			ResourceMetrics []struct {
				ScopeMetrics []struct {
					Metrics []struct {
						Name                           string
						Gauge, Sum, Histogram, Summary points
						ExponentialHistogram           *points
					}
				}
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			continue // the last line may be incomplete
		}
		for _, r := range line.ResourceMetrics {
			for _, s := range r.ScopeMetrics {
				for _, m := range s.Metrics {
					if m.ExponentialHistogram != nil {
						t.Errorf("%s is an exponential histogram", m.Name)
					}
					for _, p := range slices.Concat(m.Gauge.DataPoints, m.Sum.DataPoints, m.Histogram.DataPoints, m.Summary.DataPoints) {
						if m.Name == "up" || strings.HasPrefix(m.Name, "scrape_") || p.Flags != 0 { // about the scrape, or without a value
							continue
						}
						if all[p.Time] == nil {
							all[p.Time] = map[string]float64{}
						}
						maps.Copy(all[p.Time], p.series(m.Name))
					}
				}
			}
		}
	}
	return all
}

// series returns the series of a data point.
func (p *point) series(name string) map[string]float64 {
	labels := map[string]string{}
	for _, a := range p.Attributes {
		labels[a.Key] = a.Value.StringValue
	}
	if p.AsDouble != nil {
		return map[string]float64{series(name, labels): *p.AsDouble}
	}
	all := map[string]float64{}
	all[series(name+"_sum", labels)] = p.Sum
	all[series(name+"_count", labels)], _ = strconv.ParseFloat(p.Count, 64)
	cumulative := 0.0
	for i, text := range p.BucketCounts {
		n, _ := strconv.ParseFloat(text, 64)
		cumulative += n
		labels["le"] = "+Inf"
		if i < len(p.ExplicitBounds) {
			labels["le"] = fmt.Sprint(p.ExplicitBounds[i])
		}
		all[series(name+"_bucket", labels)] = cumulative
	}
	for _, q := range p.QuantileValues {
		labels["quantile"] = fmt.Sprint(q.Quantile)
		all[series(name, labels)] = q.Value
	}
	return all
}

// TestCollector: the OpenTelemetry Collector scrapes an agent, and writes every value of each page.
func TestCollector(t *testing.T) {
	Peer(t, "otelcol")
	build(t, "pktvisord")
	agent := startAgent(t, []*metric.Bucket{busyMinute(t, minute.Of(time.Now().Unix())-minute.Seconds)})
	pages := recorded(t, agent.Addr)
	proxy := httptest.NewServer(pages)
	defer proxy.Close()
	dir := t.TempDir()
	out, config := filepath.Join(dir, "out.json"), filepath.Join(dir, "otelcol.yaml")
	text := fmt.Sprintf(`
receivers:
  prometheus:
    config:
      global: {scrape_interval: 1s}
      scrape_configs: [{job_name: agent, static_configs: [{targets: [%q]}]}]
exporters:
  file: {path: %q}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    metrics: {receivers: [prometheus], exporters: [file]}
`, proxy.Listener.Addr(), out)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	startPeer(t, "", "otelcol", "--config", config)
	testkit.Eventually(t, "it has scraped five times", func() bool { return len(pages.Answers()) >= 5 })
	proxy.Close()

	var want []map[string]float64
	for _, page := range pages.Answers() {
		want = append(want, flat(families(t, page)))
	}
	if len(want[0]) < 400 {
		t.Errorf("only %d series", len(want[0]))
	}
	var got []map[string]float64
	diff := ""
	defer func() {
		if diff != "" {
			t.Logf("(-pages +Collector):\n%.4000s", diff)
		}
	}()
	testkit.Eventually(t, "it has written every value of the pages", func() bool {
		if _, err := os.Stat(out); err != nil {
			return false
		}
		all := collected(t, out)
		got = nil
		for _, at := range slices.Sorted(maps.Keys(all)) {
			got = append(got, all[at])
		}
		diff = cmp.Diff(want, got)
		return diff == ""
	})
	t.Logf("%d pages of %s, the last with %d series", len(want), pages.Answers()[0].Type, len(want[len(want)-1]))
}
