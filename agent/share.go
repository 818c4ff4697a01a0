package agent

import (
	"math"
	"time"

	"pktvisor/agent/adapt"
	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/metric"
)

// SetShare changes the share of address pairs that the policies of the tap analyse in depth, each between its own limits. The
// shards apply it before their next batch of frames. It implements [adapt.Threshold], and may be called from any goroutine.
func (t *Tap) SetShare(share metric.Share) { t.share.Store(uint32(share)) }

// Scarce lets the tap take its least share, whatever SetShare says, until it is called with false. It is for a lack of memory,
// and may be called from any goroutine.
func (t *Tap) Scarce(on bool) { t.scarce.Store(on) }

// told returns the share that the tap is to take.
func (t *Tap) told() metric.Share {
	if t.scarce.Load() {
		return t.governor.State().Least
	}
	return metric.Share(t.share.Load())
}

// threshold returns the threshold of the sample of the kernel: the greatest share of a policy, or everything if a policy is
// partial. Without a policy, nobody needs a frame.
func (t *Tap) threshold() uint32 {
	var most metric.Share
	for _, p := range t.policies.all() {
		most = max(most, p.kernelShare(t.told()))
	}
	return analyze.Threshold(most)
}

// Sample returns what the deep sample is now. ok is false if the tap keeps it as it is.
func (t *Tap) Sample() (s adapt.State, ok bool) {
	s = t.governor.State()
	if s.Least == s.Most {
		return s, false
	}
	if t.scarce.Load() {
		s.Share, s.Reason = s.Least, adapt.Memory
	}
	return s, true
}

// newGovernor returns what changes the share of a live tap.
func (t *Tap) newGovernor() *adapt.Governor {
	return adapt.New(adapt.Config{
		Least: metric.Whole, Most: metric.Whole, MaxCPU: t.cfg.MaxCPU, Load: t.load, Threshold: t, Changed: t.cfg.OnSample,
	})
}

// adapt fits the limits of the share to the policies after one was added or removed. If that needs more frames from the kernel,
// it asks for them at once. The kernel keeps more frames for itself only when the shards have followed: see
// [front.readPrecounted].
func (t *Tap) adapt() {
	least, most := metric.Share(metric.Whole), metric.Share(0)
	for _, p := range t.policies.all() {
		least, most = min(least, p.share(0)), max(most, p.share(metric.Whole))
	}
	t.governor.SetBounds(least, max(least, most))
	if c := t.cfg.Counter; c != nil && len(t.policies.all()) > 0 {
		if below := t.threshold(); below > c.Threshold() {
			c.SetThreshold(below)
		}
	}
}

// load returns the load of the shards.
func (t *Tap) load() adapt.Load {
	l := adapt.Load{CPU: processCPU()}
	for _, f := range t.fronts {
		s := &f.state
		l.Fill = max(l.Fill, math.Float64frombits(s.full.Load()))
		l.Lag = max(l.Lag, time.Duration(s.lag.Load()))
		l.Busy = append(l.Busy, time.Duration(s.busy.Load()))
	}
	return l
}

// follow notes how far behind the shard is with a batch that it has just read, and applies the share that the tap was told.
func (f *front) follow(filling capture.Filling, b *capture.Batch) {
	if filling != nil {
		full, lag := filling.Full(), time.Duration(0)
		if adapt.IsBehind(full) && len(b.Frames) > 0 {
			lag = time.Since(time.Unix(0, b.Frames[0].Time))
		}
		f.state.full.Store(math.Float64bits(full))
		f.state.lag.Store(int64(lag))
		if adapt.IsBehind(full) {
			f.tap.isBehind()
		}
	}
	if moves := f.tap.moves.Load(); moves != f.moves {
		f.moves = moves
		f.moved()
	}
	if share := f.tap.told(); share != f.share {
		if counter := f.tap.cfg.Counter; counter != nil && share > f.share {
			counter.SetThreshold(f.tap.threshold()) // before the shard expects these pairs
		}
		f.share = share
		f.endSecond(f.clock.Newest, true, nil)
		for _, b := range f.backs {
			b.sample(share)
		}
	}
}
