package bpf

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"pktvisor/linktype"
)

func attach(fd int, p *Program) error {
	var filter []unix.SockFilter
	for _, in := range p.Raw() {
		filter = append(filter, unix.SockFilter(in))
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
}

// TestKernelAccepts lets the kernel check every program, which needs no privilege.
func TestKernelAccepts(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no socket: %v", err)
	}
	defer unix.Close(fd)
	n := 0
	for link := range linkNames {
		exprs := expressions(t, "expressions", "ethernet", "layers", "wlan")
		rnd := rand.New(rand.NewPCG(31, uint64(link)))
		for range 200 {
			exprs = append(exprs, (&speaker{r: rnd, link: link, live: true}).expression())
		}
		for i, expr := range append(exprs, manyHosts(500)) {
			if link != linktype.Ethernet && i%5 != 0 && i < len(exprs) {
				continue
			}
			for _, opts := range []Options{{Live: true}, {}, {Live: true, NoOptimize: true}} {
				prog, err := Compile(expr, link, opts)
				if err != nil {
					continue
				}
				// A long program may exceed net.core.optmem_max, especially while the previous one is
				// still being freed.
				if err := attach(fd, prog); err != nil && (prog.Len() < 1000 || !errors.Is(err, unix.ENOMEM)) {
					t.Fatalf("%.200s on link type %d, %d instructions: %v", expr, link, prog.Len(), err)
				}
				n++
			}
		}
	}
	t.Logf("%d programs", n)
}

// loopback is the loopback interface of a network namespace, with a socket that receives all packets and a socket
// with a filter.
type loopback struct {
	send, all, filtered int
	buf                 []byte
}

func newLoopback(t *testing.T) *loopback {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("making a network namespace needs root")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test, and the namespace with the thread
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("cannot make a network namespace: %v", err)
	}
	l := &loopback{buf: make([]byte, 65536)}
	open := func(proto uint16) int {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Skipf("no packet socket: %v", err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
			t.Skipf("PACKET_IGNORE_OUTGOING: %v", err)
		}
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: 1}); err != nil {
			t.Fatal(err)
		}
		return fd
	}
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	l.send = open(0)
	ifr.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(l.send, unix.SIOCSIFFLAGS, ifr); err != nil {
		t.Fatal(err)
	}
	// The kernel serves the newest socket first: when the older one has a packet, the newer one also has it.
	every := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})
	l.all, l.filtered = open(every), open(every)
	return l
}

// pass sends a frame, and reports whether it came back and whether it passed the filter.
func (l *loopback) pass(t *testing.T, frame []byte) (came, matched bool) {
	t.Helper()
	if err := unix.Sendto(l.send, frame, 0, &unix.SockaddrLinklayer{Ifindex: 1}); err != nil {
		return false, false // the kernel does not send such a frame
	}
	fds := []unix.PollFd{{Fd: int32(l.all), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, 200); n < 1 || err != nil {
		return false, false
	}
	if _, _, err := unix.Recvfrom(l.all, l.buf, 0); err != nil {
		t.Fatal(err)
	}
	_, _, err := unix.Recvfrom(l.filtered, l.buf, 0)
	return true, err == nil
}

// TestKernelRuns checks that the kernel, which keeps the outer VLAN tag separately, finds with a live program what
// the interpreter finds in the whole frame with a program for files.
func TestKernelRuns(t *testing.T) {
	l := newLoopback(t)
	var plain, tagged [][]byte
	for _, f := range forged(linktype.Ethernet, 8000, 21) {
		switch {
		case len(f) < 60:
		case f[12] == 0x81 && f[13] == 0 || f[12] == 0x88 && f[13] == 0xa8:
			tagged = append(tagged, f)
		default:
			plain = append(plain, f)
		}
	}
	check := func(expr string, frames [][]byte) {
		t.Helper()
		live, err1 := Compile(expr, linktype.Ethernet, Options{Live: true})
		file, err2 := Compile(expr, linktype.Ethernet, Options{})
		if err1 != nil || err2 != nil {
			t.Fatalf("%s: %v %v", expr, err1, err2)
		}
		if err := attach(l.filtered, live); err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		came, accepted := 0, 0
		for _, f := range frames {
			there, matched := l.pass(t, f)
			if !there {
				continue
			}
			came++
			if want := file.Match(f, uint32(len(f))); matched != want {
				t.Fatalf("%s: the kernel says %v of % x\n%s", expr, matched, f, live.Dump())
			}
			if matched {
				accepted++
			}
		}
		t.Logf("%s: %d of %d", expr, accepted, came)
		if came < len(frames)/2 {
			t.Errorf("%s: only %d of %d packets came back", expr, came, len(frames))
		}
	}
	for _, expr := range []string{"udp port 53", "host 10.0.0.1 or host 2001:db8::1", "tcp[tcpflags] & tcp-syn != 0",
		"ip[2:2] % 3 = 1", "ip[2:2] / ip[1] > 3", "vlan 5", "not vlan", "geneve and ip", "mpls and host 10.0.0.1"} {
		check(expr, plain)
	}
	for _, expr := range []string{"vlan", "vlan 5", "vlan 5 and ip", "vlan and port 53", "not vlan 5", "vlan and vlan 100",
		"vlan 5 or vlan 100", "vlan and host 10.0.0.1 and tcp[13] & 2 != 0"} {
		check(expr, tagged)
	}
}
