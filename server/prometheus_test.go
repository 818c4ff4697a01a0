package server_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"pktvisor/agent"
	"pktvisor/exposition"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
	"pktvisor/server"
	"pktvisor/window"
)

// scrape returns the metric families by name.
func scrape(t testing.TB, h http.Handler, accept string) map[string]*dto.MetricFamily {
	t.Helper()
	w := get(t, h, "/metrics", "Accept", accept)
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	families := make(map[string]*dto.MetricFamily)
	d := expfmt.NewDecoder(w.Body, expfmt.ResponseFormat(w.Header()))
	for {
		var f dto.MetricFamily
		if err := d.Decode(&f); err != nil {
			return families // the end of the text
		}
		if families[f.GetName()] != nil {
			t.Errorf("%s comes twice", f.GetName())
		}
		families[f.GetName()] = &f
	}
}

const (
	acceptText  = "text/plain"
	acceptProto = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
)

func value(f *dto.MetricFamily) float64 {
	if f == nil || len(f.Metric) != 1 {
		return math.NaN()
	}
	m := f.Metric[0]
	return m.GetCounter().GetValue() + m.GetGauge().GetValue()
}

func TestPrometheusLint(t *testing.T) {
	h := server.New(config(summary(t, testkit.TinyMixed()).Window())).Handler()
	problems, err := promlint.New(get(t, h, "/metrics").Body).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestPrometheusNames pins names that dashboards will use.
func TestPrometheusNames(t *testing.T) {
	a := summary(t, testkit.TinyMixed())
	families := scrape(t, server.New(config(a.Window())).Handler(), acceptText)
	for _, name := range []string{
		"pktvisor_packets_total", "pktvisor_packets_udp_total", "pktvisor_packets_in_total", "pktvisor_packets_bytes_total",
		"pktvisor_packets_in_bytes_total", "pktvisor_packets_protocol_tcp_syn_total", "pktvisor_packets_size_bytes",
		"pktvisor_packets_cardinality_src_ips_in", "pktvisor_packets_cardinality_src_ips_in_error_ratio",
		"pktvisor_packets_rates_pps_in", "pktvisor_packets_rates_pps_all", "pktvisor_packets_rates_pps_in_minute",
		"pktvisor_packets_top_ipv4", "pktvisor_dns_wire_packets_total", "pktvisor_dns_wire_packets_nxdomain_total",
		"pktvisor_dns_xact_counts_total", "pktvisor_dns_xact_in_total", "pktvisor_dns_xact_in_seconds", "pktvisor_dns_xact_ratio",
		"pktvisor_dns_response_size_bytes", "pktvisor_dns_top_qname2", "pktvisor_dns_cardinality_qname", "pktvisor_dns_rates_all",
		"pktvisor_pcap_os_drops_total", "pktvisor_source_received_total", "pktvisor_lost_packets_total", "pktvisor_build_info",
		"pktvisor_last_packet_age_seconds", "pktvisor_capturing", "go_goroutines", "process_open_fds",
	} {
		if families[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	// Every metric is present, except for tables without rows.
	n, sections := 0, []string{}
	for _, table := range agent.Tables {
		sections = append(sections, "pktvisor_"+table.Section+"_")
		for _, d := range table.Descs {
			if !d.Kind.PerKey() {
				n++
			}
		}
	}
	got := 0
	for name := range families {
		section := slices.ContainsFunc(sections, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
		if section && !strings.Contains(name, "_top_") && !strings.HasSuffix(name, "_minute") && !strings.HasSuffix(name, "_error_ratio") {
			got++
		}
	}
	if got != n {
		t.Errorf("%d families for %d metrics", got, n)
	}
}

// TestPrometheusCounters: the counters are the totals, and continue when buckets leave the window.
func TestPrometheusCounters(t *testing.T) {
	cfg := testkit.TinyMixed()
	cfg.Packets = 20_000 // eleven minutes, in a window of five
	var file bytes.Buffer
	truth, err := testkit.Generate(&file, cfg)
	if err != nil {
		t.Fatal(err)
	}
	families := scrape(t, server.New(config(summary(t, cfg).Window())).Handler(), acceptText)
	for name, want := range map[string]uint64{
		"pktvisor_packets_total": truth.Total.Packets, "pktvisor_packets_bytes_total": truth.Total.Bytes,
		"pktvisor_packets_udp_total": truth.Total.UDP, "pktvisor_dns_wire_packets_total": truth.Total.DNSMessages,
		"pktvisor_dns_wire_packets_nxdomain_total": truth.Total.NXDomain, "pktvisor_dns_xact_in_total": truth.Total.XactIn,
		"pktvisor_dns_xact_out_total": truth.Total.XactOut, "pktvisor_dns_xact_in_timeouts_total": truth.Total.TimeoutsIn,
	} {
		if got := value(families[name]); got != float64(want) {
			t.Errorf("%s: %v, want %d", name, got, want)
		}
	}
	if got := families["pktvisor_dns_xact_in_seconds"].Metric[0].Histogram.GetSampleCount(); got != truth.Total.XactIn {
		t.Errorf("%d latencies, want %d", got, truth.Total.XactIn)
	}
}

// TestPrometheusHistogram: the classic and native buckets match the values.
func TestPrometheusHistogram(t *testing.T) {
	w := window.New(window.Config{Tables: agent.Tables, Periods: 2, Shards: 1})
	values := []uint64{0, 1, 31, 32, 33, 1000, 1000, 1_000_000, 100_000_000} // µs
	at, ok := agent.Tables[1].Find("xact.in.quantiles_us")
	if !ok {
		t.Fatal("no such metric")
	}
	w.Update(0, 60, 60, func(b *metric.Bucket, _ int64) {
		for _, v := range values {
			b.Sections[1].Histogram(at).Record(v)
		}
	})
	h := server.New(config(w)).Handler()
	got := scrape(t, h, acceptProto)["pktvisor_dns_xact_in_seconds"].Metric[0].Histogram
	if got.GetSampleCount() != 9 || math.Abs(got.GetSampleSum()-101.002097) > 1e-9 {
		t.Errorf("count %d, sum %v", got.GetSampleCount(), got.GetSampleSum())
	}
	for _, b := range got.Bucket {
		var want uint64
		for _, v := range values {
			if float64(v)*1e-6 <= b.GetUpperBound()*(1+1e-12) {
				want++
			}
		}
		if b.GetCumulativeCount() != want {
			t.Errorf("le %v: %d, want %d", b.GetUpperBound(), b.GetCumulativeCount(), want)
		}
	}
	if got.GetSchema() != 4 || got.GetZeroCount() != 1 {
		t.Errorf("schema %d, zeros %d", got.GetSchema(), got.GetZeroCount())
	}
	// The count up to each native bound is right within one bucket of the sketch (1.1%).
	atOrBelow := func(bound float64) (n int64) {
		for _, v := range values {
			if float64(v)*1e-6 <= bound {
				n++
			}
		}
		return n
	}
	index, count, sum, delta := 0, int64(0), int64(got.GetZeroCount()), 0
	for _, span := range got.PositiveSpan {
		index += int(span.GetOffset())
		for range span.GetLength() {
			count += got.PositiveDelta[delta]
			sum += count
			bound := math.Exp2(float64(index) / 16)
			if least, most := atOrBelow(bound/1.011), atOrBelow(bound*1.011); sum < least || sum > most || count < 1 {
				t.Errorf("bucket %d has %d, %d up to %v; want %d to %d", index, count, sum, bound, least, most)
			}
			delta++
			index++
		}
	}
	if sum != int64(len(values)) {
		t.Errorf("%d values in native buckets, want %d", sum, len(values))
	}
	empty := scrape(t, h, acceptProto)["pktvisor_dns_xact_out_seconds"].Metric[0].Histogram
	if empty.GetSampleCount() != 0 || len(empty.PositiveSpan) != 1 {
		t.Errorf("an empty histogram is not known as a native one: %v", empty)
	}
}

// TestPrometheusTop: the rows and the rest are bounded, whatever the names.
func TestPrometheusTop(t *testing.T) {
	w := window.New(window.Config{Tables: agent.Tables, Periods: 2, Shards: 1})
	at, _ := agent.Tables[1].Find("top_qname2")
	total := 0
	s := w.LockKeys(0, 1, 0, 0)
	add := func(name string, n int) {
		s.Top(at).Add([]byte(name), uint64(n))
		total += n
	}
	for i := range 100 {
		add(fmt.Sprintf("name%d.example", i), i+1)
	}
	add("other", 1000) // the name of the rest
	add("\xff\xfe", 900)
	add("\"quoted\"\n\\", 800)
	add("", 700)
	w.UnlockKeys(1)
	w.Advance(60, 60)
	w.Finish()
	cfg := config(w)
	for _, n := range []int{0, 1, 10, 1000} {
		cfg.TopN = n
		f := scrape(t, server.New(cfg).Handler(), acceptText)["pktvisor_dns_top_qname2"]
		if n == 0 {
			if f != nil {
				t.Errorf("a table with TopN 0 has %d rows", len(f.Metric))
			}
			continue
		}
		sum, other := 0.0, 0
		for _, m := range f.Metric {
			sum += m.GetGauge().GetValue()
			if m.Label[0].GetValue() == "other" {
				other++
			}
		}
		if other != 1 || len(f.Metric) > n+1 || sum != float64(total) {
			t.Errorf("top %d: %d rows, %d of them other, sum %v, want %d", n, len(f.Metric), other, sum, total)
		}
	}
}

func TestPrometheusGroups(t *testing.T) {
	groups := metric.Groups(agent.Tables)
	for _, group := range []string{"ecs", "geo", "ports", "qname", "rcode", "slow"} {
		if !slices.Contains(groups, group) {
			t.Errorf("groups %v: no %s", groups, group)
		}
	}
	cfg := config(summary(t, testkit.TinyMixed()).Window())
	cfg.DisableGroups = []string{"qname", "slow"}
	families := scrape(t, server.New(cfg).Handler(), acceptText)
	for name, want := range map[string]bool{
		"pktvisor_dns_top_qname2": false, "pktvisor_dns_top_qname3": false, "pktvisor_dns_xact_in_top_slow": false,
		"pktvisor_dns_top_nxdomain": true, "pktvisor_packets_total": true,
	} {
		if got := families[name] != nil; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// TestPrometheusBudget: the number of series does not grow with the traffic.
func TestPrometheusBudget(t *testing.T) {
	series := func(cfg testkit.TrafficConfig) (n int) {
		cfg.Packets, cfg.Rate = 100_000, 1000
		for name, f := range scrape(t, server.New(config(summary(t, cfg).Window())).Handler(), acceptText) {
			if strings.HasPrefix(name, "pktvisor_") {
				n += len(f.Metric)
			}
		}
		return n
	}
	heavy, flood := series(testkit.DNSHeavy()), series(testkit.AllDistinctNames())
	if heavy > 650 || flood > 650 {
		t.Errorf("%d series for heavy traffic, %d for a flood; want at most 650", heavy, flood)
	}
	t.Logf("%d series for heavy traffic, %d for a flood", heavy, flood)
}

// stuck is the connection of a client that does not read.
type stuck struct {
	http.ResponseWriter
	writing *sync.WaitGroup
	release chan struct{}
}

func (s stuck) Write(b []byte) (int, error) {
	s.writing.Done()
	<-s.release
	return s.ResponseWriter.Write(b)
}

// TestScrapesManyAndStuck: clients that do not read do not keep others from /metrics. Many simultaneous requests wait
// for each other instead of being rejected.
func TestScrapesManyAndStuck(t *testing.T) {
	h := server.New(config(summary(t, testkit.TinyMixed()).Window())).Handler()
	const n = 30
	var running, writing sync.WaitGroup
	release := make(chan struct{})
	writing.Add(n)
	for range n {
		running.Go(func() {
			r := httptest.NewRecorder()
			h.ServeHTTP(stuck{r, &writing, release}, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			if r.Code != http.StatusOK {
				t.Errorf("status %d: %s", r.Code, r.Body)
			}
		})
	}
	writing.Wait() // all requests have their answers, and no client has read one
	if r := get(t, h, "/metrics"); r.Code != http.StatusOK || r.Body.Len() == 0 {
		t.Errorf("status %d, %d bytes", r.Code, r.Body.Len())
	}
	close(release)
	running.Wait()
}

// BenchmarkScrape makes answers of /metrics without the cache of answers. cpu-us/op is the CPU time of the process, which other
// processes disturb less than the time.
func BenchmarkScrape(b *testing.B) {
	cfg := testkit.DNSHeavy()
	cfg.Packets, cfg.Rate = 100_000, 1000
	s := server.New(config(summary(b, cfg).Window()))
	for name, format := range map[string]exposition.Format{"text": exposition.Text, "openmetrics": exposition.OpenMetrics, "protobuf": exposition.Protobuf} {
		for _, compress := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/gzip=%t", name, compress), func(b *testing.B) {
				b.ReportAllocs()
				size, cpu := 0, testkit.CPUTime()
				for b.Loop() {
					size = s.Scrape(format, compress)
				}
				b.ReportMetric(float64(testkit.CPUTime()-cpu)/1e3/float64(b.N), "cpu-us/op")
				b.ReportMetric(float64(size), "bytes")
			})
		}
	}
}

func BenchmarkWindow(b *testing.B) {
	cfg := testkit.DNSHeavy()
	cfg.Packets, cfg.Rate = 300_000, 1000
	w := summary(b, cfg).Window()
	for b.Loop() {
		server.New(config(w)).Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/api/v1/metrics/window/5", nil))
	}
}

// TestScrapesOnceASecond: all clients that ask for one format within a second get the same bytes, compressed or not.
// The format is the negotiated one. An answer chosen by name[] is not sent to others.
func TestScrapesOnceASecond(t *testing.T) {
	w := window.New(window.Config{Tables: agent.Tables, Periods: 2, Shards: 1})
	cfg := config(w)
	asked := 0
	status := cfg.Status
	cfg.Status = func() server.Status { asked++; return status() }
	synctest.Test(t, func(t *testing.T) {
		h := server.New(cfg).Handler()
		formats := map[string]string{
			"": "text/plain; version=0.0.4", acceptText: "text/plain; version=0.0.4", acceptProto: "application/vnd.google.protobuf",
			"application/openmetrics-text; version=1.0.0": "application/openmetrics-text; version=1.0.0",
		}
		bodies := make(map[string][]byte)
		for range 3 {
			for accept, want := range formats {
				a := get(t, h, "/metrics", "Accept", accept)
				if got := a.Header().Get("Content-Type"); a.Code != 200 || !strings.HasPrefix(got, want) {
					t.Fatalf("%q: %d, %s", accept, a.Code, got)
				}
				if old := bodies[want]; old != nil && !bytes.Equal(old, a.Body.Bytes()) {
					t.Errorf("%q: a different answer within a second", accept)
				}
				bodies[want] = bytes.Clone(a.Body.Bytes())
				small := get(t, h, "/metrics", "Accept", accept, "Accept-Encoding", "gzip")
				z, err := gzip.NewReader(small.Body)
				if err != nil {
					t.Fatal(err)
				}
				if plain, err := io.ReadAll(z); err != nil || !bytes.Equal(plain, bodies[want]) {
					t.Errorf("%q: the compressed answer differs: %v", accept, err)
				}
			}
		}
		if len(bodies) != 3 || asked != 3 {
			t.Errorf("%d formats, made %d times", len(bodies), asked)
		}
		one := get(t, h, "/metrics?name[]=pktvisor_shards", "Accept", acceptText)
		if n := strings.Count(one.Body.String(), "\n"); n != 3 || asked != 4 {
			t.Errorf("%d lines about one metric, made %d times: %s", n, asked, one.Body)
		}
		if a := get(t, h, "/metrics", "Accept", acceptText); !bytes.Equal(a.Body.Bytes(), bodies["text/plain; version=0.0.4"]) || asked != 4 {
			t.Errorf("after another's choice, the answer has %d bytes; made %d times", a.Body.Len(), asked)
		}
		time.Sleep(time.Second)
		if get(t, h, "/metrics"); asked != 5 {
			t.Errorf("a second later: made %d times", asked)
		}
	})
}
