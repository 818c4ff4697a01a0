// Package agent runs pktvisor: it takes frames from sources, has shards decode and analyse them,
// and keeps the window that they flush into.
//
//	one source, a file             a source for each shard, live
//	  source ─┬─► shard ◄─┐          source ─► shard
//	          └─► shard ◄─┘          source ─► shard
//
// The shards of a file read in turns, one at a time for all of them. Its clock is its packets': all shards follow
// the order of the file, and wait for each other at the end of a minute, so that what comes out does not depend
// on how many they are, but for tables that are not exact: these differ within their bounds. Live, each shard
// follows its own packets, and the wall clock where none come.
//
// A window may be read by any goroutine at any time.
package agent

import (
	"sync"
	"sync/atomic"
	"time"

	"pktvisor/analyze"
	"pktvisor/analyze/dns"
	"pktvisor/analyze/packets"
	"pktvisor/internal/seedhash"
	"pktvisor/metric"
	"pktvisor/window"
)

// Config says what an agent does. All fields but Identity, Locate and the last two must be set.
type Config struct {
	// Shards is how many goroutines analyse packets.
	Shards int
	// Periods is how many buckets the window has; Single makes one bucket of a whole file instead.
	Periods int
	Single  bool
	// Identity is that of the window's buckets.
	Identity metric.Identity
	// Hosts are the subnets that count as the host.
	Hosts analyze.Hosts
	// DeepSamplePercent is the share of flows and transactions that is analysed deeply.
	DeepSamplePercent int
	// Decap counts the innermost packet of a tunnel instead of the outermost.
	Decap bool
	// DNSPorts are the ports of DNS, DNSTimeout is how long a query waits for its response.
	DNSPorts   []uint16
	DNSTimeout time.Duration
	// Locate names the place of an address; nil leaves the GeoIP tables empty.
	Locate packets.Locator
	// OnSeal is called with each finished bucket.
	OnSeal func(*metric.Bucket)
	// OnSourceError, if set, is called when the live source of a shard fails.
	OnSourceError func(shard int, err error)
}

// Agent is the shards and their window.
type Agent struct {
	cfg    Config
	window *window.Window
	shards []*shard
	hosts  atomic.Pointer[analyze.Hosts]
	frames atomic.Int64   // read so far, from a file
	last   []atomic.Int64 // time of the newest packet of each shard, in nanoseconds since the Unix epoch
	live   atomic.Bool

	started time.Time
	steps   timeSteps // in a file
}

// topics returns the analyzers, in the order of the JSON.
func topics(cfg *Config) []analyze.Topic {
	return []analyze.Topic{
		packets.Topic(cfg.Locate),
		dns.Topic(int64(cfg.DNSTimeout)),
	}
}

// Tables are the sections of a bucket, in the order of the JSON: the analyzers', then the agent's own.
var Tables = tables()

func tables() []*metric.Table {
	var all []*metric.Table
	for _, t := range topics(&Config{}) {
		all = append(all, t.Table)
	}
	return append(all, sourceTable)
}

// New makes an agent that does nothing yet.
func New(cfg Config) *Agent {
	a := &Agent{cfg: cfg, started: time.Now(), last: make([]atomic.Int64, cfg.Shards)}
	a.hosts.Store(&cfg.Hosts)
	a.window = window.New(window.Config{
		Tables: Tables, Periods: cfg.Periods, Shards: cfg.Shards, Single: cfg.Single,
		Identity: cfg.Identity, DeepSamplePercent: cfg.DeepSamplePercent, OnSeal: cfg.OnSeal,
	})
	seed := seedhash.New()
	set := analyze.Settings{Seed: &seed, Sampler: analyze.NewSampler(cfg.DeepSamplePercent), Periods: cfg.Periods}
	var makers []func(analyze.Shard) analyze.Analyzer
	for _, t := range topics(&cfg) {
		makers = append(makers, t.New(set))
	}
	a.shards = make([]*shard, cfg.Shards)
	var making sync.WaitGroup
	for i := range a.shards { // mostly tables, whose memory is used for the first time
		making.Go(func() { a.shards[i] = newShard(a, i, &seed, makers) })
	}
	making.Wait()
	return a
}

// Window returns the window that the shards flush into.
func (a *Agent) Window() *window.Window { return a.window }

// Hosts returns the subnets that count as the host.
func (a *Agent) Hosts() analyze.Hosts { return *a.hosts.Load() }

// SetHosts changes the subnets that count as the host, for the packets from now on.
func (a *Agent) SetHosts(h analyze.Hosts) { a.hosts.Store(&h) }

// LastPacket returns the time of the newest packet as of the last flush, zero before the first. Where the clock was
// set back since, it is as long ago as it was then.
func (a *Agent) LastPacket() time.Time {
	newest := int64(0)
	for i := range a.last {
		if t := a.last[i].Load(); t != 0 && (newest == 0 || t > newest) {
			newest = t
		}
	}
	if newest != 0 {
		return time.Unix(0, newest)
	}
	return time.Time{}
}

// Frames returns how many frames of a file were read so far.
func (a *Agent) Frames() int64 { return a.frames.Load() }
