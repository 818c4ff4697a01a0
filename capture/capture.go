// Package capture opens sources of frames: capture files (pcap, pcapng and snoop, plain or compressed) and live
// network interfaces (an AF_PACKET ring).
//
// A source returns its frames in batches, so that many frames share the cost of a call. It does not look inside a
// frame: that is the job of package decode.
//
// A source belongs to one goroutine at a time, and so does a batch. The batches of a file own their memory, and may
// be used while the source fills another. Only [Source.Stats] locks; it may be called from any goroutine.
package capture

import (
	"cmp"
	"maps"
	"slices"

	"pktvisor/linktype"
)

// Direction says which way a frame passed the interface, if the source knows it.
type Direction uint8

// The directions of a frame.
const (
	DirUnknown Direction = iota
	DirIn                // received by the interface
	DirOut               // sent by the interface
)

// Frame is the bytes of one packet as captured.
type Frame struct {
	// Data holds the captured bytes, starting with the link layer's header. It is valid as long as its batch is.
	// Do not append to it: its capacity may extend into the following frames.
	Data []byte
	// Time is when the frame passed the interface, in nanoseconds since the Unix epoch.
	Time int64
	// WireLen is the frame's length on the wire in bytes; at least len(Data).
	WireLen uint32
	// Link is the frame's link layer.
	Link linktype.Type
	// Direction is the way the frame passed the interface.
	Direction Direction
}

// Batch is a run of frames handed over together, in the order in which they were captured. Its frames are valid until
// the batch is read into again, and for a live source until the source is read again. The zero Batch is ready for
// use. A Batch that is reused keeps its memory, so that reading allocates nothing after the first few batches.
type Batch struct {
	Frames []Frame
	// Supers describes the frames that stand for several packets, in their order. Only a live source has such frames.
	Supers []Super
	// Restart is set if a recording that is played in a loop starts again with the first frame of the batch.
	// State from earlier frames then ends.
	Restart bool
	// SameLink is set if all frames are known to have the same link layer. A source that does not know it leaves it
	// unset.
	SameLink bool

	buf []byte // the memory of the frames of a file; a ring's frames are in the ring
}

// Device is a network device, and the frames that came from it.
type Device struct {
	Name   string
	Frames uint64 // frames that count
	Copies uint64 // frames that were left out: see [Stats]
}

// Devices returns the frames that live sources of [AnyInterface] have had from each device, most frames first. It may
// be called from any goroutine.
func Devices(sources []Source) []Device {
	byName := make(map[string]Device)
	for _, s := range sources {
		if s, ok := s.(interface{ devices() []Device }); ok {
			for _, d := range s.devices() {
				sum := byName[d.Name]
				byName[d.Name] = Device{d.Name, sum.Frames + d.Frames, sum.Copies + d.Copies}
			}
		}
	}
	return slices.SortedFunc(maps.Values(byName), func(a, b Device) int {
		return cmp.Or(cmp.Compare(b.Frames, a.Frames), cmp.Compare(b.Copies, a.Copies), cmp.Compare(a.Name, b.Name))
	})
}

// Super describes a frame that stands for several packets: packets that the sending kernel leaves to the interface to
// cut (segmentation offload), or that the receiving kernel has joined (GRO). The frame has the headers once. On
// the wire, each packet has the headers, followed by at most Size bytes.
type Super struct {
	Frame int // its place in the batch
	Size  uint16
}

// Stats counts what a source has done since it was opened. The tags declare its counters for everything that publishes
// them: see package metric.
type Stats struct {
	// Received includes frames that wait in the ring, but not dropped ones.
	Received  uint64 `metric:"received" title:"Received" unit:"packets" help:"Frames that the source handed over."`
	OSDrops   uint64 `metric:"os_drops" title:"OS drops" unit:"packets" help:"Frames that the kernel dropped because the capture ring was full."`
	IfDrops   uint64 `metric:"if_drops" title:"IF drops" unit:"packets" help:"Frames that the interface dropped."`
	Freezes   uint64 `metric:"freezes" unit:"times" help:"How often the capture ring was full."`
	Discarded uint64 `metric:"discarded" title:"Filtered" unit:"packets" help:"Frames that the filter rejected, if the source can count them."`
	Copies    uint64 `metric:"copies" unit:"packets" help:"Frames on the interface any that do not count here because they count on another device of the host."`
	// Bytes is how much of a file was read, in bytes of the file as stored. Size is the file's size, or 0 if it
	// is unknown (a pipe).
	Bytes int64 `metric:"-"`
	Size  int64 `metric:"-"`
}

// Lost returns how many frames were dropped before the source had them.
func (s *Stats) Lost() uint64 { return s.OSDrops + s.IfDrops }

// Clock says which time counts for the frames of a source.
type Clock uint8

// The clocks.
const (
	// OwnTime: the times of the frames. Time passes with them alone, as in a recording.
	OwnTime Clock = iota
	// Arrival: the wall clock. A frame's time is that of its arrival, and time passes while no frames come.
	Arrival
)

// Filling is implemented by sources that lose frames if they are not read in time.
type Filling interface {
	// Full returns how much of the space for frames that wait is in use, from 0 to 1. Only the reader of the source may call it.
	Full() float64
}

// Source is an opened tap.
type Source interface {
	// Clock says which time counts. It is always the same for a source.
	Clock() Clock
	// ReadBatch fills b with the next frames. If nothing arrives, a live source returns an empty batch after a
	// short wait, so that its reader can check the clock. At the end of a file it returns io.EOF with an empty
	// batch. If a file is damaged, it returns all whole frames before the damage, and then a *DamageError.
	ReadBatch(b *Batch) error
	// Stats may be called from any goroutine.
	Stats() Stats
	Close() error
}
