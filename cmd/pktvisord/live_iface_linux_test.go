package main

import (
	"os/exec"
	"strings"
	"testing"

	"pktvisor/internal/testkit"
)

// app returns the agent's description of itself.
func (p *process) app(t *testing.T) string {
	t.Helper()
	_, body := p.get(t, "/api/v1/metrics/app")
	return string(body)
}

// otherPair lists the commands for another two connected interfaces.
var otherPair = []string{"link add otx type veth peer name orx", "link set otx up", "link set orx up"}

// TestLiveRenamed: an interface that no longer has its name is not captured, and /readyz reports it. The next interface
// with the name is captured, and its addresses count.
func TestLiveRenamed(t *testing.T) {
	enterNetns(t, append(vethPair, "addr add 192.0.2.53/24 dev vrx")...)
	p := startProcess(t, "--shards", "2", "vrx")
	do(t, "ip", "link", "set", "vrx", "name", "vold")
	testkit.Eventually(t, "it reports that the interface was renamed", func() bool {
		status, body := p.get(t, "/readyz")
		return status == 503 && strings.Contains(string(body), "not capturing: interface vrx was renamed to vold; waiting for an interface vrx")
	})
	for _, c := range append(otherPair, "addr add 198.51.100.7/24 dev orx") {
		do(t, "ip", strings.Fields(c)...)
	}
	do(t, "ip", "link", "set", "orx", "name", "vrx")
	testkit.Eventually(t, "it captures on the new interface", func() bool { status, _ := p.get(t, "/readyz"); return status == 200 })
	testkit.Eventually(t, "its addresses are the hosts", func() bool {
		return strings.Contains(p.app(t), `"hosts":["198.51.100.7/32"]`)
	})
}

// TestLiveAuto: the interface of the default route is followed under any name. When it is gone, the next interface with
// the default route is captured.
func TestLiveAuto(t *testing.T) {
	enterNetns(t, append(append(vethPair, otherPair...), "addr add 192.0.2.53/24 dev vrx", "route add default via 192.0.2.1 dev vrx")...)
	p := startProcess(t, "auto")
	source := func(name, hosts string) func() bool {
		return func() bool {
			status, _ := p.get(t, "/readyz")
			app := p.app(t)
			return status == 200 && strings.Contains(app, `"name":"`+name+`","kind":"interface"`) && strings.Contains(app, `"hosts":[`+hosts+`]`)
		}
	}
	testkit.Eventually(t, "it captures", source("vrx", `"192.0.2.53/32"`))
	do(t, "ip", "link", "set", "vrx", "name", "vnew")
	testkit.Eventually(t, "it captures on the same interface under another name", source("vnew", `"192.0.2.53/32"`))
	do(t, "ip", "addr", "add", "192.0.2.54/24", "dev", "vnew")
	testkit.Eventually(t, "its addresses are followed", source("vnew", `"192.0.2.53/32","192.0.2.54/32"`))
	do(t, "ip", "link", "del", "vnew")
	testkit.Eventually(t, "it reports the missing default route", func() bool {
		status, body := p.get(t, "/readyz")
		return status == 503 && strings.Contains(string(body), "interface vnew is gone: there is no default route")
	})
	do(t, "ip", "addr", "add", "198.51.100.7/24", "dev", "orx")
	do(t, "ip", "route", "add", "default", "via", "198.51.100.1", "dev", "orx")
	testkit.Eventually(t, "it captures on the interface of the new default route", source("orx", `"198.51.100.7/32"`))
}

// TestLiveAddressMoves: a target that is an address follows the address to another interface.
func TestLiveAddressMoves(t *testing.T) {
	enterNetns(t, append(append(vethPair, otherPair...), "addr add 192.0.2.53/24 dev vrx", "addr add 198.51.100.7/24 dev orx")...)
	p := startProcess(t, "192.0.2.53")
	do(t, "ip", "addr", "del", "192.0.2.53/24", "dev", "vrx")
	do(t, "ip", "addr", "add", "192.0.2.53/24", "dev", "orx")
	testkit.Eventually(t, "the other interface is captured", func() bool {
		app := p.app(t)
		return strings.Contains(app, `"target":"192.0.2.53"`) && strings.Contains(app, `"name":"orx"`) &&
			strings.Contains(app, `"hosts":["192.0.2.53/32","198.51.100.7/32"]`)
	})
}

// TestLiveTooManyShards: a one-line error names the limit of open files.
func TestLiveTooManyShards(t *testing.T) {
	need(t, "prlimit")
	enterNetns(t)
	name := testkit.Named(t, "pktvisord")
	cmd := exec.Command("prlimit", "--nofile=40:40", name, "-p", "0", "--no-kernel-counters", "--ring-size", "1", "--shards", "64", "lo")
	out, _ := cmd.CombinedOutput()
	want := "pktvisord: capture on lo: too many open files: the process may have 40; use fewer shards, or raise the limit (ulimit -n, or LimitNOFILE= of the service)\n"
	if code := cmd.ProcessState.ExitCode(); code != 1 || string(out) != want {
		t.Errorf("exit code %d, %q\nwant 1, %q", code, out, want)
	}
}
