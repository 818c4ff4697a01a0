// Package capture opens sources of frames: capture files (pcap, pcapng and snoop, plain or
// compressed) and live network interfaces (an AF_PACKET ring).
//
// A source hands its frames over in batches, so that the cost of a hand-over is shared by
// many frames. It does not look inside a frame: that is package decode's work.
//
// A source belongs to one goroutine at a time, and so does a batch; the batches of a file own
// their memory, and may be used while the source fills another. Nothing here locks but
// [Source.Stats], which may be called from anywhere.
package capture

import (
	"cmp"
	"maps"
	"slices"

	"pktvisor/linktype"
)

// Direction says which way a frame passed the interface, where the source knows it.
type Direction uint8

// The directions of a frame.
const (
	DirUnknown Direction = iota
	DirIn                // received by the interface
	DirOut               // sent by the interface
)

// Frame is the bytes of one packet as captured.
type Frame struct {
	// Data holds the captured bytes, starting with the link layer's header. It is valid
	// as long as the batch it came in. Nothing may be appended to it: behind it lie other
	// frames, which its capacity may include.
	Data []byte
	// Time is when the frame passed, in nanoseconds since the Unix epoch.
	Time int64
	// WireLen is the frame's length on the wire in bytes; at least len(Data).
	WireLen uint32
	// Link is the frame's link layer.
	Link linktype.Type
	// Direction is the way it passed the interface.
	Direction Direction
}

// Batch is a run of frames handed over together, in the order in which they were captured.
// Its frames are valid until the batch is read into again, and, for a live source, until
// the source is read again. The zero Batch is ready for use; one that is used again keeps its
// memory, so that reading allocates nothing after the first few batches.
type Batch struct {
	Frames []Frame
	// Supers are the frames that stand for several packets of the wire, in their order. Only a live source has such.
	Supers []Super
	// Restart is set where a recording that is played over and over starts again with the
	// first frame of the batch: nothing before it goes on in it.
	Restart bool

	buf []byte // the memory behind the frames of a file; a ring's frames lie in the ring
}

// Device is a network device, and what came from it.
type Device struct {
	Name   string
	Frames uint64 // counted
	Copies uint64 // left out: see [Stats]
}

// Devices returns what live sources of [AnyInterface] have had from each device, most frames first. It may be called from any
// goroutine.
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

// Super tells of a frame that stands for several packets: those that the sending kernel leaves to the interface to cut
// (segmentation offload), or that the receiving kernel has put together (GRO). A frame has the headers once; each
// packet on the wire has them, and at most Size bytes of what follows them.
type Super struct {
	Frame int // its place in the batch
	Size  uint16
}

// Stats counts what a source has done since it was opened. The tags declare its counters for everything that publishes
// them: see package metric.
type Stats struct {
	// Received includes frames that wait in the ring. It does not include dropped ones.
	Received  uint64 `metric:"received" title:"Received" unit:"packets" help:"Frames that the source handed over."`
	OSDrops   uint64 `metric:"os_drops" title:"OS drops" unit:"packets" help:"Frames that the kernel dropped because the capture ring was full."`
	IfDrops   uint64 `metric:"if_drops" title:"IF drops" unit:"packets" help:"Frames that the interface dropped."`
	Freezes   uint64 `metric:"freezes" unit:"times" help:"How often the capture ring was full."`
	Discarded uint64 `metric:"discarded" title:"Filtered" unit:"packets" help:"Frames that the filter turned away, where the source can know."`
	Copies    uint64 `metric:"copies" unit:"packets" help:"Frames on the interface any that are not counted because they count on another device of the host."`
	// Bytes is how much of a file was read, in bytes of the file as stored; Size is the
	// file's size, 0 where it is unknown (a pipe).
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

// Source is an opened tap.
type Source interface {
	// Clock says which time counts. It is always the same for a source.
	Clock() Clock
	// ReadBatch fills b with the next frames. For a live source it returns after a short
	// wait with an empty batch when nothing arrives, so that its reader can mind the clock.
	// At the end of a file it returns io.EOF with an empty batch; where a file is damaged, a
	// *DamageError, after all whole frames before the damage.
	ReadBatch(b *Batch) error
	// Stats may be called from any goroutine.
	Stats() Stats
	Close() error
}
