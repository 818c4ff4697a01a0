package server

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/window"
)

// Selection is what one request is about: everything, or a part of a fleet. It serves that request only, and may keep what
// it has learned for it.
type Selection struct {
	window.Views
	// Key distinguishes the answers of the selection from those of others. It is "" for everything.
	Key string
	// Failed returns why the views have returned nothing or too little, or nil if they have not failed. The field is nil if
	// they cannot fail.
	Failed func() error
	// Extra returns what follows the sections in the JSON of the bucket that the views returned last. It may be nil.
	Extra func() []metric.ExtraSection
	// Fleet returns the member "fleet" of /app. It is nil for an agent.
	Fleet func() any
	// Policy and Window are the policy of an agent and its window. They are nil for a fleet.
	Policy *Policy
	Window *PolicyWindow
	// Of is the key whose window it is, or "".
	Of string

	life *life // of the window
}

// Own returns what make returned first for the window. It is kept until the window is gone, for one route or group of routes
// that makes something of its own of each window.
func (s *Selection) Own(make func() any) any {
	s.life.once.Do(func() { s.life.own = make() })
	return s.life.own
}

// tables returns the tables of the buckets of a selection.
func (s *Server) tables(sel *Selection) []*metric.Table {
	if sel.Window != nil {
		return sel.Window.Tables
	}
	return s.cfg.Tables
}

// deepSample returns the greatest percentage of address pairs that is analysed in depth.
func (s *Server) deepSample(sel *Selection) int {
	if sel.Window != nil {
		return sel.Window.DeepSamplePercent
	}
	return s.cfg.DeepSamplePercent
}

// emptyOf returns what is shown of a selection before the first packet or second.
func (s *Server) emptyOf(sel *Selection) *metric.Bucket {
	if sel.life == nil {
		return s.empty
	}
	sel.life.emptyOnce.Do(func() {
		sel.life.empty = metric.NewBucket(sel.Window.Tables)
		sel.life.empty.DeepSamplePercent = sel.Window.DeepSamplePercent
	})
	return sel.life.empty
}

func (s *Selection) failed() error {
	if s.Failed == nil {
		return nil
	}
	return s.Failed()
}

func (s *Selection) extra() []metric.ExtraSection {
	if s.Extra == nil {
		return nil
	}
	return s.Extra()
}

// Error is an error with its status in HTTP. Other errors of a [Config.Select] or a [Route] mean that the server is busy.
type Error struct {
	Status int
	// Text says what is wrong, and what to do instead.
	Text string
}

// Error implements error.
func (e *Error) Error() string { return e.Text }

// selection returns what a request is about.
func (s *Server) selection(r *http.Request) (*Selection, error) {
	if s.cfg.Select != nil {
		return s.cfg.Select(r.Context(), r.URL.Query())
	}
	if err := agentOnly(r.URL.Query()); err != nil {
		return nil, err
	}
	return s.choose(r.URL.Query())
}

// agentOnly rejects the parameters that choose hosts of a fleet. An agent that ignored them would answer another question.
func agentOnly(q url.Values) error {
	for _, name := range []string{"host", "tag"} {
		if q.Has(name) {
			return &Error{http.StatusBadRequest, "this is an agent, which has only its own packets: " + name + " is a parameter of a hub"}
		}
	}
	return nil
}

// Fail answers a request that failed with err: an [*Error], or one that means that the server is busy.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	if e, ok := errors.AsType[*Error](err); ok {
		if e.Status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "5")
		}
		fail(w, e.Status, "%s", e.Text)
		return
	}
	failBusy(w, r, err)
}

// lastSecond returns the newest second (Unix time) that is complete and can be shown.
func (s *Server) lastSecond() int64 {
	return time.Now().Add(-max(s.cfg.Delay, minute.Whole)).Unix() - 1
}

// shownFrom returns the time from which a second is the last one.
func (s *Server) shownFrom(second int64) time.Time {
	return time.Unix(second+1, 0).Add(max(s.cfg.Delay, minute.Whole))
}

// hub reports whether the server publishes a fleet.
func (s *Server) hub() bool { return s.cfg.Select != nil }
