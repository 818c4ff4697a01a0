package capture

import (
	"encoding/binary"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// procNet is where the kernel shows the network. A thread may be in a network namespace of
// its own, and /proc/net would be the process's.
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

// defaultRoute4 finds the default route of the lowest metric in the text of /proc/net/route,
// whose columns are interface, destination, gateway, flags, reference count, use, metric,
// mask and more. It returns "" if there is none.
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

// Where struct rtnl_link_stats64 (linux/if_link.h) has what interfaceDrops counts.
const (
	statFIFO   = 14 * 8 // rx_fifo_errors: the device had no room for the frame
	statMissed = 15 * 8 // rx_missed_errors: the host had given the device no room for it
)

// interfaceDrops returns how many received frames the interface, or all for "any", lost
// before the kernel had them, since it exists; 0 if it does not. Like libpcap, it leaves
// rx_dropped out: the kernel counts there what it received and nobody but us had a use for,
// which on most networks is a frame every other second.
func interfaceDrops(iface string) (drops uint64) {
	dump, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return 0
	}
	msgs, err := syscall.ParseNetlinkMessage(dump)
	if err != nil {
		return 0
	}
	for i := range msgs {
		if msgs[i].Header.Type != unix.RTM_NEWLINK {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(&msgs[i])
		if err != nil {
			continue
		}
		name, lost := "", uint64(0)
		for _, a := range attrs {
			switch {
			case a.Attr.Type == unix.IFLA_IFNAME:
				name = unix.ByteSliceToString(a.Value)
			case a.Attr.Type == unix.IFLA_STATS64 && len(a.Value) >= statMissed+8:
				lost = binary.NativeEndian.Uint64(a.Value[statFIFO:]) + binary.NativeEndian.Uint64(a.Value[statMissed:])
			}
		}
		if iface == AnyInterface || name == iface {
			drops += lost
		}
	}
	return drops
}
