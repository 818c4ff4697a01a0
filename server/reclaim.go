package server

import (
	"runtime/debug"
	"sync"
	"time"
)

const (
	// Memory is returned to the system reclaimAfter after reclaimFrom bytes of garbage have accumulated.
	reclaimFrom  = 64 << 20
	reclaimAfter = 10 * time.Second

	// About how many bytes of garbage a large view and a snapshot leave.
	largeGarbage    = 16 << 20
	snapshotGarbage = 512 << 10
)

// reclaim returns memory to the system after answers have used much of it. The runtime alone would take many minutes,
// and would start only after the next collection.
type reclaim struct {
	free func()

	mu      sync.Mutex
	garbage int
	pending bool
}

func newReclaim() *reclaim { return &reclaim{free: debug.FreeOSMemory} }

// note counts garbage, and schedules a reclaim if there is enough of it.
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
