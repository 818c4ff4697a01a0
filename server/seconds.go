package server

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// MinuteEvent is the data of the event minute: a minute is finished, was stored or has changed.
type MinuteEvent struct {
	Start  int64  `json:"start_ts"`
	Policy string `json:"policy"`
	Group  string `json:"group"`
}

// Event returns the event.
func (m MinuteEvent) Event() Event {
	data, _ := json.Marshal(m) // a number and texts always have a JSON form
	return Event{Name: "minute", Data: data, Policy: m.Policy, Group: m.Group}
}

// everyHost is the group of events about all hosts, which an agent's are.
const everyHost = "all"

// seconds sends an agent's rates of each second, and its finished minutes, while there are clients. The rates are made once
// for all of them.
type seconds struct {
	streams Streams

	mu      sync.Mutex
	running bool
}

// events answers with an agent's events.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if err := agentOnly(r.URL.Query()); err != nil {
		Fail(w, r, err)
		return
	}
	s.seconds.streams.Serve(w, r, func(Event) bool { return true }, s.startSeconds)
}

// startSeconds makes sure that events are sent.
func (s *Server) startSeconds() {
	s.seconds.mu.Lock()
	defer s.seconds.mu.Unlock()
	if !s.seconds.running {
		s.seconds.running = true
		go s.sendSeconds()
	}
}

// stopSeconds reports whether there are no clients any more. Then the caller must stop.
func (s *Server) stopSeconds() bool {
	s.seconds.mu.Lock()
	defer s.seconds.mu.Unlock()
	clients, _ := s.seconds.streams.Count()
	s.seconds.running = clients > 0
	return clients == 0
}

// sendSeconds sends events until there are no clients any more.
func (s *Server) sendSeconds() {
	last, sealed := s.lastSecond(), s.cfg.Window.Bucket(1)
	for !s.stopSeconds() {
		second := s.lastSecond()
		if second <= last && last-second < 2 { // unless the clock was set back
			time.Sleep(time.Until(s.shownFrom(last + 1)))
			continue
		}
		last = second
		s.seconds.streams.Send(Event{Name: "second", Data: s.ratesOf(&Selection{Views: s.cfg.Window}, second), Group: everyHost})
		if b := s.cfg.Window.Bucket(1); b != nil && b != sealed {
			sealed = b
			s.seconds.streams.Send(MinuteEvent{b.Start, b.Identity.Policy, everyHost}.Event())
		}
	}
}
