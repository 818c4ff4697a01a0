package agent

import (
	"math"

	"pktvisor/capture"
	"pktvisor/decode"
	"pktvisor/linktype"
	"pktvisor/minute"
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
	filling []*parcel // for each shard
	chosen  []*choice // for each shard
	send    func(shard int)
}

// choice is the places of a shard's frames in a round of [reader.choose].
type choice struct {
	n      uint
	places [roundFrames]uint32
}

// roundFrames bounds a round: no file gives more frames in a batch.
const roundFrames = 1024

func (c *choice) add(place uint32) {
	c.places[c.n%roundFrames] = place
	c.n++
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
		filling: make([]*parcel, len(a.shards)), chosen: make([]*choice, len(a.shards)),
	}
	r.decoder.Decap = a.cfg.Decap
	for i := range r.filling {
		r.filling[i], r.chosen[i] = newParcel(), new(choice)
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
		if t := frames[i].Time; !r.clock.has(t) {
			second := floorSecond(t)
			if r.clock.running {
				r.agent.noteStep(int64(r.read)+1, r.clock.newest, second)
			}
			r.step(step{second: second, first: !r.clock.running}, reading, o)
			r.newest = r.clock.setBack(r.newest, second)
			r.clock.enter(second)
			// What is late does not move the clock: each shard looks for it among its own frames.
			r.clock.start = minute.Oldest(second) * nanos
		}
		n := r.choose(frames, i)
		i += n
		r.read += uint64(n)
		for shard, c := range r.chosen {
			if places := c.places[:c.n]; shard == reading {
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
	for _, c := range r.chosen {
		c.n = 0
	}
	frames = frames[:min(from+roundFrames, len(frames))]
	i := from
	for {
		if !r.decoder.Decap {
			i = r.chooseUsual(frames, i)
		}
		if i == len(frames) || frames[i].Time < r.clock.start || frames[i].Time >= r.clock.end {
			return i - from
		}
		f := &frames[i]
		r.newest = max(r.newest, f.Time)
		r.chosen[uint64(r.decoder.Spread(f.Data, f.WireLen, f.Link))*uint64(len(r.chosen))>>32].add(uint32(i))
		i++
	}
}

// chooseUsual is choose for frames as nearly all are, up to another one, of which it returns the place. It calls
// nothing, so that all that it needs stays in registers.
func (r *reader) chooseUsual(frames []capture.Frame, from int) int {
	chosen, shards := r.chosen, uint64(len(r.chosen))
	start, end, newest := r.clock.start, r.clock.end, r.newest
	i := from
	for ; i < len(frames); i++ {
		f := &frames[i]
		if f.Time < start || f.Time >= end || f.Link != linktype.Ethernet || len(f.Data) < len(decode.EthernetIP{}) {
			break
		}
		var sum decode.AddrSum
		if b := (*decode.EthernetIP)(f.Data); b.Is4() {
			sum = b.Sum4()
		} else if b.Is6() {
			sum = b.Sum6()
		} else {
			break
		}
		newest = max(newest, f.Time)
		chosen[uint64(sum.Spread())*shards>>32].add(uint32(i))
	}
	r.newest = newest
	return i
}

// pack copies the frames at the given places for a shard.
func (r *reader) pack(shard int, frames []capture.Frame, places []uint32) {
	for len(places) > 0 {
		if n := r.filling[shard].addShort(frames, places); n > 0 {
			places = places[n:]
			continue
		}
		if f := &frames[places[0]]; !r.filling[shard].add(f) {
			r.send(shard)
			r.filling[shard].add(f)
		}
		places = places[1:]
	}
}

// end marks the end of the file for all shards, if there was a frame.
func (r *reader) end(reading int, o *own) {
	if r.clock.running {
		r.step(step{second: r.clock.newest, last: true}, reading, o)
	}
}

// step marks a step of the clock for all shards.
func (r *reader) step(st step, reading int, o *own) {
	st.newest = r.newest
	st.read = capture.Stats{Received: r.read, Discarded: r.src.Stats().Discarded}
	if st.last || !st.first && r.agent.due(r.clock.newest, st.second) {
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
