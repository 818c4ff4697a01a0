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
