package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// rtAttr makes a netlink attribute.
func rtAttr(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, align4(len(b))-len(b))...)
}

// netlinkMessage makes a netlink message.
func netlinkMessage(kind uint16, body ...[]byte) []byte {
	all := slices.Concat(body...)
	b := binary.NativeEndian.AppendUint32(nil, uint32(16+len(all)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	return append(append(b, make([]byte, 10)...), all...)
}

// linkMessage is what the kernel says about an interface whose device had no space for fifo frames and missed others.
func linkMessage(kind uint16, family byte, index int, name string, fifo, missed uint64) message {
	info := ifInfo(index)
	info[0] = family
	stats := make([]byte, 24*8)
	for i := range 24 { // rx_dropped and all others must not count
		binary.NativeEndian.PutUint64(stats[8*i:], 1_000_000_000)
	}
	binary.NativeEndian.PutUint64(stats[14*8:], fifo)
	binary.NativeEndian.PutUint64(stats[15*8:], missed)
	m, _, ok := cutMessage(netlinkMessage(kind, info, rtAttr(unix.IFLA_IFNAME, append([]byte(name), 0)), rtAttr(unix.IFLA_STATS64, stats)))
	if !ok {
		panic("no message")
	}
	return m
}

// TestDropsOnAny: the drops of all interfaces never decrease, and grow only by frames dropped while they were watched.
func TestDropsOnAny(t *testing.T) {
	const (
		look   = 0 // not a message, but the answer to a request
		brPort = 7 // AF_BRIDGE
	)
	w := &linkWatch{target: "any"}
	w.home.Store(&link{})
	for i, step := range []struct {
		what         string
		kind         uint16
		family       byte
		index        int
		fifo, missed uint64
		want         uint64
	}{
		{"first sight", unix.RTM_NEWLINK, 0, 2, 5_000_000, 1000, 0},
		{"it grows", look, 0, 2, 5_000_002, 1001, 3},
		{"another one comes, with none", unix.RTM_NEWLINK, 0, 3, 0, 0, 3},
		{"and drops", look, 0, 3, 0, 4, 7},
		{"it leaves its bridge", unix.RTM_DELLINK, brPort, 3, 0, 900, 7},
		{"an earlier message is read late", unix.RTM_NEWLINK, 0, 3, 0, 3, 7},
		{"it drops again", look, 0, 3, 1, 4, 8},
		{"it goes away, with a last drop", unix.RTM_DELLINK, 0, 3, 2, 4, 9},
		{"another with the same index comes from another namespace", unix.RTM_NEWLINK, 0, 3, 70_000, 0, 9},
		{"and drops", look, 0, 3, 70_001, 0, 10},
		{"a driver restarts", look, 0, 2, 0, 2, 10},
		{"and goes on", look, 0, 2, 1, 2, 11},
		{"a driver removes one of its queues", look, 0, 3, 60_000, 0, 11},
	} {
		if step.kind == look {
			w.drops.see(step.index, step.fifo+step.missed)
		} else {
			w.hear(linkMessage(step.kind, step.family, step.index, fmt.Sprint("eth", step.index), step.fifo, step.missed))
		}
		if w.drops.total != step.want {
			t.Fatalf("step %d, %s: %d drops, want %d", i, step.what, w.drops.total, step.want)
		}
	}
	w.drops.keep(map[int]bool{3: true}) // interface 2 disappeared without a message
	w.drops.see(2, 9_000_000)
	w.drops.see(3, 60_001)
	if w.drops.total != 12 || len(w.drops.last) != 2 {
		t.Errorf("%+v", w.drops)
	}
}

// TestDropsOfOne: only the captured interface counts, by its index and not by its name.
func TestDropsOfOne(t *testing.T) {
	w := &linkWatch{target: "eth0"}
	w.home.Store(&link{index: 2, name: "eth0"})
	for _, m := range []message{
		linkMessage(unix.RTM_NEWLINK, 0, 2, "eth0", 10, 0),
		linkMessage(unix.RTM_NEWLINK, 0, 3, "eth1", 50, 0),
		linkMessage(unix.RTM_DELLINK, 0, 3, "eth1", 60, 0),
		linkMessage(unix.RTM_DELLINK, 0, 2, "eth0", 11, 0),
	} {
		w.hear(m)
	}
	if w.drops.total != 1 {
		t.Errorf("%d drops, want 1", w.drops.total)
	}
	for _, c := range []struct {
		m    message
		want bool
	}{
		{linkMessage(unix.RTM_NEWLINK, 0, 3, "eth1", 0, 0), false},
		{linkMessage(unix.RTM_NEWLINK, 0, 3, "eth0", 0, 0), true},
		{linkMessage(unix.RTM_NEWLINK, 0, 2, "wan", 0, 0), true},
		{linkMessage(unix.RTM_NEWLINK, 7, 2, "wan", 0, 0), false},
		{message{kind: unix.RTM_NEWADDR, body: make([]byte, 8)}, false},
	} {
		if got := w.hear(c.m); got != c.want {
			t.Errorf("message %d about %x: heeded %v", c.m.kind, c.m.body[:8], got)
		}
	}
}

// TestDropsFromKernel: both kinds of request return every interface once, and the counters that /sys shows.
func TestDropsFromKernel(t *testing.T) {
	enterNetns(t, vethPair...)
	c, err := dialNetlink()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	seen := map[int]uint64{}
	whole, err := c.drops(0, func(index int, n uint64) { seen[index] = n })
	if err != nil || !whole || len(seen) < 3 { // lo and the pair, and perhaps fallback tunnels
		t.Fatalf("%v, whole %v, %v", seen, whole, err)
	}
	for _, name := range []string{"lo", "vtx", "vrx"} {
		l, err := c.linkByName(name)
		if err != nil || l.index != indexOf(t, name) || l.name != name {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
		if again, err := c.linkByIndex(l.index); err != nil || again != l {
			t.Errorf("%s by index: %+v, %v", name, again, err)
		}
		if n, ok := seen[l.index]; !ok || n != 0 {
			t.Errorf("%s: %d drops, there %v", name, n, ok)
		}
		asked := 0
		if _, err := c.drops(l.index, func(index int, n uint64) {
			if asked++; index != l.index || n != 0 {
				t.Errorf("%s: interface %d, %d drops", name, index, n)
			}
		}); err != nil || asked != 1 {
			t.Errorf("%s: %d answers, %v", name, asked, err)
		}
	}
	if _, err := c.linkByName("nothing"); !errors.Is(err, errGone) {
		t.Error(err)
	}
	if _, err := c.linkByIndex(9999); !errors.Is(err, errGone) {
		t.Error(err)
	}
}

// FuzzNetlinkMessage: everything that is read from a message is within it.
func FuzzNetlinkMessage(f *testing.F) {
	f.Add(netlinkMessage(unix.RTM_NEWLINK, ifInfo(3), rtAttr(unix.IFLA_IFNAME, []byte("eth0\x00")), rtAttr(unix.IFLA_STATS64, make([]byte, 192))))
	f.Add(slices.Concat(netlinkMessage(unix.RTM_NEWADDR, make([]byte, 8), rtAttr(unix.IFA_LOCAL, []byte{1, 2, 3, 4})), netlinkMessage(unix.NLMSG_DONE)))
	f.Add([]byte{17, 0, 0, 0, 16, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		w := &linkWatch{target: "any"}
		w.home.Store(&link{})
		n := &hostNet{devices: make(map[uint32]device), macs: make(map[uint64]struct{})}
		total := 0
		for rest := b; ; {
			m, next, ok := cutMessage(rest)
			if !ok {
				break
			}
			if len(next) >= len(rest) {
				t.Fatal("reading does not end")
			}
			rest = next
			total += 16 + len(m.body)
			for _, kind := range []uint16{unix.IFLA_IFNAME, unix.IFLA_STATS64, unix.IFA_LOCAL} {
				if v := m.attribute(8, kind); len(v)+12 > len(m.body) && v != nil {
					t.Fatalf("an attribute of %d bytes in a message of %d", len(v), len(m.body))
				}
			}
			w.hear(m)
			n.addLink(m)
			concernsAddrs(m, "eth0")
		}
		if total > len(b) {
			t.Fatalf("messages of %d bytes in %d", total, len(b))
		}
	})
}
