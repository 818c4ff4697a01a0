package main

import (
	"errors"

	"pktvisor/agent/adapt"
	"pktvisor/capture"
	"pktvisor/server"
)

// sampleStatus describes the deep sample, or returns nil if it stays as it is.
func (t *tap) sampleStatus() *server.Sample {
	s, ok := t.agent.Sample()
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
func (t *tap) sampleChanged(c adapt.Change) {
	most := float64(t.deepSample)
	switch {
	case c.From.Percent() >= most && c.Reason == adapt.Budget:
		t.log.Warn("the agent takes more CPU than --max-cpu: the deep sample is lowered", "percent", c.To.Percent())
	case c.From.Percent() >= most:
		t.log.Warn("a shard falls behind: the deep sample is lowered", "percent", c.To.Percent())
	case c.To.Percent() >= most:
		t.log.Info("the deep sample is whole again", "percent", c.To.Percent())
	default:
		t.log.Debug("the deep sample has changed", "percent", c.To.Percent(), "reason", c.Reason)
	}
}

// shardsChanged logs over how many shards the frames are spread.
func (t *tap) shardsChanged(from, to int) {
	t.log.Info("the frames are spread over another number of shards", "from", from, "to", to, "most", len(t.sources))
}

// spread spreads the frames over the first n shards. It logs why that is not possible, once for each reason.
func (t *tap) spread(n int) error {
	err := capture.Spread(t.sources, n)
	if err == nil {
		t.unspread = ""
	} else if reason := err.Error(); reason != t.unspread && !errors.Is(err, capture.ErrChanging) {
		t.unspread = reason
		t.log.Warn("the frames cannot be spread over another number of shards yet", "shards", n, "reason", reason)
	}
	return err
}
