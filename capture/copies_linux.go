package capture

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// On "any" the kernel shows a frame on each device that it passes: a bridge's port and the bridge, a VLAN's device and
// the one below it, both sides of a router. It is to count once. docs/decisions/0012 has the rule; in short:
//
//   - A device that stands on others (a bridge, bond, VLAN, macvlan) has nothing of its own: what passes it passes one below.
//   - What a bridge forwards counts where it comes in.
//   - What the host forwards as a router counts on one side, the same for both directions of two addresses.
//   - What the host itself sends or receives has one device left by now.

// copies decides, for the shards of a capture on "any", whether a frame counts where it is seen.
type copies struct {
	tunnels bool // the devices of tunnels count too
	find    func(frame []byte, wireLen uint32, link LinkType) (src, dst netip.Addr, ok bool)
	net     atomic.Pointer[hostNet]

	mu    sync.Mutex // of what follows
	news  int        // a netlink socket that hears of changes
	next  time.Time  // when to look at the news again
	stale bool
}

// lookWait is how long news may wait, and bounds how often all devices are asked for.
const lookWait = 250 * time.Millisecond

func newCopies(cfg LiveConfig) (*copies, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("watch devices: %w", err)
	}
	groups := unix.SockaddrNetlink{Family: unix.AF_NETLINK,
		Groups: unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR}
	if err := unix.Bind(fd, &groups); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("watch devices: %w", err)
	}
	c := &copies{tunnels: !cfg.Decap, find: cfg.Addrs, news: fd}
	if err := c.read(); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return c, nil
}

