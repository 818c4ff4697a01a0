package capture

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"pktvisor/linktype"
)

// replayWait is the longest time for which a replay blocks its reader, so that the reader can check the clock.
const replayWait = 50 * time.Millisecond

// ReplayConfig says how a capture file is played as if it were a live capture.
type ReplayConfig struct {
	// Path is the capture file.
	Path string
	// Speed is how many times as fast as it was recorded the file is played. Latencies become shorter by this
	// factor. 0 plays it as fast as it can be read.
	Speed float64
	// Loop starts again at the end of the file, for ever.
	Loop bool
}

// Replay is a source that plays a capture file: each frame is returned when it is due, with the current time as its
// time.
type Replay struct {
	cfg   ReplayConfig
	open  func() (Source, error)
	src   Source
	batch Batch
	next  int // index in batch.Frames

	restart  bool // the next frame is the first of another round
	began    bool
	start    time.Time // wall time of the first frame of this round
	first    int64     // recorded time of that frame
	last     int64     // wall time of the newest frame, in nanoseconds since the Unix epoch
	seen     int64     // frames in this round
	received atomic.Uint64
}

// OpenReplay opens the file to be played. It waits no longer than until ctx is done, as [OpenFileContext] does.
func OpenReplay(ctx context.Context, cfg ReplayConfig) (*Replay, error) {
	open := func() (Source, error) { return OpenFileContext(ctx, cfg.Path) }
	src, err := open()
	if err != nil {
		return nil, err
	}
	return &Replay{cfg: cfg, open: open, src: src}, nil
}

// ReadBatch returns the frames that are due. If there are none, it waits for a short time. At the end of a file that
// is not looped it returns io.EOF.
func (r *Replay) ReadBatch(b *Batch) error {
	b.Frames, b.Restart = b.Frames[:0], false
	for r.next == len(r.batch.Frames) {
		r.next = 0
		err := r.src.ReadBatch(&r.batch)
		if len(r.batch.Frames) > 0 {
			break // a later call returns the error again
		}
		if err == nil {
			continue
		}
		if err := r.again(err); err != nil {
			return err
		}
	}
	now := time.Now()
	if !r.began {
		r.began, r.start, r.first = true, now, r.batch.Frames[0].Time
	}
	due := r.due(r.batch.Frames[r.next].Time)
	if wait := due.Sub(now); r.cfg.Speed > 0 && wait > 0 {
		time.Sleep(min(wait, replayWait))
		if wait > replayWait {
			return nil
		}
		now = time.Now()
	}
	for ; r.next < len(r.batch.Frames); r.next++ {
		f := r.batch.Frames[r.next]
		f.Time = now.UnixNano()
		if r.cfg.Speed > 0 {
			due := r.due(r.batch.Frames[r.next].Time)
			if due.After(now) {
				break
			}
			f.Time = now.UnixNano() + int64(due.Sub(now)) // by the wall clock of now, which may have been set since the start
		}
		r.last = max(r.last, f.Time)
		b.Frames = append(b.Frames, f)
	}
	b.SameLink = r.batch.SameLink
	b.Restart, r.restart = r.restart && len(b.Frames) > 0, r.restart && len(b.Frames) == 0
	r.seen += int64(len(b.Frames))
	r.received.Add(uint64(len(b.Frames)))
	return nil
}

// due returns the wall time for a frame that was recorded at the given time.
func (r *Replay) due(recorded int64) time.Time {
	return r.start.Add(time.Duration(float64(recorded-r.first) / max(r.cfg.Speed, 1e-9)))
}

// again starts the next round at the end of the file, or returns the error that ended it.
func (r *Replay) again(err error) error {
	var damage *DamageError
	if !r.cfg.Loop || r.seen == 0 || !errors.Is(err, io.EOF) && !errors.As(err, &damage) {
		return err
	}
	src, err := r.open()
	if err != nil {
		return err
	}
	r.src.Close()
	r.src, r.seen = src, 0
	r.began, r.restart = false, true
	return nil
}

// linkTypes returns the link types that frames may have, as far as the file has named them.
func (r *Replay) linkTypes() []linktype.Type {
	if src, ok := r.src.(linkTyped); ok {
		return src.linkTypes()
	}
	return nil
}

// Clock implements [Source]: a frame that is played arrives.
func (r *Replay) Clock() Clock { return Arrival }

// Stats counts the frames that were played.
func (r *Replay) Stats() Stats { return Stats{Received: r.received.Load()} }

// Close closes the file.
func (r *Replay) Close() error { return r.src.Close() }
