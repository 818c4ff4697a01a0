// Package query reads the rollups of a fleet: a stretch of time, a part of the hosts, or both, as one bucket.
//
//	r := query.New(query.Config{Store: s, Tables: agent.Tables})
//	b, info, err := r.Range(ctx, query.Selection{Tags: []string{"pop=ams1"}}, from, to)
//
// A range is tiled with as few rollups as possible: days, hours, five minutes and minutes. A rollup that is missing, or that
// lacks what the level below has, is replaced by those of the level below. Hosts, and hosts that have several tags, have no
// rollups: they are merged from host-minutes, as far back as the store keeps these.
//
// Nothing that a reader keeps can become stale. Each call reads the rollups again, and a merge is reused only if it is of
// the same rollups in the same revisions. A rollup of more than a minute is older than its minutes for some seconds when a
// host-minute comes late. The reader notices that for rollups that ended a quarter of an hour ago or later.
//
// A Reader may be used by any number of goroutines. Buckets that it returns are shared, and must not be changed.
package query

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/metric"
)

// Store is what a reader needs of a [store.Store].
type Store interface {
	Range(ctx context.Context, level rollup.Level, policy, group string, from, to int64, each func(k store.Key, data []byte, revision uint64) error) error
	HostMinutes(ctx context.Context, policy, host string, from, to int64, each func(store.Raw) error) error
	Groups(ctx context.Context) (map[string][]string, error)
}

// Config configures a reader. Store and Tables are required.
type Config struct {
	Store  Store
	Tables []*metric.Table
	// Policy is the policy of a selection that names none. If it is empty, it is the only policy of the fleet, or the one
	// called default, or the first by name.
	Policy string
	// Identity is what the buckets of [Views] say about the hub: its name, its tags and a number that stays as long as the
	// store does.
	Identity metric.Identity
	// Minutes is the number of finished minutes that views show. The default is 60.
	Minutes int
	// RawAge is how long host-minutes are kept, MinuteAge and FiveAge how long rollups of one and of five minutes. The
	// defaults are 6 hours, 48 hours and 14 days.
	RawAge, MinuteAge, FiveAge time.Duration
	// CacheBytes bounds the memory of the kept merges. The default is 32 MiB.
	CacheBytes int
	// Now is the clock. The default is [time.Now].
	Now func() time.Time
}

// UsageError says what is wrong with a question, and what to ask instead.
type UsageError struct{ Text string }

// Error implements error.
func (e *UsageError) Error() string { return e.Text }

func usage(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// Reader reads the rollups of a store.
type Reader struct {
	cfg Config
	// rateless are the tables without rates, and counts those with counters, gauges and histograms only.
	rateless, counts []*metric.Table
	mergers          sync.Pool // of *metric.Merger for cfg.Tables
	cache            *cache
}

// New makes a reader.
func New(cfg Config) *Reader {
	cfg.Minutes = cmp.Or(cfg.Minutes, 60)
	cfg.RawAge = cmp.Or(cfg.RawAge, 6*time.Hour)
	cfg.MinuteAge = cmp.Or(cfg.MinuteAge, 48*time.Hour)
	cfg.FiveAge = cmp.Or(cfg.FiveAge, 14*24*time.Hour)
	cfg.CacheBytes = cmp.Or(cfg.CacheBytes, 32<<20)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	r := &Reader{cfg: cfg, cache: newCache(cfg.CacheBytes)}
	r.mergers.New = func() any { return metric.NewMerger(cfg.Tables) }
	for _, t := range cfg.Tables {
		r.rateless = append(r.rateless, t.Select(func(d *metric.Desc) bool { return d.Kind != metric.KindRate }))
		r.counts = append(r.counts, t.Select(func(d *metric.Desc) bool {
			return d.Kind == metric.KindCounter || d.Kind == metric.KindGauge || d.Kind == metric.KindHistogram
		}))
	}
	return r
}

// ShedCache drops the merges that are kept for the next request, and keeps none until it is called with false.
func (r *Reader) ShedCache(on bool) { r.cache.shed(on) }

// Now returns the time of the reader's clock in Unix seconds.
func (r *Reader) Now() int64 { return r.cfg.Now().Unix() }

// Tables returns the tables of the buckets.
func (r *Reader) Tables() []*metric.Table { return r.cfg.Tables }

// Policies returns the policies of the fleet, in order.
func (r *Reader) Policies(ctx context.Context) ([]string, error) {
	all, err := r.cfg.Store.Groups(ctx)
	if err != nil {
		return nil, err
	}
	var policies []string
	for p := range all {
		policies = append(policies, p)
	}
	slices.Sort(policies)
	return policies, nil
}

// TagGroups returns the groups of a policy that are tags with the given key, in order. An empty key means all tags.
func (r *Reader) TagGroups(ctx context.Context, policy, key string) ([]string, error) {
	all, err := r.cfg.Store.Groups(ctx)
	if err != nil {
		return nil, err
	}
	var groups []string
	for _, g := range all[policy] {
		if g != rollup.All && (key == "" || keyOf(g) == key) {
			groups = append(groups, g)
		}
	}
	slices.Sort(groups)
	return groups, nil
}
