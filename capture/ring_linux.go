package capture

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	// waitMillis is how long ReadBatch waits for frames. It exceeds twice retireMillis, so if a wait ends without
	// frames, no frame is left in the ring.
	waitMillis = 100

	// retryWait is the time between two attempts to open an interface.
	retryWait = time.Second
)

// The reasons why an interface cannot be captured now, but perhaps later.
var (
	errGone = errors.New("no such interface")
	errDown = errors.New("interface is down")
)

// OpenLive captures frames on a network interface, or on all, with a TPACKET_V3 ring for each source. It returns
// cfg.Shards sources. Together they have every frame, and every one of them must be read and closed. OpenLive needs
// the CAP_NET_RAW capability.
//
// Sent and received frames are captured. On the loopback interface this would be the same frame twice, so it is
// captured once. On "any", a frame that passes several interfaces of the host is handed over once, unless
// [LiveConfig.Copies] is set. A frame passes several interfaces if it is routed or bridged, or if an interface is
// built on another one: VLAN, bond, bridge, the host's end of a container's veth pair.
//
// If the interface is down, the sources wait for it. If it goes down, disappears or is renamed, they return empty
// batches until it returns; see [LiveConfig.Interface] and [LiveConfig.OnEvent].
//
// [Batch.Supers] marks frames that stand for several packets, from Linux 6.2 on. Earlier kernels do not mark them,
// and each looks like one long packet.
//
// In the [Stats], Received counts the frames put into the ring, including those that are not read yet and
// [Stats].Copies. The sum of Received and OSDrops is the number of frames that the interface carried and the filter
// selected. Only the first source counts IfDrops, for all of them: the frames that the network device had no space
// for since it was first seen, as of a second ago or, with thousands of interfaces, a little more. (If the backlog
// between device and ring is full, the kernel also loses frames, but does not report these by interface.) Discarded
// counts frames of link layers that cannot be captured. The kernel does not report how many frames the filter
// rejected.
func OpenLive(cfg LiveConfig) ([]Source, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	sources, err := openLive(cfg)
	if err != nil {
		return nil, fmt.Errorf("capture on %s: %w", cfg.Interface, err)
	}
	return sources, nil
}

func openLive(cfg LiveConfig) ([]Source, error) {
	var c *copies
	if cfg.Interface == AnyInterface && !cfg.Copies {
		c = newCopies(cfg)
	}
	watch, err := newLinkWatch(cfg.Interface, c)
	if err != nil {
		return nil, err
	}
	ctl, err := controlSocket()
	if err != nil {
		watch.release()
		return nil, socketError(err)
	}
	l := &live{cfg: cfg, watch: watch, ctl: ctl, fanoutIndex: -1, seed: rand.Uint32(), users: cfg.Shards, background: func(f func()) { go f() }}
	l.plan()
	go watch.run()
	var sources []Source
	for i := range cfg.Shards {
		s := &liveSource{live: l, shard: i}
		if c != nil {
			s.seen = &seenBy{copies: c, count: make(map[uint32]*deviceCount)}
		}
		sources, l.sources = append(sources, s), append(l.sources, s)
	}
	if err := openAll(sources); err != nil {
		for _, s := range sources {
			s.Close()
		}
		if errors.Is(err, errGone) {
			err = watch.missing()
		}
		return nil, err
	}
	return sources, nil
}

func openAll(sources []Source) error {
	for _, s := range sources {
		if s := s.(*liveSource); s.parked() {
			continue
		} else if err := s.open(); err != nil && !errors.Is(err, errDown) {
			return err
		}
	}
	// Only now, when every frame has its shard, may the shards receive.
	for _, s := range sources {
		if err := s.(*liveSource).arm(); err != nil {
			return err
		}
	}
	return nil
}

// live is what the shards of one capture share.
type live struct {
	cfg   LiveConfig
	watch *linkWatch

	// ctl is a socket for questions about interfaces; any kind of socket will do. The kernel answers these
	// questions without waiting for a lock.
	ctl  int
	seed uint32 // seed of the fanout program

	// changing is held while the rings change: see change. plan says which rings are open.
	changing  sync.Mutex
	changes   bool         // the rings can change
	open      atomic.Int32 // the number of sources that have a ring
	ringBytes atomic.Int64 // the size of each ring
	sources   []*liveSource
	retry     atomic.Int64 // no ring grows before this Unix time, in nanoseconds

	background func(func()) // runs a function in another goroutine; a test, which has a network namespace for its thread, runs it at once

	mu          sync.Mutex
	users       int // sources that are not closed
	fanoutID    int
	fanoutIndex int // the interface of the fanout group fanoutID; -1 if there is no group yet
}

// up returns errDown if the interface is down, and errGone if it does not exist.
func (l *live) up(name string) error {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return errGone
	}
	if err := unix.IoctlIfreq(l.ctl, unix.SIOCGIFFLAGS, ifr); err != nil {
		return errGone
	}
	if ifr.Uint16()&unix.IFF_UP == 0 {
		return errDown
	}
	return nil
}

