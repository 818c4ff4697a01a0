package agent

import (
	"pktvisor/analyze"
	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/window"
)

// PolicyConfig says what is made of events, and how much of that is kept. All fields but Name, Taps, Single, Scale and OnSeal
// must be set.
type PolicyConfig struct {
	// Name is unique among the policies of the agent; an empty one is [Default].
	Name string
	// Taps are the names of the taps whose events count; nil means all of the agent's.
	Taps []string
	// Topics are the analyzers, in the order of the JSON.
	Topics []analyze.Topic
	// Periods is how many buckets the window has; Single makes one bucket of a whole file instead.
	Periods int
	Single  bool
	// DeepSamplePercent is the share of flows and transactions that is analysed deeply.
	DeepSamplePercent int
	// Scale makes the tables of analyzers and the sealed buckets larger or smaller than by default: see [analyze.Scaled].
	Scale int
	// OnSeal is called with each finished bucket.
	OnSeal func(*metric.Bucket)
}

// Memory returns how many bytes the policy takes at most with the given number of shards, at a scale.
func (c *PolicyConfig) Memory(shards, scale int) int64 {
	bytes := window.Memory(tables(c.Topics), c.Periods, window.SealedSlots(c.Periods, scale))
	for _, t := range c.Topics {
		if t.Memory != nil {
			bytes += int64(shards) * t.Memory(t.Table, scale)
		}
	}
	return bytes
}

// Policy is what is made of the events of some taps: a window, and a back half for each of their shards. Its methods may be
// called from any goroutine.
type Policy struct {
	cfg    PolicyConfig
	tables []*metric.Table
	makers []func(analyze.Shard) analyze.Analyzer // of each topic
	window *window.Window
}

// Window returns the window that the shards flush into.
func (p *Policy) Window() *window.Window { return p.window }

// Tables returns the sections of a bucket, in the order of the JSON: the analyzers', then the tap's.
func (p *Policy) Tables() []*metric.Table { return p.tables }

// keysDue reports whether keys must be flushed between two seconds of a file: at the end of a bucket.
func (p *Policy) keysDue(second, next int64) bool {
	return !p.cfg.Single && !minute.Same(second, next)
}

// far returns how many seconds a file's clock must go forward at once for its summary to mention it: more than the window
// keeps, or a day.
func (p *Policy) far() int64 {
	if p.cfg.Single {
		return minute.MaxSeconds
	}
	return int64(p.cfg.Periods) * minute.Seconds
}
