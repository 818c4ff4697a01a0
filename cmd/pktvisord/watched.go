package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"pktvisor/agent"
	"pktvisor/analyze"
	"pktvisor/config"
	"pktvisor/filter"
	"pktvisor/metric"
	"pktvisor/state"
)

// watched is a window of a policy that counts.
type watched struct {
	windowPlan
	cfg   agent.PolicyConfig
	agent *agent.Policy // nil before the agent has it
	state *state.State  // nil without a state directory
	since time.Time     // when it began to count
	most  int64         // how many bytes it takes at most, without the history that can be shed

	keys *followed // nil if no keys are followed

	stop    context.CancelFunc // of syncing
	syncing sync.WaitGroup
}

// newRunning returns a policy with everything that can be made before it counts.
func (l *live) newRunning(p planned) (*running, error) {
	r := &running{planned: p}
	for _, w := range p.windows {
		cfg, err := l.policyConfig(&p, w)
		if err != nil {
			return nil, fmt.Errorf("policy %s: %w", p.Name, err)
		}
		one := &watched{windowPlan: w, cfg: cfg}
		if p.ForEach != nil && hasTable(w.handlers, p.ForEach.Top) {
			one.keys = newFollowed(&p.Policy)
		}
		r.windows = append(r.windows, one)
	}
	return r, nil
}

// policyConfig returns how the agent fills a window. It lacks the scale.
func (l *live) policyConfig(p *planned, w windowPlan) (agent.PolicyConfig, error) {
	cfg := agent.PolicyConfig{
		Name: w.name, Periods: p.Periods, SampleSeed: l.seed,
		DeepSamplePercent: p.DeepSamplePercent, MinDeepSamplePercent: p.MinDeepSamplePercent,
	}
	for _, in := range w.inputs {
		cfg.Taps = append(cfg.Taps, in.name)
	}
	topics := agent.TopicsWith(l.locator(), p.DNSTimeout, l.suffixes)
	for i, kind := range []string{"net", "dns"} {
		if slices.ContainsFunc(w.handlers, func(h config.Handler) bool { return h.Type == kind }) {
			cfg.Topics = append(cfg.Topics, topics[i])
		}
	}
	var err error
	if cfg.Anonymizer, err = anonymizerOf(&p.Policy.Policy, l.suffixes); err != nil {
		return cfg, err
	}
	return cfg, l.filters(&cfg, p, w)
}

// filters compiles the filters of a window. In a chain, a handler gets only what those before it let pass.
func (l *live) filters(cfg *agent.PolicyConfig, p *planned, w windowPlan) error {
	var opts filter.Options
	if l.geo != nil {
		opts.Locate = l.geo
	}
	compiled := map[string]*filter.Filter{}
	for _, h := range p.Handlers {
		f, err := filter.New(&h.Filter, opts)
		if err != nil {
			return fmt.Errorf("analyzer %s: %w", h.Name, err)
		}
		compiled[h.Name] = f
	}
	var err error
	if cfg.Filter, err = filter.New(&p.Policy.Filter, opts); err != nil {
		return err
	}
	for _, h := range w.before {
		cfg.Filter = filter.And(cfg.Filter, compiled[h.Name])
	}
	own := map[string]*filter.Filter{} // by type
	chain := (*filter.Filter)(nil)
	for _, h := range w.handlers {
		own[h.Type] = compiled[h.Name]
		if p.Chained {
			chain = filter.And(chain, compiled[h.Name])
			own[h.Type] = chain
		}
	}
	for _, kind := range []string{"net", "dns"} { // in the order of the topics
		if f, has := own[kind]; has {
			cfg.TopicFilters = append(cfg.TopicFilters, f)
		}
	}
	return nil
}

