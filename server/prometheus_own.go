package server

import (
	"runtime"
	"slices"
	"strconv"
	"time"

	"pktvisor/exposition"
	"pktvisor/metric"
	"pktvisor/window"
)

// OwnMetric is a metric about the program itself.
type OwnMetric struct {
	Type       metric.FamilyType
	Name, Help string
	Labels     []string
	// Values sends the current values, one for each set of labels.
	Values func(send func(v float64, labels ...string))

	values  func(n *now, send send) // instead of Values
	capture bool                    // about a capture, which a hub does not have
	window  bool                    // about a window: sent for each, with its labels
}

// send receives a value and the values of its labels.
type send = func(v float64, labels ...string)

// now is the state from which the metrics about the program are computed.
type now struct {
	Status
	server *Server
	// views, totals and deepSample are those of the window that a metric about a window is about.
	views      window.Views
	totals     *metric.Bucket
	deepSample int
}

func ownGauge(name, help string, value func(n *now, send send), labels ...string) OwnMetric {
	return OwnMetric{Type: metric.FamilyGauge, Name: "pktvisor_" + name, Help: help, Labels: labels, values: value}
}

func ownCounter(name, help string, value func(n *now, send send), labels ...string) OwnMetric {
	return OwnMetric{Type: metric.FamilyCounter, Name: "pktvisor_" + name + "_total", Help: help, Labels: labels, values: value}
}

// ofWindow marks a metric about a window.
func ofWindow(m OwnMetric) OwnMetric {
	m.window = true
	return m
}

// ofCapture marks a metric about the capture.
func ofCapture(m OwnMetric) OwnMetric {
	m.capture = true
	return m
}

// ownMetrics returns the metrics about the agent itself, including those of the table of sources.
func ownMetrics(sources *metric.Table) []OwnMetric {
	return slices.Concat(captureMetrics(), sourceMetrics(sources), stateMetrics(), memoryMetrics(), pushMetrics(), otlpMetrics(), windowMetrics())
}

// captureMetrics returns the metrics that describe the process and its capture.
func captureMetrics() []OwnMetric {
	return []OwnMetric{
		ownGauge("build_info", "Always 1. The labels describe the build.", func(n *now, send send) {
			send(1, n.server.cfg.Version, buildInfo().Revision, runtime.Version())
		}, "version", "revision", "goversion"),
		ownGauge("start_time_seconds", "Start of the capture, in Unix time.", func(n *now, send send) {
			send(float64(n.server.cfg.Started.UnixMilli()) / 1000)
		}),
		ownGauge("sandboxed", "1 if a part of the sandbox of the process is in place, otherwise 0. The part complete says that no part is missing.", func(n *now, send send) {
			if s := n.server.cfg.Sandbox; s != nil {
				for part, ok := range s.Parts() {
					value := 0.0
					if ok {
						value = 1
					}
					send(value, part)
				}
			}
		}, "part"),
		ofCapture(ownGauge("capturing", "1 if every requested source is captured, otherwise 0.", func(n *now, send send) {
			if n.faults("") == "" {
				send(1)
			} else {
				send(0)
			}
		})),
		ofCapture(ownGauge("last_packet_age_seconds", "Time since the newest packet arrived. Missing before the first packet.", func(n *now, send send) {
			if !n.LastPacket.IsZero() {
				send(max(time.Since(n.LastPacket).Seconds(), 0))
			}
		})),
		ofWindow(ownCounter("lost_packets", "Packets that were dropped before they could be counted.", func(n *now, send send) {
			send(float64(n.totals.Lost))
		})),
	}
}

// sourceMetrics returns the counters of each source. Two taps may capture from one interface, so those of taps other than the default
// have their name.
func sourceMetrics(sources *metric.Table) []OwnMetric {
	var own []OwnMetric
	for i := range sources.Descs {
		d := &sources.Descs[i]
		family := d.Families()[0]
		own = append(own, OwnMetric{Type: family.Type, Name: family.Name, Help: d.Help, Labels: []string{"source", "shard", "tap"}, capture: true, values: func(n *now, send send) {
			for k := range n.Sources {
				src := &n.Sources[k]
				send(float64(src.Counts.Counter(i)), src.Name, strconv.Itoa(src.Shard), src.Tap)
			}
		}})
	}
	return own
}

// stateMetrics returns the metrics of the state directory.
func stateMetrics() []OwnMetric {
	value := func(of func(s *State) float64) func(n *now, send send) {
		return func(n *now, send send) {
			if n.State != nil {
				send(of(n.State))
			}
		}
	}
	return []OwnMetric{
		ofCapture(ownGauge("state_waiting_buckets", "Finished minutes that are not in the state directory yet, including those whose write failed and is retried.",
			value(func(s *State) float64 { return float64(s.Waiting) }))),
		ofCapture(ownCounter("state_failed_writes", "Failed attempts to write a finished minute to the state directory.",
			value(func(s *State) float64 { return float64(s.Failed) }))),
		ofCapture(ownCounter("state_dropped_buckets", "Finished minutes that were never written, because the window dropped them before a write succeeded.",
			value(func(s *State) float64 { return float64(s.Dropped) }))),
	}
}

