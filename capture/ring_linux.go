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
	// waitMillis is how long ReadBatch waits for frames. It exceeds twice retireMillis, so
	// that a wait in vain means that no frame is left in the ring.
	waitMillis = 100

	// retryWait is how long an interface that cannot be opened is left alone.
	retryWait = time.Second
)

// Why an interface cannot be captured now, but perhaps later.
var (
	errGone = errors.New("no such interface")
	errDown = errors.New("interface is down")
)

// OpenLive captures frames on a network interface, or on all, with a TPACKET_V3 ring per
// source. It returns cfg.Shards sources; together they have every frame, and every one of
// them must be read and closed. It needs the CAP_NET_RAW capability.
//
// A frame that the interface sends is captured as well as one that it receives, but for the
// loopback interface, where that would be the same frame twice. On "any", a frame that
// passes several interfaces of the host (it is routed or bridged, or an interface is
// stacked on another one: VLAN, bond, bridge, the host's end of a container's veth pair) is
// handed over once, unless [LiveConfig.Copies] is set.
//
// An interface that is down is waited for. One that goes down or disappears gives empty
// batches until it is back; see [LiveConfig.OnEvent].
//
// A frame that stands for several packets is told by [Batch.Supers], from Linux 6.2 on: before, it looks like a long packet.
//
// Of the [Stats], Received counts the frames put into the ring, those not read yet and [Stats].Copies included;
// the sum of Received and OSDrops is all that the interface carried and the filter let
// through. IfDrops is counted for the first source only, on behalf of all; it is what the
// network device had no room for (what the kernel lost between device and ring, when its
// backlog is full, it does not tell by interface). Discarded counts frames of link layers that
// cannot be captured; what the filter turned away the kernel does not tell.
func OpenLive(cfg LiveConfig) ([]Source, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	sources, err := openLive(cfg)
	if err != nil {
		return nil, fmt.Errorf("capture on %s: %w", cfg.Interface, explain(cfg, err))
	}
	return sources, nil
}

func openLive(cfg LiveConfig) ([]Source, error) {
	ctl, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	l := &live{cfg: cfg, any: cfg.Interface == AnyInterface, ctl: ctl, fanoutIndex: -1, seed: rand.Uint32()}
	if l.any && !cfg.Copies {
		if l.copies, err = newCopies(cfg); err != nil {
			unix.Close(ctl)
			return nil, err
		}
	}
	var sources []Source
	for i := range cfg.Shards {
		s := &liveSource{live: l, shard: i}
		if l.copies != nil {
			s.seen = &seenBy{copies: l.copies, count: make(map[uint32]*deviceCount)}
		}
		if i == 0 {
			s.ifDrops = interfaceDrops(cfg.Interface)
		}
		l.users++
		sources = append(sources, s)
		if err := s.open(); err != nil && !errors.Is(err, errDown) {
			for _, s := range sources {
				s.Close()
			}
			return nil, err
		}
	}
	// Only now that every frame has its shard may the shards receive.
	for _, s := range sources {
		if err := s.(*liveSource).arm(); err != nil {
			for _, s := range sources {
				s.Close()
			}
			return nil, err
		}
	}
	return sources, nil
}

// explain adds to an error of opening what to do about it.
func explain(cfg LiveConfig, err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return errors.New("no permission: it needs the capability CAP_NET_RAW; run as root or: setcap cap_net_raw+ep pktvisord")
	case errors.Is(err, unix.ENOMEM):
		return fmt.Errorf("%w: the kernel has no memory for %d bytes of ring; use a smaller one", err, cfg.RingBytes)
	case errors.Is(err, errGone):
		return noInterface(cfg.Interface)
	}
	return err
}

// live is what the shards of one capture share.
type live struct {
	cfg LiveConfig
	any bool

	// ctl is a socket to ask about interfaces with, for which any kind does.
	ctl  int
	seed uint32 // of the fanout program

	copies *copies // on any; else nil

	mu          sync.Mutex
	users       int // sources not closed
	fanoutID    int
	fanoutIndex int // the interface that the fanout group fanoutID is for; -1: there is none yet
}

