package server

import (
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"pktvisor/metric"
	"pktvisor/window"
)

// lives knows the windows that there are now, and gives each a key for its answers. A policy that was removed and added again
// has another window and another key, so that nobody gets an answer of the old one.
type lives struct {
	policies func() []*Policy
	// gone is called with the keys of windows that are not there any more. It is called without the lock.
	gone func(keys []string)

	mu   sync.Mutex
	list []*Policy // the newest snapshot
	of   map[window.Views]*life
	keys map[string]bool
	next uint64 // the number of windows so far
}

// life is what is kept for a window for as long as it is there.
type life struct {
	key string

	once sync.Once
	own  any // of a route: see [Selection.Own]

	emptyOnce sync.Once
	empty     *metric.Bucket

	tablesOnce sync.Once
	tables     *page // the answer of /api/v1/tables
}

func newLives(policies func() []*Policy, gone func(keys []string)) *lives {
	return &lives{policies: policies, gone: gone, of: make(map[window.Views]*life), keys: make(map[string]bool)}
}

// now returns the policies of now. It releases what is kept for windows that are gone.
func (l *lives) now() []*Policy {
	list, gone := l.refresh()
	if len(gone) > 0 {
		l.gone(gone)
	}
	return list
}

// refresh reads the policies under the lock, so that no older list follows a newer one.
func (l *lives) refresh() (list []*Policy, gone []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list = l.policies()
	if slices.Equal(list, l.list) {
		return list, nil
	}
	l.list = slices.Clone(list)
	there := make(map[window.Views]*life)
	for _, p := range list {
		for v := range p.views() {
			if there[v] = l.of[v]; there[v] == nil {
				l.next++
				there[v] = &life{key: strconv.FormatUint(l.next, 36)}
				l.keys[there[v].key] = true
			}
		}
	}
	for v, old := range l.of {
		if there[v] == nil {
			gone = append(gone, old.key)
			delete(l.keys, old.key)
		}
	}
	l.of = there
	return list, gone
}

// views yields the views of all windows of a policy, and of their keys.
func (p *Policy) views() iter.Seq[window.Views] {
	return func(yield func(window.Views) bool) {
		for i := range p.Windows {
			w := &p.Windows[i]
			if !yield(w.Views) {
				return
			}
			for k := range w.Keys {
				if !yield(w.Keys[k].Views) {
					return
				}
			}
		}
	}
}

// has reports whether the answers of a key may be kept. The empty key is that of answers that are about no policy.
func (l *lives) has(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return key == "" || l.keys[key]
}

// life returns what is kept for a window. If the window is gone already, it is kept for this request only.
func (l *lives) life(v window.Views) *life {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.of[v]; n != nil {
		return n
	}
	l.next++
	return &life{key: strconv.FormatUint(l.next, 36)}
}

// Refresh looks which policies there are. What was kept for those that are gone is released, and their event streams end. The
// server also looks at each request. Call Refresh after a change that no request has made.
func (s *Server) Refresh() {
	if s.lives != nil {
		s.lives.now()
	}
}

// release releases what is kept for windows that are gone.
func (s *Server) release(keys []string) {
	for _, c := range s.caches() {
		c.release(keys)
	}
	s.seconds.release(keys)
	s.metrics.release(keys)
}

// choose returns the window that a request to an agent is about. The parameters policy, tap and handler choose it. Without them it is
// that of the policy default, or of the first policy if there is no default. The parameter key chooses a key of the window.
func (s *Server) choose(q url.Values) (*Selection, error) {
	var names [4]string
	for i, parameter := range []string{"policy", "tap", "handler", "key"} {
		switch given := q[parameter]; {
		case len(given) > 1:
			return nil, &Error{http.StatusBadRequest, parameter + " is given more than once"}
		case len(given) == 1 && given[0] == "":
			return nil, &Error{http.StatusBadRequest, parameter + " is empty: leave it out, or give a name"}
		case len(given) == 1:
			names[i] = given[0]
		}
	}
	list := s.lives.now()
	p, err := policyOf(list, names[0])
	if err != nil {
		return nil, err
	}
	w, err := p.windowOf(names[1], names[2])
	if err != nil {
		return nil, err
	}
	if names[3] == "" {
		return s.selectionOf(p, w), nil
	}
	k, err := p.keyOf(w, names[3])
	if err != nil {
		return nil, err
	}
	sel := s.selectionOf(p, &k.PolicyWindow)
	sel.Of = k.Key
	return sel, nil
}

