package agent

import (
	"math"

	"pktvisor/capture"
	"pktvisor/decode"
)

// reader reads a file and sorts its frames by shard. It belongs to one shard at a time.
type reader struct {
	agent   *Agent
	src     capture.Source
	err     error  // why reading has ended
	read    uint64 // frames sorted
	newest  int64  // time of the newest of them, in nanoseconds
	clock   clock
	decoder decode.Decoder
	filling []*parcel  // for each shard
	places  [][]uint32 // for each shard, its frames of a batch
	send    func(shard int)
}

// own are the frames of a batch that are for the shard that has read it, and the steps of the clock between
// them. They stay where they are.
type own struct {
	batch  capture.Batch
	places []uint32 // in the batch
	marks  []mark
}

func newReader(a *Agent, src capture.Source, send func(shard int)) *reader {
	r := &reader{
		agent: a, src: src, newest: math.MinInt64, send: send,
		filling: make([]*parcel, len(a.shards)), places: make([][]uint32, len(a.shards)),
	}
	r.decoder.Decap = a.cfg.Decap
	for i := range r.filling {
		r.filling[i] = newParcel()
	}
	return r
}

// next reads a batch for the given shard, the frames for the others into the parcels that are being filled. At
// the end err is set.
func (r *reader) next(shard int, o *own) {
	r.err = r.src.ReadBatch(&o.batch)
	r.sort(shard, o)
	r.agent.frames.Add(int64(len(o.batch.Frames)))
}

// sort puts the frames of a batch where their shards will find them.
func (r *reader) sort(reading int, o *own) {
	o.places, o.marks = o.places[:0], o.marks[:0]
	frames := o.batch.Frames
	for i := 0; i < len(frames); {
		if second, moves := r.clock.moves(frames[i].Time); moves {
			r.step(step{second: second, first: !r.clock.running}, reading, o)
			r.clock.enter(second)
		}
		n := r.choose(frames, i)
		i += n
		r.read += uint64(n)
		for shard, places := range r.places {
			if shard == reading {
				o.places = append(o.places, places...)
			} else {
				r.pack(shard, frames, places)
			}
		}
	}
}

// choose finds the shards of the frames from a place on, up to one that moves the clock, and returns how many:
// apart from what is done with them, so that no branch is on the shard, which cannot be foreseen.
func (r *reader) choose(frames []capture.Frame, from int) (n int) {
	for i := range r.places {
		if cap(r.places[i]) < len(frames) {
			r.places[i] = make([]uint32, 0, len(frames))
		}
		r.places[i] = r.places[i][:0]
	}
	places, shards, newest := r.places, uint64(len(r.places)), r.newest
	for i := from; i < len(frames); i++ {
		f := &frames[i]
		if f.Time < r.clock.start || f.Time >= r.clock.end {
			break
		}
		newest = max(newest, f.Time)
		hash := r.decoder.PairHash(f.Data, uint16(f.Link))
		to := &places[uint64(hash)*shards>>32]
		*to = (*to)[:len(*to)+1]
		(*to)[len(*to)-1] = uint32(i)
		n++
	}
	r.newest = newest
	return n
}

// pack copies the frames at the given places for a shard.
func (r *reader) pack(shard int, frames []capture.Frame, places []uint32) {
	for _, at := range places {
		if f := &frames[at]; !r.filling[shard].addShort(f) && !r.filling[shard].add(f) {
			r.send(shard)
			r.filling[shard].add(f)
		}
	}
}

// end marks the end of the file for all shards, if there was a frame.
func (r *reader) end(reading int, o *own) {
	if r.clock.running {
		r.step(step{second: r.clock.second, last: true}, reading, o)
	}
}

// step marks a step of the clock for all shards.
func (r *reader) step(st step, reading int, o *own) {
	st.newest = r.newest
	st.read = capture.Stats{Received: r.read, Discarded: r.src.Stats().Discarded}
	if st.last || !st.first && r.agent.keysDue(r.clock.second, st.second) {
		st.meeting = newMeeting(r.agent.shards)
	}
	for shard := range r.filling {
		if shard == reading {
			o.marks = append(o.marks, mark{uint(len(o.places)), st})
			continue
		}
		if !r.filling[shard].mark(st) {
			r.send(shard)
			r.filling[shard].mark(st)
		}
	}
}
