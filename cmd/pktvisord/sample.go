package main

import (
	"pktvisor/agent/adapt"
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
