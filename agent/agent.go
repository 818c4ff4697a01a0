// Package agent runs pktvisor: taps yield events, and policies summarise them. Both can be added and removed while the agent
// runs.
//
//	one source, a file              a source for each shard, live
//	  source ─┬─► shard ◄─┐           source ─► shard
//	          └─► shard ◄─┘           source ─► shard
//
//	shard:  frames ─► front half ─┬─► back half of policy A ─► window A
//	                              └─► back half of policy B ─► window B
//
// A shard is one goroutine. Its front half belongs to a tap: it turns frames into packets and messages, and follows the
// clock. Each back half belongs to a policy: it flushes the counts of the policy's analyzers into the policy's window, which
// any goroutine may read at any time. The back halves of a shard change between two of its batches.
//
// A source says which clock counts. For a file, all shards follow the order of its packets, and wait for each other at the
// end of a minute. So the number of shards does not change the result, except in tables that are not exact, which may differ
// within their bounds. With live sources, each shard follows its own packets, and the wall clock while no packets arrive.
package agent

import (
	"sync"
	"time"

	"pktvisor/analyze"
	"pktvisor/analyze/dns"
	"pktvisor/analyze/packets"
	"pktvisor/internal/seedhash"
	"pktvisor/metric"
	"pktvisor/psl"
)

// Default is the name of a tap or a policy that is configured without one.
const Default = "default"

// Config says what an agent observes at first, and how it summarises that. There may be no taps and no policies yet.
type Config struct {
	// Host, Tags and Boot are those of the [metric.Identity] of the agent's buckets. All may be empty.
	Host     string
	Tags     metric.Tags
	Boot     uint64
	Taps     []TapConfig
	Policies []PolicyConfig
	// Endless lets [Agent.Run] return only when its context is done, even if all taps have ended before.
	Endless bool
}

// Topics returns the analyzers that a policy has by default, in the order of the JSON. Locate finds the place of an address. If
// it is nil, the GeoIP tables stay empty. DNSTimeout is how long a query waits for its response.
func Topics(locate packets.Locator, dnsTimeout time.Duration) []analyze.Topic {
	return TopicsWith(locate, dnsTimeout, nil)
}

// TopicsWith is like [Topics], with another public suffix list than the embedded one.
func TopicsWith(locate packets.Locator, dnsTimeout time.Duration, suffixes *psl.Source) []analyze.Topic {
	return []analyze.Topic{
		packets.Topic(locate),
		dns.Topic(locate, suffixes, int64(dnsTimeout)),
	}
}

// Tables are the sections of a bucket with the default topics.
var Tables = tables(Topics(nil, 0))

func tables(topics []analyze.Topic) []*metric.Table {
	var all []*metric.Table
	for _, t := range topics {
		all = append(all, t.Table)
	}
	return append(all, sourceTable)
}

// Agent is a set of taps and policies. Its methods may be called from any goroutine, but not from the functions of a
// configuration, such as [PolicyConfig.OnSeal].
type Agent struct {
	host string
	tags metric.Tags
	boot uint64
	seed seedhash.Seed
	// endless is that of the configuration.
	endless bool

	taps     list[*Tap]
	policies list[*Policy]
	changing sync.Mutex // held while a list changes, so that changes take turns
	running  *run       // nil while the agent does not run; guarded by changing
}

// New makes an agent. It does nothing until [Agent.Run]. The error names a tap or a policy that is defined twice, or a tap
// that a policy needs and that does not exist.
func New(cfg Config) (*Agent, error) {
	a := &Agent{host: cfg.Host, tags: cfg.Tags, boot: cfg.Boot, endless: cfg.Endless, seed: seedhash.New()}
	for _, c := range cfg.Taps {
		if _, err := a.addTap(c); err != nil {
			return nil, err
		}
	}
	for _, c := range cfg.Policies {
		if _, err := a.addPolicy(c); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Taps returns the taps in the order in which they were added. Do not change the slice.
func (a *Agent) Taps() []*Tap { return a.taps.all() }

// Policies returns the policies in the order in which they were added. Do not change the slice.
func (a *Agent) Policies() []*Policy { return a.policies.all() }

// Tap returns the tap with the given name, or nil.
func (a *Agent) Tap(name string) *Tap {
	return a.taps.find(func(t *Tap) bool { return t.cfg.Name == name })
}

// Policy returns the policy with the given name, or nil.
func (a *Agent) Policy(name string) *Policy {
	return a.policies.find(func(p *Policy) bool { return p.cfg.Name == name })
}
