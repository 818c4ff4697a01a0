package capture

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// examine checks the interface when there is news about it, or when it went down. If the interface comes up again,
// the kernel makes the socket receive again. If it is gone, or the target no longer means it, the socket gets no more
// frames, and is closed once its ring is read.
func (s *liveSource) examine() error {
	if !s.live.changing.TryLock() {
		return nil // It looks again after the change of the rings.
	}
	defer s.live.changing.Unlock()
	w := s.live.watch
	s.heard = w.news.Load()
	if w.any() || s.leaving {
		return nil
	}
	home := w.home.Load()
	if !s.bound() || home == nil || home.index != s.link.index {
		s.leaving = true
		err := attach(s.fd, dropAll)
		if n := s.next.Load(); n != nil && err == nil {
			err = attach(n.fd, dropAll)
		}
		if err != nil {
			return s.abandon() // rather than capture frames that are not wanted
		}
		return nil
	}
	if s.link.name != home.name { // the target means this interface under any name
		s.link.name = home.name
		if !s.wentDown {
			s.report(Event{State: InterfaceUp})
		}
	}
	if !s.wentDown {
		return nil
	}
	if s.live.up(home.name) != nil {
		s.report(Event{State: InterfaceDown})
		return nil
	}
	s.wentDown = false
	s.report(Event{State: InterfaceDown}) // it was down, if only for a moment
	s.report(Event{State: InterfaceUp})
	return nil
}

// bound reports whether the socket's interface exists. Another interface with the same index does not count.
func (s *liveSource) bound() bool {
	sa, err := unix.Getsockname(s.fd)
	ll, ok := sa.(*unix.SockaddrLinklayer)
	return err != nil || !ok || int32(ll.Ifindex) > 0
}

// abandon ends the capture on an interface that the target no longer means.
func (s *liveSource) abandon() error {
	if !s.bound() {
		s.link.index = -1 // another interface has the index now
	}
	// If another interface already has the name, the event must still say that this one is no longer captured. A
	// capture by address or route continues under the other interface's name.
	if s.live.watch.named() || s.live.watch.home.Load() == nil {
		s.report(s.absence())
	}
	err := s.closeRing()
	s.leaving = false
	s.heard-- // so that there is news, and the current interface is opened
	return err
}

// absence returns the event for an interface that is missing.
func (s *liveSource) absence() Event {
	w := s.live.watch
	if !w.named() {
		return Event{State: InterfaceGone, Err: w.missing()}
	}
	if s.link.index > 0 {
		if name, err := s.live.nameOf(s.link.index); err == nil && name != s.link.name {
			return Event{State: InterfaceRenamed, NewName: name}
		}
	}
	return Event{State: InterfaceGone}
}

// reopen tries to capture again on an interface that was missing, or was down from the start.
func (s *liveSource) reopen() error {
	if s.closed {
		return fmt.Errorf("capture on %s: the source is closed", s.live.cfg.Interface)
	}
	if s.next.Load() != nil {
		return s.moveOn()
	}
	if s.parked() || !s.live.changing.TryLock() {
		time.Sleep(waitMillis * time.Millisecond)
		return nil
	}
	defer s.live.changing.Unlock()
	if s.next.Load() != nil {
		return nil // a change has ended just now
	}
	news := s.live.watch.news.Load()
	if news == s.heard || time.Now().Before(s.retry) {
		time.Sleep(waitMillis * time.Millisecond)
		return nil
	}
	s.heard = news
	err := s.open()
	if err == nil {
		if err = s.arm(); err != nil {
			s.closeRing()
		}
	}
	switch {
	case err == nil:
		s.report(Event{State: InterfaceUp})
	case errors.Is(err, errGone):
		s.report(s.absence())
	case errors.Is(err, errDown):
		s.report(Event{State: InterfaceDown})
	default:
		s.report(Event{State: InterfaceDown, Err: err})
		s.retry = time.Now().Add(retryWait)
	}
	return nil
}

// report reports a change. Only one source reports, for all.
func (s *liveSource) report(ev Event) {
	ev.Interface = s.reported.Interface
	if home := s.live.watch.home.Load(); home != nil {
		ev.Interface = s.nameFor(home)
	}
	same := fmt.Sprint(ev) == fmt.Sprint(s.reported)
	if s.shard != 0 || s.live.cfg.OnEvent == nil || same {
		return
	}
	s.reported = ev
	s.live.cfg.OnEvent(ev)
}
