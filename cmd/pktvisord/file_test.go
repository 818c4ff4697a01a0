package main

import (
	"runtime"
	"testing"

	"pktvisor/policy"
)

// TestFileShards: a file gets as many shards as can have work, or as many as are asked for.
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
