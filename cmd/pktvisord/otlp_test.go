package main

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"pktvisor/internal/testkit"
	"pktvisor/policy"
)

// collector keeps the pushes that it gets.
type collector struct {
	*httptest.Server
	t *testing.T

	mu     sync.Mutex
	header http.Header
	path   string
	last   *metrics.MetricsData
	pushes int
}

func startCollector(t *testing.T) *collector {
	c := &collector{t: t}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

// ServeHTTP implements [http.Handler].
func (c *collector) ServeHTTP(_ http.ResponseWriter, q *http.Request) {
	m := new(metrics.MetricsData)
	z, err := gzip.NewReader(q.Body)
	if err == nil {
		var body []byte
		if body, err = io.ReadAll(z); err == nil {
			err = proto.Unmarshal(body, m)
		}
	}
	if err != nil {
		c.t.Error(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.header, c.path, c.last = q.Header, q.URL.Path, m
	c.pushes++
}

// sum returns a counter of the last push.
func (c *collector) sum(name string) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.last.ResourceMetrics[0].ScopeMetrics {
		for _, m := range s.Metrics {
			if m.Name == name {
				p := m.GetSum().DataPoints[0]
				return float64(p.GetAsInt()) + p.GetAsDouble()
			}
		}
	}
	return -1
}

// TestOTLP: an agent pushes by OTLP, with the flags of this project and of the successor, says so, and pushes all at its end.
func TestOTLP(t *testing.T) {
	file := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(file, []byte("Authorization=Bearer s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string]func(u *url.URL) []string{
		"own": func(u *url.URL) []string {
			return []string{"--otlp", u.String(), "--otlp-interval", "1s", "--otlp-header", "X-Scope=a,b=c", "--otlp-headers-file", file}
		},
		"successor": func(u *url.URL) []string {
			return []string{"--otel", "--otel-host", u.Hostname(), "--otel-port", u.Port(), "--otel-interval", "1"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := startCollector(t)
			u, _ := url.Parse(c.URL)
			p := startProcess(t, append(args(u), "--replay", "-H", testkit.HostSpec, filepath.Join(testkit.Captures(t), "demo.pcap.gz"))...)
			testkit.Eventually(t, "/app says that it has pushed twice", func() bool {
				app := p.summary(t, "/api/v1/metrics/app")
				return app["app.otlp.pushes"] >= 2 && app["app.otlp.bytes"] > 1000 && app["app.otlp.points"] > 100 && app["app.otlp.failed"] == 0
			})
			if _, page := p.get(t, "/metrics"); !regexp.MustCompile(`(?m)^pktvisor_otlp_pushes_total [1-9]`).Match(page) {
				t.Error("/metrics does not say that it pushes")
			}
			if took, code := p.Stop(t, syscall.SIGTERM); took > stopLimit || code != 0 || strings.Contains(p.Log.String(), "s3cret") {
				t.Errorf("SIGTERM: took %v, exit code %d", took, code)
			}
			m := regexp.MustCompile(`msg=stopped received=(\d+) `).FindStringSubmatch(p.Log.String())
			if n, _ := strconv.ParseFloat(m[1], 64); c.sum("pktvisor_packets_total") != n || c.sum("pktvisor_otlp_pushes_total") != float64(c.pushes-1) {
				t.Errorf("the last push has %v packets and %v pushes, not %v and %d", c.sum("pktvisor_packets_total"), c.sum("pktvisor_otlp_pushes_total"), n, c.pushes-1)
			}
			if c.path != "/v1/metrics" || name == "own" && (c.header.Get("Authorization") != "Bearer s3cret" || c.header.Get("X-Scope") != "a,b=c") {
				t.Errorf("%s %v", c.path, c.header)
			}
		})
	}
}

// TestOTLPNowhere: without a receiver, an agent runs, says so, and ends in time.
func TestOTLPNowhere(t *testing.T) {
	c := startCollector(t)
	c.Close()
	p := startProcess(t, "--replay", "--otlp", c.URL, "--otlp-interval", "1s", "--otel-port", "7", "-H", testkit.HostSpec, filepath.Join(testkit.Captures(t), "demo.pcap.gz"))
	testkit.Eventually(t, "it says that nobody listens", func() bool {
		_, body := p.get(t, "/api/v1/metrics/app")
		return strings.Contains(string(body), `connection refused"`) && strings.Contains(p.Log.String(), `msg="cannot push by OTLP: dial tcp`)
	})
	if took, code := p.Stop(t, syscall.SIGTERM); took > stopLimit+2*time.Second || code != 0 {
		t.Errorf("SIGTERM: took %v, exit code %d", took, code)
	}
	for _, text := range []string{`msg="the last numbers were not pushed by OTLP"`, `msg="options have no effect without --otel" options=--otel-port`} {
		if !strings.Contains(p.Log.String(), text) {
			t.Errorf("the log does not have %s:\n%s", text, &p.Log)
		}
	}
}

// TestOtelFlags: the flags of the successor fill the fields of OTLP.
func TestOtelFlags(t *testing.T) {
	def := policy.DefaultOTLP()
	with := func(change func(o *policy.OTLP)) policy.OTLP {
		o := def
		change(&o)
		return o
	}
	for _, c := range []struct {
		args  string
		want  policy.OTLP
		fault string
	}{
		{"--otel", with(func(o *policy.OTLP) { o.URL = "http://localhost:4318/v1/metrics" }), ""},
		{"--otel --otel-host ::1 --otel-port 80 --otel-path v2 --otel-interval 5", with(func(o *policy.OTLP) { o.URL, o.Interval = "http://[::1]:80/v2", 5*time.Second }), ""},
		{"--otel --otel-tls", with(func(o *policy.OTLP) { o.URL = "https://localhost:4318/v1/metrics" }), ""},
		{"--otel --otel-tls --otel-tls-cert c --otel-tls-key k", with(func(o *policy.OTLP) { o.URL, o.Cert, o.Key = "https://localhost:4318/v1/metrics", "c", "k" }), ""},
		{"--otel-host x", def, ""},
		{"--otel --otlp http://a", def, "--otel and --otlp: give one of them"},
		{"--otel --otel-interval 0", def, "--otel-interval 0: give a number of seconds from 1 to 3600"},
		{"--otel --otel-tls-cert c", def, "--otel-tls-cert and --otel-tls-key are for --otel-tls: give all three"},
		{"--otel --otel-tls --otel-tls-cert c", def, "give --otlp-cert and --otlp-key, or neither"},
	} {
		o, err := parse(append(strings.Fields(c.args), "lo"))
		switch {
		case c.fault != "":
			if err == nil || err.Error() != c.fault {
				t.Errorf("%s: %v, want %s", c.args, err, c.fault)
			}
		case err != nil || len(o.otlp.Headers) != 0 || o.otlp.URL != c.want.URL || o.otlp.Interval != c.want.Interval || o.otlp.Cert != c.want.Cert || o.otlp.Key != c.want.Key:
			t.Errorf("%s: %v %+v, want %+v", c.args, err, o.otlp, c.want)
		}
	}
}
