// Package server publishes a window over HTTP: the REST API with its OpenAPI document, Prometheus
// metrics, health, and two pages for people.
//
// A view is a bucket or a merged window as JSON, or an answer of /metrics. It is made at most once a second, however
// many clients read it; all clients within that second get the same bytes. So a view is up to a second older than the
// window, and the window is up to a second behind the packets. A snapshot is made once.
//
// The total cost of all clients is bounded: how many answers are made at once, how many bytes of answers are kept, and
// how many bytes are being sent. A request that would wait for too long gets 503.
//
// [New] makes a [Server]. Its Handler may be called by any number of goroutines. New starts nothing, and the server
// needs no closing. It holds no state about its clients. [NewHTTP] and [Limit] serve it over bounded connections, and
// [Hosts] restricts the names by which it can be reached.
package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"pktvisor/access"
	"pktvisor/docs"
	"pktvisor/metric"
	"pktvisor/sandbox"
	"pktvisor/web"
	"pktvisor/window"
)

// Config says what a server publishes. Version, Started, Status, and one of Policies, Window and Select must be set.
type Config struct {
	// Policies returns the policies of an agent as they are now. The list must not be changed. It is asked for at each request.
	Policies func() []*Policy
	// Window is the window of an agent whose only policy is named default, instead of Policies.
	Window window.Views
	// Taps returns what GET /api/v1/taps shows: for each tap, its name and a JSON object. It may be nil.
	Taps func() map[string][]byte
	// Control changes taps and policies. It is nil if they cannot be changed over HTTP.
	Control Control
	// Select returns what a request to a hub is about, by its parameters. The error may be an [*Error].
	Select func(ctx context.Context, parameters url.Values) (*Selection, error)
	// Delay is how long after its end a second is published. It is [minute.Whole] if it is less than that.
	Delay time.Duration
	// Routes are more routes. They replace routes of the same path.
	Routes []Route
	// Metrics are more metrics about the program itself, for Prometheus.
	Metrics []OwnMetric
	// Snapshots controls the content of snapshots. If its Agent is empty, it is pktvisord and Version.
	Snapshots metric.SnapshotOptions
	// SnapshotHeader adds to the header of an answer with snapshots; it may be nil.
	SnapshotHeader func(http.Header)
	// Tables are the tables of the buckets of Window or of a fleet.
	Tables []*metric.Table
	// Sources is the table of the counters of each source: see [Source]. It may be nil if there are no sources.
	Sources *metric.Table
	// Version is the version of the product. Started is when the process began to capture.
	Version string
	Started time.Time
	// Host is the agent's name in /app. A snapshot carries the name in its bucket instead.
	Host string
	// DeepSamplePercent is the greatest percentage of address pairs that is analysed in depth.
	DeepSamplePercent int
	// Status returns the state of the capture. Many goroutines call it, once for each request that shows it.
	Status func() Status
	// Hosts are the names that the server answers to; nil means any.
	Hosts *Hosts
	// Access decides who may use the server; nil means everybody.
	Access *access.Guard
	// Origins are the origins, such as https://grafana.example, whose pages may read the answers (CORS).
	Origins []string
	// Sandbox says how the process is confined; nil if it is not asked to be.
	Sandbox *sandbox.State
	// TopN is the number of rows of each top table in Prometheus, without "other"; 0 means no tables.
	TopN int
	// DisableGroups lists the groups of [metric.Groups] that Prometheus does not get.
	DisableGroups []string
	// Series is the most series in an answer to Prometheus; 0 means any number. What is left out are rows of tables.
	Series int
	// SuccessorNames adds the names of the original's successor to an answer to Prometheus. They exist in the text format only,
	// so the answer is then always text.
	SuccessorNames bool
	// SuccessorInstance is the label instance of the successor's metrics, or "".
	SuccessorInstance string
}

// policies returns where the policies of an agent come from.
func (c *Config) policies() func() []*Policy {
	if c.Policies != nil {
		return c.Policies
	}
	only := []*Policy{{
		Name: defaultPolicy, Description: []byte("{}"),
		Windows: []PolicyWindow{{
			Tap: defaultPolicy, Views: c.Window, Tables: c.Tables, DeepSamplePercent: c.DeepSamplePercent, Handlers: DefaultHandlers(c.Tables),
		}},
	}}
	return func() []*Policy { return only }
}

// Server publishes windows.
type Server struct {
	cfg     Config
	mux     *http.ServeMux
	turns   turns
	views   *cache // JSON
	sealed  *cache // snapshots with deflate
	zstd    *cache // snapshots with zstd
	scrapes *cache // /metrics
	sending sending
	seconds seconds
	metrics *scraper
	lives   *lives // nil for a fleet
	fleet   life   // instead, for everything
	bodies  lock   // held while the body of a change is read
	// dashboard is the page at /.
	dashboard index
	nonce     int64 // distinguishes the answers of this run from those of other runs
	// empty is shown before the first packet or second.
	empty *metric.Bucket
}

