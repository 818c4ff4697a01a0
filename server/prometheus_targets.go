package server

import (
	"net/http"
	"slices"
	"time"

	"pktvisor/exposition"
	"pktvisor/metric"
	"pktvisor/window"
)

// target is a window whose metrics are in an answer of /metrics.
type target struct {
	// name distinguishes the target from the others, and stays the same from one answer to the next.
	name   string
	labels []exposition.Label
	views  window.Views
	tables []*metric.Table
	// deepSample is the greatest percentage of address pairs that is analysed in depth.
	deepSample int
	// policy and window are those of an agent; window is nil for a fleet.
	policy string
	window *PolicyWindow
	// created is when its counters began at 0, or zero if that is not known. Those of a fleet begin at 0 each day.
	created time.Time
}

// targets returns what an answer to a request has, and the selection: the window that the request selects, or the windows of all
// policies if it selects none.
func (s *Server) targets(r *http.Request) (targets []target, sel *Selection, err error) {
	q := r.URL.Query()
	if s.hub() {
		if sel, err = s.selection(r); err != nil {
			return nil, nil, err
		}
		return []target{{views: sel.Views, tables: s.cfg.Tables, deepSample: s.cfg.DeepSamplePercent}}, sel, nil
	}
	if !q.Has("policy") && !q.Has("tap") && !q.Has("handler") && !q.Has("key") {
		return s.policyTargets(), &Selection{}, agentOnly(q)
	}
	if sel, err = s.selection(r); err != nil {
		return nil, nil, err
	}
	if sel.Of != "" {
		return []target{s.keyTarget(sel)}, sel, nil
	}
	return slices.DeleteFunc(s.policyTargets(), func(t target) bool { return t.views != sel.Views }), sel, nil
}

// keyTarget returns the window of a key, which only an answer to a request that selects it has: keys come and go, so all of them
// would be ever more series. It has the labels policy, tap and key.
func (s *Server) keyTarget(sel *Selection) target {
	w := sel.Window
	t := target{policy: sel.Policy.Name, window: w, views: w.Views, tables: w.Tables, deepSample: w.DeepSamplePercent, created: w.Started}
	t.label("policy", sel.Policy.Name)
	t.label("tap", w.Tap)
	t.label("key", sel.Of)
	return t
}

// policyTargets returns the windows of all policies. The first window of the policy named default has no labels, as if it were
// alone. The others have the labels policy and tap. A window of the same policy and tap as an earlier one also has the label
// handler, with the name of its first handler.
func (s *Server) policyTargets() (all []target) {
	taken := make(map[string]bool)
	for _, p := range s.lives.now() {
		for i := range p.Windows {
			w := &p.Windows[i]
			t := target{policy: p.Name, window: w, views: w.Views, tables: w.Tables, deepSample: w.DeepSamplePercent, created: w.Started}
			if w.Started.IsZero() {
				t.created = s.cfg.Started
			}
			if p.Name != defaultPolicy || i > 0 {
				t.label("policy", p.Name)
				t.label("tap", w.Tap)
			}
			if taken[t.name] && len(w.Handlers) > 0 {
				t.label("handler", w.Handlers[0].Name)
			}
			if !taken[t.name] { // otherwise its series would contradict those of another
				taken[t.name] = true
				all = append(all, t)
			}
		}
	}
	return all
}

// label adds a label. Prometheus takes an empty one for none.
func (t *target) label(name, value string) {
	t.name += "\x00" + value
	if value != "" {
		t.labels = append(t.labels, exposition.Label{Name: name, Value: value})
	}
}
