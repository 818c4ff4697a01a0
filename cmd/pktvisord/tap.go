package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/net/bpf"

	"pktvisor/agent"
	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/capture/count"
	"pktvisor/decode"
	"pktvisor/linktype"
)

// tap is an input that is open, or a capture file that was read.
type tap struct {
	input
	o     *options // of the program: what all taps share
	log   *slog.Logger
	agent *agent.Tap // nil until the agent has it

	title   string                 // of the first captured interface or file, for people
	iface   atomic.Pointer[string] // the interface that is captured now; nil for a file
	moved   chan struct{}          // receives if another interface is captured, or its name has changed
	given   []netip.Prefix         // host subnets that are configured
	hosts   atomic.Pointer[[]string]
	sources []capture.Source
	// unspread is why the frames could not be spread over more shards, as it was logged.
	unspread string
	fault    atomic.Pointer[string] // what is wrong with the interface, if anything

	deepSample int // the greatest deep sample of its policies at the start, in percent

	counter   *count.Counter // in the kernel; nil if there is none
	uncounted error          // why there is none

	stop      context.CancelFunc // of what follows the tap
	following sync.WaitGroup
}

// newTap returns a tap that is not open.
func newTap(o *options, log *slog.Logger, in input) *tap {
	if in.name != agent.Default {
		log = log.With("tap", in.name)
	}
	hosts, _ := analyze.ParseHosts(in.hosts) // the reader of the configuration has checked it
	if in.hosts == "" {
		hosts, _ = analyze.ParseHosts(o.Hosts)
	}
	return &tap{input: in, o: o, log: log, given: hosts.Prefixes(), moved: make(chan struct{}, 1)}
}

// autoHost reports whether the addresses of the interface count as the host's: unless the tap has its own host subnets.
func (t *tap) autoHost() bool { return t.o.AutoHost && t.input.hosts == "" }

// open opens the sources, and adds the interface's addresses to the hosts.
func (t *tap) open(ctx context.Context, cfg *agent.TapConfig, seed uint32) error {
	t.title = t.Target
	switch {
	case t.Replay:
		return t.openReplay(ctx, cfg)
	case t.isFile():
		return t.openFile(ctx, cfg)
	}
	iface, err := capture.ResolveTarget(t.Target)
	if err != nil {
		if !isInterface(t.Target) {
			return fmt.Errorf("there is no file %q, and %w", t.Target, err)
		}
		return err
	}
	t.title = iface
	t.iface.Store(&iface)
	if t.autoHost() {
		addrs, err := capture.HostAddrs(iface)
		if err != nil {
			return err
		}
		cfg.Hosts = analyze.NewHosts(slices.Concat(t.given, addrs))
	}
	t.openCounter(cfg, seed)
	t.sources, err = capture.OpenLive(capture.LiveConfig{
		Interface: t.Target, Shards: cfg.Shards, RingBytes: t.RingMiB << 20, SnapLen: t.SnapLen, Promisc: t.Promisc,
		Filter: func(link linktype.Type) ([]bpf.RawInstruction, error) {
			return kernelFilter(t.Filter, *t.iface.Load(), link)
		},
		OnEvent: t.interfaceChanged,
		Copies:  t.AnyCopies,
		Decap:   t.Decap,
		Addrs:   addrsOf,
		Counter: t.counter, OnDemand: true,
	})
	if err != nil {
		t.closeCounter()
		return err
	}
	t.checkCounter(cfg)
	if open, most := capture.Rings(t.sources); open < most {
		cfg.Spread = t.spread
		cfg.OnSpread = t.shardsChanged
	}
	return nil
}

func (t *tap) openReplay(ctx context.Context, cfg *agent.TapConfig) error {
	if err := checkFilter(t.Filter); err != nil {
		return err
	}
	cfg.Shards = 1
	src, err := capture.OpenReplay(ctx, capture.ReplayConfig{Path: t.Target, Speed: t.ReplaySpeed, Loop: true})
	if err != nil {
		return t.readable(err)
	}
	t.sources = []capture.Source{filterFile(t.Filter, src)}
	return nil
}

