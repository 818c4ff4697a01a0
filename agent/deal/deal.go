// Package deal deals the frames of one file among shards.
//
// The shards take turns at reading. The shard that reads a batch looks at the addresses of each frame: all frames between two
// addresses go to the same shard. It keeps its own frames in place, and copies every other frame into a parcel for the
// shard that owns it. No other goroutine competes with the shards for the CPUs.
//
// The steps of the clock are dealt with the frames. All shards follow the order of the file, from second to second, and wait
// for each other only where the configuration asks for it.
//
// Each shard calls [Deal.Next] and [Deal.Done] from one goroutine. All other methods may be called from any goroutine.
package deal

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"pktvisor/capture"
)

// Config says what is dealt, and among how many shards.
type Config struct {
	// Source is the file.
	Source capture.Source
	// Shards is the number of shards, at least one.
	Shards int
	// Decap chooses shards by the addresses of the innermost packet of a tunnel.
	Decap bool
	// KeysDue reports whether the shards must wait for each other between two seconds (Unix time). At the end of the file, they
	// always do.
	KeysDue func(second, next int64) bool
	// Far is the smallest jump forward of the clock, in seconds, that [Deal.TimeSteps] records.
	Far int64
}

// How many work items may wait for a shard.
const (
	enoughWork = 2  // a shard that has so many leaves reading to the others
	maxWork    = 64 // while a shard has so many, no shard reads; the one with the work may be busy with a flush
)

// Deal deals one file.
type Deal struct {
	reader *reader   // used only by the shard that has set reading
	steps  timeSteps // written by the reader
	frames atomic.Int64

	mu      sync.Mutex
	change  sync.Cond // signals that a waiting shard may have something to do
	reading bool
	err     error     // why reading ended; nil before that
	queues  [][]*Work // for each shard, oldest first
	parcels []*Work   // empty, for reuse
	spare   [][]*Work // finished batches of each shard, for reuse
}

// New makes a deal. It reads nothing until [Deal.Next].
func New(cfg Config) *Deal {
	d := &Deal{queues: make([][]*Work, cfg.Shards), spare: make([][]*Work, cfg.Shards), steps: timeSteps{far: cfg.Far}}
	d.change.L = &d.mu
	d.reader = newReader(cfg, &d.steps, d.send)
	return d
}

// Next returns a shard's next work, and false at the end of the file. It reads a batch if the shard has little work left and
// no other shard reads. When ctx is done, the file ends with the batch that was read last.
func (d *Deal) Next(ctx context.Context, shard int) (w *Work, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		if len(d.queues[shard]) < enoughWork && !d.reading && d.err == nil && !d.full() {
			d.read(ctx, shard)
		}
		if q := d.queues[shard]; len(q) > 0 {
			w = q[0]
			d.queues[shard] = append(q[:0], q[1:]...)
			if len(q) == maxWork {
				d.change.Broadcast()
			}
			return w, true
		}
		if d.err != nil {
			return nil, false
		}
		d.change.Wait()
	}
}

// full reports whether a shard has so much work that no shard should read more.
func (d *Deal) full() bool {
	return slices.ContainsFunc(d.queues, func(q []*Work) bool { return len(q) >= maxWork })
}

// read reads a batch. It unlocks mu while it reads.
func (d *Deal) read(ctx context.Context, shard int) {
	d.reading = true
	var w *Work
	if n := len(d.spare[shard]); n > 0 {
		w, d.spare[shard] = d.spare[shard][n-1], d.spare[shard][:n-1]
	} else {
		w = new(Work)
	}
	d.mu.Unlock()
	r := d.reader
	if !r.filling[shard].empty() { // these frames come before those that are read now
		d.send(shard)
	}
	err := r.next(shard, w)
	d.frames.Add(int64(len(w.batch.Frames)))
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		r.end(shard, w)
	}
	d.mu.Lock()
	d.queues[shard] = append(d.queues[shard], w)
	for other, p := range r.filling {
		if other != shard && !p.empty() && (err != nil || len(d.queues[other]) < enoughWork) {
			d.pushParcel(other)
		}
	}
	d.reading, d.err = false, err
	d.change.Broadcast()
}

// send hands the parcel that was filled for a shard to that shard.
func (d *Deal) send(shard int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pushParcel(shard)
	d.change.Broadcast()
}

// pushParcel does what send does, for a caller that has locked mu. As the next parcel to fill it takes the one that was used
// last, because that may still be in a cache.
func (d *Deal) pushParcel(shard int) {
	p := &d.reader.filling[shard]
	d.queues[shard] = append(d.queues[shard], *p)
	if n := len(d.parcels); n > 0 {
		*p, d.parcels = d.parcels[n-1], d.parcels[:n-1]
	} else {
		*p = newParcel()
	}
}

// Done takes back the memory of work that a shard has finished.
func (d *Deal) Done(shard int, w *Work) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w.parcel != nil {
		w.reset()
		d.parcels = append(d.parcels, w)
	} else {
		d.spare[shard] = append(d.spare[shard], w)
	}
}

// Close releases the memory after the end, and returns why reading ended: the error of [capture.Source.ReadBatch] or of the
// context.
func (d *Deal) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.parcels, d.spare, d.reader = nil, nil, nil
	return d.err
}

// Frames returns the number of frames that were read so far.
func (d *Deal) Frames() int64 { return d.frames.Load() }

// TimeSteps returns the first places where the time of the frames went back by more than a minute, or forward by at least
// [Config.Far], and the number of all such places. Call it after the end.
func (d *Deal) TimeSteps() (first []TimeStep, n int) { return d.steps.first, d.steps.n }
