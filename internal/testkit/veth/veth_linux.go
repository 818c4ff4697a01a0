package veth

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The two interfaces of a pair: each receives what the other sends.
const (
	sender = "testtx"
	// Receiver is the end to capture on.
	Receiver = "testrx"
)

// inNamespace marks, in the environment, a process that is already in its namespace.
const inNamespace = "PKTVISOR_TEST_IN_NAMESPACE"

// OwnNamespace moves this process into a new network namespace. It replaces the process by a new run of the program,
// because until then each thread is in its own namespace. It returns nil in the new run. Without the permission to make a
// namespace, the error is [os.ErrPermission].
func OwnNamespace() error {
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

// Link is a pair of interfaces and a socket for sending.
type Link struct{ fd int }

// Open makes the pair in the namespace of this process. The namespace must be its own: see [OwnNamespace].
func Open() (*Link, error) {
	// Disable IPv6, so that no neighbour discovery is among the counted frames.
	for _, conf := range []string{"all", "default"} {
		os.WriteFile("/proc/sys/net/ipv6/conf/"+conf+"/disable_ipv6", []byte("1"), 0) // the kernel may have no IPv6
	}
	for _, command := range []string{
		"link set lo up",
		"link add " + sender + " mtu 9000 type veth peer name " + Receiver + " mtu 9000",
		"link set " + sender + " up",
		"link set " + Receiver + " up",
	} {
		if err := ip(command); err != nil {
			return nil, err
		}
	}
	return Dial()
}

// Dial opens another socket for sending into a pair that exists.
func Dial() (*Link, error) {
	iface, err := net.InterfaceByName(sender)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // protocol 0: it receives nothing
	if err != nil {
		return nil, fmt.Errorf("open a socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: iface.Index}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind to %s: %w", sender, err)
	}
	return &Link{fd}, nil
}

// Close closes the socket. The pair ends with the namespace.
func (l *Link) Close() { unix.Close(l.fd) }

// Send sends a frame. If the other end is down, the kernel does not take the frame, and it counts with the frames
// that the kernel drops later.
func (l *Link) Send(frame []byte) {
	for {
		if _, err := unix.Write(l.fd, frame); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// Dropped returns how many frames the kernel has dropped before the other end, or 0 without a link.
func (l *Link) Dropped() uint64 {
	if l == nil {
		return 0
	}
	b, err := os.ReadFile("/proc/net/dev") // not /sys, which may belong to another namespace
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		// Eight columns about receiving, then bytes, packets, errors and drops of sending.
		if f := strings.Fields(line); len(f) > 12 && f[0] == sender+":" {
			n, _ := strconv.ParseUint(f[12], 10, 64)
			return n
		}
	}
	return 0
}

// SetUp takes the receiver up or down.
func (l *Link) SetUp(up bool) error {
	if up {
		return ip("link set " + Receiver + " up")
	}
	return ip("link set " + Receiver + " down")
}

func ip(command string) error {
	if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", command, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// DieWithParent makes a child end when this process ends.
func DieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL} }
