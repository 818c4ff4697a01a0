package capture

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// procNet is where the kernel shows the network. A thread may be in a network namespace of its own, and /proc/net
// would show that of the process.
const procNet = "/proc/thread-self/net/"

// defaultRoute returns the interface of the best default route.
func defaultRoute() (string, error) {
	if b, err := os.ReadFile(procNet + "route"); err == nil {
		if name := defaultRoute4(string(b)); name != "" {
			return name, nil
		}
	}
	if b, err := os.ReadFile(procNet + "ipv6_route"); err == nil {
		if name := defaultRoute6(string(b)); name != "" {
			return name, nil
		}
	}
	return "", errNoDefaultRoute
}

// defaultRoute4 finds the default route with the lowest metric in the text of /proc/net/route, whose columns are
// interface, destination, gateway, flags, reference count, use, metric, mask and more. It returns "" if there is
// none.
func defaultRoute4(text string) (name string) {
	best := ^uint64(0)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		flags, err := strconv.ParseUint(f[3], 16, 32)
		if err != nil || flags&unix.RTF_UP == 0 || flags&unix.RTF_REJECT != 0 {
			continue
		}
		if metric, err := strconv.ParseUint(f[6], 10, 32); err == nil && metric < best {
			best, name = metric, f[0]
		}
	}
	return name
}

// defaultRoute6 does the same with the text of /proc/net/ipv6_route: destination, its prefix
// length, source, its prefix length, next hop, metric, reference count, use, flags (all in
// hexadecimal) and interface.
func defaultRoute6(text string) (name string) {
	best := ^uint64(0)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 10 || f[0] != "00000000000000000000000000000000" || f[1] != "00" {
			continue
		}
		flags, err := strconv.ParseUint(f[8], 16, 32)
		if err != nil || flags&unix.RTF_UP == 0 || flags&unix.RTF_REJECT != 0 {
			continue
		}
		if metric, err := strconv.ParseUint(f[5], 16, 32); err == nil && metric < best {
			best, name = metric, f[9]
		}
	}
	return name
}

// addressTable returns the addresses of all interfaces.
func addressTable() ([]ifaceAddr, error) {
	c, err := dialNetlink()
	if err != nil {
		return nil, err
	}
	defer c.close()
	return c.addresses()
}

// indexOfInterface returns the index of an interface.
func indexOfInterface(name string) (int, error) {
	c, err := dialNetlink()
	if err != nil {
		return 0, err
	}
	defer c.close()
	l, err := c.linkByName(name)
	if errors.Is(err, errGone) {
		return 0, noInterface(name)
	}
	return l.index, err
}

// minGather is how long address changes are gathered, so that many are read at once. maxShare bounds what reading
// costs if there are many addresses: it is the part of the time in which the watch does not read.
const (
	minGather = 100 * time.Millisecond
	maxShare  = 50

	addrsAgain = 5 * time.Second // until addresses that could not be read are read again
)

// WatchAddrs calls onChange with the addresses of an interface, or of all interfaces for "any", as [HostAddrs]
// returns them: once at the start, and whenever they have changed. While the interface does not exist, WatchAddrs waits
// for one with its name, and the addresses last known stay. It returns nil when ctx is done.
func WatchAddrs(ctx context.Context, iface string, onChange func([]netip.Prefix)) error {
	events, err := listenNetlink(unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR)
	if err != nil {
		return err
	}
	defer events.close()
	stop := context.AfterFunc(ctx, events.stop)
	defer stop()

	var last []netip.Prefix
	for called := false; ; {
		begun := time.Now()
		addrs, err := HostAddrs(iface)
		if !called && err != nil && !isMissing(iface) {
			return err
		}
		if err == nil && (!called || !slices.Equal(addrs, last)) {
			last, called = addrs, true
			onChange(addrs)
		}
		if !events.pause(max(minGather, maxShare*time.Since(begun))) {
			return nil
		}
		var until time.Time
		if err != nil { // for lack of something, such as a file handle
			until = time.Now().Add(addrsAgain)
		}
		for changed := false; !changed; {
			lost, err := events.next(until, func(m message) { changed = changed || concernsAddrs(m, iface) })
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("watch addresses: %w", err)
			}
			changed = changed || lost
		}
	}
}

// isMissing reports whether there is no interface with a name.
func isMissing(iface string) bool {
	if iface == AnyInterface {
		return false
	}
	_, err := indexOfInterface(iface)
	return err != nil
}

// concernsAddrs reports whether the addresses of an interface may have changed after a message. An interface that
// gets the name brings its own addresses.
func concernsAddrs(m message, iface string) bool {
	if l, ok := linkOfMessage(m); ok {
		return l.name == iface
	}
	return m.kind == unix.RTM_NEWADDR || m.kind == unix.RTM_DELADDR
}

// controlSocket returns a socket for requests about interfaces. A socket of any family knows them. The sandbox of an agent that runs allows
// no Unix sockets.
func controlSocket() (fd int, err error) {
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EPERM) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	}
	return fd, err
}
