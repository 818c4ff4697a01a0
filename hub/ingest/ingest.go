// Package ingest counts each host-minute once.
//
// It consumes the raw host-minutes from the store, merges them into the rollups of their groups, and acknowledges a
// host-minute only when all rollups that it belongs to are stored. Any number of ingesters may do so at once on one store.
// What makes a host-minute count once is that each rollup lists its members, and that a rollup is only written over the
// revision that was read: docs/decisions/0026 has the rules and why they suffice.
//
// A minute is written when all hosts that reported the minute before have reported it, or 4 s after its end. Host-minutes that
// come later are written within 2 s. Longer rollups are computed from the level below, by the holder of the lease of the
// group's partition, shortly after their time has passed and whenever a late host-minute has changed the level below.
//
// An Ingester holds at most 64 MiB of host-minutes, and about 110 MB of buckets while it merges groups that overlap in many
// ways, 20 MB otherwise.
package ingest

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/metric"
)

// Store is what an ingester needs of a [store.Store].
type Store interface {
	Consume(ctx context.Context, batch int) ([]store.Delivery, error)
	HostMinutes(ctx context.Context, policy, host string, from, to int64, each func(store.Raw) error) error
	Get(ctx context.Context, k store.Key) (data []byte, revision uint64, err error)
	Put(ctx context.Context, k store.Key, data []byte, revision uint64) (uint64, error)
	Range(ctx context.Context, level rollup.Level, policy, group string, from, to int64,
		each func(k store.Key, data []byte, revision uint64) error) error
	Groups(ctx context.Context) (map[string][]string, error)
	Changes(ctx context.Context) <-chan store.Key
}

// Config says how an ingester works. Store and Tables are required.
type Config struct {
	Store Store
	// Tables are the sections of the rollups.
	Tables []*metric.Table
	// Agent is the program and its version, for the headers of the rollups.
	Agent string
	// Now returns the present time. It is time.Now by default.
	Now func() time.Time
	// Leased reports whether this hub computes the longer rollups of the groups of a partition: see [store.Partition]. By
	// default it computes all.
	Leased func(partition int) bool
	// Missing is called with a host-minute that was expected and did not come, once, 90 s after its end. It must not block.
	Missing func(policy, host string, start int64)
	// Retention is how long the store keeps rollups of a minute, 48 hours by default. Older host-minutes are refused.
	Retention time.Duration
	// PendingBytes bounds the host-minutes in memory, in bytes. The default is 64 MiB. Beyond it, minutes are written early.
	PendingBytes int64
	// Log is where refusals and errors are logged. It is [slog.Default] by default.
	Log *slog.Logger
}

// Ingester moves host-minutes from the raw stream into rollups.
type Ingester struct {
	cfg    Config
	counts counters
	limits limits
	levels levels

	// The rest belongs to the goroutine that writes minutes.
	merger  *rollup.Merger
	pending map[minuteKey]*pending
	bytes   int64                       // of all pending host-minutes
	recent  map[string]map[string]int64 // the newest start of each host, by policy
	wrote   map[minuteKey]struct{}      // minutes that were written lately
	gaps    gaps
	stepped time.Time // when longer rollups were last computed

	// behind says that many deliveries wait. The goroutine that consumes sets it.
	behind atomic.Bool
}

// New makes an ingester. It does nothing until [Ingester.Run].
func New(cfg Config) *Ingester {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Leased == nil {
		cfg.Leased = func(int) bool { return true }
	}
	if cfg.Missing == nil {
		cfg.Missing = func(string, string, int64) {}
	}
	if cfg.Retention == 0 {
		cfg.Retention = 48 * time.Hour
	}
	if cfg.PendingBytes == 0 {
		cfg.PendingBytes = 64 << 20
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	g := &Ingester{
		cfg:     cfg,
		merger:  rollup.NewMerger(cfg.Tables, cfg.Agent),
		pending: make(map[minuteKey]*pending),
		recent:  make(map[string]map[string]int64),
		wrote:   make(map[minuteKey]struct{}),
	}
	g.levels.init(g)
	g.gaps.init()
	return g
}

// The pace of the loops.
const (
	batch     = 64 // deliveries that are asked for at once
	tick      = 250 * time.Millisecond
	pause     = time.Second // after an error of the store
	levelTick = time.Second
)

// Run ingests until ctx is done, and returns its error. Errors of the store are counted and tried again. Host-minutes that
// were not acknowledged are delivered again, to this or another ingester.
func (g *Ingester) Run(ctx context.Context) error {
	g.learnGroups(ctx)
	var running sync.WaitGroup
	deliveries := make(chan []store.Delivery)
	running.Go(func() { g.consume(ctx, deliveries) })
	running.Go(func() { g.levels.follow(ctx) })
	defer running.Wait()
	defer g.release()

	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		in := deliveries
		if g.bytes >= g.cfg.PendingBytes {
			in = nil // until the store takes what is pending
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case list := <-in:
			for i := range list {
				g.accept(&list[i])
			}
		case <-ticker.C:
		}
		g.step(ctx)
	}
}

// step does what is due: it writes minutes, computes longer rollups, and looks for gaps.
func (g *Ingester) step(ctx context.Context) {
	g.flushDue(ctx)
	now := g.cfg.Now()
	if now.Sub(g.stepped) < levelTick && !now.Before(g.stepped) {
		return
	}
	g.stepped = now
	g.levels.step(ctx)
	g.checkGaps(ctx)
}

// consume hands over deliveries.
func (g *Ingester) consume(ctx context.Context, to chan<- []store.Delivery) {
	for ctx.Err() == nil {
		list, err := g.cfg.Store.Consume(ctx, batch)
		if err != nil && ctx.Err() == nil {
			g.failed("consume", err)
			sleep(ctx, pause)
		}
		g.behind.Store(len(list) >= batch/4)
		if len(list) == 0 {
			continue
		}
		select {
		case to <- list:
		case <-ctx.Done():
		}
	}
}

// failed counts and logs an error of the store.
func (g *Ingester) failed(doing string, err error) {
	g.counts.update(func(s *Status) { s.LastError, s.LastErrorAt = err.Error(), g.cfg.Now().Unix() })
	g.warn("failed", "the store failed", "doing", doing, "error", err)
}

// warn logs a warning. It logs one of each kind in 10 seconds. It may be called from any goroutine.
func (g *Ingester) warn(kind, text string, args ...any) {
	if g.counts.mayLog(kind, g.cfg.Now()) {
		g.cfg.Log.Warn("ingest: "+text, args...)
	}
}

// sleep waits for a time, or until ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// backoff returns how long to wait before try number n, from 1 on: a random time that doubles, up to a limit.
func backoff(n int, first, most time.Duration) time.Duration {
	d := min(first<<min(n-1, 16), most)
	return d/2 + rand.N(d/2+1)
}
