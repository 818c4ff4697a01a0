package capture

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Rings change by load: a capture begins with one small ring. A ring that is too small for the rate is replaced by a larger one, and rings for
// more shards are opened when one is not enough: see [Spread]. All rings are replaced at once. The counter in the kernel hands over the
// frames, so that each of them enters exactly one ring, and the readers go through their old rings to the last frame.
//
// Without such a counter, the rings are all open from the start, in their full size.

const (
	// leastRing is the size of the ring of a calm interface, in bytes. It has space for a burst of 80 ms at a million DNS packets a
	// second, until it has grown.
	leastRing = 16 << 20
	growth    = 4 // how much larger the next ring is

	// growRetry is when a ring may grow again after it could not.
	growRetry = 10 * time.Second
	// drainWait is how long a reader waits for a frame that the kernel has counted into a ring and that does not come.
	drainWait = 5 * time.Second
)

// nextRing is a ring that has taken over from the ring of a source.
type nextRing struct {
	fd    int
	ring  *ring // nil if the source gets nothing more
	link  link
	given uint64
}

func (n *nextRing) close() error {
	if n.ring == nil {
		return nil
	}
	return errors.Join(n.ring.unmap(), unix.Close(n.fd))
}

// plan decides which rings are open at the start.
func (l *live) plan() {
	l.changes = l.cfg.Counter != nil && !l.watch.any() && l.cfg.Counter.Disabled() == nil && l.cfg.Counter.PrepareHandOver() == nil
	shards := l.cfg.Shards
	if l.changes && l.cfg.OnDemand {
		shards = 1
	}
	size := l.cfg.RingBytes / shards
	if l.changes {
		size = min(leastRing, size)
	}
	l.open.Store(int32(shards))
	l.ringBytes.Store(int64(size))
}

// parked reports whether the source has no ring because others are enough.
func (s *liveSource) parked() bool { return s.shard >= int(s.live.open.Load()) }

// Rings returns how many of the sources of a capture have a ring, and the most that [Spread] allows. Both are the same if rings do not change.
func Rings(sources []Source) (open, most int) {
	if len(sources) > 0 {
		if s, ok := sources[0].(*liveSource); ok && s.live.changes {
			return int(s.live.open.Load()), len(sources)
		}
	}
	return len(sources), len(sources)
}

// Spread spreads the frames of a capture over the first n of its sources. All sources must be read, also those that get no more frames. It
// takes some ten milliseconds, or much longer on a busy machine. The frames between two hosts then reach another source than before, for most of them. On an error the
// sources stay as they are.
func Spread(sources []Source, n int) error {
	open, most := Rings(sources)
	if n < 1 || n > most {
		return fmt.Errorf("%d shards; must be 1 to %d", n, most)
	}
	if n == open {
		return nil
	}
	l := sources[0].(*liveSource).live
	size := l.cfg.RingBytes / n
	if n < open {
		size = min(size, int(l.ringBytes.Load())*open/n)
	}
	return l.change(n, size)
}

// grow replaces the rings by larger ones, in the background, if this one is too small.
func (s *liveSource) grow() {
	l := s.live
	if s.ring.taken > len(s.ring.status)/2 { // since the ring was empty
		s.ring.tight = true
	}
	if !s.ring.tight || !l.changes {
		return
	}
	s.ring.tight = false
	open, size := int(l.open.Load()), l.ringBytes.Load()
	most := int64(l.cfg.RingBytes / open)
	if size >= most || time.Now().UnixNano() < l.retry.Load() || !l.changing.TryLock() {
		return
	}
	l.background(func() {
		defer l.changing.Unlock()
		if err := l.changeLocked(open, int(min(size*growth, most))); err != nil && !errors.Is(err, ErrChanging) {
			l.retry.Store(time.Now().Add(growRetry).UnixNano())
		}
	})
}

// change replaces the rings.
func (l *live) change(open, size int) error {
	l.changing.Lock()
	defer l.changing.Unlock()
	return l.changeLocked(open, size)
}

func (l *live) changeLocked(open, size int) error {
	before, sizeBefore := l.open.Load(), l.ringBytes.Load()
	var from []int
	for _, s := range l.sources {
		s.mu.Lock()
		if s.isOpen {
			from = append(from, s.fd)
		}
		ready := !s.closed && s.next.Load() == nil && s.isOpen != s.parked()
		s.mu.Unlock()
		if !ready {
			return ErrChanging
		}
	}
	link := l.sources[0].link
	filter, kind, err := l.counted(link.hatype)
	if err != nil {
		return err
	}
	l.open.Store(int32(open))
	l.ringBytes.Store(int64(size))
	l.fanoutIndex = -1 // the new rings have a group of their own
	var next []*nextRing
	var to []int
	for _, s := range l.sources[:open] {
		var fd int
		var r *ring
		if fd, r, err = s.socket(link.index); err != nil {
			break
		}
		next, to = append(next, &nextRing{fd: fd, ring: r, link: link}), append(to, fd)
	}
	if err == nil {
		err = l.cfg.Counter.HandOver(from, to, filter, kind.raw, kind.received)
	}
	if err != nil {
		for _, n := range next {
			n.close()
		}
		l.open.Store(before)
		l.ringBytes.Store(sizeBefore)
		return err
	}
	for i, s := range l.sources {
		if i < open {
			s.next.Store(next[i])
		} else if i < int(before) {
			s.next.Store(&nextRing{fd: -1}) // it gets nothing more
		}
	}
	return nil
}

// drained reports whether the ring is read to its last frame. No more frames enter it.
func (s *liveSource) drained() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.collect()
	switch {
	case s.ring.had >= s.given:
		return true
	case s.over.IsZero():
		s.over = time.Now()
	case time.Since(s.over) > drainWait: // The kernel has kept them.
		s.stats.Received -= s.given - s.ring.had
		s.stats.OSDrops += s.given - s.ring.had
		return true
	}
	return false
}

// moveOn closes the ring, and continues with the next.
func (s *liveSource) moveOn() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.isOpen {
		err = s.ring.unmap()
		old := s.fd
		go unix.Close(old) // it waits for other CPUs
	}
	s.over, s.ring, s.isOpen = time.Time{}, nil, false
	n := s.next.Swap(nil)
	if n.ring != nil {
		s.link = n.link
		s.use(n.fd, n.ring)
		s.given = n.given
	}
	return err
}
