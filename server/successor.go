package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"weak"

	"pktvisor/metric"
	"pktvisor/successor"
)

// allPolicies stands for all policies in the successor's routes.
const allPolicies = "__all"

// DefaultHandlers returns the handlers of a policy that comes from a command line, under the successor's names: those of which its
// buckets have a section.
func DefaultHandlers(tables []*metric.Table) (list []Handler) {
	for _, h := range []struct{ section, name, kind string }{{"packets", "net", "net"}, {"dns", "dns", "dns"}, {"pcap", "pcap_stats", "pcap"}} {
		if slices.ContainsFunc(tables, func(t *metric.Table) bool { return t.Section == h.section }) {
			list = append(list, Handler{Name: h.name, Type: h.kind, Version: "1.0"})
		}
	}
	return list
}

// objects answers with descriptions by name, as the successor does: all, or the one that the path names.
func (s *Server) objects(what Object) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		list := s.described(what)
		name := r.PathValue("name")
		if name == "" {
			answer(w, http.StatusOK, list)
			return
		}
		one, ok := list[name]
		if !ok {
			s.failMissing(w, what, name)
			return
		}
		answer(w, http.StatusOK, map[string]json.RawMessage{name: one})
	}
}

// described returns the descriptions of all taps or policies by name.
func (s *Server) described(what Object) map[string]json.RawMessage {
	list := make(map[string]json.RawMessage)
	if what == APolicy {
		for _, p := range s.lives.now() {
			list[p.Name] = objectOr(p.Description)
		}
	} else if s.cfg.Taps != nil {
		for name, tap := range s.cfg.Taps() {
			list[name] = objectOr(tap)
		}
	}
	return list
}

// objectOr returns a JSON object, or an empty one.
func objectOr(text []byte) json.RawMessage {
	if len(text) == 0 {
		return json.RawMessage("{}")
	}
	return text
}

// failMissing answers that there is no such tap or policy, and which there are.
func (s *Server) failMissing(w http.ResponseWriter, what Object, name string) {
	var names []string
	for other := range s.described(what) {
		names = append(names, other)
	}
	fail(w, http.StatusNotFound, "%s does not exist: there is no %.100q, but %s", what, name, listOf(names))
}

// chosenPolicies returns the policy that a path names, or all. It answers if there is no such policy.
func (s *Server) chosenPolicies(w http.ResponseWriter, r *http.Request) (list []*Policy, all, ok bool) {
	list, name := s.lives.now(), r.PathValue("name")
	if name == allPolicies {
		return list, true, true
	}
	for _, p := range list {
		if p.Name == name {
			return []*Policy{p}, false, true
		}
	}
	s.failMissing(w, APolicy, name)
	return nil, false, false
}

// policyMetrics answers with a bucket, or with the merge of the newest ones, of one policy or of all, in the successor's form.
func (s *Server) policyMetrics(merged bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		list, all, ok := s.chosenPolicies(w, r)
		if !ok {
			return
		}
		n, ok := periodOf(r.PathValue("period"))
		if !ok {
			fail(w, http.StatusNotFound, "there is nothing at %.100s: give the number of a minute", r.URL.Path)
			return
		}
		if refuses(r, typeJSON) {
			fail(w, http.StatusNotAcceptable, "this answer is available as %s, and Accept refuses it", typeJSON)
			return
		}
		body := []byte{'{'}
		var keys []byte
		for _, p := range list {
			text, err := s.policyBody(r, p, n, merged)
			if early, _ := err.(*Error); all && early != nil && early.Status == http.StatusTooEarly {
				continue // as the successor does
			}
			if err != nil {
				Fail(w, r, err)
				return
			}
			if len(body) > 1 {
				body = append(body, ',')
			}
			body = append(append(appendName(body, p.Name), text...), '}')
			for i := range p.Windows {
				keys = append(append(keys, s.lives.life(p.Windows[i].Views).key...), ' ')
			}
		}
		s.send(w, r, newPage(string(keys), typeJSON, append(body, '}', '\n')))
	}
}

// periodOf returns the number in a path. One that is too large for any window is [math.MaxInt].
func periodOf(text string) (n int, ok bool) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return math.MaxInt, true
	}
	return n, true
}

// appendName appends the name of a member of a JSON object, whose value is an object, and the brace that opens it.
func appendName(dst []byte, name string) []byte {
	text, _ := json.Marshal(name) // a text always has a JSON form
	return append(append(dst, text...), ':', '{')
}

// checkPeriod returns an error if a window does not have a bucket or so many of them. The successor's client reads these texts.
func checkPeriod(w *PolicyWindow, n int, merged bool) error {
	periods := w.Periods()
	switch {
	case merged && (n < 2 || n > periods):
		return &Error{http.StatusTooEarly, fmt.Sprintf("invalid metrics period, specify [2, %d]", periods)}
	case merged:
	case n >= periods:
		return &Error{http.StatusTooEarly, fmt.Sprintf("invalid metrics period, specify [0, %d]", periods-1)}
	case n > len(w.Minutes()):
		return notYet(w)
	}
	return nil
}

