package agent

import (
	"context"
	"errors"
	"io"
	"math"
	"sync"

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
		frames, before := b.Frames, s.read.Received
		for i := range frames {
			f := &frames[i]
			if second, moves := s.clock.moves(f.Time); moves {
				if s.clock.running {
					s.read.Received, s.read.Discarded = before+uint64(i), src.Stats().Discarded
					s.step(second)
				} else {
					s.enter(second)
				}
			}
			s.frame(f.Data, f.WireLen, f.Link, f.Time)
		}
		s.analyze()
		s.read.Received = before + uint64(len(frames))
		a.frames.Add(int64(len(frames)))
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			if s.clock.running {
				s.read.Discarded = src.Stats().Discarded
				s.finish(s.newest)
				s.flush()
			}
			return err
		}
	}
}

// step takes a shard from one second to the next, or to the end.
type step struct {
	second  int64
	first   bool          // there was no second before
	last    bool          // there is none to come
	read    capture.Stats // what was read before the step
	newest  int64         // time of the newest frame before it, in nanoseconds
	meeting *meeting      // nil where no keys are due
}

// meeting is where the shards wait for each other: all have added their counts before one adds its keys, and
// all have added their keys before one goes on. Elsewhere a shard with more to do than the others in one
// second may have less in the next.
type meeting struct{ counted, keyed sync.WaitGroup }

// reader sorts the frames of a file by shard.
type reader struct {
	agent    *Agent
	src      capture.Source
	read     uint64 // frames sorted
	newest   int64  // time of the newest of them, in nanoseconds
	decoder  decode.Decoder
	exchange *exchange
	filling  []*parcel // for each shard
	clock    clock
}

// runMany reads in one goroutine and analyses in others.
func (a *Agent) runMany(ctx context.Context, src capture.Source) error {
	x := newExchange(len(a.shards))
	r := &reader{agent: a, src: src, newest: math.MinInt64, exchange: x}
	r.decoder.Decap = a.cfg.Decap
	var running sync.WaitGroup
	for _, s := range a.shards {
		r.filling = append(r.filling, x.take())
		running.Go(func() { s.obey(x) })
	}
	err := r.run(ctx)
	if r.clock.running {
		r.step(step{second: r.clock.second, last: true})
	}
	x.close()
	running.Wait()
	return err
}

// run hands the file's frames to the shards.
func (r *reader) run(ctx context.Context) error {
	var b capture.Batch
	for {
		err := r.src.ReadBatch(&b)
		r.sort(b.Frames)
		r.agent.frames.Add(int64(len(b.Frames)))
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// sort puts frames into the parcels for their shards.
func (r *reader) sort(frames []capture.Frame) {
	before := r.read
	for i := range frames {
		f := &frames[i]
		hash := r.decoder.PairHash(f.Data, uint16(f.Link))
		shard := uint64(hash) * uint64(len(r.filling)) >> 32
		if f.Time >= r.clock.start && f.Time < r.clock.end && r.filling[shard].addShort(f) {
			r.newest = max(r.newest, f.Time)
			continue
		}
		r.read = before + uint64(i)
		r.add(f, int(shard))
	}
	r.read = before + uint64(len(frames))
}

// add puts a frame into its shard's parcel, whatever must be done before.
func (r *reader) add(f *capture.Frame, shard int) {
	if second, moves := r.clock.moves(f.Time); moves {
		r.step(step{second: second, first: !r.clock.running})
		r.clock.enter(second)
	}
	r.newest = max(r.newest, f.Time)
	if !r.filling[shard].add(f) {
		r.send(shard)
		r.filling[shard].add(f)
	}
}

// send hands a parcel over and begins another.
func (r *reader) send(shard int) {
	r.exchange.send(shard, r.filling[shard])
	r.filling[shard] = r.exchange.take()
}

// step marks a step of the clock for all shards.
func (r *reader) step(st step) {
	st.newest = r.newest
	st.read = capture.Stats{Received: r.read, Discarded: r.src.Stats().Discarded}
	due := st.last || !st.first && r.agent.keysDue(r.clock.second, st.second)
	if due {
		st.meeting = new(meeting)
		st.meeting.counted.Add(len(r.filling))
		st.meeting.keyed.Add(len(r.filling))
	}
	for shard := range r.filling {
		if !r.filling[shard].mark(st) {
			r.send(shard)
			r.filling[shard].mark(st)
		}
	}
	if due {
		r.sendAll()
	}
}

// sendAll hands over all parcels, before it waits for others: shards that wait for each other need the
// parcels of all.
func (r *reader) sendAll() {
	for shard, p := range r.filling {
		r.exchange.send(shard, p)
	}
	for shard := range r.filling {
		r.filling[shard] = r.exchange.take()
	}
}

// obey does what the reader's parcels say.
func (s *shard) obey(x *exchange) {
	for p := range x.to[s.id] {
		at := uint(0)
		for i := range p.marks {
			m := &p.marks[i]
			s.unpack(p, at, m.at)
			at = m.at
			s.stepWith(&m.step)
		}
		s.unpack(p, at, p.n)
		s.analyze()
		x.done(s.id, p)
	}
}

// unpack takes the frames of a parcel from one place up to another.
func (s *shard) unpack(p *parcel, from, to uint) {
	frames, bytes := p.frames[from:to], p.bytes[:]
	if p.long != nil {
		bytes = p.long
	}
	for i := range frames {
		f := &frames[i]
		s.frame(bytes[f.start:f.end], f.wireLen, f.link, f.time)
	}
}

// stepWith takes the shard to another second, or to the end, as the reader says.
func (s *shard) stepWith(st *step) {
	if st.first {
		s.enter(st.second)
		return
	}
	s.analyze()
	if st.last {
		s.finish(st.newest)
	}
	if s.id == 0 {
		s.read = st.read
	}
	s.flushCounts()
	if m := st.meeting; m != nil {
		m.counted.Done()
		m.counted.Wait()
		s.flushKeys()
		m.keyed.Done()
		m.keyed.Wait()
	}
	if !st.last {
		s.enter(st.second)
	}
}
