package server

import (
	"runtime/debug"
	"sync"
	"time"
)

const (
	// reclaimFrom is after how many bytes of garbage memory is given back, reclaimAfter how long after that.
	reclaimFrom  = 64 << 20
	reclaimAfter = 10 * time.Second

	// What it takes to make a large view and a snapshot, about.
	largeGarbage    = 16 << 20
	snapshotGarbage = 512 << 10
)

// reclaim gives memory back to the system after answers used much of it. The runtime alone would do so
// over many minutes, and only after the next collection.
type reclaim struct {
	free func()

	mu      sync.Mutex
	garbage int
	pending bool
}

func newReclaim() *reclaim { return &reclaim{free: debug.FreeOSMemory} }

// note counts garbage.
func (r *reclaim) note(bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.garbage += bytes
	if r.garbage < reclaimFrom || r.pending {
		return
	}
	r.pending = true
	time.AfterFunc(reclaimAfter, func() {
		r.mu.Lock()
		r.garbage, r.pending = 0, false
		r.mu.Unlock()
		r.free()
	})
}
