package capture

import (
	"errors"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"pktvisor/linktype"
)

// errAnyCounts says why frames of all interfaces are not counted in the kernel.
var errAnyCounts = errors.New("on any, which frames count is decided by the agent: capture one interface")

// count makes the kernel's counter the socket's filter, and reports whether it did. If it cannot, the counter is disabled for
// all shards, and every frame that the filter selects enters the ring.
func (s *liveSource) count() bool {
	c := s.live.cfg.Counter
	if c == nil {
		return false
	}
	if s.live.watch.any() {
		c.Disable(errAnyCounts)
		return false
	}
	filter, kind, err := s.live.counted(s.link.hatype)
	if err == nil {
		err = c.Attach(s.fd, filter, kind.raw, kind.received)
	}
	if err != nil {
		c.Disable(err)
	}
	return err == nil
}

// frameKind says what the counter must know of an interface's frames.
type frameKind struct{ raw, received bool }

// counted returns the filter for the counter's program, which is empty if every frame counts.
func (l *live) counted(hatype uint16) (filter []bpf.RawInstruction, kind frameKind, err error) {
	link, _ := linkOf(hatype) // there is one, because the socket has a program
	kind = frameKind{link == linktype.Raw, hatype == unix.ARPHRD_LOOPBACK}
	filter, err = filterProgram(l.cfg, link)
	if err == nil && len(filter) == 1 && filter[0].K > 0 { // it selects every frame
		filter = nil
	}
	return filter, kind, err
}
