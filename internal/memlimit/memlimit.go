// Package memlimit keeps a program below a limit of memory, so that the kernel does not kill it.
//
// The garbage collector gets a limit below that of the program ([debug.SetMemoryLimit]). If what the program needs comes near
// the limit anyway, a [Guard] sheds: it takes the steps of a list one by one, in order, and says so in the log. When the
// need has been far below the limit for a while, it takes them back in reverse.
//
//	limit := memlimit.Find(given)
//	g := memlimit.New(memlimit.Config{Limit: limit, Steps: …, Log: log})
//	go g.Run(ctx)
//
// What a program needs is what was alive at the last collection, and the runtime's own memory. Garbage does not count. Memory
// outside of the Go runtime, such as the rings that the kernel fills, does not count either.
package memlimit

import (
	"context"
	"log/slog"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync/atomic"
	"time"
)

// The rules, in parts of the limit.
const (
	collectAt = 0.9  // the collector's limit
	shedAt    = 0.75 // more than that needed: shed
	calmAt    = 0.5  // less than that needed: take back, after a while

	interval  = 500 * time.Millisecond // between two looks
	firstHold = time.Minute            // of calm before a step is taken back
	maxHold   = 30 * time.Minute       // each step that had to be shed again doubles the hold, up to this
)

// Step is something to shed.
type Step struct {
	// Name says what is shed, for the log.
	Name string
	// Shed sheds some of it, and reports whether there is more of it to shed. Restore takes all of it back.
	Shed    func() (more bool)
	Restore func()
}

// Config is the configuration of a [Guard]. All fields must be set, except for Read.
type Config struct {
	// Advice says what to do when nothing is left to shed.
	Advice string
	Limit  Limit
	Steps  []Step // in the order in which they are shed
	Log    *slog.Logger
	// Read returns the memory that is needed, in bytes. Collect is called before it reads after a step. Both are those of the
	// runtime if they are nil.
	Read    func() int64
	Collect func()
}

// State describes what a guard does. Any goroutine may read it.
type State struct {
	// Limit is the limit, and Needed what the program needs, in bytes.
	Limit, Needed int64
	// Shed are the names of the steps that are taken now. Sheds counts the steps taken since the start.
	Shed  []string
	Sheds uint64
}

// Guard sheds when memory is short. Make one with [New].
type Guard struct {
	cfg   Config
	state atomic.Pointer[State]

	taken  int       // the number of steps from the first on that were begun
	more   bool      // the last of them has more to shed
	calm   time.Time // since when the need has been low; zero if it is not
	hold   time.Duration
	raised time.Time // when a step was last taken back
	told   bool      // that nothing is left to shed
}

// New makes a guard and sets the limit of the collector, unless the limit came from there.
func New(cfg Config) *Guard {
	if cfg.Read == nil {
		cfg.Read, cfg.Collect = needed, debug.FreeOSMemory
	}
	if cfg.Limit.From != fromRuntime {
		debug.SetMemoryLimit(int64(collectAt * float64(cfg.Limit.Bytes)))
	}
	g := &Guard{cfg: cfg, hold: firstHold}
	g.state.Store(&State{Limit: cfg.Limit.Bytes})
	return g
}

// State returns the present state.
func (g *Guard) State() State { return *g.state.Load() }

// Run sheds and restores until ctx is done.
func (g *Guard) Run(ctx context.Context) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			g.look(time.Now())
		}
	}
}

// look compares the need with the limit once, and takes as many steps as are necessary.
func (g *Guard) look(now time.Time) {
	limit := float64(g.cfg.Limit.Bytes)
	need := g.cfg.Read()
	for float64(need) > shedAt*limit && g.shed(now, need) {
		g.cfg.Collect()
		need = g.cfg.Read()
	}
	switch {
	case float64(need) > calmAt*limit || g.taken == 0:
		g.calm = time.Time{}
	case g.calm.IsZero():
		g.calm = now
	case now.Sub(g.calm) >= g.hold:
		g.restore(now)
	}
	g.publish(need, 0)
}

// shed takes the next step. It returns false if nothing is left to shed.
func (g *Guard) shed(now time.Time, need int64) bool {
	if !g.more {
		if g.taken == len(g.cfg.Steps) {
			if !g.told {
				g.told = true
				g.cfg.Log.Error("memory is short, and nothing is left to shed: "+g.cfg.Advice,
					"limit", g.cfg.Limit.Bytes, "from", g.cfg.Limit.From, "needed", need)
			}
			return false
		}
		g.taken++
		if now.Sub(g.raised) < g.hold {
			g.hold = min(2*g.hold, maxHold)
		}
	}
	step := &g.cfg.Steps[g.taken-1]
	g.more = step.Shed()
	g.cfg.Log.Warn("memory is short, shed: "+step.Name, "limit", g.cfg.Limit.Bytes, "from", g.cfg.Limit.From, "needed", need)
	g.publish(need, 1)
	return true
}

// restore takes the last step back.
func (g *Guard) restore(now time.Time) {
	g.taken--
	step := &g.cfg.Steps[g.taken]
	step.Restore()
	g.more, g.told = false, false
	g.calm, g.raised = now, now
	g.cfg.Log.Info("memory suffices again, no longer shed: "+step.Name, "limit", g.cfg.Limit.Bytes)
}

func (g *Guard) publish(need int64, sheds uint64) {
	s := g.State()
	s.Needed = need
	s.Sheds += sheds
	s.Shed = nil
	for _, step := range g.cfg.Steps[:g.taken] {
		s.Shed = append(s.Shed, step.Name)
	}
	s.Shed = slices.Clip(s.Shed)
	g.state.Store(&s)
}

// needed returns the bytes that the runtime has from the system, without those of objects that are free or may be garbage.
func needed() int64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/released:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/unused:bytes"},
	}
	metrics.Read(samples)
	n := int64(samples[0].Value.Uint64()) + int64(samples[1].Value.Uint64())
	for _, s := range samples[2:] {
		n -= int64(s.Value.Uint64())
	}
	return n
}
