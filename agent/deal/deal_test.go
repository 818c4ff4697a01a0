package deal

import (
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"pktvisor/capture"
	"pktvisor/internal/testkit"
)

// endless is a source of packets between a host and 1000 others. Each packet is a millisecond later than the one before. The
// source ends after a number of packets.
type endless struct {
	capture.Source
	frames int // in each batch
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
		p := testkit.Packet{
			Src: netip.AddrFrom4([4]byte{10, 1, byte(e.n % 1000 / 250), byte(e.n % 250)}), Dst: netip.AddrFrom4([4]byte{192, 0, 2, 1}),
			Proto: testkit.ProtoUDP, SrcPort: 4242, DstPort: 9,
		}
		b.Frames = append(b.Frames, capture.Frame{Data: p.AppendFrame(nil), Time: int64(e.n) * 1e6, WireLen: 100, Link: 1})
		e.n++
		e.left--
	}
	return nil
}

func (d *Deal) waiting(shard int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.queues[shard])
}

func never(int64, int64) bool { return false }

// TestDeal: while one shard is idle, the others continue until the most work that is allowed waits for it. Then they wait, and
// continue when it does. Each frame goes to one shard, in order.
func TestDeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const shards, idle, total = 3, 1, 300_000
		d := New(Config{Source: &endless{frames: roundFrames + 500, left: total}, Shards: shards, KeysDue: never})
		var taken [shards]atomic.Int64
		var running sync.WaitGroup
		work := func(shard int) {
			last := int64(-1)
			for w, ok := d.Next(t.Context(), shard); ok; w, ok = d.Next(t.Context(), shard) {
				for _, f := range w.Frames {
					if f.Time <= last {
						t.Errorf("shard %d: a frame of %d ns after one of %d", shard, f.Time, last)
					}
					last = f.Time
					taken[shard].Add(1)
				}
				d.Done(shard, w)
			}
		}
		for shard := range shards {
			if shard != idle {
				running.Go(func() { work(shard) })
			}
		}
		synctest.Wait()
		if n := d.waiting(idle); n < maxWork || n > maxWork+1 {
			t.Errorf("%d work items wait for the idle shard, want %d", n, maxWork)
		}
		if taken[0].Load() == 0 || taken[2].Load() == 0 || d.err != nil {
			t.Errorf("the other shards took %d and %d frames, ended: %v", taken[0].Load(), taken[2].Load(), d.err)
		}
		before := taken[0].Load() + taken[2].Load()
		w, _ := d.Next(t.Context(), idle) // there is room for more now
		taken[idle].Add(int64(len(w.Frames)))
		d.Done(idle, w)
		synctest.Wait()
		if taken[0].Load()+taken[2].Load() == before || d.waiting(idle) < maxWork {
			t.Errorf("the other shards took %d frames before the idle shard continued, and %d after", before, taken[0].Load()+taken[2].Load())
		}
		running.Go(func() { work(idle) })
		running.Wait()
		if n := taken[0].Load() + taken[1].Load() + taken[2].Load(); n != total || d.Frames() != total || d.Close() != io.EOF {
			t.Errorf("%d frames, want %d; %d read, %v", n, total, d.Frames(), d.err)
		}
		for shard := range shards {
			if n := taken[shard].Load(); n < total/5 {
				t.Errorf("shard %d took %d frames of %d", shard, n, total)
			}
		}
	})
}
