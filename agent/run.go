package agent

import (
	"context"
	"errors"
	"slices"

	"pktvisor/capture"
)

// run is a call of [Agent.Run].
type run struct {
	ctx   context.Context // of the taps; not done before the taps are stopped
	ended chan struct{}   // receives when a tap has ended
	// endless says that the run ends only when its context is done, because taps come and go. It is guarded by Agent.changing.
	endless bool
}

// job is a tap that runs.
type job struct {
	stop context.CancelFunc
	done chan struct{} // closed when the tap has ended
	err  error         // why; valid after done
}

// Run analyses the frames of sources until all have ended or ctx is done. The keys of the map are the names of taps. A tap
// needs one source with [capture.OwnTime], or one source for each shard. Run does not close the sources.
//
// When ctx is done, taps stop in the reverse of the order in which they were added. Then the policies finish their windows,
// also in reverse. Everything that was read before an error is in the windows. Run returns the errors of
// [capture.Source.ReadBatch], and that of ctx if it is done before a file has ended.
//
// If there is no tap, or one is added or removed while the agent runs, or with [Config.Endless], Run returns only when ctx is done.
func (a *Agent) Run(ctx context.Context, sources map[string][]capture.Source) error {
	r := &run{ctx: context.WithoutCancel(ctx), ended: make(chan struct{}, 1)}
	a.changing.Lock()
	if a.running != nil {
		a.changing.Unlock()
		return errors.New("the agent runs already")
	}
	a.running = r
	r.endless = a.endless || len(a.taps.all()) == 0
	for _, t := range a.taps.all() {
		if given, ok := sources[t.cfg.Name]; ok {
			t.sources = given
		}
	}
	together := newPace(a.taps.all())
	for _, t := range a.taps.all() {
		t.pace = together
		a.startTap(t)
	}
	a.changing.Unlock()
	for !a.isOver(r) {
		select {
		case <-ctx.Done():
			return a.endRun(ctx)
		case <-r.ended:
		}
	}
	return a.endRun(ctx)
}

// isOver reports whether all taps have ended, and no other may come.
func (a *Agent) isOver(r *run) bool {
	a.changing.Lock()
	defer a.changing.Unlock()
	return !r.endless && !slices.ContainsFunc(a.taps.all(), (*Tap).isRunning)
}

// endRun stops the taps, and finishes the windows. A change that has begun is completed first.
func (a *Agent) endRun(ctx context.Context) (err error) {
	a.changing.Lock()
	defer a.changing.Unlock()
	for _, t := range slices.Backward(a.taps.all()) {
		e := t.end()
		if errors.Is(e, context.Canceled) && ctx.Err() != nil {
			e = ctx.Err()
		}
		err = errors.Join(err, e)
	}
	for _, p := range slices.Backward(a.policies.all()) {
		p.window.Finish()
	}
	a.running = nil
	return err
}

// startTap starts a tap that has its sources.
func (a *Agent) startTap(t *Tap) {
	ctx, stop := context.WithCancel(a.running.ctx)
	j, sources, ended := &job{stop: stop, done: make(chan struct{})}, t.sources, a.running.ended
	t.job, t.sources = j, nil
	go func() {
		j.err = t.run(ctx, sources)
		close(j.done)
		select {
		case ended <- struct{}{}:
		default: // the reader has not received the last one yet, and will look at all taps
		}
	}()
}

// isRunning reports whether the tap was started and has not ended by itself.
func (t *Tap) isRunning() bool {
	if t.job == nil {
		return false
	}
	select {
	case <-t.job.done:
		return false
	default:
		return true
	}
}

// end stops the tap if it runs, waits for it, and returns why it has ended.
func (t *Tap) end() error {
	if t.job == nil {
		return nil
	}
	t.job.stop()
	<-t.job.done
	err := t.job.err
	t.job = nil
	return err
}
