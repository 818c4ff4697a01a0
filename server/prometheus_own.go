package server

import (
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pktvisor/metric"
)

// ownMetric is a metric about the agent itself.
type ownMetric struct {
	name, help string
	labels     []string
	// values sends the values as they are now, one for each set of labels.
	values func(n *now, send func(v float64, labels ...string))
}

// now is what the metrics about the agent are made of.
type now struct {
	Status
	server *Server
	totals *metric.Bucket
}

// kind is a counter by its name, or a gauge.
func (m *ownMetric) kind() prometheus.ValueType {
	if strings.HasSuffix(m.name, "_total") {
		return prometheus.CounterValue
	}
	return prometheus.GaugeValue
}

// ownMetrics are the metrics about the agent itself.
func ownMetrics() []ownMetric {
	type send = func(v float64, labels ...string)
	source := func(name, help string, count func(c *Counts) uint64) ownMetric {
		return ownMetric{"pktvisor_source_" + name + "_total", help, []string{"source", "shard"}, func(n *now, send send) {
			for _, src := range n.Sources {
				send(float64(count(&src.Counts)), src.Name, strconv.Itoa(src.Shard))
			}
		}}
	}
	state := func(name, help string, value func(s *State) float64) ownMetric {
		return ownMetric{"pktvisor_state_" + name, help, nil, func(n *now, send send) {
			if n.State != nil {
				send(value(n.State))
			}
		}}
	}
	return []ownMetric{
		{"pktvisor_build_info", "Always 1; the labels say what runs.", []string{"version", "revision", "goversion"}, func(n *now, send send) {
			send(1, n.server.cfg.Version, buildInfo().Revision, runtime.Version())
		}},
		{"pktvisor_start_time_seconds", "When the capture started, in Unix time.", nil, func(n *now, send send) {
			send(float64(n.server.cfg.Started.UnixMilli()) / 1000)
		}},
		{"pktvisor_capturing", "Whether all that was asked for is captured: 1 or 0.", nil, func(n *now, send send) {
			if n.Fault == "" {
				send(1)
			} else {
				send(0)
			}
		}},
		{"pktvisor_last_packet_age_seconds", "How long ago the newest packet came; missing before the first.", nil, func(n *now, send send) {
			if !n.LastPacket.IsZero() {
				send(max(time.Since(n.LastPacket).Seconds(), 0))
			}
		}},
		{"pktvisor_lost_packets_total", "Packets that were dropped before they could be counted.", nil, func(n *now, send send) {
			send(float64(n.totals.Lost))
		}},
		source("received", "Frames that the source handed over.", func(c *Counts) uint64 { return c.Received }),
		source("os_drops", "Frames that the kernel dropped because the capture ring was full.", func(c *Counts) uint64 { return c.OSDrops }),
		source("if_drops", "Frames that the interface dropped.", func(c *Counts) uint64 { return c.IfDrops }),
		source("freezes", "How often the capture ring was full.", func(c *Counts) uint64 { return c.Freezes }),
		source("discarded", "Frames that the filter turned away, where the source can know.", func(c *Counts) uint64 { return c.Discarded }),
		source("copies", "Frames on the interface any that are not counted because they count on another device of the host.", func(c *Counts) uint64 { return c.Copies }),
		state("waiting_buckets", "Finished minutes that are not in the state directory yet, or that could not be written and are tried again.", func(s *State) float64 { return float64(s.Waiting) }),
		state("failed_writes_total", "Attempts to write a finished minute to the state directory that failed.", func(s *State) float64 { return float64(s.Failed) }),
		state("dropped_buckets_total", "Finished minutes that were never written: the window dropped them before a write succeeded.", func(s *State) float64 { return float64(s.Dropped) }),
		{"pktvisor_dns_xact_open", "Queries that wait for their response.", nil, func(n *now, send send) { send(float64(n.OpenTransactions)) }},
		{"pktvisor_deep_sample_ratio", "Share of flows and transactions that is analysed deeply.", nil, func(n *now, send send) {
			send(float64(n.server.cfg.DeepSamplePercent) / 100)
		}},
		{"pktvisor_shards", "Goroutines that analyse packets.", nil, func(n *now, send send) { send(float64(n.Shards)) }},
		{"pktvisor_periods", "Minutes that the window keeps, the live one included.", nil, func(n *now, send send) {
			send(float64(n.server.cfg.Window.Periods()))
		}},
		{"pktvisor_sealed_periods", "Finished minutes that the window has.", nil, func(n *now, send send) {
			send(float64(len(n.server.cfg.Window.Sealed())))
		}},
		{"pktvisor_minute_start_time_seconds", "Start of the newest finished minute, which cardinalities and tables are of, in Unix time.", nil, func(n *now, send send) {
			if b := n.server.cfg.Window.Bucket(1); b != nil {
				send(float64(b.Start))
			}
		}},
		{"pktvisor_views_rendered_total", "JSON views that were made; the other answers came from the cache.", nil, func(n *now, send send) {
			send(float64(n.server.rendered()))
		}},
	}
}

// collectOwn sends the metrics about the agent itself.
func (c *collector) collectOwn(totals *metric.Bucket, out chan<- prometheus.Metric) {
	n := &now{Status: c.server.cfg.Status(), server: c.server, totals: totals}
	for i := range c.own {
		m := &c.own[i]
		m.values(n, func(v float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(c.ownDescs[i], m.kind(), v, labels...)
		})
	}
}
