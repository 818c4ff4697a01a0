package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// The bounds of a change.
const (
	// maxDocument is the greatest length of a document, in bytes.
	maxDocument = 4 << 20
	// maxBodies is how many documents above smallDocument are held at once.
	maxBodies     = 4
	smallDocument = 64 << 10
	// bodyTime is how long a client may take to send a document, changeTime how long the change may take then. Both together
	// are less than the time for an answer.
	bodyTime   = 20 * time.Second
	changeTime = 30 * time.Second
)

// adminRoutes returns the routes of taps, policies and the program, by path and method. Those that change something are refused
// unless there is a [Control].
func (s *Server) adminRoutes() map[string]map[string]http.HandlerFunc {
	const get, post, put, remove = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete
	routes := map[string]map[string]http.HandlerFunc{
		"/api/v1/policies/{name}/metrics/bucket/{period}": {get: s.policyMetrics(false)},
		"/api/v1/policies/{name}/metrics/window/{period}": {get: s.policyMetrics(true)},
		"/api/v1/policies/{name}/metrics/prometheus":      {get: s.policyPrometheus},
		"/api/v1/server": {remove: s.stop},
		"/api/v1/reload": {post: s.reload},
	}
	for path, what := range map[string]Object{"/api/v1/taps": ATap, "/api/v1/policies": APolicy} {
		routes[path] = map[string]http.HandlerFunc{get: s.objects(what), post: s.add(what)}
		routes[path+"/{name}"] = map[string]http.HandlerFunc{get: s.objects(what), put: s.add(what), remove: s.remove(what)}
	}
	return routes
}

// byMethod returns a handler that serves the methods of a route. All but GET and HEAD change something.
func (s *Server) byMethod(methods map[string]http.HandlerFunc) http.HandlerFunc {
	allowed := slices.Sorted(maps.Keys(methods))
	if methods[http.MethodGet] != nil {
		allowed = append(allowed, http.MethodHead)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		do := methods[method]
		switch {
		case s.cfg.Control == nil && (do == nil || method != http.MethodGet):
			// The successor does not have the routes then.
			fail(w, http.StatusNotFound, "%s %s: nothing can be changed over HTTP: start pktvisord with --admin-api", r.Method, r.URL.Path)
		case do == nil:
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			fail(w, http.StatusMethodNotAllowed, "method %s: this route supports only %s", r.Method, strings.Join(allowed, ", "))
		case method == http.MethodGet || s.mayChange(w, r):
			do(w, r)
		}
	}
}

// mayChange reports whether a request may change the agent. If not, it answers.
func (s *Server) mayChange(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case s.cfg.Hosts != nil && !s.cfg.Hosts.named(r.Host):
		fail(w, http.StatusMisdirectedRequest, "nothing can be changed by the name %.100q: use an address, or start the agent with --http-host and this name; * does not count here", r.Host)
	case foreign(r):
		fail(w, http.StatusForbidden, "a page of another site must not change the agent: its origin is %.100q", r.Header.Get("Origin"))
	case formType(r):
		fail(w, http.StatusBadRequest, "Content-Type not supported: give application/x-yaml or application/json")
	default:
		if denied := s.cfg.Access.MayChange(r); denied != nil {
			refuse(w, denied)
			return false
		}
		return true
	}
	return false
}

// foreign reports whether a browser says that a page of another origin has made a request. Browsers add these headers
// to each request that may change something, and pages cannot set them (https://fetch.spec.whatwg.org/#forbidden-request-header).
// The host of the request is checked, so a page that was loaded by a name of its own is not of the same origin.
func foreign(r *http.Request) bool {
	for _, site := range r.Header["Sec-Fetch-Site"] {
		if site != "same-origin" && site != "none" {
			return true
		}
	}
	for _, origin := range r.Header["Origin"] {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return true
		}
	}
	return false
}

// formType reports whether a request has one of the types that any page can send without being asked (a "simple" request).
func formType(r *http.Request) bool {
	for _, text := range r.Header["Content-Type"] {
		kind, _, _ := strings.Cut(text, ";")
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "text/plain", "application/x-www-form-urlencoded", "multipart/form-data":
			return true
		}
	}
	return false
}

