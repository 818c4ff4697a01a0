package ingest

import (
	"context"
	"time"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/minute"
)

const (
	// sweepBack is how far before the newest rollup a sweep goes.
	sweepBack = 2 * time.Hour
	// sweepEvery is how often all is swept, for changes that were not noticed.
	sweepEvery = time.Hour
)

// sweep marks the newest longer rollups of partitions whose lease this hub just got, and at times those of all that it has the
// lease of. Those that are up to date are found to be so. Without it, a rollup would stay out of date if a hub stopped
// after it had written the level below.
func (l *levels) sweep(ctx context.Context) {
	now := l.g.cfg.Now()
	l.mu.Lock()
	all := l.lost || l.swept.IsZero() || now.Sub(l.swept) >= sweepEvery
	l.lost = false
	l.mu.Unlock()
	var want [store.Partitions]bool
	any := false
	for i := range want {
		leased := l.g.cfg.Leased(i)
		want[i] = leased && (all || !l.leased[i])
		any = any || want[i]
		l.leased[i] = leased
	}
	if !any {
		return
	}
	if err := l.sweepPartitions(ctx, &want, now); err != nil {
		if ctx.Err() == nil {
			l.g.failed("look for rollups that are out of date", err)
		}
		clear(l.leased[:]) // again
		return
	}
	if all {
		l.swept = now
	}
}

func (l *levels) sweepPartitions(ctx context.Context, want *[store.Partitions]bool, now time.Time) error {
	groups, err := l.g.cfg.Store.Groups(ctx)
	if err != nil {
		return err
	}
	for policy, list := range groups {
		newest, err := l.newest(ctx, policy, now)
		if err != nil {
			return err
		}
		if newest == 0 {
			continue
		}
		from := newest - int64(sweepBack/time.Second)
		for _, group := range list {
			if !want[store.Partition(group)] {
				continue
			}
			for level := rollup.Minute5; level.Valid(); level = level.Above() {
				for start := level.Of(from); start <= newest; start += level.Seconds() {
					l.mark(store.Key{Level: level, Policy: policy, Group: group, Start: start}, now)
				}
			}
		}
	}
	return nil
}

// newest returns the start of the newest minute, until now, of which there is a rollup of all hosts, or 0 if there is none.
func (l *levels) newest(ctx context.Context, policy string, now time.Time) (int64, error) {
	const hour = 60 * minute.Seconds
	oldest := now.Add(-l.g.cfg.Retention).Unix()
	for to := minute.Next(now.Unix()); to > oldest; to -= hour {
		newest := int64(0)
		err := l.g.cfg.Store.Range(ctx, rollup.Minute1, policy, rollup.All, to-hour, to, func(k store.Key, _ []byte, _ uint64) error {
			newest = k.Start
			return nil
		})
		if err != nil || newest != 0 {
			return newest, err
		}
	}
	return 0, nil
}
