package deal

import (
	"pktvisor/agent/clock"
	"pktvisor/capture"
	"pktvisor/decode"
	"pktvisor/linktype"
)

// reader reads a file and sorts its frames by shard. Only the shard that reads at the moment uses it.
type reader struct {
	cfg     Config
	read    uint64 // frames sorted
	newest  int64  // time of the newest of these frames, in nanoseconds since the Unix epoch
	clock   clock.Clock
	steps   *timeSteps
	decoder decode.Decoder
	filling []*Work   // the parcel that is being filled, for each shard
	chosen  []*choice // one for each shard
	send    func(shard int)
}

// choice is the indexes of a shard's frames in a batch, for one round of [reader.choose].
type choice struct {
	n      uint
	places [roundFrames]uint32
}

// roundFrames is the maximum number of frames in a round. A file source returns no larger batch.
const roundFrames = 1024

func (c *choice) add(place int) {
	c.places[c.n%roundFrames] = uint32(place)
	c.n++
}

func newReader(cfg Config, steps *timeSteps, send func(shard int)) *reader {
	r := &reader{cfg: cfg, newest: clock.Never, steps: steps, send: send}
	r.decoder.Decap = cfg.Decap
	for range cfg.Shards {
		r.filling, r.chosen = append(r.filling, newParcel()), append(r.chosen, new(choice))
	}
	return r
}

// next reads a batch. The frames of the shard that reads stay in w. Those of the other shards go into the parcels that are
// being filled.
func (r *reader) next(reading int, w *Work) error {
	err := r.cfg.Source.ReadBatch(&w.batch)
	frames := w.batch.Frames
	w.Frames, w.Steps = frames[:0], w.Steps[:0]
	start, end := r.clock.Span()
	for i := 0; i < len(frames); {
		if t := frames[i].Time; !r.clock.Running || t < start || t >= end {
			r.enter(clock.Second(t), reading, w)
			start, end = r.clock.Span()
		}
		n := 0
		if len(r.chosen) == 1 {
			n = r.sameSecond(frames[i:], start, end)
			w.Frames = w.Frames[:i+n]
		} else {
			n = r.choose(frames, i, start, end)
			r.distribute(frames, reading, w)
		}
		i += n
		r.read += uint64(n)
	}
	return err
}

// sameSecond returns the number of frames before the first one that moves the clock. It is not inlined, so that the variables
// of its loop stay in registers.
//
//go:noinline
func (r *reader) sameSecond(frames []capture.Frame, start, end int64) int {
	i, newest := 0, r.newest
	for ; i < len(frames) && frames[i].Time >= start && frames[i].Time < end; i++ {
		newest = max(newest, frames[i].Time)
	}
	r.newest = newest
	return i
}

// choose finds the shards of the frames from index from on, up to the first one that moves the clock, and returns the number
// of these frames. It does nothing else with the frames. So no branch of its loop depends on the shard, which the CPU could
// not predict.
func (r *reader) choose(frames []capture.Frame, from int, start, end int64) int {
	for _, c := range r.chosen {
		c.n = 0
	}
	chosen, shards, newest := r.chosen, uint64(len(r.chosen)), r.newest
	frames = frames[:min(from+roundFrames, len(frames))]
	i := from
	for ; i < len(frames); i++ {
		f := &frames[i]
		if f.Time < start || f.Time >= end {
			break
		}
		newest = max(newest, f.Time)
		spread := uint32(0)
		if f.Link != linktype.Ethernet || len(f.Data) < len(decode.EthernetIP{}) || r.decoder.Decap {
			spread = r.decoder.Spread(f.Data, f.WireLen, f.Link)
		} else if b := (*decode.EthernetIP)(f.Data); b.Is4() {
			spread = b.Sum4().Spread()
		} else if b.Is6() {
			spread = b.Sum6().Spread()
		} else {
			spread = r.decoder.Spread(f.Data, f.WireLen, f.Link)
		}
		chosen[uint64(spread)*shards>>32].add(i)
	}
	r.newest = newest
	return i - from
}

// distribute copies the chosen frames of the other shards, and keeps those of the shard that reads.
func (r *reader) distribute(frames []capture.Frame, reading int, w *Work) {
	for shard, c := range r.chosen {
		if shard != reading {
			r.pack(shard, frames, c.places[:c.n])
		}
	}
	// The bytes stay where they are. Only the descriptions of the frames move up, over those of frames that are finished.
	own := r.chosen[reading]
	n := len(w.Frames)
	w.Frames = w.Frames[:n+int(own.n)]
	kept := w.Frames[n:]
	for i, at := range own.places[:own.n] {
		kept[i] = frames[at]
	}
}

// pack copies the frames at the given indexes into a shard's parcels.
func (r *reader) pack(shard int, frames []capture.Frame, places []uint32) {
	for _, at := range places {
		if f := &frames[at]; !r.filling[shard].add(f) {
			r.send(shard)
			r.filling[shard].add(f)
		}
	}
}

// enter moves the clocks of all shards to another second.
func (r *reader) enter(second int64, reading int, w *Work) {
	if r.clock.Running {
		r.steps.note(TimeStep{int64(r.read) + 1, r.clock.Newest, second})
	}
	r.step(Step{Second: second}, reading, w)
	r.newest = r.clock.SetBack(r.newest, second)
	r.clock.Enter(second)
}

// end moves the clocks of all shards to the end of the file, if there was a frame.
func (r *reader) end(reading int, w *Work) {
	if r.clock.Running {
		r.step(Step{Second: r.clock.Newest, Last: true}, reading, w)
	}
}

// step adds a step of the clock to the work of all shards.
func (r *reader) step(st Step, reading int, w *Work) {
	st.Newest = r.newest
	st.Read = capture.Stats{Received: r.read, Discarded: r.cfg.Source.Stats().Discarded}
	if st.Last || r.clock.Running && r.cfg.KeysDue(r.clock.Newest, st.Second) {
		st.Barrier = new(Barrier)
		st.Barrier[0].Add(len(r.filling))
		st.Barrier[1].Add(len(r.filling))
	}
	for shard, p := range r.filling {
		if shard == reading {
			st.At = len(w.Frames)
			w.Steps = append(w.Steps, st)
		} else if !p.step(st) {
			r.send(shard)
			r.filling[shard].step(st)
		}
	}
}

// TimeStep is a place in a file where a frame's time is far from the times of the frames before it.
type TimeStep struct {
	Frame    int64 // the number of the frame among all that were read, counted from 1
	From, To int64 // Unix times: the latest before the frame, and the frame's own
}

// maxTimeSteps is the greatest number of time steps that are kept.
const maxTimeSteps = 4

// timeSteps are the time steps of a file that are worth a mention.
type timeSteps struct {
	far   int64 // a step forward by so many seconds or more is kept
	first []TimeStep
	n     int
}

// note records a step of the clock, unless it goes forward by less than s.far.
func (s *timeSteps) note(st TimeStep) {
	if st.To > st.From && st.To-st.From < s.far {
		return
	}
	s.n++
	if len(s.first) < maxTimeSteps {
		s.first = append(s.first, st)
	}
}
