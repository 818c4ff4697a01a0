package server

import (
	"bytes"
	"cmp"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"

	"pktvisor/metric"
)

// scrape is the cache key of an answer of /metrics for a selection: the format in which it is made. A request can choose one of a
// few formats.
type scrape struct{ format expfmt.Format }

// maxScrapeBytes bounds the cached answers of /metrics, in bytes.
const maxScrapeBytes = 4 << 20

// prometheus answers with all metrics. An answer is made at most once a second for each format and selection, in its turn,
// and then sent, so that a slow client does not delay the others. Only answers to requests with name[] are made for each
// request.
func (s *Server) prometheus(w http.ResponseWriter, r *http.Request) {
	sel, err := s.selection(r)
	if err != nil {
		Fail(w, r, err)
		return
	}
	made := answerInMemory{header: make(http.Header), status: http.StatusOK}
	render := func() ([]byte, error) {
		// The answer depends only on the Accept header, on name[] and on the selection.
		s.metrics.handler(sel).ServeHTTP(&made, &http.Request{Method: http.MethodGet, URL: r.URL, Header: http.Header{"Accept": r.Header["Accept"]}})
		if err := sel.failed(); err != nil {
			return nil, err
		}
		if made.status != http.StatusOK { // a bug in the program
			return nil, &Error{http.StatusInternalServerError, "the metrics contradict each other: " + strings.TrimSpace(made.body.String())}
		}
		return made.body.Bytes(), nil
	}
	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	var p *page
	if len(r.URL.Query()["name[]"]) > 0 {
		var body []byte
		var failed error
		err = cmp.Or(s.turns.do(r.Context(), false, func() { body, failed = render() }), failed)
		p = newPage(sel.Key, string(format), body)
	} else {
		p, err = s.scrapes.get(r.Context(), slotKey{sel.Key, scrape{format}}, s.lastSecond(), false, string(format), render)
	}
	if err != nil {
		Fail(w, r, err)
		return
	}
	s.send(w, r, p)
}

// answerInMemory is an [http.ResponseWriter] that keeps the answer.
type answerInMemory struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answerInMemory) Header() http.Header         { return a.header }
func (a *answerInMemory) WriteHeader(status int)      { a.status = status }
func (a *answerInMemory) Write(b []byte) (int, error) { return a.body.Write(b) }

// exposition is what all answers of /metrics have in common.
type exposition struct {
	server   *Server
	process  *prometheus.Registry // the metrics of the runtime and the process
	own      []OwnMetric
	ownDescs []*prometheus.Desc

	mu sync.Mutex
	// families are those of each table by metric and family. They are empty for a metric that is switched off.
	families map[*metric.Table][][]family
}

// maxTables bounds the tables whose families are kept.
const maxTables = 64

// familiesOf returns the families of a table.
func (c *exposition) familiesOf(t *metric.Table) [][]family {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.families[t]; ok {
		return f
	}
	families := make([][]family, len(t.Descs))
	for i := range t.Descs {
		d := &t.Descs[i]
		if slices.Contains(c.server.cfg.DisableGroups, d.Group) {
			continue
		}
		for _, f := range d.Families() {
			var labels []string
			if f.Label != "" {
				labels = []string{f.Label}
			}
			families[i] = append(families[i], family{prometheus.NewDesc(f.Name, f.Help, labels, nil), valueType(f.Type), f.Label != ""})
		}
	}
	if len(c.families) >= maxTables {
		clear(c.families)
	}
	c.families[t] = families
	return families
}

// family is a family of samples, in the types of the Prometheus library.
type family struct {
	desc     *prometheus.Desc
	typ      prometheus.ValueType
	labelled bool
}

func newExposition(s *Server) *exposition {
	c := &exposition{server: s, process: prometheus.NewRegistry(), families: make(map[*metric.Table][][]family)}
	c.process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, m := range ownMetrics(s.cfg.Sources) {
		if !m.capture || !s.hub() {
			c.own = append(c.own, m)
		}
	}
	c.own = append(c.own, s.cfg.Metrics...)
	for _, m := range c.own {
		c.ownDescs = append(c.ownDescs, prometheus.NewDesc(m.Name, m.Help, m.Labels, nil))
	}
	return c
}

// handler returns a handler that answers with the metrics of a selection.
func (c *exposition) handler(sel *Selection) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(&collector{c, sel})
	// The answer is compressed later, once for all clients.
	return promhttp.HandlerFor(prometheus.Gatherers{registry, c.process}, promhttp.HandlerOpts{EnableOpenMetrics: true, DisableCompression: true})
}

// collector reads the metric tables of a selection. The kind of each metric decides what its samples cover: everything
// since the start, the last whole second, or the newest finished minute.
type collector struct {
	*exposition
	sel *Selection
}

// valueType returns the library's name of a family's type. Histograms do not need one.
func valueType(t metric.FamilyType) prometheus.ValueType {
	if t == metric.FamilyCounter {
		return prometheus.CounterValue
	}
	return prometheus.GaugeValue
}

// Describe sends nothing, because the rows depend on the traffic.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the samples of all tables.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	w := c.sel
	o := metric.SampleOptions{Second: c.server.lastSecond(), Rows: c.server.cfg.TopN}
	totals := w.Totals()
	c.collect(totals, metric.SinceStart, o, out)
	w.Second(o.Second, func(b *metric.Bucket) {
		if b == nil {
			b = c.server.emptyOf(w)
		}
		c.collect(b, metric.LastSecond, o, out)
	})
	if minute := w.Bucket(1); minute != nil {
		c.collect(minute, metric.LastMinute, o, out)
	}
	c.collectOwn(totals, out)
}

// collect sends the samples of one span from the bucket.
func (c *collector) collect(b *metric.Bucket, span metric.Span, o metric.SampleOptions, out chan<- prometheus.Metric) {
	for _, s := range b.Sections {
		families := c.familiesOf(s.Table)
		o.Skip = func(k int) bool { return len(families[k]) == 0 }
		s.Samples(span, o, func(x metric.Sample) {
			f := families[x.Metric][x.Family]
			switch {
			case x.Histogram != nil:
				out <- newHistogram(f.desc, x.Histogram, &s.Table.Descs[x.Metric])
			case f.labelled:
				out <- prometheus.MustNewConstMetric(f.desc, f.typ, x.Value, x.Label)
			default:
				out <- prometheus.MustNewConstMetric(f.desc, f.typ, x.Value)
			}
		})
	}
}