// keyOf returns the window of a key that is followed. A name may begin with the dot that it has in tables of the last labels.
func (p *Policy) keyOf(w *PolicyWindow, key string) (*KeyWindow, error) {
	if p.ForEach == nil {
		return nil, &Error{http.StatusNotFound, fmt.Sprintf("key %.100q: policy %s follows no keys: give it for_each in the configuration", key, p.Name)}
	}
	keys := make([]string, len(w.Keys))
	for i := range w.Keys {
		k := &w.Keys[i]
		if k.Key == key || "."+k.Key == key {
			return k, nil
		}
		keys[i] = k.Key
	}
	return nil, &Error{http.StatusNotFound, fmt.Sprintf("key %.100q: policy %s follows now %s", key, p.Name, listOf(keys))}
}

// selectionOf returns the selection of a window.
func (s *Server) selectionOf(p *Policy, w *PolicyWindow) *Selection {
	n := s.lives.life(w.Views)
	return &Selection{Views: w.Views, Key: n.key, Policy: p, Window: w, life: n}
}

// defaultPolicy is the policy of requests that name none. Without it, they get the first policy of the configuration.
const defaultPolicy = "default"

// policyOf returns a policy by its name, or the one that is meant if the name is empty.
func policyOf(list []*Policy, name string) (*Policy, error) {
	i := slices.IndexFunc(list, func(p *Policy) bool { return p.Name == name || name == "" && p.Name == defaultPolicy })
	switch {
	case i >= 0:
		return list[i], nil
	case len(list) == 0:
		return nil, &Error{http.StatusNotFound, "there are no policies now"}
	case name == "":
		return list[0], nil
	}
	return nil, &Error{http.StatusNotFound, fmt.Sprintf("policy %.100q does not exist: there are %s", name, policyNames(list))}
}

// windowOf returns the window of a tap and a handler. An empty name means any. The first that fits is returned.
func (p *Policy) windowOf(tap, handler string) (*PolicyWindow, error) {
	var taps, handlers []string
	for i := range p.Windows {
		w := &p.Windows[i]
		if taps = append(taps, w.Tap); tap != "" && w.Tap != tap {
			continue
		}
		for k := range w.Handlers {
			handlers = append(handlers, w.Handlers[k].Name)
		}
		if handler == "" || slices.ContainsFunc(w.Handlers, func(h Handler) bool { return h.Name == handler }) {
			return w, nil
		}
	}
	switch {
	case len(p.Windows) == 0:
		return nil, &Error{http.StatusNotFound, fmt.Sprintf("policy %s has no window", p.Name)}
	case tap != "" && !slices.Contains(taps, tap):
		if slices.Equal(taps, []string{""}) {
			return nil, &Error{http.StatusNotFound, fmt.Sprintf("policy %s has one window for all of its taps: leave out tap=", p.Name)}
		}
		return nil, &Error{http.StatusNotFound, fmt.Sprintf("tap %.100q: policy %s has %s", tap, p.Name, listOf(taps))}
	}
	return nil, &Error{http.StatusNotFound, fmt.Sprintf("handler %.100q: policy %s has %s", handler, p.Name, listOf(handlers))}
}

func policyNames(list []*Policy) string {
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = p.Name
	}
	return listOf(names)
}

// maxListed bounds the names in an error.
const maxListed = 20

// listOf returns names as a text, each once.
func listOf(names []string) string {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	names = slices.DeleteFunc(names, func(name string) bool { return name == "" })
	if len(names) == 0 {
		return "none"
	}
	if more := len(names) - maxListed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxListed], ", "), more)
	}
	return strings.Join(names, ", ")
}