// find returns the index and hardware type of the interface. It returns errGone if there is
// none, and errDown besides if it is down.
func (l *live) find() (index int, hatype uint16, err error) {
	if l.any {
		return 0, 0, nil
	}
	ifr, err := unix.NewIfreq(l.cfg.Interface)
	if err != nil { // the name is too long for an interface's
		return 0, 0, errGone
	}
	if err := unix.IoctlIfreq(l.ctl, unix.SIOCGIFINDEX, ifr); err != nil {
		return 0, 0, errGone
	}
	index = int(ifr.Uint32())
	if err := unix.IoctlIfreq(l.ctl, unix.SIOCGIFHWADDR, ifr); err != nil {
		return 0, 0, errGone
	}
	hatype = ifr.Uint16()
	if err := unix.IoctlIfreq(l.ctl, unix.SIOCGIFFLAGS, ifr); err != nil {
		return 0, 0, errGone
	}
	if ifr.Uint16()&unix.IFF_UP == 0 {
		return index, hatype, errDown
	}
	return index, hatype, nil
}

// join makes the socket a member of the shards' fanout group for the interface. The first
// one to come makes the group.
func (l *live) join(fd, index int) error {
	if l.cfg.Shards == 1 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	err := error(unix.EINVAL)
	if l.fanoutIndex == index {
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, unix.PACKET_FANOUT_CBPF<<16|l.fanoutID)
	}
	if errors.Is(err, unix.EINVAL) {
		// There is none, or it is for an interface that had the same index once.
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT,
			(unix.PACKET_FANOUT_CBPF|unix.PACKET_FANOUT_FLAG_UNIQUEID)<<16)
		if err != nil {
			return fmt.Errorf("fanout: %w", err)
		}
		v, err := unix.GetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT)
		if err != nil {
			return fmt.Errorf("fanout: %w", err)
		}
		l.fanoutID, l.fanoutIndex = v&0xffff, index
	} else if err != nil {
		return fmt.Errorf("fanout: %w", err)
	}
	// Every member sets the program, the same one: a group that lost all its members lost it.
	prog, err := fanoutProgram(l.seed)
	if err != nil {
		return fmt.Errorf("fanout program: %w", err)
	}
	if err := setProgram(fd, unix.SOL_PACKET, unix.PACKET_FANOUT_DATA, prog); err != nil {
		return fmt.Errorf("fanout program: %w", err)
	}
	return nil
}

// leave is called by each source when it is closed.
func (l *live) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users--; l.users == 0 {
		unix.Close(l.ctl)
		if l.copies != nil {
			l.copies.close()
		}
	}
}

// liveSource is one shard's socket and ring.
type liveSource struct {
	live  *live
	shard int
	poll  [1]unix.PollFd

	// ring is nil while there is no interface to capture on.
	ring    *ring
	program []bpf.RawInstruction // for arm
	ailing  bool                 // the kernel said that the interface went down
	told    Event                // the last event
	retry   time.Time            // when to try to open it again

	discarded atomic.Uint64
	seen      *seenBy // on any; else nil

	mu      sync.Mutex
	fd      int // guarded, and valid only if open is true: Stats asks it
	isOpen  bool
	closed  bool
	stats   Stats
	ifDrops uint64 // the interface's counter when last looked at
}

// open makes the socket and its ring. It receives nothing before arm.
func (s *liveSource) open() error {
	l := s.live
	index, hatype, err := l.find()
	if err != nil && !errors.Is(err, errDown) {
		return err
	}
	program, bad := captureProgram(l.cfg, hatype, l.any)
	if bad != nil {
		return bad // even if the interface is down: it will not get better
	}
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // no protocol: it receives nothing yet
	if err != nil {
		return err
	}
	r, err := s.setUp(fd, index)
	if err != nil {
		unix.Close(fd)
		return err
	}
	r.seen = s.seen
	s.ring, s.program, s.ailing = r, program, false
	s.poll[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN | unix.POLLERR}
	s.mu.Lock()
	s.fd, s.isOpen = fd, true
	s.mu.Unlock()
	return nil
}

func (s *liveSource) setUp(fd, index int) (*ring, error) {
	l := s.live
	if err := attach(fd, dropAll); err != nil {
		return nil, fmt.Errorf("attach filter: %w", err)
	}
	r, err := mapRing(fd, l.cfg.RingBytes/l.cfg.Shards)
	if err != nil {
		return nil, err
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
			return fmt.Errorf("promiscuous mode: %w", err)
		}
	}
	return s.live.join(fd, index)
}

// arm lets the socket receive what the filter selects.
func (s *liveSource) arm() error {
	if s.ring == nil {
		return nil
	}
	if err := attach(s.fd, s.program); err != nil {
		return fmt.Errorf("attach filter of %d instructions: %w", len(s.program), err)
	}
	return nil
}

