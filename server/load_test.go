package server

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"pktvisor/agent"
	"pktvisor/metric"
	"pktvisor/window"
)

// ofMinutes returns a server of a window with the minutes that start at the given times, in this order.
func ofMinutes(starts ...int64) (*Server, *window.Window) {
	w := window.New(window.Config{Tables: agent.Tables, Periods: 1440, Shards: 1, DeepSamplePercent: 100})
	var sealed []*metric.Bucket
	for _, start := range starts {
		b := metric.NewBucket(agent.Tables)
		b.Start, b.End = start, start+60
		b.Seal(8)
		sealed = append(sealed, b)
	}
	w.Restore(sealed, 0)
	return New(Config{Window: w, Tables: agent.Tables, Sources: agent.SourceTable, Status: func() Status { return Status{} }, Started: time.Now()}), w
}

func ask(h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// startsOf returns the start times of the snapshots in an answer.
func startsOf(t *testing.T, body []byte) (starts []int64) {
	t.Helper()
	for len(body) > 0 {
		one, rest, err := metric.NextSnapshot(body)
		if err != nil {
			t.Fatal(err)
		}
		info, err := metric.ReadSnapshotInfo(one)
		if err != nil {
			t.Fatal(err)
		}
		starts, body = append(starts, info.Start), rest
	}
	return starts
}

// follow reads all answers from a path on, following their links. It returns the start times and the number of answers.
func follow(t *testing.T, h http.Handler, query string) (starts []int64, answers int) {
	t.Helper()
	for query != "" && answers < 1000 { // a link that points back would never end
		got := ask(h, "/api/v1/snapshots"+query)
		if got.Code != 200 {
			t.Fatalf("%s: %d %s", query, got.Code, got.Body)
		}
		starts = append(starts, startsOf(t, got.Body.Bytes())...)
		answers++
		link := got.Header().Get("Link")
		query = ""
		if link != "" {
			if n, err := fmt.Sscanf(link, `<%s rel="next"`, &query); err != nil || n != 1 {
				t.Fatalf("Link %q: %v", link, err)
			}
			query = query[:len(query)-2] // ">;"
		}
	}
	return starts, answers
}

// TestSnapshotPages: an answer has a limit and links to the next one. A client gets every minute once, even if it
// continues from the end of the newest minute it has.
func TestSnapshotPages(t *testing.T) {
	var minutes []int64
	for i := range int64(300) {
		minutes = append(minutes, 6000+60*i)
	}
	s, _ := ofMinutes(minutes...)
	h := s.Handler()
	for query, answers := range map[string]int{"?since=0": 3, "?limit=7": 43, "?limit=300": 3, "?since=6000&limit=1": 300} {
		got, n := follow(t, h, query)
		if n != answers || fmt.Sprint(got) != fmt.Sprint(minutes) {
			t.Errorf("%s: %d answers, want %d, with %d minutes", query, n, answers, len(got))
		}
	}
	since, n := int64(0), 0
	for got := startsOf(t, ask(h, "/api/v1/snapshots?since=0").Body.Bytes()); len(got) > 0; n++ {
		since = got[len(got)-1] + 60
		got = startsOf(t, ask(h, fmt.Sprintf("/api/v1/snapshots?since=%d", since)).Body.Bytes())
	}
	if n != 3 || since != 6000+300*60 {
		t.Errorf("by the end of the newest: %d answers up to %d", n, since)
	}
	if s.rendered() != 300 {
		t.Errorf("%d snapshots of 300 minutes were made", s.rendered())
	}
	head := httptest.NewRecorder()
	h.ServeHTTP(head, httptest.NewRequest(http.MethodHead, "/api/v1/snapshots", nil))
	if head.Code != 200 || head.Body.Len() != 0 || head.Header().Get("Link") != `<?since=13200>; rel="next"` {
		t.Errorf("HEAD: %d, %d bytes, %v", head.Code, head.Body.Len(), head.Header())
	}
	for accept, want := range map[string]int{
		typeSnapshot: 200, "*/*": 200, "text/html": 200, typeSnapshot + ";q=0": 406, "*/*;q=0": 406, "*/*;q=0, " + typeSnapshot: 200,
	} {
		if got := ask(h, "/api/v1/snapshots?limit=1", "Accept", accept); got.Code != want {
			t.Errorf("Accept %q: %d, want %d", accept, got.Code, want)
		}
	}
}

// TestSnapshotsOfASetClock: two minutes with the same start, made by a clock that was set back, are on one page. So
// none is lost and each appears once.
func TestSnapshotsOfASetClock(t *testing.T) {
	s, _ := ofMinutes(600, 660, 720, 540, 600, 660, 660)
	for limit := range 8 {
		got, _ := follow(t, s.Handler(), fmt.Sprintf("?limit=%d", limit+1))
		if fmt.Sprint(got) != "[540 600 600 660 660 660 720]" {
			t.Errorf("limit %d: %v", limit+1, got)
		}
	}
}

// TestSnapshotListTag: the tag of a list changes only with the list.
func TestSnapshotListTag(t *testing.T) {
	s, w := ofMinutes(600, 660)
	tag := ask(s.Handler(), "/api/v1/snapshots").Header().Get("ETag")
	if again := ask(s.Handler(), "/api/v1/snapshots", "If-None-Match", tag); again.Code != 304 || again.Body.Len() != 0 {
		t.Errorf("%d with %d bytes, want 304", again.Code, again.Body.Len())
	}
	if one := ask(s.Handler(), "/api/v1/snapshots?limit=1").Header().Get("ETag"); one == tag {
		t.Error("the first page has the tag of the whole list")
	}
	w.Restore(nil, 0)
	w.Update(0, 780, 780, func(*metric.Bucket, int64) {}) // 720 becomes a separate minute
	if again := ask(s.Handler(), "/api/v1/snapshots", "If-None-Match", tag); again.Code != 200 {
		t.Errorf("%d though there is another minute", again.Code)
	}
}

// TestSnapshotsStream: an answer is sent one snapshot at a time. An answer that cannot be finished is cut off.
func TestSnapshotsStream(t *testing.T) {
	s, _ := ofMinutes(600, 660, 720)
	var writes []int
	w := writer{httptest.NewRecorder(), func(n int) { writes = append(writes, n) }}
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/snapshots", nil))
	if len(writes) != 3 {
		t.Errorf("%d writes of 3 snapshots", len(writes))
	}
	s, _ = ofMinutes(600, 660, 720)
	ctx, cancel := context.WithCancel(context.Background())
	for range cap(s.turns.all) - 1 {
		s.turns.all <- struct{}{}
	}
	w = writer{httptest.NewRecorder(), func(int) { s.turns.all <- struct{}{}; cancel() }} // no turn is left
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("ended with %v", got)
		}
	}()
	s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/v1/snapshots", nil))
}

