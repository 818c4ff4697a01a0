package main

import (
	"errors"

	"pktvisor/agent/adapt"
	"pktvisor/capture"
	"pktvisor/server"
)

// sampleStatus describes the deep sample, or returns nil if it stays as it is.
func (l *live) sampleStatus() *server.Sample {
	s, ok := l.tap.Sample()
	if !ok {
		return nil
	}
	return &server.Sample{
		Percent: s.Share.Percent(), Min: s.Least.Percent(), Max: s.Most.Percent(), Lowered: s.Lowered, Raised: s.Raised, Reason: string(s.Reason),
		CPUPercent: 100 * s.CPU, MaxCPUPercent: 100 * s.MaxCPU,
	}
}

// sampleChanged logs when the deep sample leaves its greatest value and when it is back there. The steps between are for
// debugging.
func (l *live) sampleChanged(c adapt.Change) {
	most := float64(l.o.DeepSamplePercent)
	switch {
	case c.From.Percent() >= most && c.Reason == adapt.Budget:
		l.log.Warn("the agent takes more CPU than --max-cpu: the deep sample is lowered", "percent", c.To.Percent())
	case c.From.Percent() >= most:
		l.log.Warn("a shard falls behind: the deep sample is lowered", "percent", c.To.Percent())
	case c.To.Percent() >= most:
		l.log.Info("the deep sample is whole again", "percent", c.To.Percent())
	default:
		l.log.Debug("the deep sample has changed", "percent", c.To.Percent(), "reason", c.Reason)
	}
}

// shardsChanged logs over how many shards the frames are spread.
func (l *live) shardsChanged(from, to int) {
	l.log.Info("the frames are spread over another number of shards", "from", from, "to", to, "most", len(l.sources))
}

// spread spreads the frames over the first n shards. It logs why that is not possible, once for each reason.
func (l *live) spread(n int) error {
	err := capture.Spread(l.sources, n)
	if err == nil {
		l.unspread = ""
	} else if reason := err.Error(); reason != l.unspread && !errors.Is(err, capture.ErrChanging) {
		l.unspread = reason
		l.log.Warn("the frames cannot be spread over another number of shards yet", "shards", n, "reason", reason)
	}
	return err
}
