package server

import (
	"bytes"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"

	"pktvisor/metric"
)

// scrape is what /metrics is made in, for all who ask for it so: a format of Prometheus, of which a request can choose a few.
type scrape expfmt.Format

// maxScrapeBytes is how many bytes of them are kept.
const maxScrapeBytes = 4 << 20

// prometheus makes the handler of /metrics. Each format is made at most once a second, in its turn, and then sent: who is slow
// to read it does not keep the others from theirs. Only what is chosen by name[] is made for each request.
func (s *Server) prometheus() http.HandlerFunc {
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(s), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// Compressed it is later, once for all.
	h := promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true, DisableCompression: true})
	formats := expfmt.DefaultOpenMetricsAcceptedFormats()
	return func(w http.ResponseWriter, r *http.Request) {
		made := answerInMemory{header: make(http.Header), status: http.StatusOK}
		render := func() []byte {
			// The Accept header alone, and what is chosen, say what the answer is.
			h.ServeHTTP(&made, &http.Request{Method: http.MethodGet, URL: r.URL, Header: http.Header{"Accept": r.Header["Accept"]}})
			if made.status != http.StatusOK {
				return nil
			}
			return made.body.Bytes()
		}
		format := expfmt.NegotiateAccept(r.Header, formats...)
		var p *page
		var err error
		if len(r.URL.Query()["name[]"]) > 0 {
			err = s.turns.do(r.Context(), false, func() { p = newPage(string(format), render()) })
		} else {
			p, err = s.scrapes.get(r.Context(), scrape(format), lastSecond(), false, string(format), render)
		}
		switch {
		case err != nil:
			failBusy(w, r, err)
		case made.status != http.StatusOK || p.body == nil: // a mistake in the program
			fail(w, http.StatusInternalServerError, "the metrics contradict each other: %s", strings.TrimSpace(made.body.String()))
		default:
			s.send(w, r, p)
		}
	}
}

// answerInMemory is an [http.ResponseWriter] that sends nothing.
type answerInMemory struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answerInMemory) Header() http.Header         { return a.header }
func (a *answerInMemory) WriteHeader(status int)      { a.status = status }
func (a *answerInMemory) Write(b []byte) (int, error) { return a.body.Write(b) }

// collector walks the metric tables at each scrape. Each kind of metric says what its samples are of: everything since the
// start, the last whole second, or the newest finished minute.
type collector struct {
	server   *Server
	families [][][]family // by section, metric and family; none where the metric is switched off
	own      []ownMetric
	ownDescs []*prometheus.Desc
}

// family is a family of samples in the library's terms.
type family struct {
	desc     *prometheus.Desc
	typ      prometheus.ValueType
	labelled bool
}

func newCollector(s *Server) *collector {
	c := &collector{server: s}
	for _, t := range s.cfg.Tables {
		families := make([][]family, len(t.Descs))
		for i := range t.Descs {
			d := &t.Descs[i]
			if slices.Contains(s.cfg.DisableGroups, d.Group) {
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
		c.families = append(c.families, families)
	}
	c.own = ownMetrics(s.cfg.Sources)
	for _, m := range c.own {
		c.ownDescs = append(c.ownDescs, prometheus.NewDesc(m.name, m.help, m.labels, nil))
	}
	return c
}

// valueType is the library's word for a family's type. A histogram is a type of its own there, which needs none.
func valueType(t metric.FamilyType) prometheus.ValueType {
	if t == metric.FamilyCounter {
		return prometheus.CounterValue
	}
	return prometheus.GaugeValue
}

// Describe sends nothing: which rows there are depends on the traffic.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect walks the tables.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	w := c.server.cfg.Window
	o := metric.SampleOptions{Second: lastSecond(), Rows: c.server.cfg.TopN}
	totals := w.Totals()
	c.collect(totals, metric.SinceStart, o, out)
	w.Second(o.Second, func(b *metric.Bucket) {
		if b == nil {
			b = c.server.empty
		}
		c.collect(b, metric.LastSecond, o, out)
	})
	if minute := w.Bucket(1); minute != nil {
		c.collect(minute, metric.LastMinute, o, out)
	}
	c.collectOwn(totals, out)
}

// collect sends the bucket's samples of one span.
func (c *collector) collect(b *metric.Bucket, span metric.Span, o metric.SampleOptions, out chan<- prometheus.Metric) {
	for i, s := range b.Sections {
		o.Skip = func(k int) bool { return len(c.families[i][k]) == 0 }
		s.Samples(span, o, func(x metric.Sample) {
			f := c.families[i][x.Metric][x.Family]
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
