package agent

import (
	"context"
	"runtime"
	"sync"

	"pktvisor/capture"
)

// How much shards have ahead.
const (
	enoughWork = 2  // a shard with so much leaves reading to the others
	maxWork    = 64 // nobody reads while a shard has so much: it may be busy with a flush
)

// exchange is where the shards of a file get their work. One that runs short of it reads, for itself and for the
// others; there is no goroutine beside theirs that the CPUs would have to make room for.
type exchange struct {
	reading sync.Mutex // held by the shard that reads
	reader  *reader

	mu     sync.Mutex
	change sync.Cond // a shard that waits may have something to do
	queues [][]work  // of each shard, oldest first
	free   []*parcel
	spare  [][]*own // of each shard
	ended  bool
}

// work is what a shard has to do: a parcel, or else frames that it has read itself.
type work struct {
	parcel *parcel
	own    *own
}

func newExchange(a *Agent, src capture.Source) *exchange {
	shards := len(a.shards)
	x := &exchange{queues: make([][]work, shards), spare: make([][]*own, shards)}
	x.change.L = &x.mu
	x.reader = newReader(a, src, x.send)
	return x
}

// next returns what a shard has to do next, and false at the end.
func (x *exchange) next(ctx context.Context, shard int) (w work, ok bool) {
	for {
		if n := x.waiting(shard); n < enoughWork && x.lockReading(shard) {
			x.read(ctx, shard)
			x.reading.Unlock()
		}
		x.mu.Lock()
		for len(x.queues[shard]) == 0 && !x.ended && x.full() {
			x.change.Wait()
		}
		q, ended := x.queues[shard], x.ended
		if len(q) > 0 {
			w = q[0]
			x.queues[shard] = append(q[:0], q[1:]...)
			if len(q) == maxWork {
				x.change.Broadcast()
			}
		}
		x.mu.Unlock()
		if len(q) > 0 || ended {
			return w, len(q) > 0
		}
	}
}

// waiting returns how much work waits for a shard.
func (x *exchange) waiting(shard int) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.queues[shard])
}

// full tells, under mu, whether some shard has so much to do that nobody should read on.
func (x *exchange) full() bool {
	for _, q := range x.queues {
		if len(q) >= maxWork {
			return true
		}
	}
	return false
}

// lockReading makes a shard the one who reads, if nobody else does. One without work waits until it is, or somebody has
// read something for it. A batch is read in some tens of microseconds: to sleep and be woken takes longer than to ask
// some times.
func (x *exchange) lockReading(shard int) bool {
	for tries := 0; !x.reading.TryLock(); tries++ {
		if x.waiting(shard) > 0 {
			return false
		}
		if tries == 500 {
			x.reading.Lock()
			break
		}
		runtime.Gosched()
	}
	return true
}

// read reads a batch, if its shard still has too little to do, for all shards. The caller has locked reading.
func (x *exchange) read(ctx context.Context, shard int) {
	r := x.reader
	if r.err != nil {
		return
	}
	if !r.filling[shard].empty() { // it comes before what is read now
		x.send(shard)
	}
	o := x.takeOwn(shard)
	if o == nil {
		return
	}
	r.next(shard, o)
	if r.err == nil {
		r.err = ctx.Err()
	}
	if r.err != nil {
		r.end(shard, o)
	}
	x.push(shard, work{own: o})
	for other := range r.filling {
		if other != shard && !r.filling[other].empty() && (r.err != nil || x.waiting(other) < enoughWork) {
			x.send(other)
		}
	}
	if r.err != nil {
		x.mu.Lock()
		x.ended = true
		x.change.Broadcast()
		x.mu.Unlock()
	}
}

// takeOwn returns memory for a batch, or nil where a shard should not read.
func (x *exchange) takeOwn(shard int) *own {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.queues[shard]) >= enoughWork || x.full() {
		return nil
	}
	n := len(x.spare[shard])
	if n == 0 {
		return new(own)
	}
	o := x.spare[shard][n-1]
	x.spare[shard] = x.spare[shard][:n-1]
	return o
}

// send gives a shard the parcel that was filled for it. The caller has locked reading.
func (x *exchange) send(shard int) {
	x.push(shard, work{parcel: x.reader.filling[shard]})
	x.reader.filling[shard] = x.take()
}

func (x *exchange) push(shard int, w work) {
	x.mu.Lock()
	x.queues[shard] = append(x.queues[shard], w)
	x.change.Broadcast()
	x.mu.Unlock()
}

// take returns an empty parcel: that which was used last, as it may still be in a cache.
func (x *exchange) take() *parcel {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := len(x.free)
	if n == 0 {
		return newParcel()
	}
	p := x.free[n-1]
	x.free = x.free[:n-1]
	return p
}

// done takes back the memory of what a shard has done.
func (x *exchange) done(shard int, w work) {
	if w.parcel != nil {
		w.parcel.reset()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if w.parcel != nil {
		x.free = append(x.free, w.parcel)
	} else {
		x.spare[shard] = append(x.spare[shard], w.own)
	}
}
