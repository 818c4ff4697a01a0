package chain

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"pktvisor/internal/testkit"
)

// pushes keeps messages of OTLP, and passes them on if there is a next receiver.
type pushes struct {
	*httptest.Server
	t    testing.TB
	next http.Handler

	mu   sync.Mutex
	list []*metrics.MetricsData
}

func newPushes(t testing.TB, next string) *pushes {
	p := &pushes{t: t}
	if next != "" {
		p.next = httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: next})
	}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

// ServeHTTP implements [http.Handler].
func (p *pushes) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	plain := body
	if q.Header.Get("Content-Encoding") == "gzip" && err == nil {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			plain, err = io.ReadAll(z)
		}
	}
	m := new(metrics.MetricsData)
	if err == nil {
		err = proto.Unmarshal(plain, m)
	}
	if err != nil {
		p.t.Errorf("%s: %v", q.URL, err)
	}
	if p.next != nil {
		q.Body = io.NopCloser(bytes.NewReader(body))
		kept := &keeping{ResponseWriter: w, status: http.StatusOK}
		p.next.ServeHTTP(kept, q)
		if kept.status/100 != 2 {
			p.t.Errorf("the receiver answers %d: %s", kept.status, kept.body)
			return
		}
	} else {
		w.Header().Set("Content-Type", "application/x-protobuf")
	}
	p.mu.Lock()
	p.list = append(p.list, m)
	p.mu.Unlock()
}

// all returns the messages so far.
func (p *pushes) all() []*metrics.MetricsData {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.list)
}

// find returns the metrics of that name in a message.
func find(m *metrics.MetricsData, name string) (list []*metrics.Metric) {
	for _, r := range m.ResourceMetrics {
		for _, s := range r.ScopeMetrics {
			for _, x := range s.Metrics {
				if x.Name == name {
					list = append(list, x)
				}
			}
		}
	}
	return list
}

// total returns the counter of packets of a message, and when it began to count.
func total(t testing.TB, m *metrics.MetricsData) (packets int64, since uint64) {
	t.Helper()
	list := find(m, "pktvisor_packets_total")
	if len(list) != 1 || len(list[0].GetSum().GetDataPoints()) != 1 {
		t.Fatalf("%d counters of packets", len(list))
	}
	p := list[0].GetSum().DataPoints[0]
	return p.GetAsInt(), p.StartTimeUnixNano
}

// normalise removes empty buckets, which the collector adds.
func normalise(m *metrics.MetricsData) {
	for _, s := range m.ResourceMetrics[0].ScopeMetrics {
		for _, x := range s.Metrics {
			for _, p := range x.GetExponentialHistogram().GetDataPoints() {
				for _, b := range []**metrics.ExponentialHistogramDataPoint_Buckets{&p.Positive, &p.Negative} {
					if len((*b).GetBucketCounts()) == 0 {
						*b = nil
					}
				}
			}
		}
	}
}

// sorted puts the attributes in order. The order has no meaning, and the collector keeps it.
func sorted(list []*common.KeyValue) {
	slices.SortFunc(list, func(a, b *common.KeyValue) int { return cmp.Compare(a.Key, b.Key) })
}

var receivedInLog = regexp.MustCompile(`msg=stopped received=(\d+) drops=0 `)

// otlpAgent starts an agent that plays generated traffic, faster than it was, and pushes each second.
func otlpAgent(t *testing.T, address string, args ...string) *testkit.Program {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "traffic.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cfg := testkit.TinyMixed()
	cfg.Start, cfg.Rate, cfg.Packets = time.Unix(1_700_000_000, 0), 500, 50_000
	if _, err := testkit.Generate(file, cfg); err != nil {
		t.Fatal(err)
	}
	args = append(args, "--replay", "--replay-speed", "20", "--name", "ns1", "--tag", "pop=ams1", "-H", testkit.HostSpec, "--otlp", address, "--otlp-interval", "1s")
	return start(t, "pktvisord", append(args, file.Name())...)
}

// stopped stops an agent and returns how many packets its log says.
func stopped(t *testing.T, p *testkit.Program) int64 {
	t.Helper()
	p.Stop(t, syscall.SIGTERM)
	m := receivedInLog.FindStringSubmatch(p.Log.String())
	if m == nil {
		t.Fatalf("the log does not say how many packets: %s", &p.Log)
	}
	n, _ := strconv.ParseInt(m[1], 10, 64)
	return n
}