// New makes a server.
func New(cfg Config) *Server {
	if cfg.Sources == nil {
		cfg.Sources = metric.Define[struct{}]("source")
	}
	cfg.Snapshots.Agent = cmp.Or(cfg.Snapshots.Agent, "pktvisord "+cfg.Version)
	s := &Server{cfg: cfg, mux: http.NewServeMux(), turns: newTurns(), nonce: time.Now().UnixNano(), empty: metric.NewBucket(cfg.Tables)}
	r := newReclaim()
	s.views, s.scrapes = newCache(s.turns, r, maxViewBytes), newCache(s.turns, r, maxScrapeBytes)
	s.sealed, s.zstd = newCache(s.turns, r, maxSnapshotBytes), newCache(s.turns, r, maxSnapshotBytes)
	s.empty.DeepSamplePercent = cfg.DeepSamplePercent
	s.bodies = make(lock, maxBodies)
	if cfg.Select == nil {
		s.lives = newLives(cfg.policies(), s.release)
		for _, c := range s.caches() {
			c.has = s.lives.has
		}
	}
	s.metrics = newScraper(s)
	static := func(contentType string, body []byte) http.HandlerFunc {
		p := newStatic(contentType, body)
		return func(w http.ResponseWriter, r *http.Request) { s.send(w, r, p) }
	}
	routes := map[string]http.HandlerFunc{
		"/api/v1/metrics/app":             s.app,
		"/api/v1/metrics/rates":           s.rates,
		"/api/v1/metrics/bucket/{period}": s.bucket,
		"/api/v1/metrics/window/{count}":  s.window,
		"/api/v1/snapshots":               s.snapshots,
		"/api/v1/tables":                  s.tablesOf,
		"/api/v1/openapi.yaml":            static("application/yaml", docs.OpenAPI),
		"/metrics":                        s.prometheus,
		"/healthz":                        s.healthz,
		"/readyz":                         s.readyz,
		"/{$}":                            s.index,
	}
	for _, f := range web.Files() {
		routes["/"+f.Path] = s.file(f)
	}
	if cfg.Select == nil {
		routes["/api/v1/events"] = s.events
	}
	for _, route := range cfg.Routes {
		routes[route.Path] = s.route(route)
	}
	if cfg.Select == nil {
		for path, methods := range s.adminRoutes() {
			handler := s.byMethod(methods)
			s.mux.HandleFunc(path, handler)
			s.mux.HandleFunc(path+"/{$}", handler)
		}
	}
	for path, handler := range routes {
		s.mux.HandleFunc(path, readOnly(handler))
		if !strings.HasSuffix(path, "}") || strings.HasPrefix(path, "/api/v1/metrics/") {
			s.mux.HandleFunc(path+"/{$}", readOnly(handler)) // for people who type it, and for clients that join paths
		}
	}
	s.mux.HandleFunc("/api/docs", readOnly(s.docs))
	// The links of the page are relative to its own path.
	s.mux.HandleFunc("/api/docs/{$}", readOnly(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "../docs")
		w.WriteHeader(http.StatusMovedPermanently)
	}))
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "there is nothing at %s; /api/docs lists all routes", r.URL.Path)
	})
	return s
}

// contentPolicy lets the pages load scripts, styles and data from this server only, none of it inline, and lets no text become
// script. It also keeps other sites from framing the pages.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// Handler returns the handler of all routes.
func (s *Server) Handler() http.Handler {
	next := readableQuery(s.mux)
	if s.cfg.Access != nil {
		next = guarded(s.cfg.Access, next)
	}
	next = crossOrigin(s.cfg.Origins, next)
	if s.cfg.Hosts != nil {
		next = s.cfg.Hosts.check(next)
	}
	if s.cfg.Access != nil {
		next = limited(s.cfg.Access, next) // also what is refused or answered before the log-in
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		// The pages load nothing from other sites, and names from the network must not become script.
		h.Set("Content-Security-Policy", contentPolicy)
		// Addresses of the page hold names and addresses from the network.
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		if len(s.cfg.Origins) == 0 {
			h.Set("Cross-Origin-Resource-Policy", "same-origin")
		}
		next.ServeHTTP(w, r)
	})
}

// ShedCaches drops all cached answers, and keeps none until it is called with false.
func (s *Server) ShedCaches(on bool) {
	for _, c := range s.caches() {
		c.shed(on)
	}
}

func (s *Server) caches() []*cache { return []*cache{s.views, s.sealed, s.zstd, s.scrapes} }

// ShedViews refuses requests for buckets, windows and snapshots with 503 until it is called with false. The state of the agent,
// its health and the metrics for Prometheus remain available.
func (s *Server) ShedViews(on bool) {
	for _, c := range []*cache{s.views, s.sealed, s.zstd} {
		c.refuses.Store(on)
	}
}

// rendered returns the number of views and snapshots made so far.
func (s *Server) rendered() uint64 {
	return s.views.rendered.Load() + s.sealed.rendered.Load() + s.zstd.rendered.Load()
}

// readOnly rejects every method other than GET and HEAD.
func readOnly(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			fail(w, http.StatusMethodNotAllowed, "method %s: this route supports only GET and HEAD", r.Method)
			return
		}
		next(w, r)
	}
}

// fail answers with an error. Errors have the same form on all routes.
func fail(w http.ResponseWriter, status int, format string, args ...any) {
	answer(w, status, struct {
		Error string `json:"error"`
	}{fmt.Sprintf(format, args...)})
}

// answer sends a small value as JSON that is not cached.
func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // our own types: a bug in the program
		status, b = http.StatusInternalServerError, []byte(`{"error":"the answer has no JSON form"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(b, '\n')) // if the client is gone, nothing needs to be done
}