// nameOf returns the current name of the interface with the index.
func (l *live) nameOf(index int) (string, error) {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return "", err
	}
	ifr.SetUint32(uint32(index))
	err = unix.IoctlIfreq(l.ctl, unix.SIOCGIFNAME, ifr)
	return ifr.Name(), err
}

// join makes the socket a member of the shards' fanout group for the interface. The first socket creates the group.
func (l *live) join(fd, index int) error {
	if l.open.Load() == 1 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	err := error(unix.EINVAL)
	if l.fanoutIndex == index {
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, unix.PACKET_FANOUT_CBPF<<16|l.fanoutID)
	}
	if errors.Is(err, unix.EINVAL) {
		// There is no group, or it is for an interface that had the same index before.
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT,
			(unix.PACKET_FANOUT_CBPF|unix.PACKET_FANOUT_FLAG_UNIQUEID)<<16)
		if err != nil {
			return fanoutError(err)
		}
		v, err := unix.GetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT)
		if err != nil {
			return fmt.Errorf("fanout: %w", err)
		}
		l.fanoutID, l.fanoutIndex = v&0xffff, index
	} else if err != nil {
		return fanoutError(err)
	}
	// Every member sets the same program, because a group that lost all its members lost the program.
	prog, err := fanoutProgram(l.seed)
	if err != nil {
		return fmt.Errorf("fanout program: %w", err)
	}
	if err := setProgram(fd, unix.SOL_PACKET, unix.PACKET_FANOUT_DATA, prog); err != nil {
		return fmt.Errorf("fanout program: %w", err)
	}
	return nil
}

// leave must be called by each source when it is closed.
func (l *live) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users--; l.users == 0 {
		l.watch.close()
		unix.Close(l.ctl)
	}
}

// liveSource is one shard's socket and ring.
type liveSource struct {
	live  *live
	shard int
	poll  [1]unix.PollFd

	// ring is nil while there is no interface to capture on.
	ring     *ring
	link     link                 // the current or last interface of the socket
	program  []bpf.RawInstruction // the program that arm attaches
	wentDown bool                 // the kernel reported that the interface went down
	leaving  bool                 // the capture on the interface ends once the ring is read
	heard    uint32               // the watch's news that were handled
	reported Event                // the last reported event
	retry    time.Time            // when to try again to open the interface

	next atomic.Pointer[nextRing] // the ring that takes the frames after those in ring; nil if that is the same
	over time.Time                // when frames of ring came last, since another takes them

	discarded atomic.Uint64
	seen      *seenBy // set on any, otherwise nil

	mu     sync.Mutex
	fd     int // guarded by mu, because Stats uses it; valid only if isOpen is true
	isOpen bool
	closed bool
	stats  Stats
	given  uint64 // frames that the kernel has put into ring
}

// open makes the socket and its ring. The socket receives nothing before arm.
func (s *liveSource) open() error {
	l := s.live
	home := l.watch.home.Load()
	if home == nil {
		return errGone
	}
	program, err := captureProgram(l.cfg, home.hatype, l.watch.any())
	if err != nil {
		return err // even if the interface is down, because the error will remain
	}
	if s.reported.Interface == "" {
		s.reported.Interface = s.nameFor(home) // as if it had been reported as up
	}
	s.link = *home
	if !l.watch.any() {
		if err := l.up(home.name); err != nil {
			return err
		}
	}
	fd, r, err := s.socket(home.index)
	if err != nil {
		return err
	}
	s.program, s.wentDown, s.leaving = program, false, false
	s.mu.Lock()
	defer s.mu.Unlock()
	s.use(fd, r)
	return nil
}

// socket makes a socket with a ring. It receives nothing yet.
func (s *liveSource) socket(index int) (fd int, r *ring, err error) {
	if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil { // no protocol
		return 0, nil, packetError(err)
	}
	if r, err = s.setUp(fd, index); err != nil {
		unix.Close(fd)
		return 0, nil, err
	}
	return fd, r, nil
}

// use makes a ring the one that is read. s.mu must be held.
func (s *liveSource) use(fd int, r *ring) {
	r.seen = s.seen
	s.ring, s.given = r, 0
	s.poll[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN | unix.POLLERR}
	s.fd, s.isOpen = fd, true
}

// nameFor returns the name to use for an interface, if one was found. A target that is a name stays the name.
func (s *liveSource) nameFor(l *link) string {
	if s.live.watch.named() || s.live.watch.any() || l.name == "" {
		return s.live.cfg.Interface
	}
	return l.name
}

func (s *liveSource) setUp(fd, index int) (*ring, error) {
	l := s.live
	if err := attach(fd, dropAll); err != nil {
		return nil, filterError(err, len(dropAll))
	}
	r, err := mapRing(fd, int(l.ringBytes.Load()))
	if err != nil {
		return nil, ringError(err, l.cfg)
	}
	if err := s.bind(fd, index); err != nil {
		r.unmap()
		return nil, err
	}
	return r, nil
}