type writer struct {
	http.ResponseWriter
	wrote func(n int)
}

func (w writer) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.wrote(n)
	return n, err
}

// TestTurns: at most as many answers as cores are made at once, and half as many large ones. A request that waits for
// too long is rejected with 503.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := turns{all: make(lock, 4), large: make(lock, 2)}
		var now, most atomic.Int64
		var all sync.WaitGroup
		var busy atomic.Int64
		for i := range 40 {
			all.Go(func() {
				err := turns.do(t.Context(), true, func() {
					most.Store(max(most.Load(), now.Add(1)))
					time.Sleep(time.Second)
					now.Add(-1)
				})
				if err != nil {
					busy.Add(1)
				}
			})
			if i == 20 {
				synctest.Wait()
				start := time.Now()
				if turns.do(t.Context(), false, func() {}) != nil || time.Since(start) > 0 {
					t.Error("a small answer waits for large ones")
				}
			}
		}
		all.Wait()
		if most.Load() != 2 {
			t.Errorf("%d large answers at once", most.Load())
		}
		if n := busy.Load(); n < 26 || n > 30 {
			t.Errorf("%d of 40 were rejected, after 5 seconds in which 10 to 12 were made", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s, _ := ofMinutes(600)
		for range cap(s.turns.all) {
			s.turns.all <- struct{}{}
		}
		for _, path := range []string{"/api/v1/metrics/window/5", "/api/v1/metrics/window/1000", "/api/v1/metrics/bucket/1", "/api/v1/snapshots", "/metrics"} {
			start := time.Now()
			got := ask(s.Handler(), path)
			if got.Code != 503 || got.Header().Get("Retry-After") != "5" || got.Header().Get("Link") != "" {
				t.Errorf("%s: %d %v", path, got.Code, got.Header())
			}
			if time.Since(start) != maxWait {
				t.Errorf("%s: after %v", path, time.Since(start))
			}
		}
		for _, path := range []string{"/healthz", "/readyz", "/api/v1/metrics/app"} {
			if got := ask(s.Handler(), path); got.Code != 200 {
				t.Errorf("%s: %d", path, got.Code)
			}
		}
		time.Sleep(time.Minute)
	})
}

