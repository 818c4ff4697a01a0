package main

import (
	"context"
	"fmt"

	"pktvisor/agent"
	"pktvisor/internal/memlimit"
	"pktvisor/policy"
	"pktvisor/server"
	"pktvisor/window"
)

// programBytes is about what the agent takes beside its tables and its history.
const programBytes = 24 << 20

// leastPeriods is how many minutes the window has left when all others are shed.
const leastPeriods = policy.MinPeriods

// defaultBudget is the memory of a policy of a document that says nothing about it, on so many shards that it fits: see
// docs/configuration.md.
const defaultBudget = 128 << 20

// fit chooses the sizes of the tables of new policies, and returns an error if they do not fit into what is left.
func (l *live) fit(c *change) error {
	room, taken := l.room(), int64(0)
	for _, r := range c.keep {
		taken += r.most()
	}
	for _, in := range c.plan.inputs {
		tap := agent.TapConfig{Shards: l.shardsOf(in)}
		taken += tap.Memory(l.tapScale)
	}
	for _, r := range c.add {
		if r.line {
			l.fitLine(r, room-taken)
		} else if err := l.fitPolicy(r); err != nil {
			return err
		}
		most := r.most()
		if taken += most; room > 0 && taken > room && !r.line {
			return fmt.Errorf("policy %s may take %s, and of the %s for policies in the limit of memory of %s (%s) only %s are left: give it less with memory, fewer taps or periods, or remove another policy",
				r.Name, mebibytes(most), mebibytes(room), mebibytes(l.limit.Bytes), l.limit.From, mebibytes(max(0, room-taken+most)))
		}
	}
	return nil
}

// mebibytes returns a number of bytes for people.
func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// room returns how many bytes all tables may take, or 0 for as many as they like.
func (l *live) room() int64 {
	if l.limit.Bytes == 0 {
		return 0
	}
	return max(1, l.limit.Bytes*3/4-programBytes)
}

// shardsOf returns the number of shards of an input.
func (l *live) shardsOf(in input) int {
	n := l.o.tapConfig().Shards
	switch {
	case in.Replay:
		return 1
	case in.isFile():
		return min(n, maxFileShards)
	}
	return n
}

// most returns how many bytes a policy takes at most when its history is shed.
func (r *running) most() (bytes int64) {
	for _, w := range r.windows {
		bytes += w.most
		if w.keys != nil {
			bytes += int64(r.ForEach.Most) * w.keys.bytes
		}
	}
	return bytes
}

// memory returns how many bytes a window takes at most, at a scale and with so many minutes.
func (l *live) memory(w *watched, scale, periods int) int64 {
	cfg, shards := w.cfg, 0
	for _, in := range w.inputs {
		shards += l.shardsOf(in)
	}
	cfg.Periods = periods
	return cfg.Memory(shards, scale)
}

// fitPolicy makes the tables of a policy as large as its budget allows, in equal parts for its windows.
func (l *live) fitPolicy(r *running) error {
	for _, w := range r.windows {
		cost := func(scale int) int64 { return l.memory(w, scale, w.cfg.Periods) }
		budget := r.Budget / policy.Budget(len(r.windows))
		if r.Budget == 0 {
			// More tables than by default would help nobody.
			budget = policy.Budget(min(max(defaultBudget, cost(policy.MinScale)), cost(0)))
		}
		if w.keys != nil {
			if r.Budget > 0 {
				budget /= 2 // the other half is for the keys
			}
			if err := l.fitKeys(r, w, budget); err != nil {
				return err
			}
		}
		scale, ok := budget.Scale(cost)
		if !ok {
			least := cost(policy.MinScale) * int64(len(r.windows))
			return fmt.Errorf("policy %s: a memory of %s is too small for %d windows of %d minutes: give at least %s, or fewer taps or periods",
				r.Name, mebibytes(int64(r.Budget)), len(r.windows), w.cfg.Periods, mebibytes(least))
		}
		w.cfg.Scale, w.most = scale, l.memory(w, scale, min(leastPeriods, w.cfg.Periods))
	}
	return nil
}

// fitLine makes the tables of the policy of the command line so small that those which cannot be shed fit into the room, even in
// a flood of long keys.
func (l *live) fitLine(r *running, room int64) {
	w, scale := r.windows[0], 0
	unshed := func(scale int) int64 { return l.memory(w, scale, leastPeriods) }
	if l.limit.Bytes != 0 {
		for scale > policy.MinScale && unshed(scale) > room {
			scale--
		}
		switch took := unshed(scale); {
		case took > room:
			l.log.Warn("the limit of memory is too small for this number of shards: a flood of long names may end the agent",
				"limit", l.limit.Bytes, "from", l.limit.From, "tables", took, "shards", l.shardsOf(w.inputs[0]))
		case scale < 0:
			l.log.Info("tables are smaller than by default, to fit into the limit of memory",
				"limit", l.limit.Bytes, "from", l.limit.From, "tables", took, "scale", scale)
		}
	}
	w.cfg.Scale, w.most = scale, unshed(scale)
}

// guardMemory makes what sheds when memory is short. It does nothing without a limit.
func (l *live) guardMemory(s *server.Server) {
	if l.limit.Bytes == 0 {
		return
	}
	l.memoryGuard = memlimit.New(memlimit.Config{Advice: "raise the limit, or lower --periods or --shards", Limit: l.limit, Log: l.log, Steps: []memlimit.Step{
		{Name: "cached answers", Shed: once(s.ShedCaches), Restore: func() { s.ShedCaches(false) }},
		{Name: "history", Shed: func() (more bool) {
			l.eachWindow(func(w *window.Window) {
				w.Keep(w.Kept() / 2)
				more = more || w.Kept() > leastPeriods
			})
			return more
		}, Restore: func() { l.eachWindow(func(w *window.Window) { w.Keep(w.Periods()) }) }},
		{Name: "deep sample", Shed: once(l.scarce), Restore: func() { l.scarce(false) }},
		{Name: "answers", Shed: once(s.ShedViews), Restore: func() { s.ShedViews(false) }},
	}})
}

// eachWindow calls f with each window.
func (l *live) eachWindow(f func(*window.Window)) {
	for _, r := range load(&l.policies) {
		for _, w := range r.windows {
			f(w.agent.Window())
			for _, k := range w.keys.all() {
				f(k.agent.Window())
			}
		}
	}
}

// scarce lets all taps take their least share.
func (l *live) scarce(on bool) {
	for _, t := range load(&l.taps) {
		t.agent.Scarce(on)
	}
}

// once returns a step that is taken as a whole.
func once(set func(on bool)) func() (more bool) {
	return func() bool { set(true); return false }
}

// followMemory sheds until ctx is done.
func (l *live) followMemory(ctx context.Context) {
	if l.memoryGuard != nil {
		l.memoryGuard.Run(ctx)
	}
}

// memoryStatus returns the state of the limit of memory, or nil if there is none.
func (l *live) memoryStatus() *server.Memory {
	if l.memoryGuard == nil {
		return nil
	}
	s := l.memoryGuard.State()
	m := &server.Memory{Limit: s.Limit, Needed: s.Needed, Shed: append([]string{}, s.Shed...), Sheds: s.Sheds}
	if r := l.primary(); r != nil {
		m.Periods = r.windows[0].agent.Window().Kept()
	}
	return m
}
