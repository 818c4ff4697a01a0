package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"pktvisor/agent"
	"pktvisor/config"
	"pktvisor/server"
)

// wanted says which taps and policies there are to be, and who wants them. It does not change: a change makes another one.
type wanted struct {
	o    *options
	line *config.Set // of the command line
	file *config.Set // nil without a configuration file
	// added are the documents that came over the API, in their order. A later one may use what an earlier one has.
	added []addition
	// gone are what the API has removed of the line and of the file, as KIND/NAME.
	gone map[string]bool
}

// addition is a document that came over the API, of one tap or policy.
type addition struct {
	what, name string
	data       []byte
}

// maxAdded bounds the documents that came over the API, in bytes together.
const maxAdded = 32 << 20

// newWanted returns what is wanted at the start.
func newWanted(o *options) *wanted {
	w := &wanted{o: o, line: new(config.Set), file: o.document, gone: map[string]bool{}}
	if o.Target != "" {
		t := config.Tap{Name: agent.Default, Tap: o.Tap, Input: "pcap"}
		w.line.Taps = []config.Tap{t}
		w.line.Policies = []config.Policy{{
			Name: agent.Default, Taps: w.line.Taps, Policy: o.Policy, Rows: 10, Handlers: []config.Handler{
				{Name: "packets", Type: "net", Version: "1.0"}, {Name: "dns", Type: "dns", Version: "1.0"},
			},
		}}
	}
	return w
}

// set returns all taps and policies, with all their settings. The error lists what does not go together.
func (w *wanted) set() (*config.Set, error) {
	all := w.line
	var err error
	if w.file != nil {
		if all, err = all.With(w.file); err != nil {
			return nil, err
		}
	}
	for what := range w.gone {
		kind, name := splitKey(what)
		all = all.Remove(kind, name)
	}
	for _, a := range w.added {
		if all, _, err = all.Add("added "+a.name, a.data, a.what, true); err != nil {
			return nil, fmt.Errorf("%s that was added over the API: %w", a.name, err)
		}
	}
	for _, p := range all.Policies {
		for _, t := range p.Taps {
			if !slices.ContainsFunc(all.Taps, func(o config.Tap) bool { return o.Name == t.Name }) {
				return nil, p.Fault("tap '%s' does not exist any more, and policy %s uses it: remove that policy first", t.Name, p.Name)
			}
		}
	}
	all = all.Remove("", "") // a copy
	for i := range all.Policies {
		all.Policies[i].Fill(&w.o.Policy)
	}
	return all, nil
}

// with returns what is wanted with one more document.
func (w *wanted) with(a addition) *wanted {
	next := w.without(a.what, a.name)
	delete(next.gone, key(a.what, a.name))
	at := slices.IndexFunc(w.added, func(b addition) bool { return b.what == a.what && b.name == a.name })
	if at >= 0 { // in the same place, because others may use it
		next.added = slices.Insert(next.added, at, a)
	} else {
		next.added = append(next.added, a)
	}
	return next
}

// without returns what is wanted without a tap or a policy.
func (w *wanted) without(what, name string) *wanted {
	next := *w
	next.gone = maps.Clone(w.gone)
	next.gone[key(what, name)] = true
	next.added = slices.DeleteFunc(slices.Clone(w.added), func(a addition) bool { return a.what == what && a.name == name })
	return &next
}

// reloaded returns what is wanted with another configuration file. What the file has is as the file has it, whatever the API has
// done to it. What only the API has added stays.
func (w *wanted) reloaded(file *config.Set) *wanted {
	next := *w
	next.file, next.gone = file, maps.Clone(w.gone)
	has := map[string]bool{}
	for _, t := range file.Taps {
		has[key(config.Taps, t.Name)] = true
	}
	for _, p := range file.Policies {
		has[key(config.Policies, p.Name)] = true
	}
	next.added = slices.DeleteFunc(slices.Clone(w.added), func(a addition) bool { return has[key(a.what, a.name)] })
	maps.DeleteFunc(next.gone, func(what string, _ bool) bool { return has[what] })
	return &next
}

// overridden returns what the API has changed or removed, as KIND/NAME, and is not so in what is wanted next.
func (w *wanted) overridden(next *wanted) (keys []string) {
	for _, a := range w.added {
		if !slices.ContainsFunc(next.added, func(b addition) bool { return a.what == b.what && a.name == b.name }) {
			keys = append(keys, key(a.what, a.name))
		}
	}
	for _, what := range slices.Sorted(maps.Keys(w.gone)) {
		if !next.gone[what] && !slices.Contains(keys, what) {
			keys = append(keys, what)
		}
	}
	return keys
}

// bytes returns the size of the documents that came over the API.
func (w *wanted) bytes() (n int) {
	for _, a := range w.added {
		n += len(a.data)
	}
	return n
}

func key(what, name string) string { return what + "/" + name }

func splitKey(key string) (what, name string) {
	for _, what := range []string{config.Taps, config.Policies} {
		if len(key) > len(what) && key[:len(what)+1] == what+"/" {
			return what, key[len(what)+1:]
		}
	}
	return "", ""
}

// plan returns what all taps and policies take.
func (w *wanted) plan() (*plan, error) {
	set, err := w.set()
	if err != nil {
		return nil, err
	}
	p, err := newPlan(set)
	if err != nil {
		return nil, err
	}
	isAdded := func(a addition) bool { return a.what == config.Policies && a.name == agent.Default }
	if q := p.policy(agent.Default); q != nil {
		q.line = w.o.Target != "" && !slices.ContainsFunc(w.added, isAdded)
	}
	return p, nil
}

// want puts into force what is wanted from now on. The caller holds changing.
func (l *live) want(ctx context.Context, next *wanted) (*change, error) {
	if l.over {
		return nil, &server.Error{Status: 503, Text: "the agent is ending"}
	}
	p, err := next.plan()
	if err != nil {
		return nil, err
	}
	c, err := l.prepare(p)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil { // who asked is gone: nothing has changed yet
		c.abandon()
		return nil, err
	}
	l.wanted = next
	return c, l.commit(c)
}

// end lets no change happen any more.
func (l *live) end() {
	l.changing.Lock()
	defer l.changing.Unlock()
	l.over = true
}
