package agent

import (
	"context"
	"math"
	"slices"
	"sync"

	"pktvisor/capture"
	"pktvisor/minute"
)

// pace keeps files together that are read at the same time and count in the same policies, so that the result does not depend on
// which is read faster. All of them flush the counts of a minute before any flushes its keys of that minute, and all flush these
// keys before any enters a later minute. It does for the taps what a [deal.Barrier] does for the shards of one.
//
// No tap waits for one that is ahead of it. So the one that is furthest behind never waits, and the others cannot wait for ever.
type pace struct {
	mu      sync.Mutex
	changed sync.Cond
	taps    map[*Tap]*position
}

// position is how far a tap has come.
type position struct {
	counts, keys int64 // the counts and the keys of all minutes that start before these times are flushed
	alone        bool  // the tap no longer waits for others
}

const (
	atStart = math.MinInt64
	atEnd   = math.MaxInt64
)

// newPace returns the pace of the taps that read a file and share a policy with another such tap, or nil if there are none.
func newPace(taps []*Tap) *pace {
	p := &pace{taps: map[*Tap]*position{}}
	p.changed.L = &p.mu
	isFile := func(t *Tap) bool { return len(t.sources) == 1 && t.sources[0].Clock() == capture.OwnTime }
	for _, t := range taps {
		shares := func(policy *Policy) bool {
			return slices.ContainsFunc(policy.taps, func(other *Tap) bool { return other != t && isFile(other) })
		}
		if isFile(t) && slices.ContainsFunc(t.policies.all(), shares) {
			p.taps[t] = &position{counts: atStart, keys: atStart}
		}
	}
	if len(p.taps) == 0 {
		return nil
	}
	return p
}

// start lets a tap take part until the returned function is called. When ctx is done, the tap waits for nobody.
func (p *pace) start(ctx context.Context, t *Tap) (end func()) {
	if p == nil || p.taps[t] == nil {
		return func() {}
	}
	stop := context.AfterFunc(ctx, func() { p.set(t, func(at *position) { at.alone = true }) })
	return func() {
		stop()
		p.set(t, func(at *position) { *at = position{atEnd, atEnd, true} })
	}
}

// set changes the position of a tap.
func (p *pace) set(t *Tap, change func(*position)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p.taps[t])
	p.changed.Broadcast()
}

// countsFlushed says that a tap has flushed the counts of all minutes before a second. It waits until all have flushed those of
// the minute that ends.
func (p *pace) countsFlushed(t *Tap, ends, before int64) {
	p.wait(t, func(at *position) { at.counts = before }, func(at *position) bool { return at.counts > minute.Of(ends) })
}

// keysFlushed says that a tap has flushed the keys of all minutes before a second. It waits until all have done so.
func (p *pace) keysFlushed(t *Tap, before int64) {
	p.wait(t, func(at *position) { at.keys = before }, func(at *position) bool { return at.keys >= before })
}

// wait sets the position of a tap, and waits until all others have come far enough.
func (p *pace) wait(t *Tap, change func(*position), enough func(*position) bool) {
	if p == nil || p.taps[t] == nil {
		return
	}
	p.set(t, change)
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.taps[t].alone && p.behind(t, enough) {
		p.changed.Wait()
	}
}

// behind reports whether another tap has not come far enough.
func (p *pace) behind(t *Tap, enough func(*position) bool) bool {
	for other, at := range p.taps {
		if other != t && !enough(at) {
			return true
		}
	}
	return false
}
