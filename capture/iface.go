package capture

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// ResolveTarget returns the name of the interface that a live target means: the name of an
// interface; an IPv4 or IPv6 address that an interface has (the first one, if several do;
// "fe80::1%eth0" says which); "any", which is returned as it is; or "auto", the interface
// with the default route (the best one; IPv4 before IPv6). The error for a target that is
// none of these names the interfaces that exist.
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

// interfaceOf returns the interface that has an address.
func interfaceOf(addr netip.Addr) (string, error) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return "", fmt.Errorf("list interfaces: %w", err)
	}
	want := netip.PrefixFrom(addr.Unmap().WithZone(""), addr.Unmap().BitLen())
	for _, i := range ifaces {
		if addr.Zone() != "" && addr.Zone() != i.Name {
			continue
		}
		prefixes, err := addrsOf(i)
		if err != nil {
			return "", err
		}
		if slices.Contains(prefixes, want) {
			return i.Name, nil
		}
	}
	return "", fmt.Errorf("no interface has the address %s", addr)
}

// noInterface is the error for an interface that does not exist; it names those that do.
func noInterface(name string) error {
	var names []string
	ifaces, _ := net.Interfaces()
	for _, i := range ifaces {
		names = append(names, i.Name)
	}
	return fmt.Errorf("there is no interface %q; there are: %s", name, strings.Join(names, ", "))
}

// HostAddrs returns the addresses of an interface, or of all for "any", sorted, each once,
// as prefixes of a single address (/32 or /128).
func HostAddrs(iface string) ([]netip.Prefix, error) {
	var ifaces []net.Interface
	if iface == AnyInterface {
		var err error
		if ifaces, err = net.Interfaces(); err != nil {
			return nil, fmt.Errorf("list interfaces: %w", err)
		}
	} else {
		i, err := net.InterfaceByName(iface)
		if err != nil {
			return nil, noInterface(iface)
		}
		ifaces = []net.Interface{*i}
	}
	var all []netip.Prefix
	for _, i := range ifaces {
		prefixes, err := addrsOf(i)
		if err != nil {
			return nil, err
		}
		all = append(all, prefixes...)
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all), nil
}

// addrsOf returns the addresses of an interface; none if it is gone meanwhile.
func addrsOf(i net.Interface) ([]netip.Prefix, error) {
	addrs, err := i.Addrs()
	if err != nil {
		if _, gone := net.InterfaceByIndex(i.Index); gone != nil {
			return nil, nil
		}
		return nil, fmt.Errorf("addresses of %s: %w", i.Name, err)
	}
	var prefixes []netip.Prefix
	for _, a := range addrs {
		ipNet, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		if addr, ok := netip.AddrFromSlice(ipNet.IP); ok {
			addr = addr.Unmap()
			prefixes = append(prefixes, netip.PrefixFrom(addr, addr.BitLen()))
		}
	}
	return prefixes, nil
}

// errNoDefaultRoute is the error of a host that cannot say what "auto" is.
var errNoDefaultRoute = errors.New("there is no default route; name an interface, or any")
