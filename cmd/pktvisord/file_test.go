package main

import (
	"runtime"
	"testing"

	"pktvisor/geo"
	"pktvisor/policy"
)

// TestFileShards: a file gets as many shards as can be busy, or as many as the user asks for.
func TestFileShards(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, c := range []struct{ cores, asked, want int }{{4, 0, 4}, {16, 0, maxFileShards}, {4, 16, 16}, {16, 1, 1}} {
		runtime.GOMAXPROCS(c.cores)
		o := options{Policy: policy.Policy{DNSPorts: "53"}, Program: policy.Program{Shards: c.asked}}
		if p, err := o.fileSetup(); err != nil || p.tap.Shards != c.want {
			t.Errorf("%d cores, --shards %d: %d shards (%v), want %d", c.cores, c.asked, p.tap.Shards, err, c.want)
		}
	}
}

// TestBudgetOfPolicy: the agent's tables fit the policy's budget. If that is impossible, no agent is made.
func TestBudgetOfPolicy(t *testing.T) {
	for _, c := range []struct {
		budget policy.Budget
		scale  int
		fails  bool
	}{{0, 0, false}, {64 << 20, -4, false}, {48 << 20, -5, false}, {1 << 20, 0, true}} {
		o, err := parse([]string{"--shards", "1", "lo"})
		if err != nil {
			t.Fatal(err)
		}
		o.Budget = c.budget
		config := o.config()
		if faults := config.Validate(policy.Known{IsInterface: isInterface, Memory: leastMemory}); c.fails != (len(faults) == 1) {
			t.Errorf("%d bytes: %v", c.budget, faults)
		}
		p, err := o.setup(geo.Open)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.build(); c.fails != (err != nil) {
			t.Errorf("%d bytes: %v", c.budget, err)
		}
		if p.tap.Scale != c.scale || p.policy.Scale != c.scale {
			t.Errorf("%d bytes: scales %d and %d, want %d", c.budget, p.tap.Scale, p.policy.Scale, c.scale)
		}
	}
}
