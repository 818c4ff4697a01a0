package capture

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// examine checks the interface when there is news of it, or when it went down. If it comes up again, the
// kernel has the socket receive again by itself. If it is gone, or is not what is to be captured any more, the socket
// gets no more frames, and is left once its ring is read.
func (s *liveSource) examine() error {
	w := s.live.watch
	s.heard = w.news.Load()
	if w.any() || s.leaving {
		return nil
	}
	home := w.home.Load()
	if !s.bound() || home == nil || home.index != s.link.index {
		s.leaving = true
		if attach(s.fd, dropAll) != nil {
			return s.abandon() // rather than frames that are not wanted
		}
		return nil
	}
	if s.link.name != home.name { // it is the one that is wanted under any name
		s.link.name = home.name
		if !s.ailing {
			s.report(Event{State: InterfaceUp})
		}
	}
	if !s.ailing {
		return nil
	}
	if s.live.up(home.name) != nil {
		s.report(Event{State: InterfaceDown})
		return nil
	}
	s.ailing = false
	s.report(Event{State: InterfaceDown}) // it was, if only for a moment
	s.report(Event{State: InterfaceUp})
	return nil
}

// bound reports whether the socket's interface exists. Another one of the same index does not count.
func (s *liveSource) bound() bool {
	sa, err := unix.Getsockname(s.fd)
	ll, ok := sa.(*unix.SockaddrLinklayer)
	return err != nil || !ok || int32(ll.Ifindex) > 0
}

// abandon ends the capture on an interface that the target does not mean any more.
func (s *liveSource) abandon() error {
	if !s.bound() {
		s.link.index = -1 // what has the index now is another interface
	}
	// Where another interface has taken the name already, it must be said all the same that this one is
	// not captured. What is found by address or route goes on under the other one's name.
	if s.live.watch.named() || s.live.watch.home.Load() == nil {
		s.report(s.absence())
	}
	err := s.closeRing()
	s.leaving = false
	s.heard-- // so that there is news, to open what there is now
	return err
}

// absence is the event of an interface that is not there.
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

// reopen tries to capture again on an interface that was gone, or was down from the start.
func (s *liveSource) reopen() error {
	if s.closed {
		return fmt.Errorf("capture on %s: the source is closed", s.live.cfg.Interface)
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

// report reports a change. One source reports for all.
func (s *liveSource) report(ev Event) {
	ev.Interface = s.told.Interface
	if home := s.live.watch.home.Load(); home != nil {
		ev.Interface = s.nameFor(home)
	}
	same := fmt.Sprint(ev) == fmt.Sprint(s.told)
	if s.shard != 0 || s.live.cfg.OnEvent == nil || same {
		return
	}
	s.told = ev
	s.live.cfg.OnEvent(ev)
}