// TestCacheBounds: whatever clients ask for, a cache stays within its bounds of bytes and views. It first drops pages
// of buckets that no longer exist.
func TestCacheBounds(t *testing.T) {
	c := newCache(newTurns(), newReclaim(), 10_000)
	body := func(n int) func() ([]byte, error) {
		return func() ([]byte, error) { return bytes.Repeat([]byte("x"), n), nil }
	}
	kept := func() (n int) {
		for _, s := range c.slots {
			n += s.size
		}
		return n
	}
	for i := range 2000 {
		if _, err := c.get(t.Context(), slotKey{view: i}, 0, false, typeJSON, body(i)); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			c.slot(slotKey{view: -i}) // requested, but never made
		}
		if c.bytes > 10_000 || c.bytes != kept() || len(c.slots) > 10_000/1200+maxSlots+1500 {
			t.Fatalf("after %d: %d bytes, %d counted, %d slots", i, kept(), c.bytes, len(c.slots))
		}
	}
	if len(c.slots) > maxSlots+100 {
		t.Errorf("%d slots", len(c.slots))
	}
	p, err := c.get(t.Context(), slotKey{view: "long"}, 0, false, typeJSON, body(50_000))
	if err != nil || len(p.body) != 50_000 || c.bytes > 10_000 {
		t.Errorf("a page longer than all: %v, %d bytes kept", err, c.bytes)
	}

	c = newCache(newTurns(), newReclaim(), 10_000)
	alive, dead := new(metric.Bucket), new(metric.Bucket)
	for _, b := range []*metric.Bucket{alive, dead} {
		c.get(t.Context(), slotKey{view: weak.Make(b)}, nil, false, typeSnapshot, body(4000))
	}
	runtime.KeepAlive(dead)
	dead = nil
	runtime.GC()
	c.get(t.Context(), slotKey{view: "one more"}, nil, false, typeSnapshot, body(4000))
	if _, ok := c.slots[slotKey{view: weak.Make(alive)}]; !ok || len(c.slots) != 2 {
		t.Errorf("%d slots, the living bucket's among them: %v", len(c.slots), ok)
	}
	runtime.KeepAlive(alive)
}

// TestSendingBound: long answers that clients do not read occupy bounded memory. A page that many clients get counts
// once.
func TestSendingBound(t *testing.T) {
	var s sending
	long := func() *page { return newPage("", typeJSON, make([]byte, 10<<20)) } // 15 MB each
	a, b, c, small := long(), long(), long(), newPage("", typeJSON, make([]byte, 100))
	for range 100 {
		if !s.begin(a) || !s.begin(small) {
			t.Fatal("a page that is being sent is refused")
		}
	}
	if !s.begin(b) || s.begin(c) {
		t.Error("not two of three pages")
	}
	for range 100 {
		s.end(a)
		s.end(small)
	}
	if !s.begin(c) {
		t.Error("refused though there is room again")
	}
	s.end(b)
	s.end(c)
	if s.bytes != 0 || len(s.pages) != 0 {
		t.Errorf("%d bytes of %d pages are left", s.bytes, len(s.pages))
	}
	huge := newPage("", typeJSON, make([]byte, maxSending))
	if !s.begin(huge) {
		t.Error("one answer alone is refused for its length")
	}
}

// TestReclaim: memory is returned to the system once, some time after much of it was used.
func TestReclaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReclaim()
		var times atomic.Int32
		r.free = func() { times.Add(1) }
		r.note(reclaimFrom - 1)
		time.Sleep(time.Hour)
		if times.Load() != 0 {
			t.Error("reclaimed after little garbage")
		}
		for range 100 {
			r.note(reclaimFrom)
		}
		time.Sleep(reclaimAfter - 1)
		synctest.Wait()
		before := times.Load()
		time.Sleep(time.Hour)
		if n := times.Load(); before != 0 || n != 1 {
			t.Errorf("%d times too early, %d in all", before, n)
		}
	})
}
