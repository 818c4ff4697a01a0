package ingest

import (
	"context"
	"time"

	"pktvisor/hub/rollup"
	"pktvisor/minute"
)

const (
	// gapAfter is how long after its end a host-minute counts as missing.
	gapAfter = 90 * time.Second
	// gapBack is how many minutes are checked at the start: those that a hub may have left half done when it stopped.
	gapBack = 120
	// gapForget is for how many minutes a host that reports nothing is expected.
	gapForget = 10
	// maxMissing bounds the host-minutes of one minute that are reported as missing.
	maxMissing = 1000
	// lookUps is how many hosts are looked up in the raw stream at once.
	lookUps = 50
)

// gaps knows which hosts are expected.
type gaps struct {
	next   int64                       // the start of the next minute to check
	hosts  map[string]map[string]int64 // the newest minute of each host, by policy
	looked map[string]map[string]bool  // the hosts that were looked up for the next minute, by policy
}

func (g *gaps) init() {
	g.hosts = make(map[string]map[string]int64)
	g.looked = make(map[string]map[string]bool)
}

// checkGaps looks for hosts that reported one of the ten minutes before, and not one that ended 90 s ago. If the host-minute is
// in the raw stream, it is added to its rollups. Otherwise it is reported as missing. It checks a part of one minute at a time,
// and none while many deliveries wait.
func (g *Ingester) checkGaps(ctx context.Context) {
	newest := minute.Of(g.cfg.Now().Add(-gapAfter).Unix()) - minute.Seconds
	s := &g.gaps
	if s.next < newest-gapBack*minute.Seconds {
		s.next = newest - gapBack*minute.Seconds
	}
	if s.next > newest || g.behind.Load() {
		return
	}
	for _, policy := range g.limits.policies() {
		more, err := g.checkMinute(ctx, minuteKey{policy, s.next})
		if err != nil && ctx.Err() == nil {
			g.failed("look for missing minutes", err)
		}
		if err != nil || more {
			return // continue later
		}
	}
	s.next += minute.Seconds
	clear(s.looked)
}

// checkMinute looks for the missing hosts of a minute of a policy. It returns true if there are more of them.
func (g *Ingester) checkMinute(ctx context.Context, k minuteKey) (more bool, err error) {
	all, err := g.get(ctx, k.key(rollup.All))
	if err != nil {
		return false, err
	}
	expected, looked := g.gaps.hosts[k.policy], g.gaps.looked[k.policy]
	if expected == nil {
		expected = make(map[string]int64)
		g.gaps.hosts[k.policy] = expected
	}
	if looked == nil {
		looked = make(map[string]bool)
		g.gaps.looked[k.policy] = looked
	}
	for i := range all.Members {
		host := all.Members[i].Host
		expected[host] = max(expected[host], k.start)
	}
	missing := make(map[string]bool)
	for host, newest := range expected {
		switch {
		case newest >= k.start || looked[host]:
		case newest < k.start-gapForget*minute.Seconds:
			delete(expected, host)
		case len(missing) == lookUps:
			more = len(looked) < maxMissing
		case !g.isPending(k, host):
			missing[host] = true
		}
	}
	if len(missing) == 0 {
		return false, nil
	}
	if err := g.restoreMinute(ctx, k, missing); err != nil {
		return false, err
	}
	if all, err = g.get(ctx, k.key(rollup.All)); err != nil {
		return false, err
	}
	for host := range missing {
		looked[host] = true
		if len(rollup.HostMembers(all.Members, host)) > 0 {
			expected[host] = max(expected[host], k.start)
			continue
		}
		g.counts.update(func(s *Status) { s.Missing++ })
		g.cfg.Missing(k.policy, host, k.start)
	}
	return more, nil
}

// isPending reports whether a host-minute waits to be written.
func (g *Ingester) isPending(k minuteKey, host string) bool {
	p := g.pending[k]
	if p == nil {
		return false
	}
	for _, it := range p.items {
		if it.member.Host == host {
			return true
		}
	}
	return false
}
