package collect

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestFirstMinute: an agent that has only the minute that was fetched to learn its name is known by that name at once.
func TestFirstMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		var held atomic.Bool
		cfg := Config{
			Partition: func(string) int { return 0 },
			Leased:    func(int) bool { return held.Load() },
			Newest:    func(context.Context, string) int64 { return 0 },
		}
		inWorld(t, cfg, []*fake{f}, 2*time.Second, func(w *world) {
			w.wait(time.Minute - time.Second)
			held.Store(true)
			w.wait(30 * time.Second)
			if s := w.status("a"); len(s.Hosts) != 1 || s.Hosts[0] != "a" || s.Fetched != 1 || s.Bytes == 0 || s.Agent == "" {
				t.Errorf("%+v", s)
			}
		})
	})
}

// TestTakeOver: an agent that this hub gets from another is asked at once, not with its next minute.
func TestTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		var held atomic.Bool
		moved := make(chan struct{}, 1)
		cfg := Config{
			Partition: func(string) int { return 0 },
			Leased:    func(int) bool { return held.Load() },
			Moved:     moved,
		}
		inWorld(t, cfg, []*fake{f}, 2*time.Second, func(w *world) {
			w.wait(2*time.Minute + 10*time.Second)
			if s := w.status("a"); s.State != Elsewhere || s.Fetched != 0 {
				t.Errorf("without a lease: %+v", s)
			}
			held.Store(true)
			moved <- struct{}{}
			w.wait(5 * time.Second)
			if s := w.status("a"); s.State != Up || s.Fetched != 2 {
				t.Errorf("after the takeover: %+v", s)
			}
			w.wait(time.Minute)
			if s := w.status("a"); s.Fetched != 3 {
				t.Errorf("a minute later: %+v", s)
			}
		})
	})
}
