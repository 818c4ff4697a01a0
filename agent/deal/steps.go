package deal

import (
	"sync"

	"pktvisor/capture"
)

// Step takes the clock of all shards from one second to the next, or to the end of the file.
type Step struct {
	// At is how many of the work's frames come before the step.
	At int
	// Second is the second to enter (Unix time). First is set if there was none before, Last if none follows.
	Second      int64
	First, Last bool
	// Newest is the time of the newest frame before the step, in nanoseconds since the Unix epoch. Read is what the
	// source had counted by then.
	Newest int64
	Read   capture.Stats
	// Barrier is nil where the shards need not wait for each other.
	Barrier *Barrier
}

// Barrier makes all shards flush their counts before any flushes its keys, and all flush their keys before any
// continues. Each shard calls Counted, then Keyed. Both do nothing on a nil barrier.
type Barrier struct{ counts, keys sync.WaitGroup }

func newBarrier(shards int) *Barrier {
	b := new(Barrier)
	b.counts.Add(shards)
	b.keys.Add(shards)
	return b
}

// Counted waits until all shards have flushed their counts.
func (b *Barrier) Counted() {
	if b != nil {
		b.counts.Done()
		b.counts.Wait()
	}
}

// Keyed waits until all shards have flushed their keys.
func (b *Barrier) Keyed() {
	if b != nil {
		b.keys.Done()
		b.keys.Wait()
	}
}

// TimeStep is a place in a file where a frame's time is far from that of the frames before it.
type TimeStep struct {
	Frame    int64 // its number among the frames that were read, from 1 on
	From, To int64 // Unix times: the latest before it, and its own
}

// maxTimeSteps is the number of time steps that are kept.
const maxTimeSteps = 4

// timeSteps are the time steps of a file.
type timeSteps struct {
	far   int64 // in seconds: from there on a step forward is kept
	first []TimeStep
	n     int
}

// note records a step of the clock, unless it is one forward that is not far.
func (s *timeSteps) note(st TimeStep) {
	if st.To > st.From && st.To-st.From < s.far {
		return
	}
	s.n++
	if len(s.first) < maxTimeSteps {
		s.first = append(s.first, st)
	}
}
