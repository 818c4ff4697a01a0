package server

import (
	"fmt"
	"net/http"

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

// firstNumbers returns what the dashboard asks for first: the summary of the last hour, as far as an agent has it.
func firstNumbers(cfg *Config) string {
	if cfg.Window == nil {
		return "api/v1/metrics/range?from=-3600s&to=now&rows=1"
	}
	return fmt.Sprintf("api/v1/metrics/window/%d?rows=1", min(cfg.Window.Periods(), 60))
}
