package agent

import (
	"context"
	"sync"
	"time"

	"pktvisor/agent/adapt"
	"pktvisor/agent/clock"
	"pktvisor/capture"
)

// shards are the shards of a live tap that run. With [TapConfig.Spread], shards start when frames are spread over them, and have no tables
// before.
type shards struct {
	mu      sync.Mutex
	started int
	alive   int
	done    chan struct{} // closed when all that were started have ended
}

// start starts shards until n have been started, by a call of run for each. It does nothing if all others have ended.
func (s *shards) start(n int, run func(shard int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.started < n && (s.alive > 0 || s.started == 0) {
		shard := s.started
		s.started++
		s.alive++
		go func() {
			run(shard)
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.alive--; s.alive == 0 {
				close(s.done)
			}
		}()
	}
}

// Shards returns the number of shards that have frames now, and how many have been started.
func (t *Tap) Shards() (now, started int) {
	t.running.mu.Lock()
	defer t.running.mu.Unlock()
	if t.spreader == nil {
		return len(t.fronts), len(t.fronts)
	}
	return t.spreader.Shards(), max(t.running.started, 1)
}

// newSpreader returns what spreads the frames of a live tap over its shards, or nil if they all have frames from the start.
func (t *Tap) newSpreader() *adapt.Spreader {
	if t.cfg.Spread == nil || t.cfg.Shards == 1 {
		return nil
	}
	return adapt.NewSpreader(adapt.SpreadConfig{Most: t.cfg.Shards, MaxCPU: t.cfg.MaxCPU, Load: t.load, Spread: t.spread, Changed: t.cfg.OnSpread})
}

// spread spreads the frames over n shards. Shards that are new must run before they get frames.
func (t *Tap) spread(n int) error {
	t.start(n)
	t.moves.Add(1) // before the first frame that another shard would have had
	err := t.cfg.Spread(n)
	time.AfterFunc(moveTime, func() { t.moves.Add(1) })
	return err
}

// isBehind tells what adapts the tap to its load that a shard may be behind.
func (t *Tap) isBehind() {
	t.governor.Behind()
	if t.spreader != nil {
		t.spreader.Behind()
	}
}

// moved is called when pairs of addresses will move between the shards in a moment, and when they have moved. A response may come to another
// shard than its query. So no query that came before waits any longer: it counts as open. For the DNS timeout, a response counts only if its query waits, as
// after a change of the sample.
func (f *front) moved() {
	f.endSecond(f.clock.Newest, true, nil)
	now, timeout := f.clock.Newest*clock.Nanos, int64(f.tap.cfg.DNSTimeout)+int64(2*moveTime)
	for _, b := range f.backs {
		share := b.sampler.Share()
		b.sampler.SetShare(0, now, timeout)
		b.sampler.SetShare(share, now, timeout)
	}
	f.restart()
}

// moveTime is more than it takes until pairs have moved.
const moveTime = time.Second

// runShard runs a shard of a live tap.
func (t *Tap) runShard(ctx context.Context, f *front, src capture.Source) error {
	f.state.source.Store(&src)
	f.make()
	err := f.runLive(ctx, src)
	if err != nil {
		f.state.ended.Store(&err)
		if t.cfg.OnSourceError != nil {
			t.cfg.OnSourceError(f.id, err)
		}
	}
	return err
}
