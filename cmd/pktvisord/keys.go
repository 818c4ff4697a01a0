package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"pktvisor/agent"
	"pktvisor/config"
	"pktvisor/drill"
	"pktvisor/filter"
	"pktvisor/metric"
	"pktvisor/policy"
)

const (
	// lookEvery is how often the tables are looked at whose keys are followed.
	lookEvery = 5 * time.Second
	// lookedMinutes is how many of the newest minutes decide which keys are the heaviest.
	lookedMinutes = 5
)

// followed are the keys of a window's table that have summaries of their own.
type followed struct {
	section, table string
	scale          int   // of the tables of a key
	bytes          int64 // that a key takes at most, without the history that can be shed

	follower *drill.Follower         // guarded by live.changing
	list     atomic.Pointer[[]keyed] // in the order in which they began
	began    uint64                  // how many keys have begun; guarded by live.changing
}

// keyed is a key with its summary.
type keyed struct {
	key   string
	name  string // of the agent's policy: WINDOW//N. No other name has two slashes in a row
	since time.Time
	agent *agent.Policy
}

// checkForEach returns what is wrong with the for_each of a policy.
func checkForEach(c *config.Policy) error {
	switch {
	case c.ForEach == nil:
		return nil
	case !hasTable(c.Handlers, c.ForEach.Top):
		return c.Fault("for_each follows %s, and no analyzer of the policy has that table: add %s to its analyzers", c.ForEach.Top, sectionOf(c.ForEach.Top))
	case c.Anonymize:
		return c.Fault("for_each filters by the keys of a table, and those of an anonymised policy are pseudonyms: leave out for_each, or give the policy anonymize: false")
	}
	return nil
}

func sectionOf(table string) string {
	section, _, _ := strings.Cut(table, ".")
	return section
}

// hasTable reports whether one of the handlers makes a table, section.table.
func hasTable(handlers []config.Handler, table string) bool {
	kind := map[string]string{"packets": "net", "dns": "dns"}[sectionOf(table)]
	return slices.ContainsFunc(handlers, func(h config.Handler) bool { return h.Type == kind })
}

// newFollowed returns what follows the keys of a window.
func newFollowed(p *config.Policy) *followed {
	f := &followed{follower: drill.New(drill.Config{Most: p.ForEach.Most, Hold: time.Duration(p.Periods) * time.Minute})}
	f.section, f.table, _ = strings.Cut(p.ForEach.Top, ".")
	return f
}

// all returns the keys that are followed. A nil followed has none.
func (f *followed) all() []keyed {
	if f == nil {
		return nil
	}
	return load(&f.list)
}

// fitKeys makes the tables of each key as large as the budget of all of them allows. If the policy has no budget, they are as small
// as possible.
func (l *live) fitKeys(r *running, w *watched, budget policy.Budget) error {
	most := policy.Budget(r.ForEach.Most)
	cost := func(scale int) int64 { return l.memory(w, scale, w.cfg.Periods) }
	scale, ok := min(budget/most, policy.Budget(cost(0))).Scale(cost)
	if r.Budget == 0 {
		scale = policy.MinScale
	} else if !ok {
		least := 2 * cost(policy.MinScale) * int64(most) * int64(len(r.windows))
		return fmt.Errorf("policy %s: for_each keeps a summary of %d minutes for each of %d keys, which does not fit into its share of the memory, %s: give memory: %s, or lower most or periods",
			r.Name, w.cfg.Periods, most, mebibytes(int64(budget)), mebibytes(least))
	}
	w.keys.scale, w.keys.bytes = scale, l.memory(w, scale, min(leastPeriods, w.cfg.Periods))
	return nil
}

// followKeys looks at the tables whose keys are followed, until ctx is done.
func (l *live) followKeys(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.lookAtKeys(time.Now())
		}
	}
}

