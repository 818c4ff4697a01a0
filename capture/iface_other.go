//go:build !linux

package capture

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

func defaultRoute() (string, error) { return "", errNoDefaultRoute }

// WatchAddrs calls onChange with the addresses of an interface once, and returns when ctx is done. It follows changes
// on Linux only.
func WatchAddrs(ctx context.Context, iface string, onChange func([]netip.Prefix)) error {
	addrs, err := HostAddrs(iface)
	if err != nil {
		return err
	}
	onChange(addrs)
	<-ctx.Done()
	return nil
}

// addressTable returns the addresses of all interfaces.
func addressTable() ([]ifaceAddr, error) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var all []ifaceAddr
	for _, i := range ifaces {
		addrs, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("addresses of %s: %w", i.Name, err)
		}
		for _, a := range addrs {
			ipNet, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			if addr, ok := netip.AddrFromSlice(ipNet.IP); ok {
				all = append(all, ifaceAddr{index: i.Index, addr: addr.Unmap()})
			}
		}
	}
	return all, nil
}

// indexOfInterface returns the index of an interface.
func indexOfInterface(name string) (int, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0, noInterface(name)
	}
	return i.Index, nil
}