// notYet returns the error for a bucket that a window does not have yet.
func notYet(w *PolicyWindow) error {
	return &Error{http.StatusTooEarly, fmt.Sprintf("requested metrics period has not yet accumulated, current range is [0, %d]", len(w.Minutes()))}
}

// policyBody returns the members of a policy: each handler of each window.
func (s *Server) policyBody(r *http.Request, p *Policy, n int, merged bool) ([]byte, error) {
	var body []byte
	for i := range p.Windows {
		w := &p.Windows[i]
		if err := checkPeriod(w, n, merged); err != nil {
			return nil, err
		}
		page, err := s.handlersPage(r, s.selectionOf(p, w), n, merged)
		if err != nil {
			return nil, err
		}
		if len(body) > 0 && len(page.body) > 0 {
			body = append(body, ',')
		}
		body = append(body, page.body...)
	}
	return body, nil
}

// handlersView is the cache key of a window's handlers in the successor's form.
type handlersView struct {
	period int
	merged bool
}

// handlersPage returns a page with the handlers of a window. Those of a finished minute are made once, others once a second.
func (s *Server) handlersPage(r *http.Request, sel *Selection, n int, merged bool) (*page, error) {
	view := slotKey{sel.Key, handlersView{n, merged}}
	if !merged && n > 0 {
		b := sel.Bucket(n)
		if b == nil {
			return nil, notYet(sel.Window)
		}
		return s.views.get(r.Context(), view, weak.Make(b), false, typeJSON, func() ([]byte, error) { return appendHandlers(nil, sel, b, 0), nil })
	}
	second := s.lastSecond()
	return s.views.get(r.Context(), view, second, n > largeWindow, typeJSON, func() ([]byte, error) {
		var b *metric.Bucket
		if merged {
			b = sel.Merged(n)
		} else {
			b = sel.Bucket(0)
		}
		if b == nil {
			b = s.emptyOf(sel)
		}
		if second < b.Start {
			return appendHandlers(nil, sel, b, 0), nil
		}
		return appendHandlers(nil, sel, b, second), nil
	})
}

// appendHandlers appends the handlers of a window, each as "POLICY-TAP-HANDLER":{"SCHEMA":{…}}. A handler of a window of several
// taps is "SCHEMA_merged". Handlers that show nothing are left out. The rates of second are those of the present; 0 means none.
func appendHandlers(dst []byte, sel *Selection, b *metric.Bucket, second int64) []byte {
	var shown []byte
	for i := range sel.Window.Handlers {
		h := &sel.Window.Handlers[i]
		if shown = successor.AppendLive(shown[:0], b, successor.Handler(*h), second); len(shown) == 0 {
			continue
		}
		if len(dst) > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(appendName(dst, memberOf(sel, h, shown)), shown...), '}')
	}
	return dst
}

// memberOf returns the name of a handler's member. The text of the handler begins with its schema.
func memberOf(sel *Selection, h *Handler, shown []byte) string {
	if sel.Window.Tap != "" {
		return sel.Policy.Name + "-" + sel.Window.Tap + "-" + h.Name
	}
	schema, _, _ := bytes.Cut(bytes.TrimPrefix(shown, []byte{'"'}), []byte{'"'})
	for i := range sel.Policy.Windows {
		for k := range sel.Policy.Windows[i].Handlers {
			if first := &sel.Policy.Windows[i].Handlers[k]; first.Type == h.Type && first.Version == h.Version {
				if first == h {
					return string(schema) + "_merged"
				}
				return string(schema) + "_merged-" + h.Name // the successor has one of each type
			}
		}
	}
	return string(schema) + "_merged"
}

// typeText is the type of Prometheus' text format.
const typeText = "text/plain; version=0.0.4; charset=utf-8"

// policyPrometheus answers with the newest finished minute of one policy or of all, under the successor's names. Before the first
// minute has ended, it is the live one.
func (s *Server) policyPrometheus(w http.ResponseWriter, r *http.Request) {
	list, _, ok := s.chosenPolicies(w, r)
	if !ok {
		return
	}
	if refuses(r, "text/plain") {
		fail(w, http.StatusNotAcceptable, "this answer is available as text/plain, and Accept refuses it")
		return
	}
	var body []byte
	var keys []byte
	err := s.turns.do(r.Context(), false, func() {
		var all successor.Exposition
		for _, p := range list {
			for i := range p.Windows {
				sel := s.selectionOf(p, &p.Windows[i])
				keys = append(append(keys, sel.Key...), ' ')
				b := sel.Bucket(1)
				if b == nil {
					b = sel.Bucket(0)
				}
				if b == nil {
					b = s.emptyOf(sel)
				}
				for _, h := range sel.Window.Handlers {
					all.Add(b, successor.Handler(h), successor.Labels{Policy: p.Name, Tap: sel.Window.Tap, Handler: h.Name, Instance: s.cfg.SuccessorInstance})
				}
			}
		}
		body = all.AppendTo(nil)
	})
	if err != nil {
		Fail(w, r, err)
		return
	}
	s.send(w, r, newPage(string(keys), typeText, body))
}