// checkType returns an error unless a request has a document that can be read.
func checkType(r *http.Request) error {
	given := r.Header["Content-Type"]
	if len(given) == 0 || given[0] == "" {
		return &Error{http.StatusBadRequest, "must include Content-Type header: application/x-yaml or application/json"}
	}
	kind, parameters, err := mime.ParseMediaType(given[0])
	charset := strings.ToLower(parameters["charset"])
	switch {
	case err != nil || len(given) > 1 || !slices.Contains([]string{"application/x-yaml", "application/yaml", "application/json"}, kind):
		return &Error{http.StatusBadRequest, "Content-Type not supported: give application/x-yaml or application/json"}
	case charset != "" && charset != "utf-8" && charset != "us-ascii":
		return &Error{http.StatusBadRequest, fmt.Sprintf("Content-Type not supported: the document must be in UTF-8, not in %.40s", charset)}
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return &Error{http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Encoding %.40q: send the document as it is", coding)}
	}
	return nil
}

// errTooLong is the error of a document that is too long.
var errTooLong = &Error{http.StatusRequestEntityTooLarge, fmt.Sprintf("the document has more than %d bytes: put long lists into files", maxDocument)}

// document returns the whole body of a request. Done must be called when it is not needed any more.
func (s *Server) document(w http.ResponseWriter, r *http.Request) (text []byte, done func(), err error) {
	if err := checkType(r); err != nil {
		return nil, nil, err
	}
	if r.ContentLength > maxDocument {
		return nil, nil, errTooLong
	}
	done = func() {}
	if r.ContentLength < 0 || r.ContentLength > smallDocument {
		if err := s.bodies.take(r.Context()); err != nil {
			return nil, nil, err
		}
		done = s.bodies.release
	}
	connection := http.NewResponseController(w)
	connection.SetReadDeadline(time.Now().Add(bodyTime)) // if this fails, the server's own deadline applies
	text, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxDocument))
	connection.SetReadDeadline(time.Time{}) // net/http takes a late end of the request for the end of the client
	if err == nil && len(strings.TrimSpace(string(text))) == 0 {
		err = &Error{http.StatusBadRequest, "empty data: the document has nothing"}
	} else if err != nil {
		err = incomplete(err)
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return text, done, nil
}

// incomplete returns the error for a document that could not be read.
func incomplete(err error) error {
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return errTooLong
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &Error{http.StatusRequestTimeout, fmt.Sprintf("the document did not come within %v: nothing was changed", bodyTime)}
	}
	return &Error{http.StatusBadRequest, "the document is not complete: nothing was changed"}
}

// changing returns the context of a change. A change that has begun does not depend on the client any more.
func changing(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(r.Context()), changeTime)
}

// add answers POST, which adds what a document has, and PUT, which also replaces it, and must have the name in the path.
func (s *Server) add(what Object) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, done, err := s.document(w, r)
		if err != nil {
			Fail(w, r, err)
			return
		}
		defer done()
		name, replace := r.PathValue("name"), r.Method == http.MethodPut
		status := http.StatusCreated
		if _, there := s.described(what)[name]; replace && there {
			status = http.StatusOK
		}
		ctx, cancel := changing(r)
		defer cancel()
		added, err := s.cfg.Control.Add(ctx, text, what, name, replace)
		if err != nil {
			failChange(w, r, err)
			return
		}
		answer(w, status, map[string]json.RawMessage{added: objectOr(s.described(what)[added])})
	}
}

// remove answers DELETE.
func (s *Server) remove(what Object) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		if _, there := s.described(what)[name]; !there {
			s.failMissing(w, what, name)
			return
		}
		ctx, cancel := changing(r)
		defer cancel()
		if err := s.cfg.Control.Remove(ctx, what, name); err != nil {
			failChange(w, r, err)
			return
		}
		s.Refresh()
		answer(w, http.StatusOK, struct{}{})
	}
}

// reload answers POST /api/v1/reload.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := changing(r)
	defer cancel()
	if err := s.cfg.Control.Reload(ctx); err != nil {
		failChange(w, r, err)
		return
	}
	s.Refresh()
	answer(w, http.StatusOK, struct{}{})
}

// stop answers DELETE /api/v1/server, and ends the program.
func (s *Server) stop(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Connection", "close")
	answer(w, http.StatusOK, struct{}{})
	http.NewResponseController(w).Flush() // if the client is gone, the program still ends
	s.cfg.Control.Stop()
}

// failChange answers a change that has failed with err: an [*Error], or one of the agent itself.
func failChange(w http.ResponseWriter, r *http.Request, err error) {
	switch _, ok := errors.AsType[*Error](err); {
	case ok:
		Fail(w, r, err)
	case errors.Is(err, context.DeadlineExceeded):
		Fail(w, r, &Error{http.StatusServiceUnavailable, fmt.Sprintf("the change was given up after %v, and nothing was changed", changeTime)})
	default:
		fail(w, http.StatusInternalServerError, "%v", err)
	}
}
