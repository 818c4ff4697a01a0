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
	"pktvisor/sketch"
)

// otherRow is the label value of what a top table's rows leave out. A key of that name has no row
// of its own: it is left out too.
const otherRow = "other"

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

// collector walks the metric table at each scrape.
//
//   - Counters and histograms are those of everything since the start.
//   - Rates are of the last whole second, and their quantiles of the newest finished minute.
//   - Cardinalities and top tables are those of the newest finished minute.
type collector struct {
	server *Server
	descs  [][]*prometheus.Desc // by section and metric; nil where the metric is switched off
	// beside are those of a rate's quantiles and of a cardinality's error.
	beside   [][]*prometheus.Desc
	own      []ownMetric
	ownDescs []*prometheus.Desc
}

// Groups returns the names of the groups of metrics that can be switched off.
func Groups(tables []*metric.Table) []string {
	var groups []string
	for _, t := range tables {
		for i := range t.Descs {
			if g := t.Descs[i].Group; g != "" && !slices.Contains(groups, g) {
				groups = append(groups, g)
			}
		}
	}
	slices.Sort(groups)
	return groups
}

func newCollector(s *Server) *collector {
	c := &collector{server: s}
	for _, t := range s.cfg.Tables {
		descs, beside := make([]*prometheus.Desc, len(t.Descs)), make([]*prometheus.Desc, len(t.Descs))
		for i, d := range t.Descs {
			if slices.Contains(s.cfg.DisableGroups, d.Group) || d.Kind == metric.KindTop && s.cfg.TopN == 0 {
				continue
			}
			var labels []string
			if d.Kind == metric.KindTop {
				labels = []string{d.Label}
			}
			name := promName(&d)
			descs[i] = prometheus.NewDesc(name, promHelp(&d), labels, nil)
			switch d.Kind {
			case metric.KindRate:
				beside[i] = prometheus.NewDesc(name+"_minute", "Quantiles over the seconds of the newest finished minute. "+d.Help+unitHelp(&d), []string{"stat"}, nil)
			case metric.KindCardinality:
				beside[i] = prometheus.NewDesc(name+"_error_ratio", "Half the width of the 95% interval of "+name+", as a share of it.", nil, nil)
			}
		}
		c.descs, c.beside = append(c.descs, descs), append(c.beside, beside)
	}
	c.own = ownMetrics()
	for _, m := range c.own {
		c.ownDescs = append(c.ownDescs, prometheus.NewDesc(m.name, m.help, m.labels, nil))
	}
	return c
}

// promName makes a metric's name from its place in the JSON. Units are base units and stand last, as
// Prometheus wants them: dns xact.in.quantiles_us → pktvisor_dns_xact_in_seconds.
func promName(d *metric.Desc) string {
	parts := []string{"pktvisor", d.Section}
	for part := range strings.SplitSeq(strings.ToLower(d.Path), ".") {
		if part != "quantiles" && part != "quantiles_us" && !(part == "bytes" && d.Kind == metric.KindCounter) {
			parts = append(parts, part)
		}
	}
	if last := len(parts) - 1; d.Kind != metric.KindCounter { // only a counter may be called total
		parts[last] = strings.Replace(parts[last], "total", "all", 1)
	} else if parts[last] == "total" {
		parts = parts[:last]
	}
	switch d.Kind {
	case metric.KindCounter:
		if d.Unit == "bytes" {
			parts = append(parts, "bytes")
		}
		parts = append(parts, "total")
	case metric.KindHistogram:
		if unit := baseUnit(d.Unit); parts[len(parts)-1] != unit {
			parts = append(parts, unit)
		}
	}
	return strings.Join(parts, "_")
}

// baseUnit is what a histogram's unit is called in Prometheus.
func baseUnit(unit string) string {
	if unit == "us" {
		return "seconds"
	}
	return unit
}

// baseScale is the worth of one of a histogram's stored integers in its base unit.
func baseScale(d *metric.Desc) float64 {
	if d.Unit == "us" {
		return d.Scale * 1e-6
	}
	return d.Scale
}

func promHelp(d *metric.Desc) string {
	switch d.Kind {
	case metric.KindRate:
		return "In the last whole second. " + d.Help + unitHelp(d)
	case metric.KindCardinality:
		return "In the newest finished minute. " + d.Help + unitHelp(d)
	case metric.KindTop:
		return "In the newest finished minute, at least. " + d.Help + unitHelp(d) + " The row \"other\" is the rest."
	case metric.KindHistogram:
		return d.Help + " Unit: " + baseUnit(d.Unit) + "."
	}
	return d.Help + unitHelp(d)
}

func unitHelp(d *metric.Desc) string { return " Unit: " + d.Unit + "." }

// Describe sends nothing: which rows there are depends on the traffic.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect walks the tables.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	w := c.server.cfg.Window
	totals := w.Totals()
	for i, s := range totals.Sections {
		for k := range s.Table.Descs {
			d, desc := &s.Table.Descs[k], c.descs[i][k]
			switch {
			case desc == nil:
			case d.Kind == metric.KindCounter:
				out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(s.Counter(k)))
			case d.Kind == metric.KindHistogram:
				out <- newHistogram(desc, &s.Histogram(k).Histogram, d)
			}
		}
	}
	second := lastSecond()
	w.Second(second, func(b *metric.Bucket) {
		if b == nil {
			b = c.server.empty
		}
		c.each(b, metric.KindRate, func(s *metric.Section, k int, desc, _ *prometheus.Desc) {
			out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(s.Rate(k).At(second)))
		})
	})
	if minute := w.Bucket(1); minute != nil {
		c.collectMinute(minute, out)
	}
	c.collectOwn(totals, out)
}

// each calls f for the section and position of every metric of a kind that is not switched off.
func (c *collector) each(b *metric.Bucket, kind metric.Kind, f func(s *metric.Section, k int, desc, beside *prometheus.Desc)) {
	for i, s := range b.Sections {
		for k := range s.Table.Descs {
			if desc := c.descs[i][k]; desc != nil && s.Table.Descs[k].Kind == kind {
				f(s, k, desc, c.beside[i][k])
			}
		}
	}
}

// collectMinute sends what is of a finished minute.
func (c *collector) collectMinute(b *metric.Bucket, out chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	c.each(b, metric.KindCardinality, func(s *metric.Section, k int, desc, errDesc *prometheus.Desc) {
		gauge(desc, s.Cardinality(k).Estimate())
		gauge(errDesc, s.Cardinality(k).RelativeError())
	})
	stats, qs := [...]string{"p50", "p90", "p95", "p99", "max"}, [...]float64{0.5, 0.9, 0.95, 0.99, 1}
	var values [len(qs)]uint64
	c.each(b, metric.KindRate, func(s *metric.Section, k int, _, quantile *prometheus.Desc) {
		s.Rate(k).Quantiles(qs[:], values[:])
		for i, stat := range stats {
			gauge(quantile, float64(values[i]), stat)
		}
	})
	var rows []sketch.Row
	c.each(b, metric.KindTop, func(s *metric.Section, k int, desc, _ *prometheus.Desc) {
		top := s.Top(k)
		rest := top.Total()
		if rest == 0 {
			return
		}
		rows = top.Top(rows[:0], c.server.cfg.TopN)
		seen := map[string]bool{otherRow: true}
		for _, row := range rows {
			name := strings.ToValidUTF8(string(row.Key), "\ufffd")
			if seen[name] {
				continue
			}
			seen[name] = true
			gauge(desc, float64(row.Lower), name)
			rest -= min(rest, row.Lower)
		}
		gauge(desc, float64(rest), otherRow)
	})
}
