package main

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pktvisor/agent"
	"pktvisor/analyze"
	"pktvisor/config"
	"pktvisor/server"
)

// engine holds the taps that are open and the policies that count, and changes them while the agent runs.
type engine struct {
	changing sync.Mutex                       // held while they change
	taps     atomic.Pointer[[]*tap]           // those that are open
	policies atomic.Pointer[[]*running]       // in the order of the configuration
	public   atomic.Pointer[[]*server.Policy] // the same, as the server publishes them: the first one is the default
	// described are the taps of the configuration as the server publishes them.
	described atomic.Pointer[map[string][]byte]
	over      bool // no change is possible any more; guarded by changing
}

// running is a policy that counts.
type running struct {
	planned
	windows []*watched
	public  *server.Policy // nil after a change, until the server knows of it
	set     *config.Set    // of which the policy is
}

// load returns a list that another goroutine may replace.
func load[T any](list *atomic.Pointer[[]T]) []T {
	if p := list.Load(); p != nil {
		return *p
	}
	return nil
}

// change is what leads from the present state to a plan. Nothing of it is in force before [live.commit].
type change struct {
	plan    *plan
	keep    []*running // that stay as they are
	gone    []*running // that are removed, or start anew
	add     []*running // that are new, or start anew
	open    []*tap     // that are new
	configs []agent.TapConfig
	stay    []*tap // that are open already
	close   []*tap
}

// prepare finds out what a plan changes, makes what can be made before, and opens the sources.
func (l *live) prepare(next *plan) (*change, error) {
	c := &change{plan: next}
	for _, r := range load(&l.policies) {
		if p := next.policy(r.Name); p != nil && p.key == r.key {
			c.keep = append(c.keep, r)
		} else {
			c.gone = append(c.gone, r)
		}
	}
	for _, p := range next.policies {
		if !slices.ContainsFunc(c.keep, func(r *running) bool { return r.Name == p.Name }) {
			r, err := l.newRunning(p)
			if err != nil {
				return nil, err
			}
			c.add = append(c.add, r)
		}
	}
	for _, t := range load(&l.taps) {
		if slices.Contains(next.inputs, t.input) {
			c.stay = append(c.stay, t)
		} else {
			c.close = append(c.close, t)
		}
	}
	if err := l.fit(c); err != nil {
		return nil, err
	}
	return c, l.openTaps(c)
}

// openTaps opens the inputs that are not open yet. After an error, none of them is.
func (l *live) openTaps(c *change) error {
	for _, in := range c.plan.inputs {
		if slices.ContainsFunc(c.stay, func(t *tap) bool { return t.input == in }) {
			continue
		}
		t, cfg := l.newTap(in, c.plan)
		if err := t.open(l.ctx, &cfg, l.seed); err != nil {
			c.abandon()
			if in.name != agent.Default {
				err = fmt.Errorf("tap %s: %w", in.tap, err)
			}
			return err
		}
		c.open, c.configs = append(c.open, t), append(c.configs, cfg)
	}
	return nil
}

// abandon closes what was opened for a change that does not take place.
func (c *change) abandon() {
	for _, t := range c.open {
		t.close()
		t.closeCounter()
	}
}

// names returns the names of the policies that a change starts anew, adds and removes, as attributes of a log line.
func (c *change) names() []any {
	nameOf := func(list []*running) (names []string) {
		for _, r := range list {
			names = append(names, r.Name)
		}
		return names
	}
	var changed []string
	added, removed := nameOf(c.add), nameOf(c.gone)
	added = slices.DeleteFunc(added, func(name string) bool {
		both := slices.Contains(removed, name)
		if both {
			changed = append(changed, name)
		}
		return both
	})
	removed = slices.DeleteFunc(removed, func(name string) bool { return slices.Contains(changed, name) })
	return []any{"changed", hostList(changed), "added", hostList(added), "removed", hostList(removed)}
}

// undone returns which of some taps and policies, as KIND/NAME, are now other ones.
func (c *change) undone(keys []string) []string {
	return slices.DeleteFunc(keys, func(what string) bool {
		kind, name := splitKey(what)
		if kind == config.Taps {
			return !slices.ContainsFunc(c.open, func(t *tap) bool { return t.tap == name })
		}
		return !slices.ContainsFunc(c.add, func(r *running) bool { return r.Name == name })
	})
}

