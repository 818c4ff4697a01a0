package adapt

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/metric"
)

// plant is a capture: a ring that frames fill at a rate, and a shard that reads them. A frame costs fixed, and deep more if all
// are in the sample. Every 5 ms it takes a step. A shard applies a new share at its next step.
type plant struct {
	rate        func(at time.Duration) float64 // frames a second
	fixed, deep time.Duration
	ring        float64 // frames
	g           *Governor
	skew        time.Duration // of the clock of the frames

	mu          sync.Mutex // guards what follows, which the governor's goroutine uses too
	share       metric.Share
	queue, lost float64
	busy        time.Duration
	changes     []string
	began       time.Time
	shares      []metric.Share // at each second
}

func (p *plant) SetShare(s metric.Share) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.share = s
}

func (p *plant) load() Load {
	p.mu.Lock()
	defer p.mu.Unlock()
	rate := max(p.rate(time.Since(p.began)), 1)
	return Load{Fill: p.queue / p.ring, Lag: time.Duration(p.queue/rate*1e9) + p.skew, Busy: []time.Duration{p.busy}, CPU: p.busy}
}

// cost is the time that a frame takes.
func (p *plant) cost() float64 {
	return float64(p.fixed) + float64(p.deep)*float64(p.share)/float64(metric.Whole)
}

// run runs the plant and a governor for a time.
func (p *plant) run(t *testing.T, cfg Config, d time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg.Load, cfg.Threshold = p.load, p
		p.began = time.Now()
		cfg.Changed = func(c Change) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.changes = append(p.changes, fmt.Sprintf("%v %s %g", time.Since(p.began).Round(time.Millisecond), c.Reason, c.To.Percent()))
		}
		p.g, p.share = New(cfg), cfg.Most
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go p.g.Run(ctx)
		for step := 5 * time.Millisecond; time.Since(p.began) < d; time.Sleep(step) {
			p.step(step)
		}
	})
}

// step lets time pass.
func (p *plant) step(step time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue += p.rate(time.Since(p.began)) * step.Seconds()
	if over := p.queue - p.ring; over > 0 {
		p.lost, p.queue = p.lost+over, p.ring
	}
	done := min(p.queue, float64(step)/p.cost())
	p.queue -= done
	p.busy += time.Duration(done * p.cost())
	if IsBehind(p.queue / p.ring) {
		p.g.Behind()
	}
	if n := len(p.shares); time.Since(p.began) >= time.Duration(n)*time.Second {
		p.shares = append(p.shares, p.share)
	}
}

func always(rate float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return rate }
}

func percents(least, most int) Config {
	return Config{Least: metric.Percent(least), Most: metric.Percent(most)}
}

// newPlant takes 2.5 million frames a second at a sample of 1%, and 1 million at 100%. Its ring holds 200 ms of the latter.
func newPlant(rate func(time.Duration) float64) *plant {
	return &plant{rate: rate, fixed: 394, deep: 606, ring: 200_000}
}

// TestCalm: without a flood, nothing happens.
func TestCalm(t *testing.T) {
	p := newPlant(always(900_000))
	p.run(t, percents(1, 100), time.Minute)
	if len(p.changes) > 0 || p.lost > 0 {
		t.Errorf("changes %v, lost %v", p.changes, p.lost)
	}
}

// TestStep: a flood of nearly twice what the shard can take lowers the share before a frame is lost, and the share rises again when the
// flood is over.
func TestStep(t *testing.T) {
	p := newPlant(func(at time.Duration) float64 {
		if at > 10*time.Second && at < 70*time.Second {
			return 1_800_000
		}
		return 100_000
	})
	p.run(t, percents(1, 100), 3*time.Minute)
	if p.lost > 0 {
		t.Errorf("lost %v frames; changes %q", p.lost, p.changes)
	}
	want := []string{"behind 50", "behind 25", "calm 50", "calm 100"}
	var got []string
	for _, c := range p.changes {
		_, what, _ := strings.Cut(c, " ")
		got = append(got, what)
	}
	if !slices.Equal(got, want) {
		t.Errorf("changes %q, want %q", p.changes, want)
	}
	if p.shares[15] != metric.Percent(25) { // 26.6% would take all of the shard's time
		t.Errorf("the share in the flood is %v%%", p.shares[15].Percent())
	}
	if last := p.shares[len(p.shares)-1]; last != metric.Whole {
		t.Errorf("the share at the end is %v%%: %q", last.Percent(), p.changes)
	}
	if s := p.g.State(); s.Reason != "" || s.Lowered == 0 || s.Raised == 0 {
		t.Errorf("state %+v", s)
	}
}