func (s *liveSource) bind(fd, index int) error {
	const protocol = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: index}); err != nil {
		if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) {
			return errGone
		}
		return fmt.Errorf("bind: %w", err)
	}
	if s.live.cfg.Promisc && s.shard == 0 {
		mreq := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &mreq); err != nil {
			return fmt.Errorf("promiscuous mode: %w: try without --promisc", err)
		}
	}
	return s.live.join(fd, index)
}

// arm makes the socket receive the frames that the filter selects.
func (s *liveSource) arm() error {
	if s.ring == nil || s.count() {
		return nil
	}
	if err := attach(s.fd, s.program); err != nil {
		return filterError(err, len(s.program))
	}
	return nil
}

// ReadBatch implements [Source]. The frames are in the ring, and reading the next batch returns their memory to the
// kernel.
func (s *liveSource) ReadBatch(b *Batch) error {
	b.Frames, b.Supers = b.Frames[:0], b.Supers[:0]
	if s.ring == nil {
		return s.reopen()
	}
	if s.ring.left == 0 && s.heard != s.live.watch.news.Load() {
		if err := s.examine(); err != nil || s.ring == nil {
			return err
		}
	}
	if s.ring.left == 0 {
		s.grow()
	}
	if s.ring.left == 0 && !s.ring.advance() {
		if err := s.wait(); err != nil {
			return err
		}
		if s.ring == nil || !s.ring.advance() {
			return nil
		}
	}
	if cap(b.Frames) < ringBatchFrames {
		b.Frames = make([]Frame, 0, ringBatchFrames)
	}
	s.fill(b)
	return nil
}

// Full implements [Filling].
func (s *liveSource) Full() float64 {
	if s.ring == nil {
		return 0
	}
	return s.ring.full()
}

// wait waits for a block, and checks the interface meanwhile.
func (s *liveSource) wait() error {
	if s.next.Load() != nil {
		if s.drained() {
			return s.moveOn()
		}
	} else if s.ring.rest() {
		return nil
	}
	n, err := unix.Poll(s.poll[:], waitMillis)
	switch {
	case errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return fmt.Errorf("capture on %s: poll: %w", s.live.cfg.Interface, err)
	case n == 0 && s.leaving && s.next.Load() == nil: // the ring is empty
		return s.abandon()
	case n == 0, s.poll[0].Revents&unix.POLLERR == 0:
		if s.wentDown {
			return s.examine() // under load, no wait may ever time out
		}
		return nil
	}
	// Reading the error clears it. The frames in the ring must still be read.
	v, err := unix.GetsockoptInt(int(s.poll[0].Fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && v != 0 {
		err = unix.Errno(v)
	}
	if errors.Is(err, unix.ENETDOWN) {
		s.wentDown = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("capture on %s: %w", s.live.cfg.Interface, err)
	}
	return nil
}

// Stats implements [Source]. At a million frames a second, it must be called at least once an hour, because the
// kernel counts in 32 bits.
func (s *liveSource) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.collect()
	st := s.stats
	st.Discarded = s.discarded.Load()
	if s.seen != nil {
		st.Copies = s.seen.leftOut()
	}
	return st
}

// collect adds to the stats what happened since the last call. s.mu must be held.
func (s *liveSource) collect() {
	if s.isOpen {
		s.given += s.collectOf(s.fd)
	}
	if n := s.next.Load(); n != nil {
		n.given += s.collectOf(n.fd)
	}
	if s.shard == 0 {
		s.stats.IfDrops = s.live.watch.dropped.Load()
	}
}

// collectOf adds to the stats what the kernel has counted for a socket since the last call. It returns how many frames entered the ring.
func (s *liveSource) collectOf(fd int) (given uint64) {
	// Reading the kernel's counters resets them; its packets include the drops.
	k, err := unix.GetsockoptTpacketStatsV3(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0
	}
	given = uint64(k.Packets - k.Drops)
	s.stats.Received += given
	s.stats.OSDrops += uint64(k.Drops)
	s.stats.Freezes += uint64(k.Freeze_q_cnt)
	return given
}

func (s *liveSource) closeRing() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.collect()
	var errs []error
	if n := s.next.Swap(nil); n != nil {
		errs = append(errs, n.close())
	}
	if s.isOpen {
		errs = append(errs, s.ring.unmap(), unix.Close(s.fd))
		s.ring, s.isOpen = nil, false
	}
	return errors.Join(errs...)
}

// Clock implements [Source].
func (s *liveSource) Clock() Clock { return Arrival }

// Close implements [Source]. The stats remain available.
func (s *liveSource) Close() error {
	if s.closed {
		return nil
	}
	s.live.changing.Lock()
	defer s.live.changing.Unlock()
	err := s.closeRing()
	s.mu.Lock()
	s.collect()
	s.closed = true
	s.mu.Unlock()
	s.live.leave()
	return err
}
