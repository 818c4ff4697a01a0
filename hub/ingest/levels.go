package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/metric"
)

// levels computes the longer rollups. The goroutine that writes minutes does so in between.
type levels struct {
	g *Ingester

	mu    sync.Mutex
	dirty map[store.Key]time.Time // when to compute a rollup
	done  map[store.Key]time.Time // when it was computed, in the last seconds
	lost  bool                    // there was no room in dirty

	leased [store.Partitions]bool
	swept  time.Time     // when all leased partitions were last swept
	budget time.Duration // how long rollups are computed at once; then minutes that are due are written first
}

const (
	// again is how long after a rollup was computed it may be computed again.
	again = 10 * time.Second
	// maxDirty bounds the rollups that wait.
	maxDirty = 1 << 17
)

// grace is how long after the end of its time a rollup is computed. The level below is computed before.
func grace(level rollup.Level) time.Duration {
	return time.Duration(level-rollup.Minute1) * 10 * time.Second
}

func (l *levels) init(g *Ingester) {
	l.g, l.budget = g, 500*time.Millisecond
	l.dirty = make(map[store.Key]time.Time)
	l.done = make(map[store.Key]time.Time)
}

// above returns the rollup that is computed from k and others, and whether there is one.
func above(k store.Key) (store.Key, bool) {
	k.Level = k.Level.Above()
	if !k.Level.Valid() {
		return k, false
	}
	k.Start = k.Level.Of(k.Start)
	return k, true
}

// changed notes that a rollup was stored, so that the one above must be computed. It may be called from any goroutine.
func (l *levels) changed(k store.Key, now time.Time) {
	if k, ok := above(k); ok {
		l.mark(k, now)
	}
}

// mark notes that a rollup must be computed, when its time has passed.
func (l *levels) mark(k store.Key, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, marked := l.dirty[k]; marked {
		return
	}
	if len(l.dirty) >= maxDirty {
		l.lost = true
		return
	}
	due := time.Unix(k.Start+k.Level.Seconds(), 0).Add(grace(k.Level))
	if last, ok := l.done[k]; ok && due.Before(last.Add(again)) {
		due = last.Add(again)
	}
	if due.Before(now) {
		due = now
	}
	l.dirty[k] = due
}

// size returns the number of rollups that are to be computed.
func (l *levels) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.dirty)
}

// ready returns the rollups that are due: lower levels first, then older ones. That of all hosts comes after those of its tags.
func (l *levels) ready(now time.Time) []store.Key {
	l.mu.Lock()
	defer l.mu.Unlock()
	var keys []store.Key
	for k, due := range l.dirty {
		if !due.After(now) {
			keys = append(keys, k)
		}
	}
	for k, at := range l.done {
		if now.Sub(at) > again {
			delete(l.done, k)
		}
	}
	slices.SortFunc(keys, func(a, b store.Key) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(a.Start, b.Start), cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.Group, b.Group))
	})
	return keys
}

// begin notes that a rollup is computed now.
func (l *levels) begin(k store.Key, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.dirty, k)
	l.done[k] = now
}

// follow notes what other hubs store, until ctx is done.
func (l *levels) follow(ctx context.Context) {
	changes := l.g.cfg.Store.Changes(ctx)
	for {
		select {
		case k, open := <-changes:
			if !open {
				return
			}
			l.changed(k, l.g.cfg.Now())
		case <-ctx.Done():
			return
		}
	}
}

// step computes what is due. Rollups of partitions that another hub has the lease of are left to it.
func (l *levels) step(ctx context.Context) {
	l.sweep(ctx)
	began := time.Now()
	for _, k := range l.ready(l.g.cfg.Now()) {
		if ctx.Err() != nil || time.Since(began) > l.budget {
			return
		}
		l.begin(k, l.g.cfg.Now())
		if !l.g.cfg.Leased(store.Partition(k.Group)) {
			continue
		}
		if err := l.compute(ctx, k); err != nil && ctx.Err() == nil {
			l.g.counts.update(func(s *Status) { s.Retries++ })
			l.g.failed(fmt.Sprintf("compute %s of %s, %s, %d", k.Level, k.Policy, k.Group, k.Start), err)
			l.mark(k, l.g.cfg.Now())
		}
	}
}

// compute computes a longer rollup from the level below, if that has changed.
func (l *levels) compute(ctx context.Context, k store.Key) error {
	return untilStored(ctx, func() error { return l.computeOnce(ctx, k) })
}

func (l *levels) computeOnce(ctx context.Context, k store.Key) error {
	old, err := l.g.get(ctx, k) // before the level below, so that no change of that is lost
	if err != nil {
		return err
	}
	lowers, err := l.lowers(ctx, k)
	if err != nil {
		return err
	}
	r, err := l.over(k, &old, lowers)
	if err != nil || r == nil {
		return err
	}
	if l.g.restoreLost(ctx, k, &old.Rollup, r) {
		if lowers, err = l.lowers(ctx, k); err != nil {
			return err
		}
		if r, err = l.over(k, &old, lowers); err != nil || r == nil {
			return err
		}
	}
	if covered(r.Snapshot) < covered(old.Snapshot) {
		l.g.counts.update(func(s *Status) { s.Kept++ })
		return nil
	}
	return l.g.put(ctx, k, r, old.revision)
}

// over merges the level below. It returns nil if the rollup is up to date, or there is nothing to merge.
func (l *levels) over(k store.Key, old *state, lowers []rollup.Lower) (*rollup.Rollup, error) {
	sources := make([]rollup.Source, len(lowers))
	for i := range lowers {
		sources[i] = lowers[i].Source
	}
	if len(lowers) == 0 || !old.damaged && old.SameSources(sources) {
		return nil, nil
	}
	revision := uint64(0)
	if old.revision > 0 {
		revision = revisionOf(old) + 1
	}
	r, err := l.g.merger.Over(k.Level, k.Start, lowers, k.Policy, revision)
	return &r, err
}

// lowers returns the rollups of the level below, oldest first. Damaged ones are left out.
func (l *levels) lowers(ctx context.Context, k store.Key) (list []rollup.Lower, err error) {
	end := k.Start + k.Level.Seconds()
	err = l.g.cfg.Store.Range(ctx, k.Level.Below(), k.Policy, k.Group, k.Start, end, func(lower store.Key, data []byte, revision uint64) error {
		r, err := rollup.Decode(data)
		if errors.Is(err, rollup.ErrVersion) {
			return err
		}
		if err == nil && lower.Start >= k.Start && lower.Start < end && len(list) < maxLowers {
			if _, err := metric.ReadSnapshotInfo(r.Snapshot); err != nil {
				return nil
			}
			list = append(list, rollup.Lower{Source: rollup.Source{Start: lower.Start, Revision: revision}, Rollup: r})
		}
		return nil
	})
	return list, err
}

// maxLowers is the most rollups that one is computed from: the hours of a day.
const maxLowers = 24

// covered returns the seconds that a rollup covers, summed over its hosts.
func covered(snapshot []byte) uint64 {
	info, err := metric.ReadSnapshotInfo(snapshot)
	if err != nil {
		return 0
	}
	return info.Covered
}
