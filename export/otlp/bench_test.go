package otlp

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/internal/testkit"
	"pktvisor/server"
	"pktvisor/window"
)

// BenchmarkPush makes the message of a push of a busy window, and compresses it. A scrape makes the page of /metrics of the same
// window in the text format, and compresses it too.
func BenchmarkPush(b *testing.B) {
	w := busyWith(b, testkit.TrafficConfig{Packets: 200_000, Rate: 2000, DNSShare: 0.8, Names: 20_000, Clients: 5000, Zipf: 1, NXDomainShare: 0.1, IPv6Share: 0.3, OutShare: 0.4})
	b.Run("push", func(b *testing.B) {
		e := newExporter(b, Config{Rows: 10, Scale: MaxScale}, Window{Policy: agent.Default, Plain: true, Since: time.Now(), Views: w, Tables: agent.Tables})
		b.ReportAllocs()
		var message, body []byte
		for b.Loop() {
			message = e.encoder.encode(time.Now(), e.cfg.Windows(), nil)
			body = e.compress(message)
		}
		b.ReportMetric(float64(len(message)), "bytes")
		b.ReportMetric(float64(len(body)), "compressed")
		b.ReportMetric(float64(e.encoder.count), "points")
	})
	b.Run("scrape", func(b *testing.B) {
		b.ReportAllocs()
		size := 0
		for b.Loop() {
			size = scrape(b, w)
		}
		b.ReportMetric(float64(size), "compressed")
	})
}

// scrape returns the size of the page of /metrics, made by a new server so that nothing is cached.
func scrape(b *testing.B, w *window.Window) int {
	h := server.New(server.Config{
		Window: w, Tables: agent.Tables, Version: "1.2.3", Started: time.Now(), TopN: 10, Sources: agent.SourceTable,
		Status: func() server.Status { return server.Status{} },
	}).Handler()
	r := httptest.NewRecorder()
	q := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	q.Header.Set("Accept-Encoding", "gzip")
	if h.ServeHTTP(r, q); r.Code != http.StatusOK {
		b.Fatal(r.Body)
	}
	return r.Body.Len()
}
