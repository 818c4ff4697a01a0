// Package adapt holds a live capture to what the machine can take: a [Governor] makes the deep sample smaller while the shards
// fall behind or the process takes too much CPU, and larger again when they are calm.
//
// The rules are these. A shard is behind if a quarter of its ring is full, or if an older part of a full block was captured half
// a second ago. Then the share is halved at once, and cut to an eighth if half of the ring is full, at most every 50 ms, so that
// what was changed can show, and not while the ring drains. Over the budget of CPU, the share is cut in proportion, at most once a second. The share rises by a
// quarter, or is doubled if there is much to spare, after some calm seconds, and only if the present load would still leave
// something to spare if it were all due to the sample. If it has to be cut soon after it rose, the next rise waits twice as long,
// up to five minutes. So a steady load makes the share settle.
//
// A Governor decides, and does nothing by itself: [Threshold] applies a share, and [Config].Load measures.
package adapt

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pktvisor/metric"
)

// Threshold is what applies the share of address pairs that is analysed in depth. Several may have it at once: the shards, and
// a filter in the kernel.
type Threshold interface {
	// SetShare applies a share. It does not block.
	SetShare(metric.Share)
}

// Load is what the shards and the process have to do.
type Load struct {
	// Fill is how full the fullest ring is, from 0 to 1. Lag is the greatest time since the capture of the oldest frame that a
	// shard has not read, as of its last read. A shard whose ring is empty has no lag.
	Fill float64
	Lag  time.Duration
	// Busy is the time that each shard has worked since the start, and CPU that of the process on all cores.
	Busy []time.Duration
	CPU  time.Duration
}

// Config is the configuration of a [Governor]. All fields but MaxCPU and Changed must be set.
type Config struct {
	// Least and Most bound the share. Least is raised to a thousandth, or to Most if that is less.
	Least, Most metric.Share
	// MaxCPU is the CPU that the process may take, in cores. 0 means no limit.
	MaxCPU float64
	// Load returns the load. It is called from the goroutine of [Governor.Run].
	Load func() Load
	// Threshold applies the shares. It has Most from the start.
	Threshold Threshold
	// Changed is called after each change. It must not call the governor's SetBounds.
	Changed func(Change)
}

// Reason says why a share changed.
type Reason string

// The reasons.
const (
	Behind Reason = "behind" // a shard falls behind
	Budget Reason = "cpu"    // the process takes more than its budget of CPU
	Calm   Reason = "calm"   // there is CPU to spare
	Memory Reason = "memory" // there is too little memory; not decided by a Governor
)

// Change is a change of the share.
type Change struct {
	From, To metric.Share
	Reason   Reason
}

// State is what a [Governor] has done so far.
type State struct {
	Share, Least, Most metric.Share
	// Lowered and Raised count the changes.
	Lowered, Raised uint64
	// Reason is that of the last cut, as long as the share is below Most; otherwise it is empty.
	Reason Reason
	// CPU is what the process took in the last second, in cores, and MaxCPU its budget, or 0.
	CPU, MaxCPU float64
}

// The constants of the rules.
const (
	behindFill = 0.25
	farBehind  = 0.5
	behindLag  = 500 * time.Millisecond
	lagFill    = 1.0 / 16 // with less in the ring, a lag is due to clocks that differ

	effect     = 50 * time.Millisecond // until a change shows
	interval   = time.Second           // between two measurements
	firstHold  = 5 * time.Second       // calm before the first rise
	maxHold    = 5 * time.Minute
	soon       = 30 * time.Second // a cut so soon after a rise shows that the rise was wrong
	spareBusy  = 0.8              // the busiest shard may work for this share of the time after a rise
	spareCPU   = 0.9              // and the process take this part of its budget
	leastShare = metric.Whole / 1000
)

// Governor changes the share. Make one with [New].
type Governor struct {
	cfg    Config
	behind chan struct{}
	state  atomic.Pointer[State]

	mu      sync.Mutex // guards everything below, and the bounds in cfg
	share   metric.Share
	last    Load // at the last measurement
	at      time.Time
	fill    float64   // of the rings when a shard was behind last; 0 if none is
	cut     time.Time // the last cut
	raised  time.Time // the last rise
	calm    time.Time // since when no reason was found to cut
	hold    time.Duration
	settled bool // the CPU since the last change is known
}

// New makes a governor. It does nothing until [Governor.Run].
func New(cfg Config) *Governor {
	cfg.Least = min(max(cfg.Least, leastShare), cfg.Most)
	g := &Governor{cfg: cfg, behind: make(chan struct{}, 1), share: cfg.Most, hold: firstHold}
	g.state.Store(&State{Share: g.share, Least: cfg.Least, Most: cfg.Most, MaxCPU: cfg.MaxCPU})
	return g
}

