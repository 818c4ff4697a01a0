package server

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/agent"
	"pktvisor/window"
)

// TestCacheEvicts: a full cache drops pages for new ones. It keeps the newest page and does not make it again. It holds
// as many pages as fit. It makes dropped pages again.
func TestCacheEvicts(t *testing.T) {
	const size, room = 1000, 20 // a page counts one and a half times its length
	c := newCache(newTurns(), newReclaim(), room*size*3/2)
	made := 0
	get := func(view int) {
		t.Helper()
		p, err := c.get(t.Context(), slotKey{view: view}, "version", false, typeJSON, func() ([]byte, error) {
			made++
			return bytes.Repeat([]byte{'x'}, size), nil
		})
		if err != nil || len(p.body) != size {
			t.Fatalf("view %d: %v", view, err)
		}
	}
	for view := range 3 * room {
		get(view)
		get(view)
		if made != view+1 {
			t.Fatalf("view %d: the page was not kept", view)
		}
		if want := min(view+1, room) * size * 3 / 2; c.size() != want {
			t.Fatalf("view %d: %d bytes are kept, want %d", view, c.size(), want)
		}
	}
	var kept []int
	for view := range 3 * room {
		if _, ok := c.slots[slotKey{view: view}]; ok {
			kept = append(kept, view)
		}
	}
	if len(kept) != room || !slices.Contains(kept, 3*room-1) {
		t.Fatalf("views %v are kept, want %d with the newest", kept, room)
	}
	for view := range 3 * room {
		if !slices.Contains(kept, view) {
			made = 0
			if get(view); made != 1 {
				t.Errorf("view %d: dropped, but not made again", view)
			}
			break
		}
	}
}

// TestViewsAreBounded: however many views clients ask for, the server keeps at most maxViewBytes of them.
func TestViewsAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 10,000 views")
	}
	s, _ := ofMinutes(600, 660, 720, 780)
	h, most, asked := s.Handler(), 0, 0
	for i := 0; asked < maxViewBytes*5/4; i++ {
		path := fmt.Sprintf("/api/v1/metrics/bucket/%d?rows=%d", 1+i%4, 1+i/4)
		got := ask(h, path)
		if got.Code != 200 || i/4 >= maxRows {
			t.Fatalf("%s: %d", path, got.Code)
		}
		asked += got.Body.Len() * 3 / 2
		most = max(most, s.views.size())
	}
	if most > maxViewBytes || most < maxViewBytes*9/10 {
		t.Errorf("up to %d bytes of views were kept, want nearly %d", most, maxViewBytes)
	}
}

// TestScrapesAtOnce: there are never more scrapes at once than turns, whatever part of the metrics clients choose. The
// other requests wait for a turn.
func TestScrapesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var now, most, made int
		s := New(Config{
			Window: window.New(window.Config{Tables: agent.Tables, Periods: 5, Shards: 1, DeepSamplePercent: 100}), Tables: agent.Tables, Sources: agent.SourceTable, Started: time.Now(),
			Status: func() Status { // called once for each scrape
				mu.Lock()
				now++
				made, most = made+1, max(most, now)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				now--
				mu.Unlock()
				return Status{}
			},
		})
		s.turns.all = make(lock, 3)
		s.views.turns, s.sealed.turns, s.scrapes.turns = s.turns, s.turns, s.turns
		h := s.Handler()
		var clients sync.WaitGroup
		codes := make([]int, 12)
		start := time.Now()
		for i := range codes {
			clients.Go(func() {
				path := fmt.Sprintf("/metrics?name[]=pktvisor_sources&name[]=go_goroutines&client=%d", i)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
				codes[i] = w.Code
			})
		}
		clients.Wait()
		if most != 3 || made != len(codes) {
			t.Errorf("%d scrapes were made, %d at once; want %d, 3 at once", made, most, len(codes))
		}
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("12 scrapes of a second took %v, three at a time", took)
		}
		if slices.Max(codes) != 200 || slices.Min(codes) != 200 {
			t.Errorf("answers %v", codes)
		}
		// Of all metrics, there is one scrape a second, however many clients there are.
		made = 0
		for i := range 12 {
			clients.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				ask(h, "/metrics")
			})
		}
		clients.Wait()
		if made != 1 {
			t.Errorf("%d scrapes for 12 clients of the same second", made)
		}
		time.Sleep(time.Minute)
	})
}
