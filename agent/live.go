package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"pktvisor/capture"
	"pktvisor/minute"
)

// RunLive analyses the frames of live sources, one for each shard, until ctx is done or all sources
// have ended. Then everything is in the window. The shards of the others go on where one source
// fails. It does not close the sources.
func (a *Agent) RunLive(ctx context.Context, sources []capture.Source) error {
	if len(sources) != len(a.shards) {
		return fmt.Errorf("%d sources for %d shards", len(sources), len(a.shards))
	}
	a.live.Store(true)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, len(sources))
	var running sync.WaitGroup
	for i, s := range a.shards {
		s.state.source.Store(&sources[i])
		running.Go(func() {
			if err := s.runLive(ctx, sources[i]); err != nil {
				errs[i] = err
				s.state.ended.Store(&err)
				if a.cfg.OnSourceError != nil {
					a.cfg.OnSourceError(i, err)
				}
			}
		})
	}
	var ticking sync.WaitGroup
	ticking.Go(func() { a.tick(ctx) })
	running.Wait()
	stop()
	ticking.Wait()
	return errors.Join(errs...)
}

// tick rotates the window by the clock, for when no packets come.
func (a *Agent) tick(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			a.window.Advance(now.Add(-minute.Settle).Unix(), now.Unix())
		}
	}
}

// runLive analyses the frames of a source until ctx is done or the source ends.
func (s *shard) runLive(ctx context.Context, src capture.Source) error {
	s.source = src
	s.clock.enter(time.Now().Unix())
	frames := splitMSDUs(src)
	var b capture.Batch
	for ctx.Err() == nil {
		s.state.began.Store(0)
		err := frames.ReadBatch(&b)
		s.state.began.Store(int64(time.Since(s.agent.started)) | 1)
		frames, supers := b.Frames, b.Supers
		if b.Restart {
			s.restart()
		}
		for i := range frames {
			f := &frames[i]
			if !s.clock.has(f.Time) {
				s.step(floorSecond(f.Time))
			}
			if len(supers) > 0 && supers[0].Frame == i {
				s.superFrame(f, supers[0].Size)
				supers = supers[1:]
				continue
			}
			s.frame(f.Data, f.WireLen, f.Link, f.Time)
		}
		s.analyze()
		if n := len(frames); n > 0 {
			s.state.link.Store(int32(frames[n-1].Link) + 1)
		} else {
			s.idle(time.Now())
		}
		if errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) {
			break
		}
		if err != nil {
			s.end()
			return err
		}
	}
	s.end()
	return nil
}

// end counts what waits for more that will not come, and puts everything into the window. Queries without a response count as open,
// and wait no more: they are not in the gauge xact.open as well.
func (s *shard) end() {
	s.tick(max(s.newest, s.clock.newest*nanos))
	s.restart()
	s.flush()
}

// restart ends a round of a recording that is played over and over. All frames of the round before were analysed.
func (s *shard) restart() {
	s.reader.Finish()
	for _, p := range s.parts {
		if p.waiter != nil {
			p.waiter.Restart()
		}
	}
}

// idle follows the wall clock while no packets come.
func (s *shard) idle(now time.Time) {
	if second := now.Add(-minute.Settle).Unix(); second > s.clock.second || !s.clock.late(second) {
		s.step(second)
	}
}