// SetBounds changes the bounds of the share: see [Config]. A share that was at the old upper bound follows the new one. It may be
// called from any goroutine. Changed is not called.
func (g *Governor) SetBounds(least, most metric.Share) {
	g.mu.Lock()
	defer g.mu.Unlock()
	atMost := g.share >= g.cfg.Most
	g.cfg.Least, g.cfg.Most = min(max(least, leastShare), most), most
	share := min(max(g.share, g.cfg.Least), most)
	if atMost {
		share = most
	}
	if share != g.share {
		g.share, g.settled = share, false
		g.cfg.Threshold.SetShare(share)
	}
	g.update(func(s *State) {
		s.Share, s.Least, s.Most = share, g.cfg.Least, most
		if share == most {
			s.Reason = ""
		}
	})
}

// State returns the present state. It may be called from any goroutine.
func (g *Governor) State() State { return *g.state.Load() }

// Behind tells the governor that a shard may be behind. It does not block, and may be called from any goroutine.
func (g *Governor) Behind() {
	select {
	case g.behind <- struct{}{}:
	default:
	}
}

// IsBehind reports whether a ring is so full that [Governor.Behind] should be called.
func IsBehind(fill float64) bool { return fill >= lagFill }

// Run changes the share until ctx is done.
func (g *Governor) Run(ctx context.Context) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	g.locked(func() {
		g.last, g.at = g.cfg.Load(), time.Now()
		g.calm = g.at
	})
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			g.locked(func() { g.measure(time.Now()) })
		case <-g.behind:
			g.locked(func() { g.look(time.Now(), g.cfg.Load()) })
			wait := time.NewTimer(effect)
			select {
			case <-ctx.Done():
			case <-wait.C:
			}
			wait.Stop()
		}
	}
}

func (g *Governor) locked(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

// look cuts the share if a shard is behind. It reports whether one is.
func (g *Governor) look(now time.Time, load Load) bool {
	by := metric.Share(2)
	switch {
	case load.Fill >= farBehind:
		by = 8
	case load.Fill >= behindFill, load.Fill >= lagFill && load.Lag >= behindLag:
	default:
		g.fill = 0
		return false
	}
	g.calm = now
	drains := load.Fill < g.fill && load.Fill < farBehind
	g.fill = load.Fill
	if !drains && now.Sub(g.cut) >= effect {
		g.lower(now, g.share/by, Behind)
	}
	return true
}

// measure compares the load of the last second with the limits.
func (g *Governor) measure(now time.Time) {
	load, took := g.cfg.Load(), now.Sub(g.at)
	if took < interval/2 { // the goroutine was late for the last second
		return
	}
	busy := 0.0
	for i := range min(len(load.Busy), len(g.last.Busy)) {
		busy = max(busy, float64(load.Busy[i]-g.last.Busy[i])/float64(took))
	}
	cpu := float64(load.CPU-g.last.CPU) / float64(took)
	g.last, g.at = load, now
	g.last.Busy = slices.Clone(load.Busy)
	g.update(func(s *State) { s.CPU = cpu })
	settled := g.settled
	g.settled = true
	switch {
	case g.look(now, load):
	case !settled: // a part of the second was before the last change
	case g.cfg.MaxCPU > 0 && cpu > g.cfg.MaxCPU:
		g.calm = now
		g.lower(now, metric.Share(float64(g.share)*max(spareCPU*g.cfg.MaxCPU/cpu, 0.5)), Budget)
	case now.Sub(g.calm) >= g.hold:
		g.raise(now, busy, cpu)
	}
}

// lower cuts the share to no less than the least.
func (g *Governor) lower(now time.Time, to metric.Share, why Reason) {
	if to = max(to, g.cfg.Least); to >= g.share {
		return
	}
	if !g.raised.IsZero() && now.Sub(g.raised) < max(soon, 2*g.hold) {
		g.hold = min(2*g.hold, maxHold)
	} else {
		g.hold = firstHold
	}
	g.cut, g.raised = now, time.Time{}
	g.change(to, why)
}

// raise raises the share if the load allows it.
func (g *Governor) raise(now time.Time, busy, cpu float64) {
	if g.share >= g.cfg.Most {
		return
	}
	fits := func(by float64) bool {
		return busy*by <= spareBusy && (g.cfg.MaxCPU == 0 || cpu*by <= spareCPU*g.cfg.MaxCPU)
	}
	for _, by := range []float64{2, 1.25} {
		to := min(max(metric.Share(float64(g.share)*by), g.share+1), g.cfg.Most)
		if fits(float64(to) / float64(g.share)) {
			g.raised, g.calm = now, now
			g.change(to, Calm)
			return
		}
	}
}

func (g *Governor) change(to metric.Share, why Reason) {
	c := Change{g.share, to, why}
	g.share, g.settled = to, false
	g.cfg.Threshold.SetShare(to)
	g.update(func(s *State) {
		s.Share = to
		if why == Calm {
			s.Raised++
		} else {
			s.Lowered++
			s.Reason = why
		}
		if to == g.cfg.Most {
			s.Reason = ""
		}
	})
	if g.cfg.Changed != nil {
		g.cfg.Changed(c)
	}
}

// update replaces the state by a changed copy.
func (g *Governor) update(f func(*State)) {
	s := g.State()
	f(&s)
	g.state.Store(&s)
}
