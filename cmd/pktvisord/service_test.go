package main

import (
	"os/exec"
	"regexp"
	"syscall"
	"testing"

	"pktvisor/internal/testkit"
)

// TestServiceManager: the agent tells the service manager when it serves, reloads and ends, and that it is alive.
func TestServiceManager(t *testing.T) {
	const capture = "../../testdata/captures/dns-udp.pcap"
	cmd := exec.Command(testkit.Named(t, "pktvisord"), "-l", "127.0.0.1", "-p", "0", "--replay", capture)
	next := testkit.ManagedBy(t, cmd)
	p := testkit.Start(t, cmd)
	alive := false
	expect := func(want string) {
		t.Helper()
		got := next()
		for ; got == "WATCHDOG=1"; got = next() {
			alive = true
		}
		if !regexp.MustCompile("^" + want + "$").MatchString(got) {
			t.Fatalf("told the manager %q, want %q", got, want)
		}
	}
	expect("READY=1\nSTATUS=capturing " + regexp.QuoteMeta(capture))
	p.Cmd.Process.Signal(syscall.SIGHUP)
	expect("RELOADING=1(\nMONOTONIC_USEC=[0-9]+)?")
	expect("READY=1")
	if _, code := p.Stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	expect("STOPPING=1")
	if !alive && next() != "WATCHDOG=1" {
		t.Error("no sign of life")
	}
}
