// Package count counts frames in the Linux kernel, before they are copied, and lets only a sample of them into a capture ring.
//
// A [Counter] is an eBPF program and its maps. The program is the filter of packet sockets: see [Counter.Attach]. It counts
// every frame in the cells of the frame's second: packets and bytes by direction, IP version and transport, the flags of TCP,
// and DNS messages by outcome. It reads the usual frames only. They are plain: the program gets the same result for them as
// package decode. A plain frame enters the ring if the hash of its addresses is below the threshold. A frame that is not
// plain always enters the ring: fragments, IPv6 extension headers, labels, DNS over TCP, what may be a referral.
//
// So each frame counts once. Those that the program has kept out of the ring are [Skipped], and the program has counted
// them. All others are in the ring, and the reader of the ring counts them, except those for which the ring had no room:
// the program has counted these as Sampled or Other, and the reader has not seen them.
//
// The counts are memory that is shared with the kernel. Reading them takes no system call. A frame belongs to the second in
// which the program sees it, by the clock that also makes the frame's timestamp, some ten nanoseconds apart.
//
// The program needs Linux 5.11, and CAP_BPF besides CAP_NET_RAW. With CAP_NET_RAW alone, a process can use a program that a
// privileged one has left in a BPF file system: see [Pin] and [Config.Pinned].
package count

import (
	"net/netip"
)

// Config says how frames are counted.
type Config struct {
	// Ports are the ports of DNS. Tunnels are the UDP ports of tunnels. A super frame of such a port is not plain, and with
	// Decap no frame of such a port is.
	Ports, Tunnels []uint16
	// Decap says that the reader counts the innermost packet of a tunnel. Tunnels are then not plain.
	Decap bool
	// Split says that the reader counts a super frame as the packets for which it stands. It must do so if the kernel marks
	// super frames.
	Split bool
	// SnapLen is how many bytes of a frame enter the ring.
	SnapLen int
	// Hosts are the host subnets: see [Counter.SetHosts].
	Hosts []netip.Prefix
	// Seed is the seed of the hash of addresses, and Threshold is where the sample ends: see [Counter.SetThreshold].
	Seed, Threshold uint32
	// Pinned is a directory that [Pin] has filled. If it is not empty and exists, the program is taken from there.
	Pinned string
}

// Group says what the program has done with a frame.
type Group uint8

// The groups.
const (
	Skipped Group = iota // plain, and not in the sample: it has not entered the ring
	Sampled              // plain, and in the sample
	Other                // not plain; its transport is only a guess, and its DNS messages and flags are not counted

	NumGroups = 3
)

// All is the threshold below which every hash is.
const All = ^uint32(0)

// Transports in the index of a cell.
const (
	OtherL4 = iota
	UDP
	TCP
	NoIP // or unknown
)

// Outcomes in the index of a DNS message.
const (
	Asked = iota // a query
	OtherRcode
	ServFail
	NXDomain
	Refused
	NoError
	NoData // and not a referral
)

// Flags of TCP segments.
const (
	NoFlag = iota // also for packets of other protocols
	Syn
	SynAck
	Rst
)

// Cell counts packets, and their bytes on the wire.
type Cell struct{ Packets, Bytes uint64 }

// Counts are what a program has counted in a stretch of time, in one group.
type Counts struct {
	// Cells has the direction (0 unknown, 1 in, 2 out) times 8, 4 for IPv6, and the transport in the index.
	Cells [32]Cell
	// DNS has the direction times 16, 8 for IPv6, and the outcome in the index. It counts messages over UDP.
	DNS [64]uint64
	// TCP counts packets by flag.
	TCP [4]uint64
	// Frames counts frames. Supers are those of them that stand for several packets, and SuperPackets are these packets.
	Frames, Supers, SuperPackets uint64
	// Truncated counts DNS responses with the TC bit.
	Truncated uint64
}

// Second is what a program has counted in a second (Unix time).
type Second struct {
	Second int64
	Groups [NumGroups]Counts
}

// Add adds other counts.
func (c *Counts) Add(o *Counts) {
	for i := range c.Cells {
		c.Cells[i].Packets += o.Cells[i].Packets
		c.Cells[i].Bytes += o.Cells[i].Bytes
	}
	for i := range c.DNS {
		c.DNS[i] += o.DNS[i]
	}
	for i := range c.TCP {
		c.TCP[i] += o.TCP[i]
	}
	c.Frames += o.Frames
	c.Supers += o.Supers
	c.SuperPackets += o.SuperPackets
	c.Truncated += o.Truncated
}
