package server

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"pktvisor/metric"
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

// seconds sends the rates of each second, and the finished minutes, of the windows of an agent that have clients. The rates
// are made once for all clients of a window.
type seconds struct {
	streams Streams

	mu      sync.Mutex
	running bool
	watched []*watched
}

// watched is a window with clients.
type watched struct {
	sel     *Selection
	clients int
	sealed  *metric.Bucket // the newest minute that was sent
}

// events answers with the events of a window.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	sel, err := s.selection(r)
	if err != nil {
		Fail(w, r, err)
		return
	}
	opened := false
	defer func() {
		if opened {
			s.seconds.leave(sel.Key)
		}
	}()
	s.seconds.streams.Serve(w, r, func(e Event) bool { return e.selection == sel.Key }, func() {
		opened = true
		s.watchSeconds(sel)
	})
}

// watchSeconds makes sure that the events of a window are sent.
func (s *Server) watchSeconds(sel *Selection) {
	sealed := sel.Bucket(1)
	s.seconds.mu.Lock()
	defer s.seconds.mu.Unlock()
	if w := s.seconds.find(sel.Key); w != nil {
		w.clients++
	} else {
		s.seconds.watched = append(s.seconds.watched, &watched{sel, 1, sealed})
	}
	if !s.seconds.running {
		s.seconds.running = true
		go s.sendSeconds()
	}
}

// find returns the window with a key, or nil. The caller holds the lock.
func (s *seconds) find(key string) *watched {
	if i := slices.IndexFunc(s.watched, func(w *watched) bool { return w.sel.Key == key }); i >= 0 {
		return s.watched[i]
	}
	return nil
}

// leave notes that a client of a window is gone.
func (s *seconds) leave(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.find(key); w != nil {
		if w.clients--; w.clients == 0 {
			s.watched = slices.DeleteFunc(s.watched, func(o *watched) bool { return o == w })
		}
	}
}

// release ends the streams of windows that are gone.
func (s *seconds) release(keys []string) {
	for _, key := range keys {
		s.streams.EndOf(Event{selection: key})
	}
}

// list returns the windows with clients. Without any, the caller must stop.
func (s *seconds) list() []*watched {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = len(s.watched) > 0
	return slices.Clone(s.watched)
}

// sendSeconds sends events until there are no clients any more.
func (s *Server) sendSeconds() {
	last := s.lastSecond()
	for {
		list := s.seconds.list()
		if len(list) == 0 {
			return
		}
		second := s.lastSecond()
		if second <= last && last-second < 2 { // unless the clock was set back
			time.Sleep(time.Until(s.shownFrom(last + 1)))
			continue
		}
		last = second
		for _, w := range list {
			s.seconds.streams.Send(Event{Name: "second", Data: s.ratesOf(w.sel, second), Group: everyHost, selection: w.sel.Key})
			if b := w.sel.Bucket(1); b != nil && b != w.sealed {
				w.sealed = b
				e := MinuteEvent{b.Start, b.Identity.Policy, everyHost}.Event()
				e.selection = w.sel.Key
				s.seconds.streams.Send(e)
			}
		}
	}
}
