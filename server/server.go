// Package server publishes a window over HTTP: the REST API with its OpenAPI document, Prometheus
// metrics, health, and two pages for people.
//
// A view (a bucket or a merged window as JSON, or a format of /metrics) is made at most once a second, whatever the number
// of its readers: those who come meanwhile get the same bytes. So a view is up to a second older
// than the window, which is itself up to a second behind the packets. A snapshot is made once.
//
// What all readers together cost is bounded: how many answers are made at once, how many bytes of them are
// kept, and how many are being sent. Who would wait for too long gets 503.
//
// [New] makes a [Server], whose Handler any number of goroutines may call. It starts nothing and
// needs no closing. It holds no state of a client. [NewHTTP] and [Limit] serve it so that connections are
// bounded as well, and [Hosts] says by which names.
package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"pktvisor/docs"
	"pktvisor/metric"
	"pktvisor/web"
	"pktvisor/window"
)

// Config says what a server publishes. All fields but the last three must be set.
type Config struct {
	// Window is what is published.
	Window window.Views
	// Tables are those of the window's buckets.
	Tables []*metric.Table
	// Sources is the table of what each source counts: see [Source]. It may be nil if there are no sources.
	Sources *metric.Table
	// Version is the product's, Started when the process began to capture.
	Version string
	Started time.Time
	// Host is the agent's name in /app. Snapshots carry that of their bucket.
	Host string
	// DeepSamplePercent is the share of flows and transactions that is analysed deeply.
	DeepSamplePercent int
	// Status tells how the capture is doing. It is called by many goroutines, once for each request
	// that shows it.
	Status func() Status
	// Hosts are the names by which the server may be asked; nil is any.
	Hosts *Hosts
	// TopN is how many rows of each top table Prometheus gets, "other" not included; 0 is no tables.
	TopN int
	// DisableGroups are those of [metric.Groups] that Prometheus does not get.
	DisableGroups []string
}

// Server publishes a window.
type Server struct {
	cfg     Config
	mux     *http.ServeMux
	turns   turns
	views   *cache // JSON
	sealed  *cache // snapshots
	scrapes *cache // /metrics
	sending sending
	nonce   int64 // tells this run's answers from those of others
	// empty is what is shown before the first packet or second.
	empty *metric.Bucket
}

// New makes a server.
func New(cfg Config) *Server {
	if cfg.Sources == nil {
		cfg.Sources = metric.Define[struct{}]("source")
	}
	s := &Server{cfg: cfg, mux: http.NewServeMux(), turns: newTurns(), nonce: time.Now().UnixNano(), empty: metric.NewBucket(cfg.Tables)}
	r := newReclaim()
	s.views, s.sealed, s.scrapes = newCache(s.turns, r, maxViewBytes), newCache(s.turns, r, maxSnapshotBytes), newCache(s.turns, r, maxScrapeBytes)
	s.empty.DeepSamplePercent = cfg.DeepSamplePercent
	static := func(contentType string, body []byte) http.HandlerFunc {
		p := newPage(contentType, body)
		return func(w http.ResponseWriter, r *http.Request) { s.send(w, r, p) }
	}
	for path, handler := range map[string]http.HandlerFunc{
		"/api/v1/metrics/app":             s.app,
		"/api/v1/metrics/rates":           s.rates,
		"/api/v1/metrics/bucket/{period}": s.bucket,
		"/api/v1/metrics/window/{count}":  s.window,
		"/api/v1/snapshots":               s.snapshots,
		"/api/v1/tables":                  static(typeJSON, tablesJSON(cfg.Tables)),
		"/api/v1/openapi.yaml":            static("application/yaml", docs.OpenAPI),
		"/metrics":                        s.prometheus(),
		"/healthz":                        s.healthz,
		"/readyz":                         s.readyz,
		"/{$}":                            static("text/html; charset=utf-8", web.Index),
		"/assets/page.js":                 static("text/javascript; charset=utf-8", web.Script),
		"/assets/page.css":                static("text/css; charset=utf-8", web.Style),
	} {
		s.mux.HandleFunc(path, readOnly(handler))
		if !strings.HasSuffix(path, "}") || strings.HasPrefix(path, "/api/v1/metrics/") {
			s.mux.HandleFunc(path+"/{$}", readOnly(handler)) // typed, or made by a client that joins paths
		}
	}
	s.mux.HandleFunc("/api/docs", readOnly(s.docs))
	// The links of the page are relative to where it is.
	s.mux.HandleFunc("/api/docs/{$}", readOnly(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "../docs")
		w.WriteHeader(http.StatusMovedPermanently)
	}))
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "there is nothing at %s; /api/docs lists what there is", r.URL.Path)
	})
	return s
}

// Handler returns the handler of all routes.
func (s *Server) Handler() http.Handler {
	next := readableQuery(s.mux)
	if s.cfg.Hosts != nil {
		next = s.cfg.Hosts.check(next)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		// The pages need nothing from elsewhere, and names from the network must not become script.
		h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

// rendered returns how many views and snapshots were made.
func (s *Server) rendered() uint64 { return s.views.rendered.Load() + s.sealed.rendered.Load() }

// readOnly turns away every method that could mean to change something.
func readOnly(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			fail(w, http.StatusMethodNotAllowed, "method %s: this route knows GET and HEAD", r.Method)
			return
		}
		next(w, r)
	}
}

// fail answers with an error, the form of which is the same on all routes.
func fail(w http.ResponseWriter, status int, format string, args ...any) {
	answer(w, status, struct {
		Error string `json:"error"`
	}{fmt.Sprintf(format, args...)})
}

// answer sends a small value that is new each time.
func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // our own types: a mistake in the program
		status, b = http.StatusInternalServerError, []byte(`{"error":"the answer has no JSON form"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(b, '\n')) // a reader that is gone needs no answer
}
