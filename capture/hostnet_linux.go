package capture

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"

	"golang.org/x/sys/unix"

	"pktvisor/linktype"
)

// hostNet is what is known about the host's devices and addresses. It is immutable.
type hostNet struct {
	devices map[uint32]device   // by index
	macs    map[uint64]struct{} // of the devices: see macOf
	addrs   map[netip.Addr]struct{}
	near    []netip.Prefix // the networks of the addresses; an address in them is a neighbour
	routes4 bool           // the host forwards IPv4
	routes6 bool
	find    func(frame []byte, wireLen uint32, link linktype.Type) (src, dst netip.Addr, ok bool) // see [LiveConfig.Addrs]
}

// device is what the rule needs to know about a device.
type device struct {
	name    string
	index   uint32
	master  uint32 // the index of the device that it is enslaved to
	lower   uint32 // the index of the device below, or of a veth's other end, in the same namespace
	kind    string
	stacked bool // its frames also pass another device of the host
	port    bool // the frames that it sends may come from another port of a bridge
	looped  bool // the frames that it sends enter again on another device of the host
}

// stackedKinds are the kinds of device (IFLA_INFO_KIND) whose frames pass the devices below them, or one that they
// come from, unchanged.
var stackedKinds = map[string]bool{
	"bridge": true, "openvswitch": true, "bond": true, "team": true, "vrf": true, "hsr": true, "ifb": true,
	"vlan": true, "macvlan": true, "macvtap": true, "ipvlan": true, "ipvtap": true,
}

// tunnelKinds are the kinds whose frames are carried in packets of another device. Package decode finds them there.
var tunnelKinds = map[string]bool{
	"vxlan": true, "geneve": true, "gre": true, "gretap": true, "ip6gre": true, "ip6gretap": true, "erspan": true, "ip6erspan": true,
	"ipip": true, "sit": true, "ip6tnl": true, "gtp": true,
}

// upperKinds are the stackedKinds that are built on one device, which may be in another namespace.
var upperKinds = map[string]bool{"vlan": true, "macvlan": true, "macvtap": true, "ipvlan": true, "ipvtap": true}

// classify sets the roles of the devices.
func classify(devices map[uint32]device, tunnels bool) {
	for i, d := range devices {
		d.stacked = stackedKinds[d.kind] && (!upperKinds[d.kind] || d.lower != 0) || tunnelKinds[d.kind] && !tunnels
		master := devices[d.master].kind
		d.port = master == "bridge" || master == "openvswitch"
		devices[i] = d
	}
	// A bridge's port may itself be built on others, which then send what the bridge forwards.
	for changed := true; changed; {
		changed = false
		for i, d := range devices {
			if below, ok := devices[d.lower]; ok && d.port && upperKinds[d.kind] && !below.port {
				below.port, changed = true, true
				devices[d.lower] = below
			}
			if !d.port && devices[d.master].port {
				d.port, changed = true, true
				devices[i] = d
			}
		}
	}
	// A veth pair with both ends in this namespace is an internal link of the host. Between bridges, or between a
	// bridge and the host, it is one more device that a frame passes.
	for i, d := range devices {
		if other, ok := devices[d.lower]; ok && d.kind == "veth" && other.kind == "veth" {
			d.looped = true
			d.stacked = d.port || other.port
			devices[i] = d
		}
	}
}

// hostNet asks for all devices and addresses, and for what the host forwards. whole is false if the network changed
// meanwhile, so that something may be missing.
func (c *netlinkConn) hostNet(tunnels bool) (n *hostNet, whole bool, err error) {
	n = &hostNet{devices: make(map[uint32]device), macs: make(map[uint64]struct{}), addrs: make(map[netip.Addr]struct{})}
	wholeLinks, err := c.ask(unix.RTM_GETLINK, true, make([]byte, unix.SizeofIfInfomsg), n.addLink)
	if err != nil {
		return nil, false, fmt.Errorf("list devices: %w", err)
	}
	classify(n.devices, tunnels)
	addrs, wholeAddrs, err := c.dumpAddresses()
	if err != nil {
		return nil, false, fmt.Errorf("list addresses: %w", err)
	}
	seen := make(map[netip.Prefix]bool)
	for _, a := range addrs {
		n.addrs[a.addr] = struct{}{}
		if p := netip.PrefixFrom(a.addr, a.bits).Masked(); p.IsValid() && !seen[p] {
			seen[p] = true
			n.near = append(n.near, p)
		}
	}
	n.routes4, n.routes6 = c.forwards(unix.AF_INET), c.forwards(unix.AF_INET6)
	return n, wholeLinks && wholeAddrs, nil
}

// addLink adds the device that a message describes.
func (n *hostNet) addLink(m message) {
	if m.kind != unix.RTM_NEWLINK || len(m.body) < unix.SizeofIfInfomsg {
		return
	}
	attr := func(kind uint16) []byte { return m.attribute(unix.SizeofIfInfomsg, kind) }
	number := func(kind uint16) uint32 {
		if b := attr(kind); len(b) >= 4 {
			return binary.NativeEndian.Uint32(b)
		}
		return 0
	}
	d := device{
		index:  binary.NativeEndian.Uint32(m.body[4:]), // struct ifinfomsg
		name:   unix.ByteSliceToString(attr(unix.IFLA_IFNAME)),
		master: number(unix.IFLA_MASTER),
		lower:  number(unix.IFLA_LINK),
		kind:   unix.ByteSliceToString(message{body: attr(unix.IFLA_LINKINFO)}.attribute(0, unix.IFLA_INFO_KIND)),
	}
	if mac := attr(unix.IFLA_ADDRESS); len(mac) == 6 {
		n.macs[macOf(mac)] = struct{}{}
	}
	if elsewhere := attr(unix.IFLA_LINK_NETNSID) != nil; elsewhere || d.lower == d.index {
		d.lower = 0
	}
	n.devices[d.index] = d
}

// From linux/netconf.h: a message is the family, padded to four bytes, then attributes. Index -1 stands for all devices.
const (
	netconfBytes      = 4
	netconfIndex      = 1
	netconfForwarding = 2
)

// forwards reports whether the host forwards the packets of a family. If the kernel does not have the family, the
// host does not.
func (c *netlinkConn) forwards(family byte) (yes bool) {
	body := []byte{family, 0, 0, 0}
	body = binary.NativeEndian.AppendUint16(body, unix.SizeofRtAttr+4)
	body = binary.NativeEndian.AppendUint16(body, netconfIndex)
	body = binary.NativeEndian.AppendUint32(body, math.MaxUint32)
	_, err := c.ask(unix.RTM_GETNETCONF, false, body, func(m message) {
		v := m.attribute(netconfBytes, netconfForwarding)
		yes = m.kind == unix.RTM_NEWNETCONF && len(v) >= 4 && binary.NativeEndian.Uint32(v) != 0
	})
	return yes && err == nil
}
