package server

import (
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pktvisor/metric"
	"pktvisor/sketch"
)

// otherRow is the label value of what a top table's rows leave out. A key of that name has no row
// of its own: it is left out too.
const otherRow = "other"

// prometheus makes the handler of /metrics.
func (s *Server) prometheus() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(s), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 8})
}

// collector walks the metric table at each scrape.
//
//   - Counters and histograms are those of everything since the start.
//   - Rates are of the last whole second, and their quantiles of the newest finished minute.
//   - Cardinalities and top tables are those of the newest finished minute.
type collector struct {
	server *Server
	descs  [][]*prometheus.Desc // by section and metric; nil where the metric is switched off
	// quantiles are the descs of the rates' quantiles, errors those of the cardinalities' errors.
	quantiles, errors [][]*prometheus.Desc
	own               ownDescs
}

// ownDescs are the metrics about the agent itself.
type ownDescs struct {
	build, start, capturing, age, open, shards, periods, sealed, minute, lost, sample, rendered *prometheus.Desc
	source                                                                                      [5]*prometheus.Desc
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
		descs, quantiles, errors := make([]*prometheus.Desc, len(t.Descs)), make([]*prometheus.Desc, len(t.Descs)), make([]*prometheus.Desc, len(t.Descs))
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
				quantiles[i] = prometheus.NewDesc(name+"_minute", "Quantiles over the seconds of the newest finished minute. "+d.Help+unitHelp(&d), []string{"stat"}, nil)
			case metric.KindCardinality:
				errors[i] = prometheus.NewDesc(name+"_error_ratio", "Half the width of the 95% interval of "+name+", as a share of it.", nil, nil)
			}
		}
		c.descs, c.quantiles, c.errors = append(c.descs, descs), append(c.quantiles, quantiles), append(c.errors, errors)
	}
	c.own = newOwnDescs()
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
func (c *collector) each(b *metric.Bucket, kind metric.Kind, f func(s *metric.Section, k int, desc, second *prometheus.Desc)) {
	for i, s := range b.Sections {
		for k := range s.Table.Descs {
			if desc := c.descs[i][k]; desc != nil && s.Table.Descs[k].Kind == kind {
				second := c.quantiles[i][k]
				if kind == metric.KindCardinality {
					second = c.errors[i][k]
				}
				f(s, k, desc, second)
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
	gauge(c.own.minute, float64(b.Start))
}

func newOwnDescs() ownDescs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("pktvisor_"+name, help, labels, nil)
	}
	o := ownDescs{
		build:     desc("build_info", "Always 1; the labels say what runs.", "version", "revision", "goversion"),
		start:     desc("start_time_seconds", "When the capture started, in Unix time."),
		capturing: desc("capturing", "Whether all that was asked for is captured: 1 or 0."),
		age:       desc("last_packet_age_seconds", "How long ago the newest packet came."),
		open:      desc("dns_xact_open", "Queries that wait for their response."),
		shards:    desc("shards", "Goroutines that analyse packets."),
		periods:   desc("periods", "Minutes that the window keeps, the live one included."),
		sealed:    desc("sealed_periods", "Finished minutes that the window has."),
		minute:    desc("minute_start_time_seconds", "Start of the newest finished minute, which cardinalities and tables are of, in Unix time."),
		lost:      desc("lost_packets_total", "Packets that were dropped before they could be counted."),
		sample:    desc("deep_sample_ratio", "Share of flows and transactions that is analysed deeply."),
		rendered:  desc("views_rendered_total", "JSON views that were made; the other answers came from the cache."),
	}
	for i, name := range []string{"received", "os_drops", "if_drops", "freezes", "discarded"} {
		o.source[i] = desc("source_"+name+"_total", [...]string{
			"Frames that the source handed over.",
			"Frames that the kernel dropped because the capture ring was full.",
			"Frames that the interface dropped.",
			"How often the capture ring was full.",
			"Frames that the filter turned away, where the source can know.",
		}[i], "source", "shard")
	}
	return o
}

// collectOwn sends what is about the agent itself.
func (c *collector) collectOwn(totals *metric.Bucket, out chan<- prometheus.Metric) {
	st, cfg, o := c.server.cfg.Status(), &c.server.cfg, &c.own
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, kind, v, labels...)
	}
	send(o.build, prometheus.GaugeValue, 1, cfg.Version, buildInfo().Revision, runtime.Version())
	send(o.start, prometheus.GaugeValue, float64(cfg.Started.UnixMilli())/1000)
	capturing := 1.0
	if st.Fault != "" {
		capturing = 0
	}
	send(o.capturing, prometheus.GaugeValue, capturing)
	if !st.LastPacket.IsZero() {
		send(o.age, prometheus.GaugeValue, max(time.Since(st.LastPacket).Seconds(), 0))
	}
	send(o.open, prometheus.GaugeValue, float64(st.OpenTransactions))
	send(o.shards, prometheus.GaugeValue, float64(st.Shards))
	send(o.periods, prometheus.GaugeValue, float64(cfg.Window.Periods()))
	send(o.sealed, prometheus.GaugeValue, float64(len(cfg.Window.Sealed())))
	send(o.lost, prometheus.CounterValue, float64(totals.Lost))
	send(o.sample, prometheus.GaugeValue, float64(cfg.DeepSamplePercent)/100)
	send(o.rendered, prometheus.CounterValue, float64(c.server.cache.rendered.Load()))
	for _, src := range st.Sources {
		for i, n := range []uint64{src.Received, src.OSDrops, src.IfDrops, src.Freezes, src.Discarded} {
			send(o.source[i], prometheus.CounterValue, float64(n), src.Name, strconv.Itoa(src.Shard))
		}
	}
}