// openFile opens a capture file that is read once, to its end.
func (t *tap) openFile(ctx context.Context, cfg *agent.TapConfig) error {
	if err := checkFilter(t.Filter); err != nil {
		return err
	}
	// Opening a named pipe would wait for a writer, and hold up all changes.
	if info, err := os.Stat(t.Target); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("open %s: not a regular file: give a capture file", t.Target)
	}
	cfg.Shards = min(cfg.Shards, maxFileShards)
	src, err := capture.OpenFileContext(ctx, t.Target)
	if err != nil {
		return t.readable(err)
	}
	t.sources = []capture.Source{filterFile(t.Filter, src)}
	return nil
}

// readable adds what to do if the sandbox does not let the agent read a file.
func (t *tap) readable(err error) error {
	if errors.Is(err, fs.ErrPermission) && t.o.enter != nil && !t.o.sandbox.Off {
		return fmt.Errorf("%w; a running agent reads only the files that its configuration named at the start, and those beside them: restart it for others", err)
	}
	return err
}

// addrsOf returns the addresses of a frame.
func addrsOf(frame []byte, wireLen uint32, link linktype.Type) (src, dst netip.Addr, ok bool) {
	var d decode.Decoder
	a, b, ok := d.Addrs(frame, wireLen, link)
	return a.Netip(), b.Netip(), ok
}

// begin lets the tap follow its interface, from when the agent has it until [tap.close].
func (t *tap) begin(own *agent.Tap) {
	t.agent = own
	t.setHosts(own.Hosts())
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	if t.iface.Load() != nil && t.autoHost() {
		t.following.Go(func() { t.followHosts(ctx) })
	}
}

// close stops what follows the tap, and closes all sources concurrently. The kernel waits for other cores before it releases
// a ring, which takes tens of milliseconds on a busy machine. One after the other, that would add up.
func (t *tap) close() {
	if t.stop != nil {
		t.stop()
	}
	var closing sync.WaitGroup
	for _, s := range t.sources {
		closing.Go(func() {
			if err := s.Close(); err != nil {
				t.log.Warn("close", "source", t.title, "error", err)
			}
		})
	}
	closing.Wait()
	t.following.Wait()
}

// interfaceChanged records a change of the interface's state.
func (t *tap) interfaceChanged(e capture.Event) {
	if e.State == capture.InterfaceUp {
		t.fault.Store(nil)
		if e.Interface != *t.iface.Load() {
			t.iface.Store(&e.Interface)
			select {
			case t.moved <- struct{}{}:
			default: // the reader has not received the last change yet
			}
		}
		t.log.Info("interface is up", "iface", e.Interface)
		return
	}
	fault := e.String()
	t.fault.Store(&fault)
	t.log.Warn("not capturing: "+fault, "iface", e.Interface)
}

// followHosts applies changes of the interface's addresses until ctx is done.
func (t *tap) followHosts(ctx context.Context) {
	for ctx.Err() == nil {
		iface := *t.iface.Load()
		watched, stop := context.WithCancel(ctx)
		var watching sync.WaitGroup
		watching.Go(func() { t.watchHosts(watched, iface) })
		select {
		case <-ctx.Done():
		case <-t.moved:
		}
		stop()
		watching.Wait()
	}
}

// watchHosts applies changes of one interface's addresses until ctx is done.
func (t *tap) watchHosts(ctx context.Context, iface string) {
	err := capture.WatchAddrs(ctx, iface, func(addrs []netip.Prefix) {
		h := analyze.NewHosts(slices.Concat(t.given, addrs))
		if !slices.Equal(h.Prefixes(), t.agent.Hosts().Prefixes()) {
			t.agent.SetHosts(h)
			t.setHosts(h)
			t.log.Info("host subnets changed", "iface", iface, "hosts", hostList(*t.hosts.Load()))
		}
	})
	if err != nil && ctx.Err() == nil {
		t.log.Warn("cannot follow changes of addresses", "iface", iface, "error", err)
	}
}

// setHosts stores the host subnets as text, once for all readers.
func (t *tap) setHosts(h analyze.Hosts) {
	names := []string{}
	for _, p := range h.Prefixes() {
		names = append(names, p.String())
	}
	if t.counter != nil {
		if err := t.counter.SetHosts(h.Prefixes()); err != nil {
			t.log.Warn("packets are no longer counted in the kernel", "reason", err)
		}
	}
	t.hosts.Store(&names)
}
