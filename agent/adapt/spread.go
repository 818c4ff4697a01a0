package adapt

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// SpreadConfig is the configuration of a [Spreader]. All fields but MaxCPU and Changed must be set.
type SpreadConfig struct {
	// Most is the greatest number of shards. There is one at the start.
	Most int
	// MaxCPU is the CPU that the process may take, in cores: see [Config]. Over nine tenths of it, no shard is added.
	MaxCPU float64
	// Load returns the load. It is called from the goroutine of [Spreader.Run].
	Load func() Load
	// Spread spreads the frames over a number of shards. On an error everything stays as it was.
	Spread func(shards int) error
	// Changed is called after each change.
	Changed func(from, to int)
}

// The constants of the rules of a [Spreader].
const (
	tooBusy    = 0.6         // the busiest shard works for this share of the time: twice as many are needed
	idle       = 0.2         // and below this, half as many are enough
	idleHold   = time.Minute // after so long
	spreadHold = time.Second // between two changes
)

// Spreader decides over how many shards the frames of a live capture are spread. One shard is cheaper than two. So there are twice as
// many as before only when one is busy for 60% of the time, or is behind by a quarter of its ring. After a minute in
// which all were busy for less than 20%, there are half as many.
type Spreader struct {
	cfg    SpreadConfig
	behind chan struct{}
	shards atomic.Int32

	last    Load // at the last measurement
	at      time.Time
	changed time.Time // the last attempt to change
	calm    time.Time // since when half of the shards would be enough
}

// NewSpreader makes a spreader. It does nothing until [Spreader.Run].
func NewSpreader(cfg SpreadConfig) *Spreader {
	s := &Spreader{cfg: cfg, behind: make(chan struct{}, 1)}
	s.shards.Store(1)
	return s
}

// Shards returns the number of shards over which frames are spread now. It may be called from any goroutine.
func (s *Spreader) Shards() int { return int(s.shards.Load()) }

// Behind tells the spreader that a shard may be behind. It does not block, and may be called from any goroutine.
func (s *Spreader) Behind() {
	select {
	case s.behind <- struct{}{}:
	default:
	}
}

// Run changes the number of shards until ctx is done.
func (s *Spreader) Run(ctx context.Context) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	s.last, s.at = s.cfg.Load(), time.Now()
	s.calm = s.at
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.measure(time.Now())
		case <-s.behind:
			if now := time.Now(); s.cfg.Load().Fill >= behindFill {
				s.change(now, 2*s.Shards())
			}
		}
	}
}

// measure compares the load of the last second with the limits.
func (s *Spreader) measure(now time.Time) {
	load, took := s.cfg.Load(), now.Sub(s.at)
	if took < interval/2 { // the goroutine was late for the last second
		return
	}
	busy := 0.0
	for i := range min(len(load.Busy), len(s.last.Busy)) {
		busy = max(busy, float64(load.Busy[i]-s.last.Busy[i])/float64(took))
	}
	cpu := float64(load.CPU-s.last.CPU) / float64(took)
	s.last, s.at = load, now
	s.last.Busy = slices.Clone(load.Busy)
	if busy >= idle || s.Shards() == 1 {
		s.calm = now
	}
	switch {
	case busy >= tooBusy && (s.cfg.MaxCPU == 0 || cpu < spareCPU*s.cfg.MaxCPU):
		s.change(now, 2*s.Shards())
	case now.Sub(s.calm) >= idleHold:
		s.change(now, (s.Shards()+1)/2)
	}
}

// change spreads the frames over a number of shards.
func (s *Spreader) change(now time.Time, to int) {
	from := s.Shards()
	to = min(to, s.cfg.Most)
	if to == from || now.Sub(s.changed) < spreadHold {
		return
	}
	s.changed, s.calm = now, now
	if s.cfg.Spread(to) != nil {
		return
	}
	s.shards.Store(int32(to))
	if s.cfg.Changed != nil {
		s.cfg.Changed(from, to)
	}
}