// memoryMetrics returns the metrics of the limit of memory.
func memoryMetrics() []OwnMetric {
	value := func(of func(m *Memory) float64) func(n *now, send send) {
		return func(n *now, send send) {
			if n.Memory != nil {
				send(of(n.Memory))
			}
		}
	}
	return []OwnMetric{
		ofCapture(ownGauge("memory_limit_bytes", "The limit of memory above which the agent sheds. Missing without a limit.",
			value(func(m *Memory) float64 { return float64(m.Limit) }))),
		ofCapture(ownGauge("memory_needed_bytes", "Memory that the agent needs, without garbage. Missing without a limit.",
			value(func(m *Memory) float64 { return float64(m.Needed) }))),
		ofCapture(ownCounter("memory_sheds", "Times that the agent has shed caches, history, sample or answers to stay below the limit of memory.",
			value(func(m *Memory) float64 { return float64(m.Sheds) }))),
	}
}

// pushMetrics returns the metrics of the pushing to a hub.
func pushMetrics() []OwnMetric {
	value := func(of func(p *Push) float64) func(n *now, send send) {
		return func(n *now, send send) {
			if n.Push != nil {
				send(of(n.Push))
			}
		}
	}
	return []OwnMetric{
		ownGauge("push_connected", "1 if there is a connection to the NATS server of the hub, otherwise 0.", value(func(p *Push) float64 {
			if p.Connected {
				return 1
			}
			return 0
		})),
		ownGauge("push_pending_buckets", "Finished minutes that the hub has not acknowledged yet.",
			value(func(p *Push) float64 { return float64(p.Pending) })),
		ownCounter("push_acknowledged_buckets", "Finished minutes that the hub has acknowledged.",
			value(func(p *Push) float64 { return float64(p.Acknowledged) })),
		ownCounter("push_failed_attempts", "Failed attempts to push a finished minute.",
			value(func(p *Push) float64 { return float64(p.Failed) })),
		ownCounter("push_dropped_buckets", "Finished minutes that were never pushed, because the window dropped them before an attempt succeeded.",
			value(func(p *Push) float64 { return float64(p.Dropped) })),
	}
}

// ofSample returns the values of a metric of a deep sample that is lowered under load.
func ofSample(of func(s *Sample) float64) func(n *now, send send) {
	return func(n *now, send send) {
		if n.Sample != nil {
			send(of(n.Sample))
		}
	}
}

// windowMetrics returns the metrics of the analysis and its window.
func windowMetrics() []OwnMetric {
	return []OwnMetric{
		ofWindow(ofCapture(ownGauge("deep_sample_ratio", "Share of address pairs that are analysed in depth now.", func(n *now, send send) {
			if n.Sample != nil {
				send(n.Sample.Percent / 100)
				return
			}
			send(float64(n.deepSample) / 100)
		}))),
		ownCounter("deep_sample_lowered", "How often the deep sample was lowered, because a shard fell behind or the agent took more CPU than it may.", ofSample(func(s *Sample) float64 { return float64(s.Lowered) })),
		ownCounter("deep_sample_raised", "How often the deep sample was raised again.", ofSample(func(s *Sample) float64 { return float64(s.Raised) })),
		ofCapture(ownGauge("shards", "Goroutines that analyse packets.", func(n *now, send send) { send(float64(n.Shards)) })),
		ofWindow(ownGauge("periods", "Minutes that the window keeps, including the live one.", func(n *now, send send) {
			send(float64(n.views.Periods()))
		})),
		ofWindow(ownGauge("sealed_periods", "Finished minutes in the window.", func(n *now, send send) {
			send(float64(len(n.views.Minutes())))
		})),
		ofWindow(ownGauge("minute_start_time_seconds", "Start of the newest finished minute, in Unix time. Cardinalities and tables cover this minute.", func(n *now, send send) {
			if b := n.views.Bucket(1); b != nil {
				send(float64(b.Start))
			}
		})),
		ownCounter("views_rendered", "JSON views that were rendered. All other answers came from the cache.", func(n *now, send send) {
			send(float64(n.server.rendered()))
		}),
	}
}

// appendOwn writes the metrics about the program itself, and about the window of each target.
func (m *scraper) appendOwn(e *exposition.Encoder, n *now, targets []target, all []*gathered) {
	for i := range m.own {
		o := &m.own[i]
		e.Family(m.families[i])
		var labels []exposition.Label
		send := func(of []exposition.Label) send {
			return func(v float64, values ...string) {
				labels = append(labels[:0], of...)
				for k, value := range values {
					if value != "" { // Prometheus takes an empty label for none
						labels = append(labels, exposition.Label{Name: o.Labels[k], Value: value})
					}
				}
				e.Value(v, m.server.cfg.Started, labels...)
			}
		}
		switch {
		case o.Values != nil:
			o.Values(send(nil))
		case !o.window:
			o.values(n, send(nil))
		default:
			for k := range targets {
				n.views, n.totals, n.deepSample = targets[k].views, all[k].totals, targets[k].deepSample
				o.values(n, send(targets[k].labels))
			}
		}
	}
}