// TestSteady: under a load that stays too high, the share settles. It is changed a few times at most, no frame is
// lost, and the shard is used for more than a third of the time.
func TestSteady(t *testing.T) {
	for _, rate := range []float64{1_050_000, 1_300_000, 1_700_000, 2_200_000} {
		p := newPlant(always(rate))
		p.run(t, percents(1, 100), 20*time.Minute)
		if len(p.changes) > 12 || p.lost > 0 {
			t.Errorf("at %v: lost %v; %d changes: %q", rate, p.lost, len(p.changes), p.changes)
		}
		late := p.shares[len(p.shares)/2:]
		if least, most := slices.Min(late), slices.Max(late); float64(most) > 2.6*float64(least) {
			t.Errorf("at %v: the share goes from %v%% to %v%%: %q", rate, least.Percent(), most.Percent(), p.changes)
		}
		if used := p.busy.Minutes() / 20; used < 1.0/3 {
			t.Errorf("at %v: the shard works for %.2f of the time", rate, used)
		}
	}
}

// TestFloor: the share never falls below the floor, and frames that are lost then are not the governor's fault.
func TestFloor(t *testing.T) {
	for _, c := range []struct {
		least, most int
		want        metric.Share
	}{{5, 100, metric.Percent(5)}, {20, 30, metric.Percent(20)}, {10, 10, metric.Percent(10)}, {0, 100, metric.Whole / 1000}, {0, 0, 0}, {50, 10, metric.Percent(10)}} {
		p := newPlant(always(9_000_000))
		p.run(t, percents(c.least, c.most), 20*time.Second)
		if got := slices.Min(p.shares); got != c.want || p.shares[10] != c.want {
			t.Errorf("from %d%% to %d%%: the share falls to %v%%, and is %v%% later", c.least, c.most, got.Percent(), p.shares[10].Percent())
		}
		if s := p.g.State(); s.Share != c.want || s.Least != c.want {
			t.Errorf("from %d%% to %d%%: state %+v", c.least, c.most, s)
		}
	}
}

// TestBudget: the process is held to its budget of CPU, and uses most of it.
func TestBudget(t *testing.T) {
	p := newPlant(always(500_000)) // takes half of the time at 100%, a fifth at 1%
	cfg := percents(1, 100)
	cfg.MaxCPU = 0.3
	p.run(t, cfg, 4*time.Minute)
	var over, used float64
	half := p.shares[len(p.shares)/2:]
	for _, s := range half {
		p.share = s
		took := 500_000 * p.cost() / 1e9
		used += took / float64(len(half))
		if took > cfg.MaxCPU {
			over++
		}
	}
	if over > 0.02*float64(len(half)) || used < 0.22 || used > cfg.MaxCPU || p.lost > 0 {
		t.Errorf("%v of %d seconds over the budget, %.3f used, lost %v: %q", over, len(half), used, p.lost, p.changes)
	}
	if s := p.g.State(); s.Reason != Budget || s.CPU < 0.2 || s.CPU > 0.3 || s.MaxCPU != 0.3 {
		t.Errorf("state %+v", s)
	}
	if len(p.changes) > 15 {
		t.Errorf("%d changes: %q", len(p.changes), p.changes)
	}
}

// TestBudgetFloor: a budget that even the floor exceeds leaves the share at the floor.
func TestBudgetFloor(t *testing.T) {
	p := newPlant(always(500_000))
	cfg := percents(2, 100)
	cfg.MaxCPU = 0.1
	p.run(t, cfg, 2*time.Minute)
	if got := p.shares[60]; got != metric.Percent(2) {
		t.Errorf("the share is %v%%: %q", got.Percent(), p.changes)
	}
}

// TestClocks: a clock of the frames that differs from the wall clock does not make the share smaller, while the ring is nearly
// empty.
func TestClocks(t *testing.T) {
	p := newPlant(always(500_000))
	p.skew = time.Hour
	p.run(t, percents(1, 100), time.Minute)
	if len(p.changes) > 0 {
		t.Errorf("changes %q", p.changes)
	}
}

// TestLag: a shard whose ring is large falls behind in time first.
func TestLag(t *testing.T) {
	p := newPlant(always(1_100_000))
	p.ring = 8_000_000
	p.run(t, percents(1, 100), 20*time.Second)
	if len(p.changes) == 0 || p.lost > 0 || p.queue > p.ring/8 {
		t.Errorf("changes %q, queue %v", p.changes, p.queue)
	}
}
