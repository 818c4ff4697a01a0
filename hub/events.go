package hub

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/server"
)

// The bounds of the event streams.
const (
	// maxStreams is how many clients there may be at once. The others get 503.
	maxStreams = 64
	// maxWaiting is how many events wait for a slow client before its stream ends.
	maxWaiting = 256
	// heartbeat is the time after which a stream without events sends a comment, so that a client that is gone is noticed.
	heartbeat = 15 * time.Second
	// maxWrite is how long a client may take to read.
	maxWrite = 10 * time.Second
)

// event says that a minute of a group was stored or has changed.
type event struct {
	Start  int64  `json:"start_ts"`
	Policy string `json:"policy"`
	Group  string `json:"group"`
}

// events passes events on to streams.
type events struct {
	mu      sync.Mutex
	streams map[chan event]func(event) bool // which events a stream wants
	slow    uint64                          // streams that ended because their client was slow
	ended   bool
}

// run passes on changes until their channel is closed. Then it ends all streams.
func (e *events) run(changes <-chan store.Key) {
	for k := range changes {
		if k.Level == rollup.Minute1 {
			e.send(event{k.Start, k.Policy, k.Group})
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	for s := range e.streams {
		close(s)
	}
	clear(e.streams)
}

// send passes on one event. The stream of a client that reads too slowly ends, so that the client sees that it missed
// something.
func (e *events) send(ev event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s, wants := range e.streams {
		if !wants(ev) {
			continue
		}
		select {
		case s <- ev:
		default:
			e.slow++
			delete(e.streams, s)
			close(s)
		}
	}
}

// open returns the wanted events of a new stream, and a function that ends it. It returns nil if there are too many.
func (e *events) open(wants func(event) bool) (<-chan event, func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended || len(e.streams) >= maxStreams {
		return nil, nil
	}
	if e.streams == nil {
		e.streams = make(map[chan event]func(event) bool)
	}
	s := make(chan event, maxWaiting)
	e.streams[s] = wants
	return s, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.streams[s] != nil {
			delete(e.streams, s)
			close(s)
		}
	}
}

// count returns how many streams there are, and how many have ended because they were slow.
func (e *events) count() (streams int, slow uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.streams), e.slow
}

// serveEvents answers with a stream of events (https://html.spec.whatwg.org/multipage/server-sent-events.html). It ends when
// the client is gone or slow, or the hub stops.
func (h *Hub) serveEvents(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	policy, err := one(q, "policy")
	var groups []string
	if err == nil {
		groups, err = tagsOf(q, "tag")
	}
	if err == nil && q.Has("host") {
		err = bad("host: events are of all hosts or of a tag")
	}
	if err != nil {
		server.Fail(w, r, err)
		return
	}
	if len(groups) == 0 {
		groups = []string{rollup.All}
	}
	stream, end := h.events.open(func(ev event) bool {
		return slices.Contains(groups, ev.Group) && (policy == "" || ev.Policy == policy)
	})
	if stream == nil {
		server.Fail(w, r, &server.Error{Status: http.StatusServiceUnavailable, Text: fmt.Sprintf("there are %d event streams already: try again later", maxStreams)})
		return
	}
	defer end()
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // for proxies
	out := http.NewResponseController(w)
	out.SetReadDeadline(time.Time{}) // net/http takes a late end of the request for the end of the client
	write := func(text string) bool {
		out.SetWriteDeadline(time.Now().Add(maxWrite)) // if this fails, the server's own deadline applies
		if _, err := w.Write([]byte(text)); err != nil {
			return false
		}
		return out.Flush() == nil
	}
	if r.Method == http.MethodHead || !write("retry: 5000\n\n") {
		return
	}
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
			if !write(": still here\n\n") {
				return
			}
		case ev, ok := <-stream:
			if !ok {
				return
			}
			data, err := json.Marshal(ev)
			if err != nil || !write(fmt.Sprintf("event: minute\ndata: %s\n\n", data)) {
				return
			}
		}
	}
}
