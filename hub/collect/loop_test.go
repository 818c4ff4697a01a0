package collect

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestItself: a hub that is given as its own agent is refused, and nothing of it is stored.
func TestItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("hub")
		inner := f.server
		var list atomic.Value
		list.Store("7,a1,,zz")
		f.server = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(HubsHeader, list.Load().(string))
			inner.ServeHTTP(w, r)
		})
		inWorld(t, Config{Self: 0xa1}, []*fake{f}, 2*time.Second, func(w *world) {
			w.wait(3*time.Minute + 20*time.Second)
			if s := w.status("hub"); s.State != Refused || s.Refused[Loop] == 0 || !strings.Contains(s.Error, "loop") || len(w.shelf.all()) > 0 {
				t.Errorf("%+v, %d stored", s, len(w.shelf.all()))
			}
			if got := w.c.Hubs(); got != "a1" {
				t.Errorf("hubs %s", got)
			}
			list.Store("7,b2,,zz") // of the others
			w.wait(2 * time.Minute)
			if s := w.status("hub"); s.State != Up || len(w.shelf.all()) != len(f.minutes) {
				t.Errorf("%+v, %d stored", s, len(w.shelf.all()))
			}
			if got := w.c.Hubs(); got != "a1,7,b2" {
				t.Errorf("hubs %s", got)
			}
			f.set(func() { f.down = errDown })
			w.wait(hubFor + time.Minute)
			if got := w.c.Hubs(); got != "a1" {
				t.Errorf("hubs %s after they are gone", got)
			}
		})
	})
}

// TestRing: of hubs in a ring, at least one refuses the next one for as long as the ring exists.
func TestRing(t *testing.T) {
	for _, n := range []int{2, 3, 5} {
		synctest.Test(t, func(t *testing.T) {
			hubs := make([]atomic.Pointer[Collector], n)
			var add func(i int)
			add = func(i int) {
				if i == n {
					time.Sleep(3 * time.Hour)
					for range 10 {
						time.Sleep(time.Minute)
						refused := 0
						for i := range hubs {
							if hubs[i].Load().Status()[0].State == Refused {
								refused++
							}
						}
						if refused == 0 || refused == n {
							t.Errorf("%d of %d hubs refuse the next one", refused, n)
						}
					}
					return
				}
				f := newFake(fmt.Sprint("hub", i))
				inner := f.server
				f.server = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if c := hubs[(i+1)%n].Load(); c != nil { // it has been started
						w.Header().Set(HubsHeader, c.Hubs())
					}
					inner.ServeHTTP(w, r)
				})
				inWorld(t, Config{Self: uint64(i + 1)}, []*fake{f}, 2*time.Second, func(w *world) {
					hubs[i].Store(w.c)
					add(i + 1)
				})
			}
			add(0)
		})
	}
}
