package deal

import (
	"sync"

	"pktvisor/capture"
)

// The size of a parcel. Only a parcel of a single longer frame has more bytes.
const (
	parcelBytes  = 56 << 10
	parcelFrames = 512
	parcelSteps  = 128
)

// Work is frames for one shard in the order of the file, and the steps of the clock between them. It is valid until
// [Deal.Done].
type Work struct {
	Frames []capture.Frame
	Steps  []Step

	// The shard that reads a batch uses its own frames in place. The other shards get copies in a parcel, which has its own
	// memory: it would be slow to fetch single frames from the cache of another CPU.
	batch  capture.Batch
	parcel []byte // nil if the work is a batch
	used   int    // bytes of the parcel
}

func newParcel() *Work {
	return &Work{
		Frames: make([]capture.Frame, 0, parcelFrames), Steps: make([]Step, 0, parcelSteps), parcel: make([]byte, parcelBytes),
	}
}

// add copies a frame into the parcel, and reports whether there was room for it. A frame that is longer than a parcel gets a
// parcel of its own.
func (w *Work) add(f *capture.Frame) bool {
	n := len(w.Frames)
	if n == cap(w.Frames) {
		return false
	}
	var data []byte
	if size := len(f.Data); size <= len(w.parcel)-w.used {
		data = w.parcel[w.used : w.used+size : w.used+size]
	} else if n == 0 {
		data = make([]byte, size)
	} else {
		return false
	}
	copy(data, f.Data)
	w.used += len(data)
	w.Frames = w.Frames[:n+1]
	to := &w.Frames[n]
	to.Data, to.Time, to.WireLen, to.Link = data, f.Time, f.WireLen, f.Link
	return true
}

// step adds a step of the clock to a parcel, and reports whether there was room for it.
func (w *Work) step(st Step) bool {
	if len(w.Steps) == cap(w.Steps) {
		return false
	}
	st.At = len(w.Frames)
	w.Steps = append(w.Steps, st)
	return true
}

// reset makes a parcel empty.
func (w *Work) reset() { w.Frames, w.Steps, w.used = w.Frames[:0], w.Steps[:0], 0 }

func (w *Work) empty() bool { return len(w.Frames) == 0 && len(w.Steps) == 0 }

// Step moves the clocks of all shards to another second, or to the end of the file.
type Step struct {
	// At is the number of the work's frames that come before the step.
	At int
	// Second is the second to enter (Unix time). Last means that the file ends instead.
	Second int64
	Last   bool
	// Newest is the time of the newest frame before the step, in nanoseconds since the Unix epoch. Read contains the
	// counters of the source before the step.
	Newest int64
	Read   capture.Stats
	// Barrier is nil if the shards need not wait for each other.
	Barrier *Barrier
}

// Barrier makes all shards flush their counts before any flushes its keys, and all flush their keys before any
// continues.
type Barrier [2]sync.WaitGroup

// Wait waits until all shards have flushed their counts (half 0) or keys (half 1). It does nothing on a nil barrier.
func (b *Barrier) Wait(half int) {
	if b != nil {
		b[half].Done()
		b[half].Wait()
	}
}
