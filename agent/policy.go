package agent

import (
	"fmt"
	"slices"

	"pktvisor/analyze"
	"pktvisor/analyze/dns"
	"pktvisor/anon"
	"pktvisor/filter"
	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/window"
)

// PolicyConfig says how events are summarised, and for how long the summaries are kept. All fields must be set, except for
// Name, Key, Taps, Filter, TopicFilters, Chained, Single, MinDeepSamplePercent, SampleSeed, Partial, Scale, Anonymizer and OnSeal.
type PolicyConfig struct {
	// Name is unique among the policies of the agent. If it is empty, it is [Default].
	Name string
	// Key is the key of a table if the policy counts only what that key has: see package drill. Its minutes have the identity
	// of the policy POLICY/KEY, so that nobody takes them for those of the policy.
	Key string
	// Taps are the names of the taps whose events count. If it is nil, all taps count that the agent has when the policy is added.
	Taps []string
	// Topics are the analyzers, in the order of the JSON.
	Topics []analyze.Topic
	// Filter chooses the events that count: see package filter. TopicFilters are further filters, one for each topic; it may be nil,
	// and so may each of them. If Chained is set, each topic gets only what the filters of the topics before it let pass, too.
	Filter       *filter.Filter
	TopicFilters []*filter.Filter
	Chained      bool
	// Periods is the number of buckets in the window. Single makes one bucket of a whole file instead.
	Periods int
	Single  bool
	// DeepSamplePercent is the share of address pairs that are analysed deeply, at most. MinDeepSamplePercent is the least, if a
	// live capture falls behind: see [Tap.SetShare]. SampleSeed decides which pairs these are. All policies of a tap with a
	// [TapConfig.Counter] have the seed of that counter.
	DeepSamplePercent, MinDeepSamplePercent int
	SampleSeed                              uint32
	// Partial says that the policy does not count all events of its taps, as with a filter. Then what the kernel has counted is not for it. As long
	// as a tap has such a policy, the kernel hands over all frames of the tap and counts none: see [TapConfig.Counter].
	Partial bool
	// Scale makes the tables of analyzers and the sealed buckets larger or smaller than by default: see [analyze.Scaled].
	Scale int
	// Anonymizer anonymises what leaves the window. Nil leaves it as it is.
	Anonymizer *anon.Anonymizer
	// OnSeal is called with each finished bucket.
	OnSeal func(*metric.Bucket)
}

// Memory returns the greatest number of bytes that the policy takes, with the given number of shards and at a scale.
func (c *PolicyConfig) Memory(shards, scale int) int64 {
	bytes := window.Memory(tables(c.Topics), c.Periods, window.SealedSlots(c.Periods, scale))
	for _, t := range c.Topics {
		if t.Memory != nil {
			bytes += int64(shards) * t.Memory(t.Table, scale)
		}
	}
	return bytes
}

// Policy summarises the events of some taps. It has a window, and a back half for each shard of the taps. Its methods may be
// called from any goroutine.
type Policy struct {
	cfg    PolicyConfig
	tables []*metric.Table
	taps   []*Tap
	makers []func(analyze.Shard) analyze.Analyzer // one for each topic
	// filters has the filter of each topic. A nil filter lets every event pass.
	filters []*filter.Filter
	window  *window.Window
}

// topicFilters returns the filter of each topic. Topics whose filters let the same events pass have the same one. The error says that a
// topic lacks what its filter needs.
func (c *PolicyConfig) topicFilters() ([]*filter.Filter, error) {
	if n := len(c.TopicFilters); n > 0 && n != len(c.Topics) {
		return nil, fmt.Errorf("%d filters for %d topics", n, len(c.Topics))
	}
	all, chain := make([]*filter.Filter, len(c.Topics)), c.Filter
	for i := range c.Topics {
		var own *filter.Filter
		if len(c.TopicFilters) > 0 {
			own = c.TopicFilters[i]
		}
		all[i] = filter.And(c.Filter, own)
		if c.Chained {
			chain = filter.And(chain, own)
			all[i] = chain
		}
	}
	messages := slices.IndexFunc(c.Topics, func(t analyze.Topic) bool { return t.Table.Section == dns.Table.Section })
	for i, f := range all {
		if f != nil && f.Latency() && (messages < 0 || all[messages] != f) {
			return nil, fmt.Errorf("%s: slower_than needs latencies, which only dns knows: give dns the same filter", c.Topics[i].Table.Section)
		}
	}
	return all, nil
}

// shards returns the number of shards of the policy's taps.
func (p *Policy) shards() (n int) {
	for _, t := range p.taps {
		n += len(t.fronts)
	}
	return n
}

// share returns the share of address pairs that the policy analyses deeply if the tap is told a share.
func (p *Policy) share(share metric.Share) metric.Share {
	most := metric.Percent(p.cfg.DeepSamplePercent)
	return min(max(share, metric.Percent(p.cfg.MinDeepSamplePercent)), most)
}

// kernelShare returns the share of address pairs whose frames the policy needs from the kernel if the tap is told a share.
func (p *Policy) kernelShare(share metric.Share) metric.Share {
	if p.cfg.Partial {
		return metric.Whole
	}
	return p.share(share)
}

// Window returns the window that the shards flush into.
func (p *Policy) Window() *window.Window { return p.window }

// Tables returns the sections of a bucket in the order of the JSON: those of the analyzers, then that of the source.
func (p *Policy) Tables() []*metric.Table { return p.tables }

// keysDue reports whether keys must be flushed between two seconds of a file: at the end of a bucket.
func (p *Policy) keysDue(second, next int64) bool {
	return !p.cfg.Single && !minute.Same(second, next)
}

// far returns by how many seconds a file's clock must jump forward before the summary mentions it: as many as the window
// keeps, or a day if the file is one bucket.
func (p *Policy) far() int64 {
	if p.cfg.Single {
		return minute.MaxSeconds
	}
	return int64(p.cfg.Periods) * minute.Seconds
}
