package agent

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"pktvisor/capture"
)

// endless is a source of packets, each a millisecond after the one before, between a host and 1000 others, until
// there were enough.
type endless struct {
	capture.Source
	t      *testing.T
	frames int // of each batch
	left   int
	n      int
}

func (e *endless) Stats() capture.Stats { return capture.Stats{} }

// ReadBatch returns the next packets.
func (e *endless) ReadBatch(b *capture.Batch) error {
	b.Frames = b.Frames[:0]
	if e.left == 0 {
		return io.EOF
	}
	for range min(e.frames, e.left) {
		s := script{t: e.t}
		s.udp(int64(e.n)*1e6, fmt.Sprintf("10.1.%d.%d:4242", e.n%1000/250, e.n%250), "192.0.2.1:9", nil)
		b.Frames = append(b.Frames, capture.Frame{Data: s.frames[0].frame, Time: s.frames[0].at, WireLen: 100, Link: 1})
		e.n++
		e.left--
	}
	return nil
}

// TestExchange: a shard that does nothing does not keep the others from going on, until as much work waits for it as
// there may be; then they wait, and go on when it does. Each frame comes to one shard, in order.
func TestExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const shards, idle, total = 3, 1, 300_000
		a := newAgent(t, func(c *Config) { c.Shards, c.Single = shards, true })
		x := newExchange(a, &endless{t: t, frames: roundFrames + 500, left: total})
		var taken [shards]atomic.Int64
		var running sync.WaitGroup
		work := func(shard int) {
			last := int64(-1)
			see := func(time int64) {
				if time <= last {
					t.Errorf("shard %d: a frame of %d ns after one of %d", shard, time, last)
				}
				last = time
				taken[shard].Add(1)
			}
			for w, ok := x.next(t.Context(), shard); ok; w, ok = x.next(t.Context(), shard) {
				if p := w.parcel; p != nil {
					for _, f := range p.frames[:p.n] {
						see(f.time)
					}
				} else {
					for _, at := range w.own.places {
						see(w.own.batch.Frames[at].Time)
					}
				}
				x.done(shard, w)
			}
		}
		for shard := range shards {
			if shard != idle {
				running.Go(func() { work(shard) })
			}
		}
		synctest.Wait()
		if n := x.waiting(idle); n < maxWork || n > maxWork+1 {
			t.Errorf("%d wait for the idle shard, of at most %d", n, maxWork)
		}
		if taken[0].Load() == 0 || taken[2].Load() == 0 || x.ended {
			t.Errorf("the others took %d and %d, to the end: %v", taken[0].Load(), taken[2].Load(), x.ended)
		}
		before := taken[0].Load() + taken[2].Load()
		w, _ := x.next(t.Context(), idle) // there is room for more now
		taken[idle].Add(int64(w.parcel.n))
		x.done(idle, w)
		synctest.Wait()
		if taken[0].Load()+taken[2].Load() == before || x.waiting(idle) < maxWork {
			t.Errorf("the others took %d before, and after the idle shard had done something %d", before, taken[0].Load()+taken[2].Load())
		}
		running.Go(func() { work(idle) })
		running.Wait()
		if n := taken[0].Load() + taken[1].Load() + taken[2].Load(); n != total {
			t.Errorf("%d frames, of %d", n, total)
		}
		for shard := range shards {
			if n := taken[shard].Load(); n < total/5 {
				t.Errorf("shard %d took %d frames of %d", shard, n, total)
			}
		}
	})
}
