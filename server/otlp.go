package server

import "slices"

// OTLP describes how metrics are pushed by OTLP.
type OTLP struct {
	// URL is where they are pushed, without its query.
	URL string `json:"url"`
	// Pushes counts pushes that the receiver has taken, Failed attempts that failed, and RejectedPoints the points that the
	// receiver has not taken in pushes that it has.
	Pushes         uint64 `json:"pushes"`
	Failed         uint64 `json:"failed"`
	RejectedPoints uint64 `json:"rejected_points"`
	// LastPushTS is the Unix time of the last push that was taken, or 0. Bytes is its size as it was sent, and Points the number
	// of its points.
	LastPushTS int64 `json:"last_push_ts,omitempty"`
	Bytes      int   `json:"bytes"`
	Points     int   `json:"points"`
	// Error is why the last attempt failed. It is empty if it succeeded.
	Error string `json:"error,omitempty"`
}

// otlpMetrics returns the metrics of the pushing by OTLP.
func otlpMetrics() []OwnMetric {
	value := func(of func(o *OTLP) float64) func(n *now, send send) {
		return func(n *now, send send) {
			if n.OTLP != nil {
				send(of(n.OTLP))
			}
		}
	}
	return []OwnMetric{
		ofCapture(ownCounter("otlp_pushes", "Pushes by OTLP that the receiver has taken.", value(func(o *OTLP) float64 { return float64(o.Pushes) }))),
		ofCapture(ownCounter("otlp_failed_attempts", "Attempts to push by OTLP that failed.", value(func(o *OTLP) float64 { return float64(o.Failed) }))),
		ofCapture(ownCounter("otlp_rejected_points", "Points that the OTLP receiver has not taken in pushes that it has.",
			value(func(o *OTLP) float64 { return float64(o.RejectedPoints) }))),
		ofCapture(ownGauge("otlp_last_push_time_seconds", "Time of the last push by OTLP that the receiver has taken, in Unix time. 0 before the first.",
			value(func(o *OTLP) float64 { return float64(o.LastPushTS) }))),
	}
}

// OwnValues are the values of a metric about the program itself.
type OwnValues struct {
	*OwnMetric
	Points []OwnPoint
}

// OwnPoint is a value, and the values of its labels.
type OwnPoint struct {
	Value  float64
	Labels []string
}

// Own returns the metrics about the agent itself that /metrics has, without those of the Go runtime and the process. Those
// about a window are there once for each window. A label of a point may be empty, which means that the point lacks it.
func (s *Server) Own() []OwnValues {
	n := &now{Status: s.cfg.Status(), server: s}
	targets := s.policyTargets()
	windows := make([]now, len(targets))
	for i, t := range targets {
		windows[i] = now{Status: n.Status, server: s, views: t.views, totals: t.views.Totals(), deepSample: t.deepSample}
	}
	list := make([]OwnValues, 0, len(s.metrics.own))
	for i := range s.metrics.own {
		m := OwnValues{OwnMetric: &s.metrics.own[i]}
		switch {
		case m.Values != nil:
			m.Values(func(v float64, labels ...string) { m.Points = append(m.Points, OwnPoint{v, labels}) })
		case !m.window:
			m.values(n, func(v float64, labels ...string) { m.Points = append(m.Points, OwnPoint{v, labels}) })
		default:
			of := *m.OwnMetric
			of.Labels = slices.Concat(of.Labels, windowLabels)
			m.OwnMetric = &of
			for j := range targets {
				m.values(&windows[j], func(v float64, labels ...string) {
					m.Points = append(m.Points, OwnPoint{v, slices.Concat(labels, targets[j].windowLabels())})
				})
			}
		}
		list = append(list, m)
	}
	return list
}

// windowLabels are the labels of a window.
var windowLabels = []string{"policy", "tap", "handler"}

// windowLabels returns the values of these labels, which are empty if the window lacks them.
func (t *target) windowLabels() []string {
	values := make([]string, len(windowLabels))
	for _, l := range t.labels {
		values[slices.Index(windowLabels, l.Name)] = l.Value
	}
	return values
}
