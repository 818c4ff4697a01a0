package faults

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pktvisor/internal/testkit"
)

// enterNamespace moves the test into a new network namespace with two connected interfaces, ftx and frx. The test stays on one
// thread, and the namespace ends with it.
func enterNamespace(t *testing.T) {
	t.Helper()
	needRoot(t, "ip")
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("cannot make a network namespace: %v", err)
	}
	for _, c := range []string{"link set lo up", "link add ftx type veth peer name frx", "link set ftx up", "link set frx up"} {
		do(t, "ip", strings.Fields(c)...)
	}
	// The kernel detects the carrier a little later, and drops what is sent before.
	testkit.Eventually(t, "the interfaces have a carrier", func() bool {
		all, err := net.Interfaces()
		return err == nil && !slices.ContainsFunc(all, func(i net.Interface) bool { return i.Flags&net.FlagRunning == 0 })
	})
}

// startLive starts an agent that captures on frx.
func startLive(t *testing.T, args ...string) program {
	t.Helper()
	args = append([]string{"-l", "127.0.0.1", "-p", "0", "--shards", "1", "--ring-size", "2"}, append(args, "frx")...)
	return program{testkit.Start(t, exec.Command(filepath.Join(binaries, "pktvisord"), args...))}
}

// ready waits until the agent captures, or does not.
func (p program) ready(t *testing.T, want int) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("/readyz is %d", want), func() bool {
		status, _, err := p.try("/readyz")
		return err == nil && status == want
	})
}

// ping sends n packets for an address to frx, and waits until at least as many have counted.
func (p program) ping(t *testing.T, n int, to string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	i, err := net.InterfaceByName("ftx")
	if err != nil {
		t.Fatal(err)
	}
	packet := testkit.Packet{Src: netip.MustParseAddr("198.51.100.1"), Dst: netip.MustParseAddr(to), Proto: testkit.ProtoUDP, SrcPort: 5000, DstPort: 9}
	before := p.packets(t, 5)
	for range n {
		if err := unix.Sendto(fd, packet.AppendFrame(nil), 0, &unix.SockaddrLinklayer{Ifindex: i.Index}); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, "the packets count", func() bool { return p.packets(t, 5) >= before+n })
}

// TestMovedBetweenNamespaces: an interface that goes to another namespace is said to be gone. The agent lives, and captures again
// when the interface is back, under another index or the same.
func TestMovedBetweenNamespaces(t *testing.T) {
	enterNamespace(t)
	other := exec.Command("sleep", "120")
	other.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer other.Process.Kill()
	there := strconv.Itoa(other.Process.Pid)
	here := strconv.Itoa(unix.Gettid())

	p := startLive(t)
	p.ready(t, 200)
	p.ping(t, 3, "192.0.2.1")
	for range 2 {
		do(t, "ip", "link", "set", "frx", "netns", there)
		p.ready(t, 503)
		p.sees(t, "not capturing: interface frx is gone")
		do(t, "nsenter", "-t", there, "-n", "ip", "link", "set", "frx", "netns", here)
		do(t, "ip", "link", "set", "frx", "up")
		p.ready(t, 200)
		p.ping(t, 3, "192.0.2.1")
	}
	p.stops(t)
}

// TestTenThousandAddresses: an interface with ten thousand addresses costs little at the start, when they change, and for a packet.
func TestTenThousandAddresses(t *testing.T) {
	n := 1000 // the kernel takes most of a minute to add and remove ten thousand
	if long {
		n = 10_000
	}
	last := fmt.Sprintf("10.0.%d.%d", (n-1)>>8, (n-1)&255)
	enterNamespace(t)
	batch := func(command string, from, to int) {
		t.Helper()
		var lines bytes.Buffer
		for i := from; i < to; i++ {
			fmt.Fprintf(&lines, "addr %s 10.%d.%d.%d/32 dev frx\n", command, i>>16, i>>8&255, i&255)
		}
		cmd := exec.Command("ip", "-batch", "-")
		cmd.Stdin = &lines
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %.300s", err, out)
		}
	}
	hosts := func(p program, want int) {
		t.Helper()
		testkit.Eventually(t, fmt.Sprintf("%d addresses are known", want), func() bool { return len(p.app(t).Hosts) == want })
	}
	cpu := func(p program) time.Duration {
		t.Helper()
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		f := bytes.Fields(b[bytes.LastIndexByte(b, ')'):]) // state is the first; utime and stime follow as fields 14 and 15 of proc_pid_stat(5)
		ticks := 0
		for _, text := range f[12:14] {
			k, _ := strconv.Atoi(string(text))
			ticks += k
		}
		return time.Duration(ticks) * 10 * time.Millisecond
	}
	do(t, "ip", "addr", "add", "192.0.2.1/24", "dev", "frx")
	p := startLive(t)
	os.WriteFile("/proc/sys/net/ipv6/conf/frx/disable_ipv6", []byte("1"), 0)
	hosts(p, 1)
	used := cpu(p)
	batch("add", 0, n)
	hosts(p, n+1)
	p.ping(t, 2000, last)
	batch("del", 0, n/2)
	hosts(p, n/2+1)
	p.stops(t)
	batch("add", 0, n/2)
	late := startLive(t)
	if got := len(late.app(t).Hosts); got != n+1 {
		t.Errorf("%d hosts at the start", got)
	}
	if line := strings.Count(late.Log.String(), "\n"); line > 10 || len(late.Log.String()) > 8000 {
		t.Errorf("%d lines of %d bytes", line, len(late.Log.String()))
	}
	late.ping(t, 2000, last)
	late.ready(t, 200)
	if w, _ := late.view(t, "window/5"); w.Packets.In < 2000 {
		t.Errorf("%d packets to the host of %d", w.Packets.In, w.Packets.Total)
	}
	t.Logf("CPU: %v until the first address, then %v; %v of an agent that finds them", used, cpu(late)-used, cpu(late))
	if took := cpu(late); took > 5*time.Second {
		t.Errorf("it took %v of CPU", took)
	}
	late.stops(t)
}
