package server

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// The bounds of the event streams.
const (
	// MaxStreams is how many clients there may be at once. The others get 503.
	MaxStreams = 64
	// MaxWaiting is how many events wait for a slow client before its stream ends.
	MaxWaiting = 256
	// Heartbeat is the time after which a stream without events sends a comment, so that a client that is gone is noticed.
	Heartbeat = 15 * time.Second
	// maxWrite is how long a client may take to read.
	maxWrite = 10 * time.Second
)

// Event is a server-sent event.
type Event struct {
	// Name is the type of the event, and Data is JSON without line breaks.
	Name string
	Data []byte
	// Policy and Group say whom it is about.
	Policy, Group string

	selection string // the key of the selection that it is about, on an agent
}

// Streams passes events on to clients (https://html.spec.whatwg.org/multipage/server-sent-events.html). The zero value has no
// clients.
type Streams struct {
	mu      sync.Mutex
	streams map[chan Event]func(Event) bool // which events a stream wants
	slow    uint64                          // streams that ended because their client was slow
	ended   bool
}

// End ends all streams. There are none afterwards.
func (s *Streams) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for c := range s.streams {
		close(c)
	}
	clear(s.streams)
}

// EndOf ends the streams of the clients that want an event.
func (s *Streams) EndOf(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, wants := range s.streams {
		if wants(e) {
			delete(s.streams, c)
			close(c)
		}
	}
}

// Send passes on one event. The stream of a client that reads too slowly ends, so that the client sees that it missed
// something.
func (s *Streams) Send(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, wants := range s.streams {
		if !wants(e) {
			continue
		}
		select {
		case c <- e:
		default:
			s.slow++
			delete(s.streams, c)
			close(c)
		}
	}
}

// open returns the wanted events of a new stream, and a function that ends it. It returns nil if there are too many.
func (s *Streams) open(wants func(Event) bool) (<-chan Event, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || len(s.streams) >= MaxStreams {
		return nil, nil
	}
	if s.streams == nil {
		s.streams = make(map[chan Event]func(Event) bool)
	}
	c := make(chan Event, MaxWaiting)
	s.streams[c] = wants
	return c, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.streams[c] != nil {
			delete(s.streams, c)
			close(c)
		}
	}
}

// Count returns how many clients there are, and how many have lost their stream because they were slow.
func (s *Streams) Count() (clients int, slow uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams), s.slow
}

// Serve answers with the events that a client wants. It ends when the client is gone or slow, or after End. Opened, which may
// be nil, is called once the client gets events.
func (s *Streams) Serve(w http.ResponseWriter, r *http.Request, wants func(Event) bool, opened func()) {
	stream, end := s.open(wants)
	if stream == nil {
		Fail(w, r, &Error{Status: http.StatusServiceUnavailable, Text: fmt.Sprintf("there are %d event streams already: try again later", MaxStreams)})
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
	if opened != nil {
		opened()
	}
	ticker := time.NewTicker(Heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
			if !stillAllowed(r) || !write(": still here\n\n") {
				return
			}
		case e, ok := <-stream:
			if !ok || !write(fmt.Sprintf("event: %s\ndata: %s\n\n", e.Name, e.Data)) {
				return
			}
		}
	}
}