// lookAtKeys begins and ends summaries of keys by the tables of now.
func (l *live) lookAtKeys(now time.Time) {
	l.changing.Lock()
	defer l.changing.Unlock()
	if l.over {
		return
	}
	begun, ended := false, false
	for _, r := range load(&l.policies) {
		for _, w := range r.windows {
			if w.keys == nil {
				continue
			}
			b, e := l.lookAt(w, now)
			if b || e {
				r.public = nil
			}
			begun, ended = begun || b, ended || e
		}
	}
	if begun || ended {
		l.publishPolicies(load(&l.policies))
	}
	if ended {
		l.refresh()
	}
	if ended && !begun { // otherwise the next key takes the memory
		go debug.FreeOSMemory() // without holding up a change of the configuration
	}
}

// lookAt begins and ends summaries of keys of a window. As long as there are free places, several keys may begin at once. Then at most one
// key takes the place of another.
func (l *live) lookAt(w *watched, now time.Time) (begun, ended bool) {
	f := w.keys
	rows, filters, total := f.rows(w.agent.Window().Merged(min(lookedMinutes, w.cfg.Periods)))
	for {
		c := f.follower.Next(rows, total, now)
		if c.End != "" {
			ended = true
			if err := l.endKey(w, c.End); err != nil {
				l.log.Error("the summary of a key was not removed", "policy", w.name, "key", c.End, "error", err)
			}
		}
		if c.Begin == "" {
			return begun, ended
		}
		begun = true
		if err := l.beginKey(w, c.Begin, filters[c.Begin], now); err != nil {
			f.follower.Drop(c.Begin)
			l.log.Error("a key is not followed", "policy", w.name, "key", c.Begin, "error", err)
			return begun, ended
		}
		if c.End != "" {
			return begun, ended
		}
	}
}

// rows returns the heaviest rows of the table that can be followed, with the filters of their keys, and the weight of the whole table. Rows with the
// same filter are one row.
func (f *followed) rows(b *metric.Bucket) (rows []drill.Row, filters map[string]policy.Filter, total uint64) {
	filters = map[string]policy.Filter{}
	if b == nil {
		return nil, filters, 0
	}
	s, ok := b.Section(f.section)
	if !ok {
		return nil, filters, 0
	}
	i, ok := s.Table.Find(f.table)
	if !ok {
		return nil, filters, 0
	}
	table, at := s.Rows(i), map[string]int{}
	for key, bounds := range table.Each() {
		if bounds.Lower == 0 {
			continue
		}
		one, name, ok := drill.Filter(f.section+"."+f.table, string(key))
		if !ok {
			continue
		}
		k, seen := at[name]
		if !seen {
			k = len(rows)
			at[name] = k
			rows = append(rows, drill.Row{Key: name})
			filters[name] = one
		}
		rows[k].Weight += bounds.Lower
	}
	return rows, filters, table.Total()
}

// beginKey begins the summary of a key.
func (l *live) beginKey(w *watched, key string, f policy.Filter, now time.Time) error {
	var opts filter.Options
	if l.geo != nil {
		opts.Locate = l.geo
	}
	own, err := filter.New(&f, opts)
	if err != nil {
		return err
	}
	cfg := w.cfg
	w.keys.began++
	cfg.Name, cfg.Key = fmt.Sprintf("%s//%d", w.name, w.keys.began), key
	cfg.Filter, cfg.Scale, cfg.OnSeal = filter.And(w.cfg.Filter, own), w.keys.scale, nil
	p, err := l.agent.AddPolicy(cfg)
	if err != nil {
		return err
	}
	list := append(slices.Clone(w.keys.all()), keyed{key, cfg.Name, now, p})
	w.keys.list.Store(&list)
	return nil
}

// endKey ends the summary of a key and releases its memory.
func (l *live) endKey(w *watched, key string) error {
	list := slices.Clone(w.keys.all())
	i := slices.IndexFunc(list, func(k keyed) bool { return k.key == key })
	if i < 0 {
		return errors.New("it has none")
	}
	name := list[i].name
	list = slices.Delete(list, i, i+1)
	w.keys.list.Store(&list)
	return l.agent.RemovePolicy(name)
}

// removeKeys ends the summaries of all keys of a window.
func (l *live) removeKeys(w *watched) error {
	var errs []error
	for _, k := range w.keys.all() {
		errs = append(errs, l.endKey(w, k.key))
	}
	return errors.Join(errs...)
}
