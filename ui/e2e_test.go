package ui

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// terminal is a program in its own tmux server.
type terminal struct {
	t        *testing.T
	socket   string
	patience time.Duration // how long to wait for what is shown; default a minute
}

// needTmux skips a test that takes long, or if there is no tmux.
func needTmux(t *testing.T, takes string) {
	t.Helper()
	if testing.Short() {
		t.Skip("this test takes " + takes)
	}
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("this test needs tmux")
	}
}

// openTerminal runs a command in a terminal of the given size until the test ends. Its name is one that no other terminal of this process
// has at the same time.
func openTerminal(t *testing.T, name string, width, height int, command ...string) *terminal {
	t.Helper()
	x := &terminal{t: t, socket: fmt.Sprintf("pktvisor-test-%d-%s", os.Getpid(), name)}
	start := "TERM=xterm-256color LC_ALL=C.UTF-8 " + strings.Join(command, " ") + "; echo ended $?; exec cat"
	x.tmux("new-session", "-d", "-x", strconv.Itoa(width), "-y", strconv.Itoa(height), start)
	t.Cleanup(func() { _ = exec.Command("tmux", "-L", x.socket, "kill-server").Run() }) // an error is fine: the server may already be gone
	return x
}

// tmux runs a tmux command and returns what it prints.
func (x *terminal) tmux(args ...string) string {
	x.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-L", x.socket, "-f", "/dev/null"}, args...)...).CombinedOutput()
	if err != nil {
		x.t.Fatalf("tmux %v: %v: %s", args, err, out)
	}
	return string(out)
}

func (x *terminal) keys(keys ...string) { x.tmux(append([]string{"send-keys"}, keys...)...) }

func (x *terminal) screen() string { return x.tmux("capture-pane", "-p") }

// shows waits until the screen contains all of wants.
func (x *terminal) shows(wants ...string) {
	x.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(cmp.Or(x.patience, time.Minute))
	for {
		screen := x.screen()
		missing := ""
		for _, w := range wants {
			if !strings.Contains(screen, w) {
				missing = w
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			x.t.Fatalf("no %q on the screen:\n%s", missing, screen)
		}
	}
}

// restored checks that the program has ended without an error and restored the terminal.
func (x *terminal) restored() {
	x.t.Helper()
	x.shows("ended 0")
	if got := x.tmux("display-message", "-p", "#{alternate_on} #{mouse_any_flag} #{cursor_flag}"); got != "0 0 1\n" {
		x.t.Errorf("alternate screen, mouse, cursor: %q", got)
	}
}

// build builds a program of this module, or skips the test.
func build(t *testing.T, dir, name string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if out, err := exec.Command("go", "build", "-o", file, "../cmd/"+name).CombinedOutput(); err != nil {
		t.Skipf("%s cannot be built here: %s", name, out)
	}
	return file
}

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// agentProcess starts an agent that replays the bundled capture, and returns a function that stops it.
func agentProcess(t *testing.T, pktvisord, port string) (stop func()) {
	t.Helper()
	cmd := exec.Command(pktvisord, "--replay", "--replay-speed", "20", "-l", "127.0.0.1", "-p", port, "-H", "192.0.2.0/24",
		"../testdata/captures/demo.pcap.gz")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it was killed
		}
	}
	t.Cleanup(stop)
	return stop
}

// TestEndToEnd uses the UI with a real agent as a user would: it looks around, stops and restarts the agent, resizes,
// and quits.
func TestEndToEnd(t *testing.T) {
	needTmux(t, "seconds")
	dir := t.TempDir()
	pktvisord, pktvisor := build(t, dir, "pktvisord"), build(t, dir, "pktvisor")
	port := freePort(t)
	stop := agentProcess(t, pktvisord, port)

	x := openTerminal(t, port, 160, 50, pktvisor, "--utc", "-H", "127.0.0.1", "-p", port)

	x.shows("● live", "Top QName 2", "www.cababa.com", "NXDOMAIN", "Top ASN", "Traffic", "? help")
	x.keys("?")
	x.shows("Signs", "OSC 52")
	x.keys("Escape")
	x.shows("Enter open") // a key directly after Escape would be read as Alt and that key
	x.keys("d")
	x.shows("Messages", "Top NODATA", "Client Subnets")
	x.keys("n")
	x.shows("Decoding", "Payload")
	x.keys("c")
	x.shows("Minutes", "OS drops", "version")
	x.keys("A")
	x.shows("Attack?", "NXDOMAIN over time", "Top NX")
	x.keys("W")
	x.shows("What changed since the time just before", "b compare with")
	x.keys("r")
	x.shows("Which time", "from a time on")
	x.keys("Escape")
	x.shows("b compare with")
	x.keys("f")
	x.shows("an agent is one host")
	x.keys("o", "Tab", "Enter")
	x.shows("shares of", "at least", "Esc back")
	x.keys("Escape")
	x.shows("Enter open")
	x.keys("/")
	x.keys("zomagu", "Enter")
	x.shows("FILTER zomagu", "0 match")
	x.keys("Escape")
	x.shows("www.cababa.com")

	x.tmux("resize-window", "-x", "80", "-y", "24")
	x.shows("1/4", "PgDn page")
	x.keys("NPage")
	x.shows("2/4", "packets/s")
	x.keys("p")
	x.shows("paused")
	x.keys("p")

	stop()
	x.shows("AWAY", "connection refused", "stale", "Top RCodes")
	stop = agentProcess(t, pktvisord, port)
	x.shows("● live")
	x.tmux("resize-window", "-x", "160", "-y", "50")
	x.shows("Top GeoLoc")
	x.keys("q")
	x.restored()
	stop()
}

