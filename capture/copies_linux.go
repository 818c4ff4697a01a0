package capture

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"pktvisor/linktype"
)

// On "any" the kernel shows a frame on each device that it passes: a bridge's port and the bridge, a VLAN's device
// and the one below it, both sides of a router. The frame must count once. docs/decisions/0012 has the rule; in
// short:
//
//   - A device that is built on others (a bridge, bond, VLAN, macvlan) does not count: its frames also pass a device below.
//   - A frame that a bridge forwards counts where it enters.
//   - A packet that the host forwards as a router counts on one side, the same for both directions between two addresses.
//   - Packets that the host itself sends or receives are then left on one device.

// copies decides, for the shards of a capture on "any", whether a frame counts where it is seen. A [linkWatch] keeps
// its table up to date, so that a shard never asks the kernel.
type copies struct {
	tunnels bool // the devices of tunnels also count
	find    func(frame []byte, wireLen uint32, link linktype.Type) (src, dst netip.Addr, ok bool)
	net     atomic.Pointer[hostNet]
	// unknown says that a shard had a frame of a device that is not in net. wake is called when it is set, to
	// notify the linkWatch.
	unknown atomic.Bool
	wake    func()
}

func newCopies(cfg LiveConfig) *copies {
	return &copies{tunnels: !cfg.Decap, find: cfg.Addrs}
}

// missed records that a frame came from an unknown device.
func (c *copies) missed() {
	if !c.unknown.Load() && !c.unknown.Swap(true) {
		c.wake()
	}
}

// read asks for all devices and addresses again. It returns false if it should be repeated.
func (c *copies) read(conn *netlinkConn) (whole bool, err error) {
	c.unknown.Store(false) // cleared first, because a device seen from here on may be missing again
	n, whole, err := conn.hostNet(c.tunnels)
	if err != nil {
		return false, err
	}
	n.find = c.find
	c.net.Store(n)
	return whole, nil
}

// macOf returns the MAC address at the start of b as a number.
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
	if f.Link == linktype.Ethernet && len(f.Data) >= 12 {
		mac := f.Data
		if out {
			mac = mac[6:]
		}
		_, own := n.macs[macOf(mac)]
		switch {
		case out && !own: // a bridge forwards it, or it comes from a macvlan device of another namespace
			return !d.port
		case !out && !own, f.Data[0]&1 != 0: // it is for a host behind a bridge or macvlan, or for all hosts
			return true
		}
	}
	if f.Direction == DirUnknown || !n.routes4 && !n.routes6 || n.find == nil {
		return true
	}
	src, dst, ok := n.find(f.Data, f.WireLen, f.Link)
	return !ok || n.side(src, dst, out)
}

// side reports whether a packet counts on this device, assuming that the host forwards it as a router.
func (n *hostNet) side(src, dst netip.Addr, out bool) bool {
	if routes := src.Is4() && n.routes4 || src.Is6() && n.routes6; !routes {
		return true
	}
	_, ownSrc := n.addrs[src]
	_, ownDst := n.addrs[dst]
	if ownSrc || ownDst || dst.IsMulticast() || dst == broadcast || src.IsUnspecified() {
		return true
	}
	// The packet counts on the side of the address that is further away. If the host translates a neighbour's
	// address, that side sees the host's own address instead. If both addresses are equally far, the order must
	// be the same for both directions; any such order will do.
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

// seenBy counts the frames that one shard has had from each device.
type seenBy struct {
	copies *copies
	net    *hostNet // for this batch
	recent [64]struct {
		net    *hostNet
		index  uint32
		device device
		count  *deviceCount
	} // a cache of devices, by the low bits of their index

	mu    sync.Mutex // guards the map, which other goroutines read
	count map[uint32]*deviceCount
}

type deviceCount struct {
	name           atomic.Pointer[string]
	frames, copies atomic.Uint64
}

// maxDevices bounds the devices that a shard counts by name. Further devices count together.
const maxDevices = 1024

// begin must be called before each batch.
func (s *seenBy) begin() { s.net = s.copies.net.Load() }

// keeps counts a frame for its device, and reports whether the frame is to be handed over.
func (s *seenBy) keeps(f *Frame, index uint32, pktType byte) bool {
	r := &s.recent[index%uint32(len(s.recent))]
	if r.net != s.net || r.index != index {
		r.net, r.index, r.device = s.net, index, s.net.devices[index]
		r.count = s.of(index, r.device.name)
	}
	if r.device.index == 0 {
		s.copies.missed()
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
		c = new(deviceCount)
		s.count[index] = c
	}
	if old := c.name.Load(); name != "" && (old == nil || *old != name) {
		c.name.Store(&name)
	}
	return c
}

// devices returns the counts so far.
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

// leftOut returns the number of frames left out so far.
func (s *seenBy) leftOut() (sum uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.count {
		sum += c.copies.Load()
	}
	return sum
}

// maxLeftOut bounds the batches without any frame to keep that fill skips, so that the reader can check its clock.
const maxLeftOut = 64

// fill puts the frames that count into a batch, from a block that has frames. An empty batch means that nothing came,
// not that no frame of the batch was kept.
func (s *liveSource) fill(b *Batch) {
	if s.seen != nil {
		s.seen.begin()
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

// devices implements [Devices].
func (s *liveSource) devices() []Device {
	if s.seen == nil {
		return nil
	}
	return s.seen.devices()
}