// newTap returns a tap that is not open, and its configuration.
func (l *live) newTap(in input, p *plan) (*tap, agent.TapConfig) {
	t := newTap(l.o, l.log, in)
	cfg := l.o.tapConfig()
	cfg.Name, cfg.Decap, cfg.Hosts, cfg.DNSTimeout, cfg.Scale = in.name, in.Decap, analyze.NewHosts(t.given), p.dnsTimeout(in), l.tapScale
	cfg.OnSample = t.sampleChanged
	cfg.OnSourceError = func(shard int, err error) {
		t.log.Error("source failed", "source", t.title, "shard", shard, "error", err)
	}
	t.deepSample = p.deepSample(in)
	return t, cfg
}

// commit puts a change into force. Its errors are mistakes of the program: what can be wrong was found by prepare.
func (l *live) commit(c *change) error {
	var errs []error
	for _, r := range c.gone {
		errs = append(errs, l.removePolicy(r))
	}
	for _, t := range c.close {
		errs = append(errs, l.agent.RemoveTap(t.name))
		t.close()
		t.closeCounter()
	}
	for i, t := range c.open {
		if err := l.agent.AddTap(c.configs[i], t.sources); err != nil {
			errs = append(errs, err)
			t.close()
			t.closeCounter()
			continue
		}
		t.begin(l.agent.Tap(t.name))
		c.stay = append(c.stay, t)
	}
	taps := inOrder(c.stay, func(t *tap) int { return slices.Index(c.plan.inputs, t.input) })
	l.taps.Store(&taps)
	for _, r := range c.add {
		if err := l.addPolicy(r); err != nil {
			errs = append(errs, err)
			continue
		}
		c.keep = append(c.keep, r)
	}
	all := inOrder(c.keep, func(r *running) int {
		return slices.IndexFunc(c.plan.policies, func(p planned) bool { return p.Name == r.Name })
	})
	l.policies.Store(&all)
	l.publish(c.plan, all)
	if len(c.gone) > 0 {
		go debug.FreeOSMemory() // what a policy had goes back to the system, without holding up who asked
	}
	return errors.Join(errs...)
}

// inOrder sorts a list by a number.
func inOrder[T any](list []T, at func(T) int) []T {
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b T) int { return at(a) - at(b) })
	return sorted
}

// publish tells the server which policies there are: the default first.
func (l *live) publish(p *plan, all []*running) {
	for _, r := range all {
		r.set = p.set
		if q := p.policy(r.Name); r.Description != q.Description {
			r.Description, r.public = q.Description, nil
		}
	}
	l.publishPolicies(all)
	l.describeTaps(p.set)
}

// publishPolicies tells the server of the policies that have changed.
func (l *live) publishPolicies(all []*running) {
	list := make([]*server.Policy, 0, len(all))
	for _, r := range all {
		if r.public == nil {
			r.public = l.publicOf(r)
		}
		if r.Name == agent.Default {
			list = slices.Insert(list, 0, r.public)
		} else {
			list = append(list, r.public)
		}
	}
	l.public.Store(&list)
}

// addPolicy lets a policy count.
func (l *live) addPolicy(r *running) error {
	for i, w := range r.windows {
		if err := l.addWindow(r, w); err != nil {
			for _, other := range r.windows[:i] {
				l.removeWindow(other)
			}
			return err
		}
	}
	return nil
}

// removePolicy ends a policy. Its last minutes are pushed, if they are to be. Its minutes on the disk are removed:
// another policy of that name must not continue them.
func (l *live) removePolicy(r *running) error {
	var errs []error
	for _, w := range r.windows {
		errs = append(errs, l.removeWindow(w))
	}
	l.forgetState(r)
	return errors.Join(errs...)
}

// closeTaps closes all taps concurrently.
func (l *live) closeTaps() {
	var closing sync.WaitGroup
	for _, t := range load(&l.taps) {
		closing.Go(t.close)
	}
	closing.Wait()
}

// primary returns the policy that the routes answer for without a name: "default", or the only one. It returns nil if there is
// none.
func (l *live) primary() *running {
	all := load(&l.policies)
	for _, r := range all {
		if r.Name == agent.Default || len(all) == 1 {
			return r
		}
	}
	return nil
}

// applied is how long a change took, for the log.
func applied(since time.Time) time.Duration { return time.Since(since).Round(time.Millisecond) }
