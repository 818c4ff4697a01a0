package agent

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/decode"
)

// RunFile summarises the frames of a file, until its end or until ctx is done, and leaves the result in the
// window. Whatever was read before an error is in the window too; the errors are those of
// [capture.Source.ReadBatch], and ctx's.
func (a *Agent) RunFile(ctx context.Context, src capture.Source) error {
	var err error
	if len(a.shards) == 1 {
		err = a.runOne(ctx, src)
	} else {
		err = a.runMany(ctx, src)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return err
}

// runOne reads and analyses in one goroutine.
func (a *Agent) runOne(ctx context.Context, src capture.Source) error {
	s := a.shards[0]
	var b capture.Batch
	for {
		err := src.ReadBatch(&b)
		frames := b.Frames
		for i := range frames {
			f := &frames[i]
			if second, moves := s.clock.moves(f.Time); moves {
				if s.clock.running {
					s.read.Discarded = src.Stats().Discarded
					s.step(second)
				} else {
					s.enter(second)
				}
			}
			s.read.Received++
			s.frame(f)
		}
		s.analyze()
		a.frames.Add(int64(len(frames)))
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			if s.clock.running {
				s.read.Discarded = src.Stats().Discarded
				s.finish()
				s.flush()
			}
			return err
		}
	}
}

// batchesInFlight is how many batches are read ahead of the slowest shard.
const batchesInFlight = 16

// routed is a batch on its way through the shards: decoded, and sorted by shard.
type routed struct {
	batch   capture.Batch
	packets []analyze.Packet
	of      [][]uint16   // the packets of each shard
	users   atomic.Int32 // the reader and the shards that are not done with it
}

// order is what a shard gets from the reader: packets of a batch, or a step of the clock.
type order struct {
	work    *routed
	packets []uint16
	step    *step
}

// step takes all shards from one second to the next, or to the end: all have added their counts
// before one adds its keys, and all have added their keys before one goes on.
type step struct {
	second  int64
	first   bool          // there was no second before
	last    bool          // there is none to come
	read    capture.Stats // what was read before the step
	counted sync.WaitGroup
	keyed   sync.WaitGroup
}

// reader sorts the packets of a file by shard.
type reader struct {
	agent   *Agent
	src     capture.Source
	read    uint64 // frames sorted
	decoder decode.Decoder
	orders  []chan order
	free    chan *routed
	clock   clock
	sent    []int // of the current batch, how many packets of each shard
}

// runMany reads and decodes in one goroutine and analyses in others.
func (a *Agent) runMany(ctx context.Context, src capture.Source) error {
	n := len(a.shards)
	r := &reader{agent: a, src: src, free: make(chan *routed, batchesInFlight), sent: make([]int, n)}
	r.decoder.Decap = a.cfg.Decap
	for range batchesInFlight {
		r.free <- &routed{of: make([][]uint16, n)}
	}
	var running sync.WaitGroup
	for _, s := range a.shards {
		orders := make(chan order, 4*batchesInFlight)
		r.orders = append(r.orders, orders)
		running.Go(func() { s.obey(orders, r.free) })
	}
	err := r.run(ctx)
	if r.clock.running {
		r.step(&step{second: r.clock.second, last: true})
	}
	for _, orders := range r.orders {
		close(orders)
	}
	running.Wait()
	return err
}

// run hands the file's packets to the shards.
func (r *reader) run(ctx context.Context) error {
	for {
		w := <-r.free
		w.users.Store(1)
		err := r.src.ReadBatch(&w.batch)
		frames := w.batch.Frames
		if cap(w.packets) < len(frames) {
			w.packets = make([]analyze.Packet, len(frames))
			for i := range w.of {
				w.of[i] = make([]uint16, 0, len(frames))
			}
		}
		w.packets = w.packets[:cap(w.packets)]
		for i := range w.of {
			w.of[i], r.sent[i] = w.of[i][:0], 0
		}
		for i := range frames {
			r.route(w, i)
		}
		r.send(w)
		w.release(r.free)
		r.agent.frames.Add(int64(len(frames)))
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// route decodes frame i of a batch and puts it on its shard's list.
func (r *reader) route(w *routed, i int) {
	f := &w.batch.Frames[i]
	if second, moves := r.clock.moves(f.Time); moves {
		r.send(w)
		r.step(&step{second: second, first: !r.clock.running})
		r.clock.enter(second)
	}
	r.read++
	p := &w.packets[i]
	r.decoder.Decode(&p.Packet, f.Data, f.WireLen, uint16(f.Link), f.Time)
	p.Frame = f.Data
	shard := 0
	if p.Kind == decode.KindIP {
		shard = int(uint64(p.PairHash()) * uint64(len(w.of)) >> 32)
	}
	w.of[shard] = append(w.of[shard], uint16(i))
}

// send hands over what has been sorted so far.
func (r *reader) send(w *routed) {
	for i, list := range w.of {
		if part := list[r.sent[i]:]; len(part) > 0 {
			r.sent[i] = len(list)
			w.users.Add(1)
			r.orders[i] <- order{work: w, packets: part}
		}
	}
}

func (r *reader) step(st *step) {
	st.read = capture.Stats{Received: r.read, Discarded: r.src.Stats().Discarded}
	st.counted.Add(len(r.orders))
	st.keyed.Add(len(r.orders))
	for _, orders := range r.orders {
		orders <- order{step: st}
	}
}

func (w *routed) release(free chan<- *routed) {
	if w.users.Add(-1) == 0 {
		free <- w
	}
}

// obey does what the reader orders.
func (s *shard) obey(orders <-chan order, free chan<- *routed) {
	for o := range orders {
		if o.step != nil {
			s.stepTogether(o.step)
			continue
		}
		for _, i := range o.packets {
			s.add(&o.work.packets[i])
		}
		s.analyze()
		o.work.release(free)
	}
}

func (s *shard) stepTogether(st *step) {
	if st.first {
		s.enter(st.second)
		return
	}
	if st.last {
		s.finish()
	}
	if s.id == 0 {
		s.read = st.read
	}
	s.flushCounts()
	st.counted.Done()
	st.counted.Wait()
	if st.last || s.agent.keysDue(s.clock.second, st.second) {
		s.flushKeys()
	}
	st.keyed.Done()
	st.keyed.Wait()
	if !st.last {
		s.enter(st.second)
	}
}
