package main

import (
	"context"

	"pktvisor/agent"
	"pktvisor/internal/memlimit"
	"pktvisor/policy"
	"pktvisor/server"
)

// programBytes is about what the agent takes beside its tables and its history.
const programBytes = 24 << 20

// leastPeriods is how many minutes the window has left when all others are shed.
const leastPeriods = policy.MinPeriods

// fitMemory finds the limit of memory. If there is one, it makes the tables so small that those which cannot be shed fit, even in
// a flood of long keys.
func (l *live) fitMemory(p *setup) {
	l.limit = memlimit.Find(int64(l.o.MemoryLimit))
	if l.limit.Bytes == 0 || p.budget != 0 {
		return
	}
	room := l.limit.Bytes*3/4 - programBytes
	for p.scale > policy.MinScale && p.unshed(p.scale) > room {
		p.scale--
	}
	switch took := p.unshed(p.scale); {
	case took > room:
		l.log.Warn("the limit of memory is too small for this number of shards: a flood of long names may end the agent",
			"limit", l.limit.Bytes, "from", l.limit.From, "tables", took, "shards", p.tap.Shards)
	case p.scale < 0:
		l.log.Info("tables are smaller than by default, to fit into the limit of memory",
			"limit", l.limit.Bytes, "from", l.limit.From, "tables", took, "scale", p.scale)
	}
}

// unshed returns how many bytes the tap and the policy take at most at a scale when the history is shed.
func (p *setup) unshed(scale int) int64 {
	least := *p
	least.policy.Periods = leastPeriods
	return least.memory(scale)
}

// guardMemory makes what sheds when memory is short. It does nothing without a limit.
func (l *live) guardMemory(s *server.Server) {
	if l.limit.Bytes == 0 {
		return
	}
	w := l.policy.Window()
	l.memory = memlimit.New(memlimit.Config{Advice: "raise the limit, or lower --periods or --shards", Limit: l.limit, Log: l.log, Steps: []memlimit.Step{
		{Name: "cached answers", Shed: once(s.ShedCaches), Restore: func() { s.ShedCaches(false) }},
		{Name: "history", Shed: func() bool { w.Keep(w.Kept() / 2); return w.Kept() > leastPeriods }, Restore: func() { w.Keep(w.Periods()) }},
		{Name: "deep sample", Shed: once(l.tap.Scarce), Restore: func() { l.tap.Scarce(false) }},
		{Name: "answers", Shed: once(s.ShedViews), Restore: func() { s.ShedViews(false) }},
	}})
}

// once returns a step that is taken as a whole.
func once(set func(on bool)) func() (more bool) {
	return func() bool { set(true); return false }
}

// followMemory sheds until ctx is done.
func (l *live) followMemory(ctx context.Context) {
	if l.memory != nil {
		l.memory.Run(ctx)
	}
}

// memoryStatus returns the state of the limit of memory, or nil if there is none.
func (l *live) memoryStatus() *server.Memory {
	if l.memory == nil {
		return nil
	}
	s := l.memory.State()
	return &server.Memory{
		Limit: s.Limit, Needed: s.Needed, Shed: append([]string{}, s.Shed...), Sheds: s.Sheds,
		Periods: l.agent.Policy(agent.Default).Window().Kept(),
	}
}
