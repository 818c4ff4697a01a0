package capture

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// The offsets in struct rtnl_link_stats64 (linux/if_link.h) of the counters of frames that an interface dropped. Like
// libpcap, this leaves out rx_dropped. There the kernel counts received frames that no other program wanted, which on
// most networks is one frame every other second.
const (
	statFIFO   = 14 * 8 // rx_fifo_errors: the device had no space for the frame
	statMissed = 15 * 8 // rx_missed_errors: the host had given the device no space for it
)

// dropsOfStats returns the drops in a struct rtnl_link_stats64, and whether b has them.
func dropsOfStats(b []byte) (drops uint64, ok bool) {
	if len(b) < statMissed+8 {
		return 0, false
	}
	return binary.NativeEndian.Uint64(b[statFIFO:]) + binary.NativeEndian.Uint64(b[statMissed:]), true
}

// dropCounter adds up the drops of interfaces, for each from the moment it is first seen. An interface's own counter
// runs since the interface exists, and may go back when its driver restarts.
type dropCounter struct {
	last  map[int]uint64 // each interface's counter when last seen, by index
	total uint64
}

// see records an interface's current counter. If the counter is new or went back, counting starts from here: earlier
// drops do not count, and the growth is unknown.
func (d *dropCounter) see(index int, now uint64) {
	d.add(index, now)
	if d.last == nil {
		d.last = make(map[int]uint64)
	}
	d.last[index] = now
}

func (d *dropCounter) add(index int, now uint64) {
	if last, known := d.last[index]; known && now > last {
		d.total += now - last
	}
}

// came records the counter with which an interface appeared. A later value may have been read already, and then stays.
func (d *dropCounter) came(index int, first uint64) {
	if _, known := d.last[index]; !known {
		d.see(index, first)
	}
}

// went records the counter with which an interface disappeared. The next interface with the index is a different one.
func (d *dropCounter) went(index int, last uint64) {
	d.add(index, last)
	delete(d.last, index)
}

// keep forgets all interfaces except those with the given indices.
func (d *dropCounter) keep(indices map[int]bool) {
	for index := range d.last {
		if !indices[index] {
			delete(d.last, index)
		}
	}
}

// From linux/if_link.h: the answer to RTM_GETSTATS is struct if_stats_msg (family, index, mask of the attributes)
// and, for bit 0 of the mask, the attribute IFLA_STATS_LINK_64.
const (
	ifStatsBytes  = 12
	statsLink64   = 1
	statsLinkMask = 1 << (statsLink64 - 1)
)

// drops calls each with the drops of the interface with the index, or of all interfaces if the index is 0. An answer
// with statistics only is a fifth as long as one about links, and takes the kernel less time.
func (c *netlinkConn) drops(index int, each func(index int, drops uint64)) (whole bool, err error) {
	body := make([]byte, ifStatsBytes)
	binary.NativeEndian.PutUint32(body[4:], uint32(index))
	binary.NativeEndian.PutUint32(body[8:], statsLinkMask)
	whole, err = c.ask(unix.RTM_GETSTATS, index == 0, body, func(m message) {
		if n, ok := dropsOfStats(m.attribute(ifStatsBytes, statsLink64)); ok && m.kind == unix.RTM_NEWSTATS {
			each(int(binary.NativeEndian.Uint32(m.body[4:])), n)
		}
	})
	if !errors.Is(err, unix.EOPNOTSUPP) {
		return whole, err
	}
	// For Linux before 4.7.
	return c.ask(unix.RTM_GETLINK, index == 0, ifInfo(index), func(m message) {
		l, ok := linkOfMessage(m)
		if n, has := dropsOfMessage(m); ok && has {
			each(l.index, n)
		}
	})
}

// dropsOfMessage returns the drops in a message about a link.
func dropsOfMessage(m message) (drops uint64, ok bool) {
	return dropsOfStats(m.attribute(unix.SizeofIfInfomsg, unix.IFLA_STATS64))
}
