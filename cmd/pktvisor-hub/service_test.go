package main

import (
	"slices"
	"syscall"
	"testing"

	"pktvisor/internal/testkit"
)

// TestServiceManager: the hub tells the service manager when it serves and when it ends, and that it is alive.
func TestServiceManager(t *testing.T) {
	cmd := hubCommand(t, "-l", "127.0.0.1", "-p", "0", "--data", t.TempDir())
	next := testkit.ManagedBy(t, cmd)
	p := start(t, cmd)
	told := []string{next(), next()} // in any order
	slices.Sort(told)
	if !slices.Equal(told, []string{"READY=1\nSTATUS=serving", "WATCHDOG=1"}) {
		t.Errorf("told the manager %q", told)
	}
	if _, code := p.Stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := next(); got != "STOPPING=1" {
		t.Errorf("told the manager %q", got)
	}
}
