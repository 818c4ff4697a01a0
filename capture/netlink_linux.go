package capture

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// WatchAddrs calls onChange with the addresses of an interface, or of all for "any", as
// [HostAddrs] has them: once at the start, and whenever they have changed. While the
// interface does not exist, the addresses last known stay. It returns nil when ctx is done.
func WatchAddrs(ctx context.Context, iface string, onChange func([]netip.Prefix)) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("watch addresses: %w", err)
	}
	f := os.NewFile(uintptr(fd), "netlink")
	defer f.Close()
	groups := unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR}
	if err := unix.Bind(fd, &groups); err != nil {
		return fmt.Errorf("watch addresses: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()

	var last []netip.Prefix
	buf := make([]byte, 64<<10)
	for first := true; ; first = false {
		addrs, err := HostAddrs(iface)
		if first && err != nil {
			return err
		}
		if err == nil && (first || !slices.Equal(addrs, last)) {
			last = addrs
			onChange(addrs)
		}
		// What a message says does not matter, nor that some were lost (ENOBUFS): that
		// there was one means that it is time to look.
		if _, err := f.Read(buf); err != nil && !errors.Is(err, unix.ENOBUFS) {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watch addresses: %w", err)
		}
	}
}
