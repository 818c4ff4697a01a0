package capture

import (
	"errors"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// pollEvery is how often a linkWatch asks for the interface's drops and checks its state, even if it heard of no change.
	pollEvery = time.Second
	// pollShare bounds the cost of this on a host with many interfaces: polling takes at most one part in
	// pollShare of the time.
	pollShare = 100
	// gatherFor is how long the kernel's messages are gathered after the first one.
	gatherFor = 20 * time.Millisecond
	// mapEvery is the shortest time between two requests for all devices and addresses, for a capture on "any".
	// pollShare applies to them too.
	mapEvery = 250 * time.Millisecond
)

// linkWatch follows the captured interface in its own goroutine, so that readers of packets and of counters do not
// wait for the kernel. It publishes its findings in atomics.
type linkWatch struct {
	target string     // as in LiveConfig.Interface
	addr   netip.Addr // the target if it is one
	conn   *netlinkConn
	events *netlinkEvents
	done   chan struct{}

	// home is the interface that the target means now, or nil if there is none. On "any" its index is 0.
	home atomic.Pointer[link]
	// news changes whenever home, or the state of that interface, may have changed.
	news atomic.Uint32
	// dropped counts the frames that interfaces dropped since the watch began: the home interface, or all for "any".
	dropped atomic.Uint64

	// The fields below belong to the goroutine.
	drops    dropCounter
	copies   *copies // kept up to date by the watch; may be nil
	stale    bool    // copies may be out of date
	nextLook time.Time
	nextMap  time.Time
}

// newLinkWatch reads the state of the interface for the first time, and fills c, which may be nil. The kernel queues
// later changes for the watch, and run processes them.
func newLinkWatch(target string, c *copies) (*linkWatch, error) {
	w := &linkWatch{target: target, done: make(chan struct{}), copies: c}
	groups := uint32(unix.RTMGRP_LINK)
	if addr, err := netip.ParseAddr(target); err == nil {
		w.addr = addr
		groups |= unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR
	}
	if c != nil {
		groups |= unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR |
			1<<(unix.RTNLGRP_IPV4_NETCONF-1) | 1<<(unix.RTNLGRP_IPV6_NETCONF-1) // the host starts or stops forwarding
	}
	var err error
	if w.events, err = listenNetlink(groups); err != nil {
		return nil, err
	}
	if w.conn, err = dialNetlink(); err != nil {
		w.events.close()
		return nil, err
	}
	if w.any() {
		w.home.Store(&link{})
	}
	err = w.poll()
	if c != nil && err == nil {
		c.wake = w.events.wake
		var whole bool
		whole, err = c.read(w.conn)
		w.stale = !whole
	}
	if err != nil {
		w.release()
		return nil, err
	}
	return w, nil
}

func (w *linkWatch) any() bool { return w.target == AnyInterface }

// named reports whether the target is the name of an interface. Other targets are a way to find an interface, whose
// name does not matter.
func (w *linkWatch) named() bool { return !w.any() && w.target != "auto" && !w.addr.IsValid() }

// run follows the interface until close.
func (w *linkWatch) run() {
	defer close(w.done)
	now := time.Now()
	w.nextLook, w.nextMap = now.Add(pollEvery), now.Add(mapEvery)
	for {
		until := w.nextLook
		if w.stale && w.nextMap.Before(until) {
			until = w.nextMap
		}
		heed := false
		lost, err := w.events.next(until, func(m message) {
			heed = w.hear(m) || heed
			w.stale = w.copies != nil
		})
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			w.askIfDue()
			continue
		}
		w.stale = w.stale || lost && w.copies != nil
		if heed || lost {
			w.resolve() // fails if the kernel cannot be asked; the next poll tries again
			w.news.Add(1)
		}
		w.dropped.Store(w.drops.total)
		if !w.events.pause(gatherFor) {
			break
		}
	}
	w.count() // once more, for the last changes
}

