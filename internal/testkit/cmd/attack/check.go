package main

import (
	"context"
	"slices"
	"time"
)

// answers are how long the API took.
type answers struct {
	took   []time.Duration
	failed error
}

// read polls the API until ctx is done.
func (t *attack) read(ctx context.Context) {
	paths := []string{"/api/v1/metrics/window/5", "/api/v1/metrics/bucket/0", "/api/v1/metrics/rates", "/api/v1/metrics/app", "/metrics"}
	for i := 0; sleep(ctx, 50*time.Millisecond); i++ {
		began := time.Now()
		if _, err := t.agent.get(ctx, paths[i%len(paths)]); err != nil && ctx.Err() == nil {
			t.answers.failed = err
		}
		t.answers.took = append(t.answers.took, time.Since(began))
	}
}

// limit is how long an answer of the API may take.
const limit = 100 * time.Millisecond

func (t *attack) checkAnswers() {
	took := t.answers.took
	slices.Sort(took)
	if len(took) == 0 {
		t.verdict(false, "the API was not asked")
		return
	}
	p99 := took[len(took)*99/100]
	t.verdict(p99 <= limit && t.answers.failed == nil, "%d answers of the API: half within %v, 99%% within %v, the slowest %v; errors: %v",
		len(took), took[len(took)/2].Round(time.Millisecond), p99.Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), t.answers.failed)
}

// sent returns how many frames reached the agent's interface.
func (t *attack) sent() uint64 { return t.background.Load() + t.forged.Load() - t.link.Dropped() }

// lost returns how many frames the kernel lost before the agent had them.
func (t *attack) lost(ctx context.Context) (uint64, error) {
	a, err := t.agent.app(ctx)
	return a.Drops.OS + a.Drops.IF, err
}

// checkLedger compares the frames that were sent with the agent's counters.
func (t *attack) checkLedger(ctx context.Context) {
	var counted, lost uint64
	equal := t.agent.wait(ctx, 5*time.Second, func() bool {
		s, err := t.agent.window(ctx)
		if err != nil {
			return false
		}
		if lost, err = t.lost(ctx); err != nil {
			return false
		}
		counted = s.Packets.Total
		return counted+lost == t.sent()
	})
	t.verdict(equal, "%d frames sent; %d counted and %d lost in the kernel, %.2f%%: difference %d",
		t.sent(), counted, lost, 100*float64(lost)/float64(t.sent()), int64(t.sent())-int64(counted+lost))
}

// checkZone checks the row of the attacked zone. The lost frames may all be of the flood, or none.
func (t *attack) checkZone(ctx context.Context) {
	s, err := t.agent.window(ctx)
	lost, err2 := t.lost(ctx)
	if err != nil || err2 != nil || len(s.DNS.Top) == 0 {
		t.verdict(false, "no table of names: %v, %v", err, err2)
		return
	}
	top, most := s.DNS.Top[0], t.forged.Load()
	least := most - min(lost+t.link.Dropped(), most)
	if top.Upper == 0 { // everything was analysed
		top.Scaled, top.Lower, top.Upper = top.Estimate, top.Estimate, top.Estimate
	}
	honest := top.Name == "."+attackedZone && top.Lower <= most && top.Upper >= least
	t.verdict(honest, "on top: %s with %d sampled, which stand for %d (%d to %d, within %.1f%%); sent %d, counted at least %d",
		top.Name, top.Estimate, top.Scaled, top.Lower, top.Upper, 50*float64(top.Upper-top.Lower)/float64(max(top.Scaled, 1)), most, least)
	n := s.DNS.Names
	if n.Upper == 0 {
		n.Lower, n.Upper = n.Qname*98/100, n.Qname*102/100
	}
	t.verdict(n.Lower <= most+600 && n.Upper >= least, "distinct names: %d to %d; the flood has nearly as many as frames", n.Lower, n.Upper)
}
