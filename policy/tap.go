package policy

// AnyInterface is the target that means all interfaces.
const AnyInterface = "any"

// Tap is a place to observe.
type Tap struct {
	// Target is an interface, an address of one, "any", "auto", a capture file, or "-".
	Target string `name:"target"`
	// Filter is an expression of the pcap-filter language. An empty one accepts every frame.
	Filter string `name:"filter"`
	// RingMiB is the size of the capture ring of all shards together: 1 to 4096 MiB.
	RingMiB int `name:"ring_mib"`
	// SnapLen is the maximum number of bytes that are captured of a frame: 64 to 262,144.
	SnapLen int `name:"snaplen"`
	// Promisc also captures frames for other hosts.
	Promisc bool `name:"promisc"`
	// AnyCopies counts a packet on each interface that it passes, if Target is [AnyInterface].
	AnyCopies bool `name:"any_copies"`
	// Decap counts the innermost packet of a tunnel instead of the outermost.
	Decap bool `name:"decap"`
	// Replay plays the target, a capture file, as if it were live, ReplaySpeed times as fast as it was recorded. A
	// speed of 0 means as fast as it can be read.
	Replay      bool    `name:"replay"`
	ReplaySpeed float64 `name:"replay_speed"`
	// Strict makes a damaged file an error.
	Strict bool `name:"strict"`
}

// DefaultTap returns the defaults of a tap. It lacks a target.
func DefaultTap() Tap {
	return Tap{RingMiB: 32, SnapLen: 65535, ReplaySpeed: 1}
}

func (t *Tap) validate(f faults) {
	if t.Target == "" {
		f.sentence("target", func(names ...string) string {
			return "no " + names[0] + `: give an interface, an IP address of one, "any", a capture file, or "-" for a capture on standard input`
		})
	}
	if t.RingMiB < 1 || t.RingMiB > 4096 {
		f.value("ring_mib", t.RingMiB, "give a number of MiB from 1 to 4096")
	}
	if t.SnapLen < 64 || t.SnapLen > 262144 {
		f.value("snaplen", t.SnapLen, "give a number of bytes from 64 to 262144")
	}
	if !(t.ReplaySpeed >= 0 && t.ReplaySpeed <= 1e6) { // this form also rejects NaN
		f.value("replay_speed", t.ReplaySpeed, "give a factor up to 1000000, or 0 for as fast as possible")
	}
	if t.AnyCopies && t.Target != AnyInterface {
		f.sentence("any_copies", func(names ...string) string {
			return names[0] + " is for the target any, not for " + t.Target
		})
	}
}