// askIfDue asks the kernel for what is due.
func (w *linkWatch) askIfDue() {
	if w.copies != nil && w.copies.unknown.Load() {
		w.stale = true
	}
	begun := time.Now()
	if w.stale && !begun.Before(w.nextMap) {
		whole, err := w.copies.read(w.conn)
		w.stale = err != nil || !whole
		w.nextMap = begun.Add(max(mapEvery, pollShare*time.Since(begun)))
		begun = time.Now()
	}
	if !begun.Before(w.nextLook) {
		w.poll() // fails if the kernel cannot be asked; it is tried again in a second
		w.nextLook = begun.Add(max(pollEvery, pollShare*time.Since(begun)))
	}
}

// close ends run, which must have been called, and waits for its end.
func (w *linkWatch) close() {
	w.events.stop()
	<-w.done
	w.release()
}

// release closes the sockets.
func (w *linkWatch) release() {
	w.events.close()
	w.conn.close()
}

// poll asks the kernel for the state of everything that the watch follows.
func (w *linkWatch) poll() error {
	err := w.resolve()
	w.count()
	w.news.Add(1)
	return err
}

// hear records the drops in a message. It reports whether home may now be another interface, or be in another state.
func (w *linkWatch) hear(m message) bool {
	l, ok := linkOfMessage(m)
	if !ok {
		return w.addr.IsValid() && (m.kind == unix.RTM_NEWADDR || m.kind == unix.RTM_DELADDR)
	}
	home := w.home.Load()
	its := home != nil && l.index == home.index
	if w.any() || its {
		// An interface is counted from the moment when it appeared until it disappeared.
		n, _ := dropsOfMessage(m)
		if m.kind == unix.RTM_DELLINK {
			w.drops.went(l.index, n)
		} else {
			w.drops.came(l.index, n)
		}
	}
	return its || l.name == w.target
}

// resolve finds the interface that the target means. If the kernel cannot be asked, it assumes that nothing has
// changed.
func (w *linkWatch) resolve() error {
	if w.any() {
		return nil
	}
	before := w.home.Load()
	l, err := w.find(before)
	switch {
	case err == nil:
		w.home.Store(&l)
		if before == nil || before.index != l.index {
			w.count() // count from here on
		}
	case errors.Is(err, errGone):
		w.home.Store(nil)
		w.drops.keep(nil)
	default:
		return err
	}
	return nil
}

// find returns the interface that the target means, given the previous one. An address stays with its interface until
// another one has the address. The interface of the default route stays until it disappears.
func (w *linkWatch) find(before *link) (link, error) {
	switch {
	case w.named():
		return w.conn.linkByName(w.target)
	case w.addr.IsValid():
		table, err := w.conn.addresses()
		if err != nil {
			return link{}, err
		}
		if l, ok := w.holder(table, before); ok {
			return l, nil
		}
	}
	if before != nil {
		l, err := w.conn.linkByIndex(before.index)
		if err == nil || !errors.Is(err, errGone) || w.addr.IsValid() {
			return l, err
		}
	}
	if w.addr.IsValid() {
		return link{}, errGone
	}
	name, err := defaultRoute()
	if err != nil {
		return link{}, errGone
	}
	return w.conn.linkByName(name)
}

// holder returns the interface that has the target's address: the previous one, if it still has it.
func (w *linkWatch) holder(table []ifaceAddr, before *link) (holder link, ok bool) {
	for _, a := range table {
		if a.addr != w.addr.Unmap().WithZone("") {
			continue
		}
		l, err := w.conn.linkByIndex(a.index)
		if err != nil || w.addr.Zone() != "" && w.addr.Zone() != l.name {
			continue
		}
		if before != nil && before.index == l.index {
			return l, true
		}
		if !ok {
			holder, ok = l, true
		}
	}
	return holder, ok
}

// count asks the kernel for the drops and adds them.
func (w *linkWatch) count() {
	home := w.home.Load()
	if home == nil {
		return
	}
	seen := make(map[int]bool)
	whole, err := w.conn.drops(home.index, func(index int, n uint64) {
		seen[index] = true
		w.drops.see(index, n)
	})
	if err == nil && whole {
		w.drops.keep(seen)
	}
	w.dropped.Store(w.drops.total)
}

// missing returns the error for a target that means no interface.
func (w *linkWatch) missing() error {
	switch {
	case w.addr.IsValid():
		return noAddress(w.addr)
	case w.target == "auto":
		return errNoDefaultRoute
	}
	return noInterface(w.target)
}
