package capture

import (
	"errors"

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
	link, _ := linkOf(s.link.hatype) // there is one, because the socket has a program
	filter, err := filterProgram(s.live.cfg, link)
	if err == nil {
		if len(filter) == 1 && filter[0].K > 0 { // it selects every frame
			filter = nil
		}
		err = c.Attach(s.fd, filter, link == linktype.Raw, s.link.hatype == unix.ARPHRD_LOOPBACK)
	}
	if err != nil {
		c.Disable(err)
	}
	return err == nil
}
