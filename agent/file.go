package agent

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"pktvisor/capture"
)

// RunFile summarises the frames of a file, until its end or until ctx is done, and leaves the result in the
// window. Whatever was read before an error is in the window too; the errors are those of
// [capture.Source.ReadBatch], and ctx's.
func (a *Agent) RunFile(ctx context.Context, src capture.Source) error {
	var err error
	src = splitMSDUs(src)
	if len(a.shards) == 1 {
		err = a.runOne(ctx, src)
	} else {
		err = a.runMany(ctx, src)
	}
	a.window.Finish()
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
			if !s.clock.has(f.Time) {
				s.read.Received, s.read.Discarded = before+uint64(i), src.Stats().Discarded
				s.stepTo(floorSecond(f.Time))
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

// stepTo goes on to another second, which is that of the next packet in a file.
func (s *shard) stepTo(second int64) {
	if !s.clock.running {
		s.enter(second)
		return
	}
	if !s.clock.late(second) {
		s.agent.noteStep(int64(s.read.Received)+1, s.clock.newest, second)
	}
	s.step(second)
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
type meeting struct {
	counted, keyed sync.WaitGroup
	// due are the keys, by shard and analyzer, that somebody may flush, and nobody has begun to.
	due [][]atomic.Bool
}

func newMeeting(shards []*shard) *meeting {
	m := &meeting{due: make([][]atomic.Bool, len(shards))}
	for i, s := range shards {
		m.due[i] = make([]atomic.Bool, len(s.parts))
	}
	m.counted.Add(len(shards))
	m.keyed.Add(len(shards))
	return m
}

// runMany has all shards read and analyse: one that runs short of work reads for all.
func (a *Agent) runMany(ctx context.Context, src capture.Source) error {
	x := newExchange(a, src)
	var running sync.WaitGroup
	for _, s := range a.shards {
		running.Go(func() { s.obey(ctx, x) })
	}
	running.Wait()
	return x.reader.err
}

// obey does what there is to do for the shard, until the file ends.
func (s *shard) obey(ctx context.Context, x *exchange) {
	for {
		w, ok := x.next(ctx, s.id)
		if !ok {
			return
		}
		if p := w.parcel; p != nil {
			s.follow(p.marks, p.n, func(from, to uint) { s.unpack(p, from, to) })
		} else {
			s.follow(w.own.marks, uint(len(w.own.places)), func(from, to uint) { s.pick(w.own, from, to) })
		}
		x.done(s.id, w)
	}
}

// follow takes n frames, by calls of take with the first and the end, and the steps of the clock between them.
func (s *shard) follow(marks []mark, n uint, take func(from, to uint)) {
	from := uint(0)
	for i := range marks {
		m := &marks[i]
		take(from, m.at)
		from = m.at
		s.stepWith(&m.step)
	}
	take(from, n)
	s.analyze()
}

// pick takes the shard's own frames of a batch, from one place up to another.
func (s *shard) pick(o *own, from, to uint) {
	frames := o.batch.Frames
	for _, at := range o.places[from:to] {
		f := &frames[at]
		if !s.clock.has(f.Time) {
			s.step(floorSecond(f.Time)) // it is late, or the first that is not late again
		}
		s.frame(f.Data, f.WireLen, f.Link, f.Time)
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
		if !s.clock.has(f.time) {
			s.step(floorSecond(f.time))
		}
		s.frame(bytes[f.start:f.end], f.wireLen, f.link, f.time)
	}
}

// stepWith takes the shard to another second, or to the end, as the shard that read says.
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
	if m := st.meeting; m == nil {
		s.endSecond()
		s.look()
	} else {
		s.flushCounts()
		m.counted.Done()
		m.counted.Wait()
		s.flushDue(m)
		m.keyed.Done()
		m.keyed.Wait()
	}
	if !st.last {
		s.enter(st.second)
	}
}

// flushDue adds the keys that the shard has counted, and then some of a shard that has more to add than this one.
func (s *shard) flushDue(m *meeting) {
	s.readCounts()
	for i := range m.due[s.id] {
		m.due[s.id][i].Store(true)
	}
	shards := s.agent.shards
	for n := range shards {
		of := shards[(s.id+n)%len(shards)]
		for i := range of.parts {
			// Not all begin with the same analyzer: they would wait for each other.
			i = (s.id + i) % len(of.parts)
			if m.due[of.id][i].CompareAndSwap(true, false) {
				of.parts[i].FlushKeys(true, of.parts[i])
			}
		}
	}
}
