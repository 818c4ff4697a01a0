package capture

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/net/bpf"

	"pktvisor/capture/count"
	"pktvisor/linktype"
)

// The defaults of a [LiveConfig].
const (
	DefaultRingBytes = 32 << 20 // holds 170 k frames of 100 bytes
	DefaultSnapLen   = 256 << 10
)

// ErrChanging is the error of [Spread] while the interface or its rings change, or an earlier change is not over. It works a little later.
var ErrChanging = errors.New("the interface or its rings are changing: try again")

// AnyInterface is the value of [LiveConfig.Interface] that captures on all interfaces.
const AnyInterface = "any"

// LiveConfig says what [OpenLive] captures, and how.
type LiveConfig struct {
	// Interface is what to capture on, in a form that [ResolveTarget] accepts: the name of a network interface,
	// an address of an interface, "auto", or "any" for all interfaces.
	//
	// A name means the interface that has the name. If the interface is renamed, the capture leaves it, and
	// captures the next interface that gets the name. An address means the interface that has the address,
	// whatever its name. If the address moves to another interface, so does the capture. "auto" is the interface
	// that had the default route when the capture was opened, under any name, until it disappears.
	Interface string

	// Shards is the number of sources; 0 means one. A frame reaches exactly one of them, and all frames between
	// two IP addresses, in either direction, reach the same one.
	Shards int

	// OnDemand opens only the first source at the start, if the counter can hand over frames. The others get frames
	// after [Spread].
	OnDemand bool

	// RingBytes is the memory in which the kernel keeps frames until they are read, for all shards together,
	// rounded to blocks of 256 KiB. A shard has at least 1 MiB. 0 means [DefaultRingBytes]. A frame takes its
	// captured length and about 90 bytes. With a counter that can hand over frames, a ring begins with 4 MiB and
	// grows with the rate. While a ring is replaced, the old one also takes memory until it is read.
	RingBytes int

	// SnapLen is the number of bytes captured of each frame. 0 means [DefaultSnapLen], which captures whole
	// frames: a frame takes no more space in the ring than it has bytes, and a DNS message may have 64 KiB. If a
	// filter returns less than SnapLen, its result counts.
	SnapLen int

	// Promisc makes the interface deliver frames that are addressed to other hosts.
	Promisc bool

	// Copies makes "any" deliver a frame on each interface that it passes.
	Copies bool

	// Decap says that the reader decodes tunnels. "any" then leaves out the tunnels' own interfaces.
	Decap bool

	// Addrs, if not nil, finds the addresses in a frame's IP header. "any" uses it if the host is a router.
	// Without it, a packet that the host forwards is delivered on both sides.
	Addrs func(frame []byte, wireLen uint32, link linktype.Type) (src, dst netip.Addr, ok bool)

	// Filter returns the program that selects frames of a link layer. nil, or a program without instructions,
	// selects all. It is called with the interface's link type when the interface is opened, and again when it
	// returns. For "any" it is called for Ethernet and for raw IP. If it fails for raw IP alone (an expression
	// about Ethernet addresses), the frames of such interfaces are rejected.
	Filter func(linktype.Type) ([]bpf.RawInstruction, error)

	// Counter, if not nil, counts the frames in the kernel, and lets only its sample of them into the ring. If an
	// interface cannot be captured so, the counter is disabled: see [count.Counter.Disabled].
	Counter *count.Counter

	// OnEvent, if not nil, is called with changes in the state of the interface. The reader of the first source
	// calls it, within its ReadBatch.
	OnEvent func(Event)
}

// withDefaults returns the configuration with the defaults filled in.
func (c LiveConfig) withDefaults() (LiveConfig, error) {
	if c.Interface == "" {
		return c, fmt.Errorf("live capture: no interface is named")
	}
	if c.Shards < 0 || c.Shards > maxShards {
		return c, fmt.Errorf("capture on %s: %d shards; must be 1 to %d", c.Interface, c.Shards, maxShards)
	}
	if c.RingBytes < 0 || c.SnapLen < 0 {
		return c, fmt.Errorf("capture on %s: ring size and snaplen must not be negative", c.Interface)
	}
	if c.Promisc && c.Interface == AnyInterface {
		return c, fmt.Errorf("capture on any: promiscuous mode needs one interface, not any")
	}
	if c.Shards == 0 {
		c.Shards = 1
	}
	if c.RingBytes == 0 {
		c.RingBytes = DefaultRingBytes
	}
	if c.SnapLen == 0 {
		c.SnapLen = DefaultSnapLen
	}
	return c, nil
}

// maxShards is the number of sockets that older kernels accept in a fanout group.
const maxShards = 256

// InterfaceState is the state of an interface in an [Event].
type InterfaceState uint8

// The states of an interface.
const (
	InterfaceUp      InterfaceState = iota // frames are captured
	InterfaceDown                          // it exists, but is down
	InterfaceGone                          // it does not exist
	InterfaceRenamed                       // it exists, and has another name
)

// Event is a change in the state of a captured interface. The capture continues by itself when the interface is up
// again.
type Event struct {
	// Interface is the interface's name. It can change if the target is an address or "auto".
	Interface string
	State     InterfaceState
	// NewName is the name of a renamed interface.
	NewName string
	// Err, if not nil, says why an interface that has returned cannot be captured yet. It is tried again once a
	// second.
	Err error
}

// String describes the event for a log.
func (e Event) String() string {
	state := "up"
	switch e.State {
	case InterfaceRenamed:
		return fmt.Sprintf("interface %s was renamed to %s; waiting for an interface %s", e.Interface, e.NewName, e.Interface)
	case InterfaceDown:
		state = "down"
	case InterfaceGone:
		state = "gone"
	}
	if e.Err != nil {
		return fmt.Sprintf("interface %s is %s: %v", e.Interface, state, e.Err)
	}
	return fmt.Sprintf("interface %s is %s", e.Interface, state)
}