// ReadBatch implements [Source]. The frames are in the ring; reading the next batch gives
// their memory back to the kernel.
func (s *liveSource) ReadBatch(b *Batch) error {
	b.Frames, b.Supers = b.Frames[:0], b.Supers[:0]
	if s.ring == nil {
		return s.reopen()
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

// wait waits for a block, and looks after the interface meanwhile.
func (s *liveSource) wait() error {
	n, err := unix.Poll(s.poll[:], waitMillis)
	switch {
	case errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return fmt.Errorf("capture on %s: poll: %w", s.live.cfg.Interface, err)
	case n == 0:
		s.examine(true)
		return nil
	}
	if s.poll[0].Revents&unix.POLLERR == 0 {
		s.examine(false) // under load there may never be a wait in vain
		return nil
	}
	// Asking for the error clears it. What is in the ring is still to be read.
	v, err := unix.GetsockoptInt(int(s.poll[0].Fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && v != 0 {
		err = unix.Errno(v)
	}
	if errors.Is(err, unix.ENETDOWN) {
		s.ailing = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("capture on %s: %w", s.live.cfg.Interface, err)
	}
	return nil
}

// examine looks what became of the interface, if it went down. If it comes up again, the kernel
// has the socket receive again by itself. If it is gone for good, the socket is of no use, not
// even when another interface gets its name, once its ring is drained.
func (s *liveSource) examine(drained bool) {
	if !s.ailing {
		return
	}
	index := -1
	if sa, err := unix.Getsockname(int(s.poll[0].Fd)); err == nil {
		if ll, ok := sa.(*unix.SockaddrLinklayer); ok {
			index = int(int32(ll.Ifindex))
		}
	}
	if index <= 0 {
		if drained {
			s.report(InterfaceGone, nil)
			s.closeRing()
		}
		return
	}
	if _, _, err := s.live.find(); err != nil {
		s.report(InterfaceDown, nil)
		return
	}
	s.ailing = false
	s.report(InterfaceDown, nil) // it was, if only for a moment
	s.report(InterfaceUp, nil)
}

// reopen tries to capture again on an interface that was gone, or was down from the start.
func (s *liveSource) reopen() error {
	if s.closed {
		return fmt.Errorf("capture on %s: the source is closed", s.live.cfg.Interface)
	}
	if now := time.Now(); now.Before(s.retry) {
		time.Sleep(min(s.retry.Sub(now), waitMillis*time.Millisecond))
		return nil
	}
	err := s.open()
	if err == nil {
		if err = s.arm(); err != nil {
			s.closeRing()
		}
	}
	switch {
	case err == nil:
		s.report(InterfaceUp, nil)
		return nil
	case errors.Is(err, errGone):
		s.report(InterfaceGone, nil)
	case errors.Is(err, errDown):
		s.report(InterfaceDown, nil)
	default:
		s.report(InterfaceDown, explain(s.live.cfg, err))
		s.retry = time.Now().Add(retryWait)
	}
	time.Sleep(waitMillis * time.Millisecond)
	return nil
}

// report tells of a change. One source speaks for all.
func (s *liveSource) report(state InterfaceState, err error) {
	ev := Event{Interface: s.live.cfg.Interface, State: state, Err: err}
	same := ev.State == s.told.State && fmt.Sprint(ev.Err) == fmt.Sprint(s.told.Err)
	if s.shard != 0 || s.live.cfg.OnEvent == nil || same {
		return
	}
	s.told = ev
	s.live.cfg.OnEvent(ev)
}

// Stats implements [Source]. It must be called at least once an hour at a million frames a
// second: the kernel counts in 32 bits.
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

// collect adds what happened since it was last called to the stats. s.mu is held.
func (s *liveSource) collect() {
	if s.isOpen {
		// Reading the kernel's counters resets them; its packets include the drops.
		if k, err := unix.GetsockoptTpacketStatsV3(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			s.stats.Received += uint64(k.Packets - k.Drops)
			s.stats.OSDrops += uint64(k.Drops)
			s.stats.Freezes += uint64(k.Freeze_q_cnt)
		}
	}
	if s.shard == 0 && !s.closed {
		now := interfaceDrops(s.live.cfg.Interface)
		if now < s.ifDrops { // another interface has its name now
			s.ifDrops = 0
		}
		s.stats.IfDrops += now - s.ifDrops
		s.ifDrops = now
	}
}

func (s *liveSource) closeRing() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isOpen {
		return nil
	}
	s.collect()
	err := s.ring.unmap()
	s.ring, s.isOpen = nil, false
	return errors.Join(err, unix.Close(s.fd))
}

// Close implements [Source]. The stats stay.
func (s *liveSource) Close() error {
	if s.closed {
		return nil
	}
	err := s.closeRing()
	s.mu.Lock()
	s.collect()
	s.closed = true
	s.mu.Unlock()
	s.live.leave()
	return err
}