// refresh follows changes of devices and addresses. Each shard calls it before a batch; unknown says that the batch before
// had a frame of a device that is not known.
func (c *copies) refresh(now time.Time, unknown bool) {
	if !c.mu.TryLock() {
		return // another shard is at it
	}
	defer c.mu.Unlock()
	c.stale = c.stale || unknown
	if now.Before(c.next) {
		return
	}
	c.next = now.Add(lookWait)
	var buf [8 << 10]byte
	for {
		n, _, err := unix.Recvfrom(c.news, buf[:], unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		if err == unix.ENOBUFS || n > 0 { // what it says does not matter
			c.stale = true
			continue
		}
		break
	}
	if !c.stale {
		return
	}
	if c.read() == nil {
		c.stale = false
	}
}

// read asks for all devices and addresses anew.
func (c *copies) read() error {
	n, err := readHostNet(c.tunnels)
	if err != nil {
		return err
	}
	n.find = c.find
	c.net.Store(n)
	return nil
}

func (c *copies) close() { unix.Close(c.news) }

// hostNet describes the host's devices and addresses. It is immutable.
type hostNet struct {
	devices map[uint32]device   // by index
	macs    map[uint64]struct{} // of the devices: see macOf
	addrs   map[netip.Addr]struct{}
	near    []netip.Prefix // of the addresses: who is in them is a neighbour
	routes4 bool           // the host forwards IPv4
	routes6 bool
	find    func(frame []byte, wireLen uint32, link LinkType) (src, dst netip.Addr, ok bool) // see [LiveConfig.Addrs]
}

// device is what the rule wants to know of a device.
type device struct {
	name    string
	index   uint32
	master  uint32 // the index of the device that it is enslaved to
	lower   uint32 // of the one that it stands on, or of a veth's other end, in the same namespace
	kind    string
	stacked bool // what passes it passes another device of the host
	port    bool // what it sends may come from another port of a bridge
	looped  bool // what it sends comes in again on another device of the host
}

// stackedKinds are the kinds of device (IFLA_INFO_KIND) whose frames pass those below them, or one that they come from,
// as they are.
var stackedKinds = map[string]bool{
	"bridge": true, "openvswitch": true, "bond": true, "team": true, "vrf": true, "hsr": true, "ifb": true,
	"vlan": true, "macvlan": true, "macvtap": true, "ipvlan": true, "ipvtap": true,
}

// tunnelKinds are the kinds whose frames are carried in the packets of another device, where package decode finds them.
var tunnelKinds = map[string]bool{
	"vxlan": true, "geneve": true, "gre": true, "gretap": true, "ip6gre": true, "ip6gretap": true, "erspan": true, "ip6erspan": true,
	"ipip": true, "sit": true, "ip6tnl": true, "gtp": true,
}

// upperKinds are those of them that stand on one device, which may be another namespace's.
var upperKinds = map[string]bool{"vlan": true, "macvlan": true, "macvtap": true, "ipvlan": true, "ipvtap": true}

// classify finds the roles of the devices.
func classify(devices map[uint32]device, tunnels bool) {
	for i, d := range devices {
		d.stacked = stackedKinds[d.kind] && (!upperKinds[d.kind] || d.lower != 0) || tunnelKinds[d.kind] && !tunnels
		master := devices[d.master].kind
		d.port = master == "bridge" || master == "openvswitch"
		devices[i] = d
	}
	// A bridge's port may itself stand on others, which then send what the bridge forwards.
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
	// A veth pair with both ends here is a wire of the host's own. Between bridges, or a bridge and the host, it is one more
	// device that a frame passes.
	for i, d := range devices {
		if other, ok := devices[d.lower]; ok && d.kind == "veth" && other.kind == "veth" {
			d.looped = true
			d.stacked = d.port || other.port
			devices[i] = d
		}
	}
}

// macOf returns the MAC address that b begins with as a number.
func macOf(b []byte) uint64 {
	return uint64(binary.BigEndian.Uint32(b))<<16 | uint64(binary.BigEndian.Uint16(b[4:]))
}

// counts reports whether a frame counts on the device where it was seen.
func (n *hostNet) counts(f *Frame, d *device, pktType byte) bool {
	if d.stacked {
		return false
	}
	out := pktType == unix.PACKET_OUTGOING
	if out && d.looped {
		return false
	}
	if f.Link == liveEthernet && len(f.Data) >= 12 {
		mac := f.Data
		if out {
			mac = mac[6:]
		}
		_, own := n.macs[macOf(mac)]
		switch {
		case out && !own: // a bridge forwards it; or it comes from a macvlan device of another namespace
			return !d.port
		case !out && !own, f.Data[0]&1 != 0: // it is for somebody behind a bridge or macvlan, or for all
			return true
		}
	}
	if f.Direction == DirUnknown || !n.routes4 && !n.routes6 || n.find == nil {
		return true
	}
	src, dst, ok := n.find(f.Data, f.WireLen, f.Link)
	return !ok || n.side(src, dst, out)
}

// side reports whether a packet counts on this device, if it should be one that the host forwards as a router.
func (n *hostNet) side(src, dst netip.Addr, out bool) bool {
	if routes := src.Is4() && n.routes4 || src.Is6() && n.routes6; !routes {
		return true
	}
	_, ownSrc := n.addrs[src]
	_, ownDst := n.addrs[dst]
	if ownSrc || ownDst || dst.IsMulticast() || dst == broadcast || src.IsUnspecified() {
		return true
	}
	// It counts on the side of the address that is further away: that is the side which sees the host's own
	// address instead, where it translates a neighbour's. Between two alike, any order does that both directions have.
	behind, other := src, dst
	if out {
		behind, other = dst, src
	}
	if a, b := n.neighbour(behind), n.neighbour(other); a != b {
		return b
	}
	return other.Compare(behind) <= 0
}

func (n *hostNet) neighbour(a netip.Addr) bool {
	for _, p := range n.near {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// readHostNet asks the kernel for its devices and addresses.
func readHostNet(tunnels bool) (*hostNet, error) {
	n := &hostNet{devices: make(map[uint32]device), macs: make(map[uint64]struct{}), addrs: make(map[netip.Addr]struct{})}
	dump, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	msgs, err := syscall.ParseNetlinkMessage(dump)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	for i := range msgs {
		if msgs[i].Header.Type == unix.RTM_NEWLINK && len(msgs[i].Data) >= unix.SizeofIfInfomsg {
			n.addLink(&msgs[i])
		}
	}
	classify(n.devices, tunnels)
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	seen := make(map[netip.Prefix]bool)
	for _, a := range addrs {
		a, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		addr, ok := netip.AddrFromSlice(a.IP)
		if !ok {
			continue
		}
		addr = addr.Unmap()
		n.addrs[addr] = struct{}{}
		ones, _ := a.Mask.Size()
		if p := netip.PrefixFrom(addr, ones).Masked(); p.IsValid() && !seen[p] {
			seen[p] = true
			n.near = append(n.near, p)
		}
	}
	n.routes4, n.routes6 = forwarding("ipv4/conf/all/forwarding"), forwarding("ipv6/conf/all/forwarding")
	return n, nil
}

// addLink adds the device of a message.
func (n *hostNet) addLink(msg *syscall.NetlinkMessage) {
	attrs, err := syscall.ParseNetlinkRouteAttr(msg)
	if err != nil {
		return
	}
	d := device{index: binary.NativeEndian.Uint32(msg.Data[4:])} // struct ifinfomsg
	elsewhere := false
	for _, a := range attrs {
		switch {
		case a.Attr.Type == unix.IFLA_IFNAME:
			d.name = unix.ByteSliceToString(a.Value)
		case a.Attr.Type == unix.IFLA_ADDRESS && len(a.Value) == 6:
			n.macs[macOf(a.Value)] = struct{}{}
		case a.Attr.Type == unix.IFLA_MASTER && len(a.Value) >= 4:
			d.master = binary.NativeEndian.Uint32(a.Value)
		case a.Attr.Type == unix.IFLA_LINK && len(a.Value) >= 4:
			d.lower = binary.NativeEndian.Uint32(a.Value)
		case a.Attr.Type == unix.IFLA_LINK_NETNSID:
			elsewhere = true
		case a.Attr.Type&^unix.NLA_F_NESTED == unix.IFLA_LINKINFO:
			d.kind = kindOf(a.Value)
		}
	}
	if elsewhere || d.lower == d.index {
		d.lower = 0
	}
	n.devices[d.index] = d
}

// kindOf finds IFLA_INFO_KIND among attributes.
func kindOf(attrs []byte) string {
	for len(attrs) >= unix.SizeofNlAttr {
		size, kind := int(binary.NativeEndian.Uint16(attrs)), binary.NativeEndian.Uint16(attrs[2:])
		if size < unix.SizeofNlAttr || size > len(attrs) {
			return ""
		}
		if kind&^unix.NLA_F_NESTED == unix.IFLA_INFO_KIND {
			return unix.ByteSliceToString(attrs[unix.SizeofNlAttr:size])
		}
		attrs = attrs[min((size+3)&^3, len(attrs)):]
	}
	return ""
}

// forwarding reports whether a setting of the kernel's network is on.
func forwarding(name string) bool {
	b, err := os.ReadFile("/proc/sys/net/" + name)
	return err == nil && len(b) > 0 && b[0] != '0'
}

// seenBy is what one shard has had from the devices.
type seenBy struct {
	copies  *copies
	net     *hostNet // of this batch
	unknown bool     // this batch had a frame of a device that is not known
	recent  [64]struct {
		net    *hostNet
		index  uint32
		device device
		count  *deviceCount
	} // devices, by the low bits of their index

	mu    sync.Mutex // of the map: others read it
	count map[uint32]*deviceCount
}

type deviceCount struct {
	index          uint32
	name           atomic.Pointer[string]
	frames, copies atomic.Uint64
}

// maxDevices bounds the devices that a shard counts by name; the rest count together.
const maxDevices = 1024

// begin is called before a batch.
func (s *seenBy) begin(now time.Time) {
	s.copies.refresh(now, s.unknown)
	s.net, s.unknown = s.copies.net.Load(), false
}

// keeps counts a frame for its device, and reports whether it is to be handed over.
func (s *seenBy) keeps(f *Frame, index uint32, pktType byte) bool {
	r := &s.recent[index%uint32(len(s.recent))]
	if r.net != s.net || r.index != index {
		r.net, r.index, r.device = s.net, index, s.net.devices[index]
		r.count = s.of(index, r.device.name)
	}
	if r.device.index == 0 {
		s.unknown = true
	}
	if !s.net.counts(f, &r.device, pktType) {
		r.count.copies.Add(1)
		return false
	}
	r.count.frames.Add(1)
	return true
}

func (s *seenBy) of(index uint32, name string) *deviceCount {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.count[index]
	if c == nil && len(s.count) >= maxDevices {
		index, name = 0, "others" // no device has index 0
		c = s.count[index]
	}
	if c == nil {
		c = &deviceCount{index: index}
		s.count[index] = c
	}
	if old := c.name.Load(); name != "" && (old == nil || *old != name) {
		c.name.Store(&name)
	}
	return c
}

// devices returns what was counted so far.
func (s *seenBy) devices() []Device {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Device, 0, len(s.count))
	for index, c := range s.count {
		d := Device{Name: fmt.Sprint("#", index), Frames: c.frames.Load(), Copies: c.copies.Load()}
		if name := c.name.Load(); name != nil {
			d.Name = *name
		}
		all = append(all, d)
	}
	return all
}

// leftOut returns how many frames were not counted so far.
func (s *seenBy) leftOut() (sum uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.count {
		sum += c.copies.Load()
	}
	return sum
}

// maxLeftOut is how many batches of nothing but frames left out are passed over, so that the reader gets to its clock.
const maxLeftOut = 64

// fill puts the frames that count into a batch, from a block that has some. An empty batch says that nothing came: not, that
// nothing is left of what came.
func (s *liveSource) fill(b *Batch) {
	if s.seen != nil {
		s.seen.begin(time.Now())
	}
	for range maxLeftOut {
		if skipped := s.ring.fill(b); skipped > 0 {
			s.discarded.Add(skipped)
		}
		if len(b.Frames) > 0 || s.ring.left == 0 && !s.ring.advance() {
			return
		}
	}
}

// devices is for [Devices].
func (s *liveSource) devices() []Device {
	if s.seen == nil {
		return nil
	}
	return s.seen.devices()
}
