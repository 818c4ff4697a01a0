package server

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

// Own returns the metrics about the agent itself that /metrics has, without those of the Go runtime and the process.
func (s *Server) Own() []OwnValues {
	n := &now{Status: s.cfg.Status(), server: s, views: s.cfg.Window, totals: s.cfg.Window.Totals(), deepSample: s.cfg.DeepSamplePercent}
	list := make([]OwnValues, 0, len(s.metrics.own))
	for i := range s.metrics.own {
		m := OwnValues{OwnMetric: &s.metrics.own[i]}
		send := func(v float64, labels ...string) { m.Points = append(m.Points, OwnPoint{v, labels}) }
		if m.Values != nil {
			m.Values(send)
		} else {
			m.values(n, send)
		}
		list = append(list, m)
	}
	return list
}
