package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// netlinkConn asks the kernel about interfaces and their addresses. It asks in the network namespace of the thread
// that opened it, whichever thread uses it later. It is safe for concurrent use.
//
// The kernel answers under a lock that it also holds while the network configuration changes. No reader of packets
// may wait for that.
type netlinkConn struct {
	mu  sync.Mutex
	fd  int
	seq uint32
	buf []byte
}

// netlinkBytes is more than the kernel puts into one answer (32 KiB, linux/netlink.h: NLMSG_GOODSIZE and af_netlink.c).
const netlinkBytes = 64 << 10

func dialNetlink() (*netlinkConn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("ask about interfaces: %w", socketError(err))
	}
	return &netlinkConn{fd: fd, buf: make([]byte, netlinkBytes)}, nil
}

func (c *netlinkConn) close() { unix.Close(c.fd) }

// message is one netlink message.
type message struct {
	kind, flags uint16
	seq         uint32
	body        []byte
}

// cutMessage returns the first message of b and what follows it. ok is false if there is no whole message. The header
// is length, type, flags, sequence number and port (linux/netlink.h).
func cutMessage(b []byte) (m message, rest []byte, ok bool) {
	if len(b) < unix.SizeofNlMsghdr {
		return m, nil, false
	}
	n := binary.NativeEndian.Uint32(b)
	if n < unix.SizeofNlMsghdr || uint64(n) > uint64(len(b)) {
		return m, nil, false
	}
	m = message{binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:]), binary.NativeEndian.Uint32(b[8:]), b[unix.SizeofNlMsghdr:n]}
	return m, b[min(align4(int(n)), len(b)):], true
}

// attribute returns the value of the first attribute of the kind after a message's fixed part, or nil if there is none.
func (m message) attribute(fixed int, kind uint16) []byte {
	if len(m.body) < fixed {
		return nil
	}
	for b := m.body[fixed:]; len(b) >= unix.SizeofRtAttr; {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtAttr || n > len(b) {
			return nil
		}
		if binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER) == kind {
			return b[unix.SizeofRtAttr:n]
		}
		b = b[min(align4(n), len(b)):]
	}
	return nil
}

func align4(n int) int { return (n + 3) &^ 3 }

// ask sends a request, and calls each with every message of the answer, which is valid for the call. For a dump,
// whole is false if the network changed meanwhile, so that something may be missing.
func (c *netlinkConn) ask(kind uint16, dump bool, body []byte, each func(message)) (whole bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq++
	flags := uint16(unix.NLM_F_REQUEST)
	if dump {
		flags |= unix.NLM_F_DUMP
	}
	req := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	req = binary.NativeEndian.AppendUint16(req, kind)
	req = binary.NativeEndian.AppendUint16(req, flags)
	req = binary.NativeEndian.AppendUint32(req, c.seq)
	req = append(binary.NativeEndian.AppendUint32(req, 0), body...)
	if err := unix.Sendto(c.fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return false, err
	}
	whole = true
	for {
		n, _, err := unix.Recvfrom(c.fd, c.buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return false, err
		}
		for b := c.buf[:n]; ; {
			m, rest, ok := cutMessage(b)
			if !ok {
				break
			}
			b = rest
			if m.seq != c.seq {
				continue // belongs to an earlier request whose answer was not read to its end
			}
			whole = whole && m.flags&unix.NLM_F_DUMP_INTR == 0
			switch m.kind {
			case unix.NLMSG_DONE:
				return whole, nil
			case unix.NLMSG_ERROR:
				if len(m.body) >= 4 {
					if code := int32(binary.NativeEndian.Uint32(m.body)); code != 0 {
						return false, unix.Errno(-code)
					}
				}
				return whole, nil
			}
			each(m)
			if !dump {
				return whole, nil
			}
		}
	}
}

// link is a network interface.
type link struct {
	index  int
	name   string
	hatype uint16 // hardware type (linux/if_arp.h)
}

// linkOfMessage reads RTM_NEWLINK and RTM_DELLINK: struct ifinfomsg (family, type, index, flags, change), then
// attributes. It returns false for a message that is not about the interface itself but about its part in something
// else, such as a bridge. The family shows this.
func linkOfMessage(m message) (link, bool) {
	if m.kind != unix.RTM_NEWLINK && m.kind != unix.RTM_DELLINK || len(m.body) < unix.SizeofIfInfomsg || m.body[0] != unix.AF_UNSPEC {
		return link{}, false
	}
	return link{
		index:  int(int32(binary.NativeEndian.Uint32(m.body[4:]))),
		name:   unix.ByteSliceToString(m.attribute(unix.SizeofIfInfomsg, unix.IFLA_IFNAME)),
		hatype: binary.NativeEndian.Uint16(m.body[2:]),
	}, true
}

// linkByName returns the interface with the name, or errGone if there is none.
func (c *netlinkConn) linkByName(name string) (link, error) {
	if len(name) >= unix.IFNAMSIZ {
		return link{}, errGone
	}
	attr := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofRtAttr+len(name)+1))
	attr = binary.NativeEndian.AppendUint16(attr, unix.IFLA_IFNAME)
	attr = append(append(attr, name...), 0)
	return c.link(append(make([]byte, unix.SizeofIfInfomsg), append(attr, make([]byte, align4(len(attr))-len(attr))...)...))
}