// TestOtelCollector: the OpenTelemetry Collector takes what two runs of an agent push and passes all of it on unchanged. The last
// push of a run has all its packets, and a sum never falls unless its start is later.
func TestOtelCollector(t *testing.T) {
	Peer(t, "otelcol")
	build(t, "pktvisord")
	out := newPushes(t, "")
	addr := freeAddr(t)
	config := filepath.Join(t.TempDir(), "otelcol.yaml")
	text := fmt.Sprintf(`
receivers: {otlp: {protocols: {http: {endpoint: %q}}}}
exporters: {otlphttp: {endpoint: %q, sending_queue: {enabled: false}}, debug: {}}
service: {pipelines: {metrics: {receivers: [otlp], exporters: [otlphttp, debug]}}}
`, addr, out.URL)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	startListening(t, addr, "otelcol", "--config=file:"+config)
	in := newPushes(t, addr)
	var ends []int64
	for range 2 {
		before := len(in.all())
		p := otlpAgent(t, in.URL)
		testkit.Eventually(t, "it has pushed four times", func() bool { return len(in.all()) >= before+4 })
		ends = append(ends, stopped(t, p))
		all := in.all()
		if n, _ := total(t, all[len(all)-1]); n != ends[len(ends)-1] || n == 0 {
			t.Errorf("the last push has %d packets, the log %d", n, ends[len(ends)-1])
		}
	}
	sent := in.all()
	testkit.Eventually(t, "all has come out", func() bool { return len(out.all()) >= len(sent) })
	for i, m := range out.all() {
		normalise(m)
		if normalise(sent[i]); proto.Equal(sent[i], m) {
			continue
		}
		t.Errorf("the collector changes push %d", i)
		for _, x := range m.ResourceMetrics[0].ScopeMetrics[0].Metrics {
			if was := find(sent[i], x.Name); len(was) != 1 || !proto.Equal(was[0], x) {
				t.Fatalf("it was %.2000v,\nand is %.2000v", was, x)
			}
		}
	}
	last, since, runs := int64(0), uint64(0), 0
	for _, m := range out.all() {
		n, start := total(t, m)
		if start != since {
			last, since = 0, start
			runs++
		}
		if n < last {
			t.Errorf("%d packets after %d", n, last)
		}
		last = n
		size := find(m, "pktvisor_packets_size_bytes")[0].GetExponentialHistogram().DataPoints[0]
		inBuckets := size.ZeroCount
		for _, c := range size.Positive.GetBucketCounts() {
			inBuckets += c
		}
		if int64(size.Count) != n || inBuckets != size.Count {
			t.Errorf("%d sizes, %d in buckets, of %d packets", size.Count, inBuckets, n)
		}
	}
	if runs != 2 {
		t.Errorf("%d starts of two runs", runs)
	}
	attributes := sent[0].ResourceMetrics[0].Resource.Attributes
	sorted(attributes)
	names := ""
	for _, a := range attributes {
		names += a.Key + " "
	}
	if names != "host.name pktvisor.tag.pop service.instance.id service.name service.version " {
		t.Errorf("resource %s", names)
	}
	t.Logf("%d pushes, the last with %d bytes of protobuf", len(sent), proto.Size(sent[len(sent)-1]))
}

// startListening starts a program that is ready when it listens for HTTP.
func startListening(t *testing.T, addr, name string, args ...string) {
	t.Helper()
	ready := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		r, err := http.Get("http://" + addr + "/")
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		r.Body.Close()
	}))
	defer ready.Close()
	startPeer(t, ready.URL, name, args...)
}

// query returns the one value of a query of VictoriaMetrics now, or NaN.
func query(t *testing.T, addr, text string) float64 {
	t.Helper()
	var answer struct {
		Data struct{ Result []struct{ Value []any } }
	}
	body := get(t, "http://"+addr+"/api/v1/query?query="+url.QueryEscape(text))
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if len(answer.Data.Result) != 1 {
		return math.NaN()
	}
	v, err := strconv.ParseFloat(answer.Data.Result[0].Value[1].(string), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestVictoriaMetricsOTLP: VictoriaMetrics keeps the sums of two runs, sees one reset, and computes the latencies that the API has.
func TestVictoriaMetricsOTLP(t *testing.T) {
	Peer(t, "victoriametrics")
	build(t, "pktvisord")
	addr := freeAddr(t)
	startPeer(t, "http://"+addr+"/health", "victoriametrics", "-storageDataPath="+t.TempDir(), "-httpListenAddr="+addr, "-search.latencyOffset=0s")
	in := newPushes(t, addr)
	address := in.URL + "/opentelemetry/v1/metrics"

	p := otlpAgent(t, address)
	for _, quantile := range []float64{0.5, 0.9, 0.99} {
		name := fmt.Sprintf("dns.xact.in.quantiles_us.p%v", quantile*100)
		text := fmt.Sprintf("histogram_quantile(%v, sum(last_over_time(pktvisor_dns_xact_in_seconds_bucket[1m])) by (vmrange))", quantile)
		var got, want float64
		testkit.Eventually(t, fmt.Sprintf("p%v is that of the API within 2%%", quantile*100), func() bool {
			get(t, "http://"+addr+"/internal/force_flush")
			got, want = query(t, addr, text)*1e6, readSummary(t, get(t, "http://"+p.Addr+"/api/v1/metrics/window/5")).numbers[name]
			return math.Abs(got/want-1) < 0.02
		})
		t.Logf("%s: %.0f µs by VictoriaMetrics, %.0f by the API", name, got, want)
	}
	first := stopped(t, p)
	before := len(in.all())
	p = otlpAgent(t, address)
	testkit.Eventually(t, "it has pushed twice", func() bool { return len(in.all()) >= before+2 })
	second := stopped(t, p)
	var have float64
	testkit.Eventually(t, "VictoriaMetrics has the last push", func() bool {
		get(t, "http://"+addr+"/internal/force_flush")
		have = query(t, addr, `last_over_time(pktvisor_packets_total{service.instance.id="ns1"}[5m])`)
		return have == float64(second)
	})
	if n := query(t, addr, `resets(pktvisor_packets_total[5m])`); n != 1 && first > second || n > 1 {
		t.Errorf("%v resets after runs of %d and %d packets", n, first, second)
	}
	if n := query(t, addr, `min(min_over_time(rate(pktvisor_packets_total[10s])[5m:1s]))`); !(n >= 0) {
		t.Errorf("a rate of %v", n)
	}
	// What a query gets back is what was pushed.
	for _, m := range in.all()[len(in.all())-1].ResourceMetrics[0].ScopeMetrics[0].Metrics {
		for _, x := range m.GetSum().GetDataPoints() {
			if got := query(t, addr, fmt.Sprintf("last_over_time(%s[5m])", m.Name)); got != float64(x.GetAsInt()) {
				t.Errorf("%s: %v, pushed %d", m.Name, got, x.GetAsInt())
			}
		}
	}
}