// addWindow lets a window count.
func (l *live) addWindow(r *running, w *watched) error {
	if l.o.StateDir != "" && !w.isFile() {
		var err error
		if w.state, err = l.openState(r, w); err != nil {
			if !l.began {
				return err
			}
			l.log.Error("a policy keeps no minutes on the disk", "policy", w.name, "error", err)
		}
	}
	w.cfg.OnSeal = l.onSeal(r, w)
	var err error
	w.since = time.Now()
	if w.agent, err = l.agent.AddPolicy(w.cfg); err != nil {
		return err
	}
	if w.state != nil {
		now := time.Now()
		w.agent.Window().Restore(w.state.Load(now, w.cfg.Periods), now.Unix())
		ctx, stop := context.WithCancel(context.Background())
		w.stop = stop
		w.syncing.Go(func() { w.syncState(ctx, l.o.StateSync) })
	}
	return nil
}

// removeWindow ends a window. It has told everybody of its last minutes when this returns.
func (l *live) removeWindow(w *watched) error {
	err := errors.Join(l.removeKeys(w), l.agent.RemovePolicy(w.name))
	w.closeState(nil)
	return err
}

// closeState writes the live bucket, which may be nil, and releases the state directory.
func (w *watched) closeState(live *metric.Bucket) {
	if w.state == nil {
		return
	}
	w.stop()
	w.syncing.Wait()
	w.state.Close(live)
}

// isFile reports whether the window is that of a capture file, whose minutes are of another time.
func (w *windowPlan) isFile() bool { return slices.ContainsFunc(w.inputs, input.isFile) }

// definitionName is the file in the directory of a policy that says which policy the minutes are of.
const definitionName = "definition"

// dirOf returns the directory of a window's minutes: the state directory itself for the first window of the policy default, and
// otherwise POLICY.d, POLICY.d/TAP.d or POLICY.d/TAP.d/HANDLER.d below it. A name has no dot.
func dirOf(stateDir, window string) string {
	if window == agent.Default {
		return stateDir
	}
	dir := stateDir
	for part := range strings.SplitSeq(window, "/") {
		dir = filepath.Join(dir, part+".d")
	}
	return dir
}

// openState opens the directory of a window. Minutes of another definition of the policy are removed before.
func (l *live) openState(r *running, w *watched) (*state.State, error) {
	dir := dirOf(l.o.StateDir, w.name)
	path := filepath.Join(dir, definitionName)
	before, err := os.ReadFile(path)
	isOther := err == nil && string(before) != r.key
	if isOther {
		l.log.Info("the policy was another one in the last run: its minutes are removed", "policy", w.name)
		removeMinutes(dir)
	}
	s, err := state.Open(dir, tablesOf(&w.cfg), l.log)
	if err != nil {
		return nil, err
	}
	if !r.line {
		if err := os.WriteFile(path, []byte(r.key), 0o600); err != nil {
			l.log.Warn("the definition of a policy was not written: the next start may not see that it has changed", "policy", w.name, "error", err)
		}
	} else if len(before) > 0 {
		_ = os.Remove(path) // the command line's policy has no definition
	}
	s.Require(w.cfg.Anonymizer.Anonymity())
	return s, nil
}

// removeMinutes removes the minutes in a directory of a window, and nothing else.
func removeMinutes(dir string) {
	all, _ := filepath.Glob(filepath.Join(dir, "[0-9]*.pktvsnap"))
	for _, path := range all {
		_ = os.Remove(path) // what stays is too old soon
	}
}

// forgetState removes the minutes of a policy that is gone.
func (l *live) forgetState(r *running) {
	if l.o.StateDir == "" {
		return
	}
	if r.Name == agent.Default {
		removeMinutes(l.o.StateDir)
	}
	if err := os.RemoveAll(filepath.Join(l.o.StateDir, r.Name+".d")); err != nil {
		l.log.Warn("minutes of a policy that is gone not removed", "policy", r.Name, "error", err)
	}
}

// tablesOf returns the sections of a window's buckets.
func tablesOf(cfg *agent.PolicyConfig) []*metric.Table {
	var all []*metric.Table
	for _, t := range agent.Tables {
		if t.Section == "pcap" || slices.ContainsFunc(cfg.Topics, func(own analyze.Topic) bool { return own.Table.Section == t.Section }) {
			all = append(all, t)
		}
	}
	return all
}