// linkByIndex returns the interface with the index, or errGone if there is none.
func (c *netlinkConn) linkByIndex(index int) (link, error) {
	return c.link(ifInfo(index))
}

func (c *netlinkConn) link(request []byte) (found link, err error) {
	_, err = c.ask(unix.RTM_GETLINK, false, request, func(m message) { found, _ = linkOfMessage(m) })
	switch {
	case errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) || err == nil && found.index == 0:
		return link{}, errGone
	case err != nil:
		return link{}, fmt.Errorf("ask about an interface: %w", err)
	}
	return found, nil
}

// ifInfo returns a struct ifinfomsg that asks for the interface with the index.
func ifInfo(index int) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(b[4:], uint32(index))
	return b
}

// addresses returns the addresses of all interfaces, in the kernel's order.
func (c *netlinkConn) addresses() (all []ifaceAddr, err error) {
	whole := false
	for tries := 0; !whole && tries < 3; tries++ { // a change in between hides some
		if all, whole, err = c.dumpAddresses(); err != nil {
			return nil, fmt.Errorf("list addresses: %w", err)
		}
	}
	return all, nil
}

func (c *netlinkConn) dumpAddresses() (all []ifaceAddr, whole bool, err error) {
	// struct ifaddrmsg: family, prefix length, flags, scope, index.
	whole, err = c.ask(unix.RTM_GETADDR, true, make([]byte, unix.SizeofIfAddrmsg), func(m message) {
		if m.kind != unix.RTM_NEWADDR || len(m.body) < unix.SizeofIfAddrmsg {
			return
		}
		b := m.attribute(unix.SizeofIfAddrmsg, unix.IFA_LOCAL) // the interface's own address; IFA_ADDRESS may be that of the other end
		if b == nil {
			b = m.attribute(unix.SizeofIfAddrmsg, unix.IFA_ADDRESS)
		}
		if addr, ok := netip.AddrFromSlice(b); ok {
			all = append(all, ifaceAddr{int(binary.NativeEndian.Uint32(m.body[4:])), addr.Unmap(), int(m.body[1])})
		}
	})
	return all, whole, err
}

// listenNetlink returns the kernel's messages about changes in the given groups.
func listenNetlink(groups uint32) (*netlinkEvents, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("follow changes: %w", socketError(err))
	}
	f := os.NewFile(uintptr(fd), "netlink")
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		f.Close()
		return nil, fmt.Errorf("follow changes: %w", err)
	}
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("follow changes: %w", err)
	}
	return &netlinkEvents{file: f, raw: raw, buf: make([]byte, netlinkBytes), stopping: make(chan struct{})}, nil
}

// netlinkEvents receives the kernel's messages about changes.
type netlinkEvents struct {
	file     *os.File
	raw      syscall.RawConn
	buf      []byte
	stopping chan struct{}
	woken    atomic.Bool
}

// maxGathered bounds how many messages next reads at once.
const maxGathered = 256

// next waits for messages until the given time, and calls each with all that have arrived. lost is true if some were
// lost because they came too quickly. At the given time, or earlier if woken, next fails with os.ErrDeadlineExceeded.
// Otherwise it fails when stopped.
func (e *netlinkEvents) next(until time.Time, each func(message)) (lost bool, err error) {
	e.file.SetReadDeadline(until)
	select {
	case <-e.stopping: // stop also sets the deadline, after it closes this
		return false, os.ErrClosed
	default:
	}
	if e.woken.Swap(false) { // wake also sets the deadline, after it sets this
		return false, os.ErrDeadlineExceeded
	}
	err = e.raw.Read(func(fd uintptr) bool {
		for n := range maxGathered {
			got, _, err := unix.Recvfrom(int(fd), e.buf, unix.MSG_DONTWAIT)
			switch {
			case errors.Is(err, unix.EAGAIN):
				return n > 0
			case errors.Is(err, unix.ENOBUFS):
				lost = true
			case errors.Is(err, unix.EINTR):
			case err != nil: // counts as lost, so that the receiver polls
				lost = true
				return true
			}
			for b := e.buf[:max(got, 0)]; ; {
				m, rest, ok := cutMessage(b)
				if !ok {
					break
				}
				each(m)
				b = rest
			}
		}
		return true
	})
	return lost, err
}

// pause waits for some time, in which changes gather. It returns false when stopped.
func (e *netlinkEvents) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-e.stopping:
		return false
	case <-t.C:
		return true
	}
}

// wake ends the current or the next call of next. It does not block.
func (e *netlinkEvents) wake() {
	e.woken.Store(true)
	e.file.SetReadDeadline(time.Unix(1, 0))
}

// stop ends a call of next or pause, and all later ones. It must be called at most once.
func (e *netlinkEvents) stop() {
	close(e.stopping)
	e.file.SetReadDeadline(time.Unix(1, 0))
}

func (e *netlinkEvents) close() { e.file.Close() }