// hubProcess starts a hub with an agent in each of two POPs, and returns the hub's port.
func hubProcess(t *testing.T, pktvisord, hub string) string {
	t.Helper()
	args := []string{"--data", t.TempDir()}
	run := func(program string, args ...string) {
		cmd := exec.Command(program, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it was killed
		})
	}
	for _, pop := range []string{"ams1", "fra1"} {
		port := freePort(t)
		run(pktvisord, "--replay", "--replay-speed", "20", "-l", "127.0.0.1", "-p", port, "--name", "ns1."+pop, "--tag", "pop="+pop, "--shards", "1",
			"-H", "192.0.2.0/24", "../testdata/captures/demo.pcap.gz")
		args = append(args, "--agent", "127.0.0.1:"+port)
	}
	port := freePort(t)
	run(hub, append(args, "-l", "127.0.0.1", "-p", port)...)
	return port
}

// TestEndToEndHub goes through a real fleet: from its POPs to a host and its tables and up again, to what changed, to an
// attack, and into the past.
func TestEndToEndHub(t *testing.T) {
	needTmux(t, "minutes")
	dir := t.TempDir()
	pktvisord, pktvisor, hub := build(t, dir, "pktvisord"), build(t, dir, "pktvisor"), build(t, dir, "pktvisor-hub")
	port := hubProcess(t, pktvisord, hub)

	x := openTerminal(t, port, 80, 24, pktvisor, "--utc", "-H", "127.0.0.1", "-p", port)
	x.patience = 150 * time.Second

	x.shows("fleet (2 hosts)", "delay") // the first minute has ended
	x.keys("f")
	x.shows("Fleet by pop", "pop=ams1", "pop=fra1", "2 up, 0 late, 0 away of 2 hosts")
	x.keys("Down", "Enter")
	x.shows("Hosts of pop=fra1", "ns1.fra1", "fleet › pop=fra1 (1 host)")
	x.keys("Enter")
	x.shows("fleet › pop=fra1 › ns1.fra1", "www.cababa.com")
	x.tmux("resize-window", "-x", "60", "-y", "24")
	x.keys("A")
	x.shows("Attack?", "Top NX")
	x.tmux("resize-window", "-x", "300", "-y", "60")
	x.keys("W")
	x.shows("What changed since the time just before", "b compare with")
	x.keys("b")
	x.shows("the same time yesterday", "pop=ams1")
	x.keys("Escape")
	x.shows("Enter its table")
	x.keys("BSpace")
	x.shows("Top QName 2", "Traffic")
	x.keys("BSpace")
	x.shows("Hosts of pop=fra1")
	x.keys("BSpace")
	x.shows("Fleet by pop")
	x.keys("o", "r", "Down", "Down", "Enter")
	x.shows("RANGE", "www.cababa.com", "steps of 1m")
	x.keys("[")
	x.shows("PAST", "not now")
	x.keys("Escape")
	x.shows("delay")
	x.keys("q")
	x.restored()
}

// TestEndToEndSignals: signals end the UI as q does.
func TestEndToEndSignals(t *testing.T) {
	needTmux(t, "seconds")
	pktvisor := build(t, t.TempDir(), "pktvisor")
	for _, signal := range []string{"INT", "TERM", "HUP", "QUIT"} {
		x := openTerminal(t, signal, 80, 24, pktvisor, "-H", "127.0.0.1", "-p", freePort(t))
		x.shows("AWAY", "no agent at 127.0.0.1")
		shell := strings.TrimSpace(x.tmux("display-message", "-p", "#{pane_pid}"))
		if out, err := exec.Command("pkill", "-"+signal, "-P", shell).CombinedOutput(); err != nil {
			t.Fatalf("pkill: %v %s", err, out)
		}
		x.restored()
	}
}
