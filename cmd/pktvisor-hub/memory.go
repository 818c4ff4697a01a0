package main

import (
	"log/slog"

	"pktvisor/internal/memlimit"
	"pktvisor/server"
)

// guardMemory makes what sheds when memory is short. It does nothing without a limit. Minutes that arrive are not shed: they are
// written to the store one by one, and a rollup is merged from its parts.
func (n *node) guardMemory(limit memlimit.Limit, log *slog.Logger) {
	if limit.Bytes == 0 {
		return
	}
	step := func(name string, set func(on bool)) memlimit.Step {
		return memlimit.Step{Name: name, Shed: func() bool { set(true); return false }, Restore: func() { set(false) }}
	}
	n.memory = memlimit.New(memlimit.Config{
		Advice: "raise the limit, or let another hub take a part of the agents", Limit: limit, Log: log,
		Steps: []memlimit.Step{step("cached answers and merges", n.hub.ShedCaches), step("answers", n.hub.ShedViews)},
	})
}

// memoryStatus returns the state of the limit of memory, or nil if there is none.
func (n *node) memoryStatus() *server.Memory {
	if n.memory == nil {
		return nil
	}
	s := n.memory.State()
	return &server.Memory{Limit: s.Limit, Needed: s.Needed, Shed: append([]string{}, s.Shed...), Sheds: s.Sheds}
}
