package capture

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// restingRing is a ring of which no block is filled.
func restingRing(blocks int) *ring {
	r := &ring{status: make([]*uint32, blocks)}
	for i := range r.status {
		r.status[i] = new(uint32)
	}
	return r
}

// TestRest: the reader rests if frames came, shorter if the ring fills, and not with a small ring.
func TestRest(t *testing.T) {
	for name, c := range map[string]struct {
		blocks, taken int
		filled        int // blocks that the kernel fills 35 ms later
		slept         time.Duration
		ready         bool
	}{
		"nothing came":         {128, 0, 0, 0, false},
		"few, and fewer":       {128, 1, 1, restTime, true},
		"few, and none":        {128, 1, 0, restTime, false},
		"few, and less than 4": {128, 1, 3, restTime, true},
		"few, and 4":           {128, 1, 4, 40 * time.Millisecond, true},
		"not late yet":         {128, 8, 0, restTime, false},
		"late":                 {128, 9, 3, 0, false},
		"the smallest to rest": {16, 1, 2, 40 * time.Millisecond, true},
		"too small to rest":    {15, 9, 2, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := restingRing(c.blocks)
				r.block, r.taken = c.blocks-1, c.taken // the next block is the last one, before the ring wraps around
				begin := time.Now()
				time.AfterFunc(35*time.Millisecond, func() {
					for i := range c.filled {
						atomic.StoreUint32(r.status[(r.block+i)%c.blocks], unix.TP_STATUS_USER)
					}
				})
				if ready := r.rest(); ready != c.ready || time.Since(begin) != c.slept {
					t.Errorf("ready %v after %v, want %v after %v", ready, time.Since(begin), c.ready, c.slept)
				}
				if r.rest(); time.Since(begin) != c.slept {
					t.Error("it rests again although no block was taken")
				}
			})
		})
	}
}

// TestRestAsks: not every rest says that there are frames, so that the interface is asked about even under load.
func TestRestAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := restingRing(128)
		atomic.StoreUint32(r.status[0], unix.TP_STATUS_USER)
		asked := 0
		for range 10 * askEvery {
			r.taken = 1
			if !r.rest() {
				asked++
			}
		}
		if asked != 10 {
			t.Errorf("%d of %d rests ask, want 10", asked, 10*askEvery)
		}
	})
}

// TestRestHurry: a reader that was late does not rest for a second.
func TestRestHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := restingRing(128)
		begin := time.Now()
		r.taken = hurryBlocks + 1
		r.rest()
		for _, want := range []time.Duration{hurryTime - 1, hurryTime + restTime} {
			time.Sleep(hurryTime - time.Since(begin) - 1)
			if want > hurryTime {
				time.Sleep(time.Nanosecond)
			}
			r.taken = 1
			if r.rest(); time.Since(begin) != want {
				t.Errorf("%v after it was late, want %v", time.Since(begin), want)
			}
		}
	})
}
