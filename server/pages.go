package server

import (
	"fmt"
	"net/http"
	"sync"

	"pktvisor/web"
)

// file returns the handler of a file of the pages. Under its version, it never changes.
func (s *Server) file(f web.File) http.HandlerFunc {
	p := newStatic(f.ContentType, f.Body)
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("v") == f.Version {
			w.Header().Set("Cache-Control", "max-age=31536000, immutable")
		}
		s.send(w, r, p)
	}
}

// index is the dashboard. It depends on what it asks for first.
type index struct {
	mu    sync.Mutex
	first string
	page  *page
}

// index answers with the dashboard.
func (s *Server) index(w http.ResponseWriter, r *http.Request) {
	s.send(w, r, s.dashboard.of(s.firstNumbers()))
}

// of returns the page that asks for these numbers first.
func (i *index) of(first string) *page {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.page == nil || i.first != first {
		i.first, i.page = first, newStatic("text/html; charset=utf-8", web.Index(first))
	}
	return i.page
}

// firstNumbers returns what the dashboard asks for first: the summary of the last hour, as far as an agent has it.
func (s *Server) firstNumbers() string {
	if s.hub() {
		return "api/v1/metrics/range?from=-3600s&to=now&rows=1"
	}
	periods := 60
	if sel, err := s.choose(nil); err == nil {
		periods = min(periods, sel.Periods())
	}
	return fmt.Sprintf("api/v1/metrics/window/%d?rows=1", periods)
}
