// Package deal deals the frames of one file among shards.
//
// The shards read in turns. The one that reads a batch looks at the addresses of each frame: all frames between two
// addresses go to the same shard. It keeps its own frames in place, and copies every other frame into a parcel for the
// shard that owns it. There is no goroutine beside those of the shards that the CPUs would have to make room for.
//
// The clock goes with the frames: all shards follow the order of the file, from second to second, and wait for each other
// only where the configuration asks for it.
//
// Each shard calls [Deal.Next] and [Deal.Done] from one goroutine. All other methods may be called from any.
package deal

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"pktvisor/capture"
)

// Config says what is dealt.
type Config struct {
	// Source is the file.
	Source capture.Source
	// Shards is how many there are, at least one.
	Shards int
	// Decap spreads frames by the addresses of the innermost packet of a tunnel.
	Decap bool
	// KeysDue reports whether the shards must wait for each other between two seconds (Unix time). They do at the end in any case.
	KeysDue func(second, next int64) bool
	// Far is how many seconds the clock may go forward at once before [Deal.TimeSteps] has it.
	Far int64
}

// How much work shards have ahead.
const (
	enoughWork = 2  // a shard with so much leaves reading to the others
	maxWork    = 64 // nobody reads while a shard has so much: it may be busy with a flush
)

// Deal is one file being dealt.
type Deal struct {
	reader *reader   // used by the shard that has set reading
	steps  timeSteps // the reader's
	frames atomic.Int64

	mu      sync.Mutex
	change  sync.Cond // a shard that waits may have something to do
	reading bool
	err     error     // why reading has ended
	queues  [][]*Work // of each shard, oldest first
	parcels []*Work   // empty ones
	spare   [][]*Work // done batches, of each shard
}

// New makes a deal of which nothing is read yet.
func New(cfg Config) *Deal {
	d := &Deal{queues: make([][]*Work, cfg.Shards), spare: make([][]*Work, cfg.Shards), steps: timeSteps{far: cfg.Far}}
	d.change.L = &d.mu
	d.reader = newReader(cfg, &d.steps, d.send)
	return d
}

// Next returns what a shard has to do next, and false at the end of the file. It reads if the shard has little left to do
// and nobody else reads. When ctx is done, the file ends with the batch that was read last.
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

// full reports whether some shard has so much to do that nobody should read on.
func (d *Deal) full() bool {
	return slices.ContainsFunc(d.queues, func(q []*Work) bool { return len(q) >= maxWork })
}

// read reads a batch. It unlocks mu meanwhile.
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
	if !r.filling[shard].empty() { // it comes before what is read now
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

// send gives a shard the parcel that was filled for it.
func (d *Deal) send(shard int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pushParcel(shard)
	d.change.Broadcast()
}

// pushParcel is send under mu. The next parcel is the one that was used last, as it may still be in a cache.
func (d *Deal) pushParcel(shard int) {
	p := &d.reader.filling[shard]
	d.queues[shard] = append(d.queues[shard], *p)
	if n := len(d.parcels); n > 0 {
		*p, d.parcels = d.parcels[n-1], d.parcels[:n-1]
	} else {
		*p = newParcel()
	}
}

// Done takes back the memory of what a shard has done.
func (d *Deal) Done(shard int, w *Work) {
	if w.parcel != nil {
		w.reset()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if w.parcel != nil {
		d.parcels = append(d.parcels, w)
	} else {
		d.spare[shard] = append(d.spare[shard], w)
	}
}

// Close gives back the memory after the end, and returns why reading has ended: the error of [capture.Source.ReadBatch] or of
// the context.
func (d *Deal) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.parcels, d.spare, d.reader = nil, nil, nil
	return d.err
}

// Frames returns how many frames were read so far.
func (d *Deal) Frames() int64 { return d.frames.Load() }

// TimeSteps returns the first of the places where the time of the frames went back by more than a minute, or far
// ahead, and how many there are in all. Call it after the end.
func (d *Deal) TimeSteps() (first []TimeStep, n int) { return d.steps.first, d.steps.n }
