package server

import (
	"crypto/sha256"
	"net/http"
)

// Route is a route that a server has in addition to those of an agent. It has one of Get, Of and Serve.
type Route struct {
	Path string
	// Get makes the answer, which is JSON. It is made at most once a second for the same parameters. The error may be an
	// [*Error].
	Get func(r *http.Request) ([]byte, error)
	// Of is Get for what a request selects.
	Of func(r *http.Request, sel *Selection) ([]byte, error)
	// Serve answers by itself, for example with a stream.
	Serve http.HandlerFunc
}

// routeView is the cache key of the answer of a route to the query with this hash.
type routeView struct {
	path  string
	query [sha256.Size]byte
}

// route returns the handler of a route.
func (s *Server) route(route Route) http.HandlerFunc {
	if route.Serve != nil {
		return route.Serve
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if refuses(r, typeJSON) {
			fail(w, http.StatusNotAcceptable, "this answer is available as %s, and Accept refuses it", typeJSON)
			return
		}
		sel := &Selection{}
		if route.Of != nil {
			var err error
			if sel, err = s.selection(r); err != nil {
				Fail(w, r, err)
				return
			}
		}
		view := slotKey{sel.Key, routeView{route.Path, sha256.Sum256([]byte(r.URL.Query().Encode()))}}
		p, err := s.views.get(r.Context(), view, s.lastSecond(), true, typeJSON, func() ([]byte, error) {
			if route.Of != nil {
				return route.Of(r, sel)
			}
			return route.Get(r)
		})
		if err != nil {
			Fail(w, r, err)
			return
		}
		s.send(w, r, p)
	}
}
