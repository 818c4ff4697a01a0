package capture

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// ResolveTarget returns the name of the interface that a live target means. The target is the name of an interface;
// an IPv4 or IPv6 address that an interface has (the first interface, if several have it; "fe80::1%eth0" says which);
// "any", which is returned unchanged; or "auto", the interface with the default route (the best one, IPv4 before
// IPv6). For any other target, the error lists the existing interfaces.
func ResolveTarget(target string) (iface string, err error) {
	switch target {
	case AnyInterface:
		return AnyInterface, nil
	case "auto":
		name, err := defaultRoute()
		if err != nil {
			return "", fmt.Errorf("target auto: %w", err)
		}
		return name, nil
	}
	if addr, err := netip.ParseAddr(target); err == nil {
		return interfaceOf(addr)
	}
	if _, err := net.InterfaceByName(target); err != nil {
		return "", noInterface(target)
	}
	return target, nil
}

// ifaceAddr is an address of an interface.
type ifaceAddr struct {
	index int
	addr  netip.Addr
	bits  int // length of its network's prefix; on Linux only
}

// interfaceOf returns the interface that has an address.
func interfaceOf(addr netip.Addr) (string, error) {
	table, err := addressTable()
	if err != nil {
		return "", err
	}
	for _, a := range table {
		if a.addr != addr.Unmap().WithZone("") {
			continue
		}
		i, err := net.InterfaceByIndex(a.index)
		if err == nil && (addr.Zone() == "" || addr.Zone() == i.Name) {
			return i.Name, nil
		}
	}
	return "", noAddress(addr)
}

// noAddress is the error for an address that no interface has.
func noAddress(addr netip.Addr) error { return fmt.Errorf("no interface has the address %s", addr) }

// noInterface returns the error for an interface that does not exist. The error names those that do.
func noInterface(name string) error {
	var names []string
	ifaces, _ := net.Interfaces()
	for _, i := range ifaces {
		names = append(names, i.Name)
	}
	return fmt.Errorf("there is no interface %q; there are: %s", name, strings.Join(names, ", "))
}

// HostAddrs returns the addresses of an interface, or of all interfaces for "any", sorted and without duplicates, as
// prefixes of a single address (/32 or /128).
func HostAddrs(iface string) ([]netip.Prefix, error) {
	index := 0
	if iface != AnyInterface {
		var err error
		if index, err = indexOfInterface(iface); err != nil {
			return nil, err
		}
	}
	table, err := addressTable()
	if err != nil {
		return nil, err
	}
	var all []netip.Prefix
	for _, a := range table {
		if index == 0 || a.index == index {
			all = append(all, netip.PrefixFrom(a.addr, a.addr.BitLen()))
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all), nil
}

// errNoDefaultRoute is the error for "auto" on a host without a default route.
var errNoDefaultRoute = errors.New("there is no default route; name an interface, or any")
