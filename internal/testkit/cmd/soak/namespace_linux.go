package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The two interfaces of a pair: each receives what the other sends.
const senderInterface, agentInterface = "soaktx", "soakrx"

// inNamespace marks, in the environment, a process that is already in its namespace.
const inNamespace = "SOAK_IN_NAMESPACE"

// ownNamespace moves this process into a new network namespace. It replaces the process by a new run of the program,
// because until then each thread is in its own namespace. It returns nil in the new run.
func ownNamespace() error {
	if os.Getenv(inNamespace) != "" {
		return nil
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	return fmt.Errorf("start in the network namespace: %w",
		unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), inNamespace+"=1")))
}

// link is the pair of interfaces and a socket for sending.
type link struct{ fd int }

func openLink() (*link, error) {
	// Disable IPv6, so that no neighbour discovery is among the counted frames.
	for _, conf := range []string{"all", "default"} {
		os.WriteFile("/proc/sys/net/ipv6/conf/"+conf+"/disable_ipv6", []byte("1"), 0) // the kernel may have no IPv6
	}
	for _, command := range []string{
		"link set lo up",
		"link add " + senderInterface + " mtu 9000 type veth peer name " + agentInterface + " mtu 9000",
		"link set " + senderInterface + " up",
		"link set " + agentInterface + " up",
	} {
		if err := ip(command); err != nil {
			return nil, err
		}
	}
	iface, err := net.InterfaceByName(senderInterface)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // protocol 0: it receives nothing
	if err != nil {
		return nil, fmt.Errorf("open a socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: iface.Index}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind to %s: %w", senderInterface, err)
	}
	return &link{fd}, nil
}

func (l *link) close() { unix.Close(l.fd) }

// send sends a frame. If the other end is down, the kernel does not take the frame, and it counts with the frames
// that the kernel drops later.
func (l *link) send(frame []byte) {
	for {
		if _, err := unix.Write(l.fd, frame); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// dropped returns how many frames the kernel has dropped before the other end, or 0 without a link.
func (l *link) dropped() uint64 {
	if l == nil {
		return 0
	}
	b, err := os.ReadFile("/proc/net/dev") // not /sys, which may belong to another namespace
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		// Eight columns about receiving, then bytes, packets, errors and drops of sending.
		if f := strings.Fields(line); len(f) > 12 && f[0] == senderInterface+":" {
			n, _ := strconv.ParseUint(f[12], 10, 64)
			return n
		}
	}
	return 0
}

// setUp takes the agent's interface up or down.
func (l *link) setUp(up bool) error {
	if up {
		return ip("link set " + agentInterface + " up")
	}
	return ip("link set " + agentInterface + " down")
}

func ip(command string) error {
	if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", command, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// dieWithParent makes a child end when this process ends.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL} }

// sendPaced sends the frames of a capture at a rate (packets a second; 0 is as fast as possible). Every few frames it
// calls sent with their number.
func (l *link) sendPaced(capture []byte, rate float64, sent func(n int)) {
	const burst = 64
	start, done := time.Now(), 0
	for b := capture[pcapHeader:]; len(b) > pcapRecord; {
		end := pcapRecord + int(binary.LittleEndian.Uint32(b[8:]))
		l.send(b[pcapRecord:end])
		b, done = b[end:], done+1
		if done%burst != 0 {
			continue
		}
		sent(burst)
		if rate == 0 {
			continue
		}
		ahead := time.Duration(float64(done)/rate*1e9) - time.Since(start)
		switch {
		case ahead > time.Millisecond:
			time.Sleep(ahead)
		case ahead < -100*time.Millisecond: // do not catch up: that would be an overload
			start = start.Add(-ahead)
		}
	}
	sent(done % burst)
}
