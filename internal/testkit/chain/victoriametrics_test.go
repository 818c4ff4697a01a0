package chain

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"pktvisor/internal/testkit"
)

// freeAddr returns a loopback address that nobody listens on.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startPeer starts a program that is ready when it answers at a URL. It is stopped when the test ends.
func startPeer(t *testing.T, ready, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(Peer(t, name), args...)
	var log testkit.Log
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("log of %s:\n%.8000s", name, log.String())
		}
	})
	testkit.Eventually(t, name+" answers", func() bool {
		r, err := http.Get(ready)
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
}

// families parses a page of metrics.
func families(t testing.TB, page Answer) map[string]*dto.MetricFamily {
	t.Helper()
	all := map[string]*dto.MetricFamily{}
	for d := expfmt.NewDecoder(bytes.NewReader(page.Body), expfmt.Format(page.Type)); ; {
		f := new(dto.MetricFamily)
		if err := d.Decode(f); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatalf("%s: %v", page.Type, err)
		}
		all[f.GetName()] = f
	}
}

// series returns the name of a series. A bound of a bucket is the same number however it is written, and an empty label is the same
// as none (Prometheus, "Data model").
func series(name string, labels map[string]string) string {
	labels = maps.Clone(labels)
	for _, added := range []string{"__name__", "job", "instance"} {
		delete(labels, added)
	}
	maps.DeleteFunc(labels, func(_, value string) bool { return value == "" })
	if le, err := strconv.ParseFloat(labels["le"], 64); err == nil {
		labels["le"] = fmt.Sprint(le)
	}
	return fmt.Sprint(name, labels)
}

// flat lists the series of a page in the classic form.
func flat(all map[string]*dto.MetricFamily) map[string]float64 {
	values := map[string]float64{}
	for name, f := range all {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			switch f.GetType() {
			case dto.MetricType_COUNTER:
				values[series(name, labels)] = m.GetCounter().GetValue()
			case dto.MetricType_HISTOGRAM:
				h := m.GetHistogram()
				values[series(name+"_sum", labels)] = h.GetSampleSum()
				values[series(name+"_count", labels)] = float64(h.GetSampleCount())
				for _, b := range h.GetBucket() {
					labels["le"] = fmt.Sprint(b.GetUpperBound())
					values[series(name+"_bucket", labels)] = float64(b.GetCumulativeCount())
				}
			case dto.MetricType_SUMMARY:
				s := m.GetSummary()
				values[series(name+"_sum", labels)] = s.GetSampleSum()
				values[series(name+"_count", labels)] = float64(s.GetSampleCount())
				for _, q := range s.GetQuantile() {
					labels["quantile"] = fmt.Sprint(q.GetQuantile())
					values[series(name, labels)] = q.GetValue()
				}
			default:
				values[series(name, labels)] = m.GetGauge().GetValue() + m.GetUntyped().GetValue()
			}
		}
	}
	return values
}

// decimal compares values as VictoriaMetrics keeps them: as a decimal number that may differ in the last digit of a float64.
var decimal = cmpopts.EquateApprox(1e-15, 0)

// TestVictoriaMetrics: VictoriaMetrics scrapes an agent, and returns every sample of every series as it was on the pages.
func TestVictoriaMetrics(t *testing.T) {
	Peer(t, "victoriametrics")
	build(t, "pktvisord")
	var pages *Recorder
	var addr string
	whileNewest(t, func(p *testkit.Program, _ int64) {
		pages = recorded(t, p.Addr)
		proxy := httptest.NewServer(pages)
		defer proxy.Close()
		config := filepath.Join(t.TempDir(), "scrape.yml")
		text := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: agent\n  static_configs: [{targets: [%q]}]\n", proxy.Listener.Addr())
		if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		addr = freeAddr(t)
		startPeer(t, "http://"+addr+"/health", "victoriametrics", "-storageDataPath="+t.TempDir(), "-httpListenAddr="+addr, "-promscrape.config="+config,
			"-search.latencyOffset=0s")
		testkit.Eventually(t, "it has scraped five times", func() bool { return len(pages.Answers()) >= 5 })
	})

	want := map[string][]float64{}
	for _, page := range pages.Answers() {
		for name, v := range flat(families(t, page)) {
			want[name] = append(want[name], v)
		}
	}
	for _, name := range []string{"pktvisor_packets_total", "pktvisor_dns_wire_packets_total"} {
		if v := want[series(name, nil)]; len(v) < 5 || v[len(v)-1] <= v[0] {
			t.Errorf("%s does not grow: %v", name, v)
		}
	}
	if len(want) < 400 {
		t.Errorf("only %d series", len(want))
	}
	diff := ""
	defer func() {
		if diff != "" {
			t.Logf("(-pages +VictoriaMetrics):\n%.4000s", diff)
		}
	}()
	testkit.Eventually(t, "it has stored every sample of the pages", func() bool {
		get(t, "http://"+addr+"/internal/force_flush")
		diff = cmp.Diff(want, exported(t, addr), decimal)
		return diff == ""
	})
	t.Logf("%d series", len(want))

	// A query finds a hostile name by its label.
	for _, name := range hostileNames {
		q := fmt.Sprintf("pktvisor_dns_top_qname3{qname=%s}", strconv.Quote(name))
		var answer struct {
			Data struct {
				Result []struct{ Metric map[string]string }
			}
		}
		body := get(t, "http://"+addr+"/api/v1/query?query="+url.QueryEscape("last_over_time("+q+"[5m])"))
		if err := json.Unmarshal(body, &answer); err != nil || len(answer.Data.Result) != 1 || answer.Data.Result[0].Metric["qname"] != name {
			t.Errorf("%s: %v %s", q, err, body)
		}
	}
}

// exported returns all samples of the pages in VictoriaMetrics, without its own series about the scrapes and without markers of stale series.
func exported(t *testing.T, addr string) map[string][]float64 {
	t.Helper()
	all := map[string][]float64{}
	lines := bufio.NewScanner(bytes.NewReader(get(t, "http://"+addr+"/api/v1/export?match[]="+url.QueryEscape(`{job="agent"}`))))
	for lines.Buffer(nil, 1<<20); lines.Scan(); {
		var line struct {
			Metric map[string]string
			Values []*float64
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		name := line.Metric["__name__"]
		if name == "up" || strings.HasPrefix(name, "scrape_") {
			continue
		}
		for _, v := range line.Values {
			if v != nil && !math.IsNaN(*v) {
				all[series(name, line.Metric)] = append(all[series(name, line.Metric)], *v)
			}
		}
	}
	return all
}
