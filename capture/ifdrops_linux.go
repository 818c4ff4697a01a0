package capture

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// Where struct rtnl_link_stats64 (linux/if_link.h) has what counts as dropped by an interface. Like libpcap, we leave
// rx_dropped out: the kernel counts there what it received and nobody but us had a use for, which on most networks is
// a frame every other second.
const (
	statFIFO   = 14 * 8 // rx_fifo_errors: the device had no room for the frame
	statMissed = 15 * 8 // rx_missed_errors: the host had given the device no room for it
)

// dropsOfStats returns the drops in a struct rtnl_link_stats64, and whether it has them.
func dropsOfStats(b []byte) (drops uint64, ok bool) {
	if len(b) < statMissed+8 {
		return 0, false
	}
	return binary.NativeEndian.Uint64(b[statFIFO:]) + binary.NativeEndian.Uint64(b[statMissed:]), true
}

// dropCounter adds up the drops of interfaces, each from its first sight on. An interface's own counter runs since the
// interface exists, and may go back when its driver starts anew.
type dropCounter struct {
	last  map[int]uint64 // each interface's counter when last seen, by index
	total uint64
}

// see records an interface's counter as it is now. A counter that is new, or that went back, counts from here on: its
// value is from before, or its growth is unknown.
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

// came records the counter with which an interface came. What the kernel said of it later may have been heard before.
func (d *dropCounter) came(index int, first uint64) {
	if _, known := d.last[index]; !known {
		d.see(index, first)
	}
}

// went records the counter with which an interface went away. The next one of the index is another.
func (d *dropCounter) went(index int, last uint64) {
	d.add(index, last)
	delete(d.last, index)
}

// keep forgets all interfaces but those of the indices.
func (d *dropCounter) keep(indices map[int]bool) {
	for index := range d.last {
		if !indices[index] {
			delete(d.last, index)
		}
	}
}

// Of linux/if_link.h: RTM_GETSTATS is answered by struct if_stats_msg (family, index, mask of the attributes) and, for
// bit 0 of the mask, the attribute IFLA_STATS_LINK_64.
const (
	ifStatsBytes  = 12
	statsLink64   = 1
	statsLinkMask = 1 << (statsLink64 - 1)
)

// drops calls each with the drops of the interface of an index; of all interfaces for 0. An answer about statistics
// alone is a fifth as long as one about links, and quicker to make.
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
	// Linux before 4.7.
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
